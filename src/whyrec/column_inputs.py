"""What is known of users or items, as units of one part: a column becomes one vector, and nothing where it is empty.

    number      z direction + offset    z is the value in standard deviations from the mean of the column
    category    a row for each value
    list        the mean of the rows of its words
    year        as a number: of a text, or of titles, that name the year of release
    id          a row for each user or item

A unit that is missing, hidden or removed is the zero vector, whatever its column. Training hides units at random, so
that such a vector is nothing unheard of. What training did not see is missing too: a category or word of fewer rows
than asked for, the id of somebody without an event, a user that the model has never met.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.dataset import Catalog, Column
from whyrec.errors import InvalidSetting
from whyrec.interactions import Rows
from whyrec.recommender import Part
from whyrec.vectors import hide_some

SENSITIVE = (
    "age", "birth", "birthday", "disability", "ethnicity", "gender", "health", "income", "language", "marital",
    "nationality", "occupation", "orientation", "politics", "postcode", "profession", "race", "religion", "salary",
    "sex", "zip",
)  # fmt: skip
"""Words in the name of a column that tells who somebody is, or from which that can be told."""

YEAR = re.compile(r"(?<![0-9])(1[89][0-9]{2}|20[0-9]{2})(?![0-9])")
IN_BRACKETS = re.compile(r"\((1[89][0-9]{2}|20[0-9]{2})(?:[-\u2013][0-9]{0,4})?\)\s*$")
"""How a title ends that names the year of release: (1995), (2006-2007)."""

MOSTLY = 0.9
"""Share of texts, of those that are there, that have to name a year for it to be one."""


def is_sensitive(name: str, words: Sequence[str] = SENSITIVE) -> bool:
    """Whether one of `words` stands in the name of a column.

    >>> is_sensitive("zip_code"), is_sensitive("Age group"), is_sensitive("package")
    (True, True, False)
    """
    return not set(re.findall(r"[^\W\d_]+", name.casefold())).isdisjoint(words)


@dataclass(frozen=True, eq=False, slots=True)
class _Field:
    """One column as rows of a table: which, and how much of each."""

    name: str
    rows: Rows  # (catalog, width) rows of the field's own table, -1 where there are no more
    amounts: NDArray[np.float32]  # like rows
    size: int
    shown: Callable[[int], str]
    averaged: bool = True


class ColumnInputs(nn.Module):
    """The columns of one catalog, embedded as the units of a part."""

    learned: Tensor
    met: Tensor

    def __init__(
        self, catalog: Catalog, width: int, *, ids: str | None, exclude: Sequence[str], dropout: float, init_std: float
    ) -> None:
        """`width` is the length of the vectors; `ids` what the unit of the id is called, None to have none."""
        super().__init__()
        self.catalog, self.ids, self.dropout = catalog, ids, dropout
        self.fields, self.left_out = _fields(catalog, exclude)
        if not self.names:
            raise InvalidSetting(
                f"no column of the {catalog.vocabulary.kind}s is left to learn from{self._why_none()}; read more "
                "columns, exclude fewer, or let ids be a column"
            )
        self._lay_out()
        self.table = nn.Embedding(sum(one.size for one in self.fields), width)
        nn.init.normal_(self.table.weight, std=init_std)
        self.register_buffer("learned", torch.ones(self.table.num_embeddings, dtype=torch.bool))
        self.register_buffer("met", torch.ones(len(catalog), dtype=torch.bool))
        if ids is not None:
            self.id_table = nn.Embedding(len(catalog), width, sparse=True)
            nn.init.normal_(self.id_table.weight, std=init_std)

    @property
    def names(self) -> tuple[str, ...]:
        """What the units are called."""
        return (*(one.name for one in self.fields), *([] if self.ids is None else [self.ids]))

    def learn_from(self, met: Rows, fewest: int) -> None:
        """Say which rows of the catalog training meets, and of how many a value has to be true to be learned."""
        self.met.zero_()
        self.met[torch.from_numpy(met).to(self.met.device)] = True
        used = self._rows[torch.from_numpy(met)]
        counts = torch.bincount(used[used >= 0], minlength=len(self.learned))
        self.learned.copy_((counts >= fewest) | self._continuous)

    def part(self, rows: Tensor, index: Tensor | None = None) -> Part:
        """Units of some rows, -1 for somebody new: (*rows, unit, channel). While training, some of them are hidden."""
        there, rows = rows >= 0, rows.clamp(min=0)
        values, present = self._embedded(rows)
        if self.ids is not None:
            values = torch.cat([values, self.id_table(rows).unsqueeze(-2)], dim=-2)
            present = torch.cat([present, self.met[rows].unsqueeze(-1)], dim=-1)
        present = present & there.unsqueeze(-1)
        if self.training and self.dropout:
            present = present & ~self._hidden(present)
        return Part.of(values.masked_fill(~present.unsqueeze(-1), 0.0), present=present, index=index)

    def title(self, unit: int, row: int) -> str:
        """What to call a unit, with what it holds where `row` is not -1."""
        name = self.names[unit]
        if row < 0:
            return name
        shown = self.catalog.title(row) if unit == len(self.fields) else self.fields[unit].shown(row)
        return f"{name}: {shown}"

    def _lay_out(self) -> None:
        """All fields side by side. Data, no weights: plain tensors, which checks that shuffle weights leave alone."""
        shape = (len(self.catalog), len(self.fields), max((one.rows.shape[1] for one in self.fields), default=1))
        rows, amounts = np.full(shape, -1), np.zeros(shape, dtype=np.float32)
        starts = np.cumsum([0, *(one.size for one in self.fields)])
        for unit, (one, start) in enumerate(zip(self.fields, starts, strict=False)):
            width = one.rows.shape[1]
            rows[:, unit, :width] = np.where(one.rows >= 0, one.rows + start, -1)
            amounts[:, unit, :width] = one.amounts
        self._rows, self._amounts = torch.from_numpy(rows), torch.from_numpy(amounts)
        self._averaged = torch.tensor([one.averaged for one in self.fields], dtype=torch.bool)
        numbers = [torch.full((one.size,), not one.averaged) for one in self.fields]
        self._continuous = torch.cat(numbers) if numbers else torch.zeros(0, dtype=torch.bool)

    def _embedded(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors of the fields, (*rows, fields, channel), and which of them are there."""
        at = rows.to(self._rows.device)
        taken, amounts = self._rows[at].to(rows.device), self._amounts[at].to(self.table.weight)
        first = taken.clamp(min=0)
        used = (taken >= 0) & self.learned[first] if self.fields else taken >= 0
        amounts = amounts * used
        share = amounts / amounts.sum(-1, keepdim=True).clamp(min=torch.finfo(amounts.dtype).tiny)
        amounts = torch.where(self._averaged.to(rows.device)[:, None], share, amounts)
        if not self.fields:
            return self.table.weight.new_zeros(*taken.shape[:-1], self.table.embedding_dim), used.any(-1)
        bags = first.flatten(0, -2), amounts.flatten(0, -2)
        found = F.embedding_bag(bags[0], self.table.weight, mode="sum", per_sample_weights=bags[1])
        return found.unflatten(0, taken.shape[:-1]), used.any(-1)

    def _hidden(self, present: Tensor) -> Tensor:
        """Field dropout: which units are out of sight, drawn for each row."""
        flat = present.flatten(0, -2)
        hidden = hide_some(flat.cpu(), self.dropout, torch.default_generator)
        return hidden.to(present.device).view_as(present)

    def _why_none(self) -> str:
        return "".join(f"; {name}: {why}" for name, why in self.left_out.items())


def _fields(catalog: Catalog, exclude: Sequence[str]) -> tuple[tuple[_Field, ...], dict[str, str]]:
    """The columns to learn from, and why each other one is none of them."""
    columns = {**catalog.columns, **_year_of_titles(catalog)}
    fields, left_out = [], {}
    for name, column in columns.items():
        if name in exclude:
            left_out[name] = "excluded"
            continue
        field = _field(column)
        if field is None:
            left_out[name] = "a text, of which only a year of release could be read"
        elif len(np.unique(np.concatenate([field.rows, field.amounts.round(6)], axis=1), axis=0)) < 2:
            left_out[name] = "the same in every row"
        else:
            fields.append(field)
    return tuple(fields), left_out


def _year_of_titles(catalog: Catalog) -> dict[str, Column]:
    """A column of the years that titles end in, where most do and no column of that name is there."""
    years = _years(catalog.titles or (), IN_BRACKETS)
    return {} if years is None or "year" in catalog.columns else {"year": Column("year", "numeric", years)}


def _years(texts: Sequence[str | None], pattern: re.Pattern[str]) -> NDArray[np.float64] | None:
    """The year that each text names, NaN where it names none; None where most name none."""
    found = [pattern.search(text) if isinstance(text, str) else None for text in texts]
    there = sum(isinstance(text, str) for text in texts)
    if not there or sum(one is not None for one in found) < MOSTLY * there:
        return None
    return np.array([np.nan if one is None else float(one[1]) for one in found])


def _field(column: Column) -> _Field | None:
    """A column as rows of a table; None where it cannot be read."""
    if column.kind == "numeric":
        return _number(column.name, column.values.astype(np.float64))
    if column.kind == "text":
        years = _years(column.values.tolist(), YEAR)
        return None if years is None else _number(column.name, years)
    if column.kind == "category":
        return _words(column.name, [() if _is_missing(value) else (str(value),) for value in column.values])
    return _words(
        column.name, [() if value is None else tuple(dict.fromkeys(map(str, value))) for value in column.values]
    )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _number(name: str, values: NDArray[np.float64]) -> _Field:
    there = np.isfinite(values)
    spread = float(values[there].std()) if there.any() else 0.0
    scaled = np.where(there, values - values[there].mean(), 0.0) / (spread or 1.0) if there.any() else values * 0
    rows = np.where(there[:, None], np.arange(2), -1)
    amounts = np.stack([np.nan_to_num(scaled), there], axis=1).astype(np.float32)
    return _Field(name, rows, amounts, 2, lambda row: f"{values[row]:g}", averaged=False)


def _words(name: str, lists: Sequence[tuple[str, ...]]) -> _Field:
    places = {word: place for place, word in enumerate(dict.fromkeys(word for words in lists for word in words))}
    rows = np.full((len(lists), max(map(len, lists), default=0) or 1), -1)
    for row, words in enumerate(lists):
        rows[row, : len(words)] = [places[word] for word in words]
    return _Field(name, rows, (rows >= 0).astype(np.float32), len(places), lambda row: ", ".join(lists[row]))

"""What each answer of a model rests on, as shares of its relevance over units that have the same name for everybody.

A past item is the same unit in every history, a word the same wherever it stands; columns, patches and factors are
places. Past items may also be counted by a column of the catalog: by genre, say.

    profile of an answer = relevance of its units / sum of their |relevance|
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.explanation import Explanations
from whyrec.interactions import Rows
from whyrec.statistics import Array

AT_ONCE = 2048
"""Units that are laid out side by side at once; a catalogue may have more than fit."""

Key = tuple[str, int | str]
"""A part, and what tells its units apart: a row of the catalogue, a place, a word or a value."""


@dataclass(frozen=True, eq=False)
class Profiles:
    """Sparse profiles of the answers, one entry for each unit at each place where it stands."""

    lists: Rows  # (answers,) which list an answer is of
    places: Rows  # (answers,) and where in it
    silent: int
    """Answers left out because no unit of theirs has any relevance."""
    names: tuple[str, ...]  # (units,) as people know them
    parts: tuple[str, ...]  # (units,) the part each belongs to
    answer: Rows  # (entries,)
    position: Rows  # (entries,) where the unit stands in its part, its axes flattened
    unit: Rows  # (entries,)
    share: Array  # (entries,) signed

    def __len__(self) -> int:
        return len(self.lists)

    def likeness(self) -> Array:
        """Cosine of every two profiles, (answers, answers)."""
        found = np.zeros((len(self), len(self)))
        for start in range(0, len(self.names), AT_ONCE):
            block = self._laid_out(start, min(start + AT_ONCE, len(self.names)))
            found += block @ block.T
        length = np.sqrt(found.diagonal())
        return found / length[:, None] / length[None, :]

    def mean(self, answers: NDArray[np.bool_], *, size: bool = True) -> Array:
        """Mean share of each unit over some answers, (units,), signed unless it is of the `size`; answers as bools."""
        chosen = answers[self.answer]
        share = np.abs(self.share[chosen]) if size else self.share[chosen]
        found: Array = np.bincount(self.unit[chosen], share, minlength=len(self.names)) / answers.sum()
        return found

    def _laid_out(self, first: int, last: int) -> Array:
        """Profiles over the units from `first` to before `last`, (answers, units)."""
        inside = (self.unit >= first) & (self.unit < last)
        cell = self.answer[inside] * (last - first) + self.unit[inside] - first
        dense = np.bincount(cell, self.share[inside], minlength=len(self) * (last - first))
        return dense.astype(np.float64).reshape(len(self), last - first)


def profiles_of(why: Explanations, lists: Rows, places: Rows, *, by: str | None = None) -> Profiles:
    """Profiles of the answers at `places` of `lists`; `by` is a column of the items that past items are counted by."""
    values = None if by is None else _values(why, by)
    found = [entry for part in why.kinds for entry in _entries(why, part, lists, places, values)]
    answer, position, keys, amount = zip(*found, strict=True) if found else ((), (), (), ())
    number = {key: unit for unit, key in enumerate(dict.fromkeys(keys))}
    answers, amounts = np.array(answer, dtype=np.int64), np.array(amount, dtype=np.float64)
    total = np.bincount(answers, np.abs(amounts), minlength=len(lists))
    speaks = total > 0
    kept = speaks[answers]
    return Profiles(
        lists=lists[speaks],
        places=places[speaks],
        silent=int((~speaks).sum()),
        names=tuple(_name(why, *key) for key in number),
        parts=tuple(part for part, _ in number),
        answer=(np.cumsum(speaks) - 1)[answers[kept]],
        position=np.array(position, dtype=np.int64)[kept],
        unit=np.array([number[key] for key in keys], dtype=np.int64)[kept],
        share=(amounts / np.maximum(total[answers], np.finfo(np.float64).tiny))[kept],
    )


def _entries(
    why: Explanations, part: str, lists: Rows, places: Rows, values: tuple[tuple[str, ...], ...] | None
) -> Iterator[tuple[int, int, Key, float]]:
    """Answer, position, unit and relevance of all that is there."""
    relevance, present = why.attribution.relevance[part].flatten(2), why.attribution.present[part].flatten(2)
    for answer, (row, place) in enumerate(zip(lists.tolist(), places.tolist(), strict=True)):
        brought = relevance[row, place].tolist()
        for position in present[row, place].nonzero()[:, 0].tolist():
            if values is not None and why.kinds[part] == "past item":
                words = values[int(why.recommendations.history[row, position])]
                yield from ((answer, position, (part, word), brought[position] / len(words)) for word in words)
            else:
                yield answer, position, (part, _told_apart_by(why, part, row, place, position)), brought[position]


def _told_apart_by(why: Explanations, part: str, row: int, place: int, position: int) -> int | str:
    lists = why.recommendations
    if why.kinds[part] == "past item":
        return int(lists.history[row, position])
    if why.kinds[part] == "word":
        user, item = int(lists.user_rows[row]), int(lists.item_rows[row, place])
        return why.unit_title(part, position, user=user, item=item)
    return position


def _name(why: Explanations, part: str, key: int | str) -> str:
    """What people call a unit, whoever's it is."""
    if isinstance(key, str):
        return key
    if why.kinds[part] == "past item":
        return why.recommendations.items.title(key)
    return why.unit_title(part, key, user=-1, item=-1)


def _values(why: Explanations, by: str) -> tuple[tuple[str, ...], ...]:
    """What each item has in a column of the catalog, one word at least."""
    columns = why.recommendations.items.columns
    if "past item" not in why.kinds.values():
        raise NotApplicable(f"by={by!r} counts past items, and the explanations are about {', '.join(why.kinds)}")
    if by not in columns or columns[by].kind not in ("category", "multi"):
        able = ", ".join(name for name, one in columns.items() if one.kind in ("category", "multi"))
        raise InvalidSetting(f"by={by!r}: the items have no such column of words; they have {able or 'none'}")
    nothing = (f"no {by}",)
    if columns[by].kind == "category":
        return tuple(nothing if value is None else (str(value),) for value in columns[by].values)
    return tuple(tuple(map(str, words)) if words else nothing for words in columns[by].values)

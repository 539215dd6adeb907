"""Shapes of an additive model: what each value of each column adds to a score, and how many events have that value.

    score = intercept + sum of terms,    each term zero on average over the events that the model knows

Hastie and Tibshirani 1986, Generalized additive models; with terms of two columns Lou et al. 2013, Accurate
intelligible models with pairwise interactions. Columns only, no ids: an id has no shape. Where there are pairs, nothing
keeps the term of a pair from saying what that of one of its columns could.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyrec.dataset import Catalog
from whyrec.errors import NotApplicable
from whyrec.interactions import Interactions
from whyrec.models.masked_experts import MaskedExperts
from whyrec.recommender import Request

BLOCK_ROWS = 4096
"""Rows asked about together."""


@dataclass(frozen=True, eq=False)
class Shape:
    """What one column adds."""

    title: str
    kind: Literal["numeric", "category"]
    values: NDArray[np.float64] | tuple[str, ...]
    """Different values in rising order, or the most frequent first; NaN or "missing" for those that are missing."""
    effects: NDArray[np.float64]  # (values,) in units of the score
    events: NDArray[np.int64]  # (values,) known events with that value

    @property
    def importance(self) -> float:
        """Mean size of the term over events, in units of the score."""
        return float(np.average(np.abs(self.effects), weights=self.events)) if self.events.sum() else 0.0


@dataclass(frozen=True, eq=False)
class AdditiveShapes:
    """The terms of an additive model."""

    intercept: float
    """The score of an event on average."""
    shapes: tuple[Shape, ...]
    """Terms of single columns, the most important first."""
    importance: dict[str, float]
    """Mean size of each term over events, ids and pairs included, the largest first."""

    def __str__(self) -> str:
        wide = max(map(len, ("term", *self.importance)))
        lines = [f"{title:<{wide}}  {size:.4f}" for title, size in self.importance.items()]
        return "\n".join([f"{'term':<{wide}}  mean |effect|", *lines, f"intercept {self.intercept:+.4f}"])


def additive_shapes(model: MaskedExperts) -> AdditiveShapes:
    """The terms of a fitted `MaskedExperts(gate="constant")`, centred on the events that it knows.

    >>> import whyrec as wr
    >>> split = wr.leave_last_out(wr.planted(users=60, items=60))
    >>> gam = wr.MaskedExperts(groups="columns", subsets=1, gate="constant", hidden=(8,))
    >>> sorted(one.title for one in additive_shapes(wr.fit(gam, split, wr.Training(epochs=1))).shapes)
    ['age', 'gender', 'genres', 'occupation', 'year']
    """
    events = _events(model)
    terms, rest = _terms(model, torch.from_numpy(events.users), torch.from_numpy(events.items))
    means = terms.mean(0)
    shapes = [
        _shape(model, place, part, float(means[place]))
        for place, part in ((place, _single(model, subset)) for place, subset in enumerate(model.lattice.subsets))
        if part is not None
    ]
    sizes = (terms - means).abs().mean(0).tolist()
    importance = sorted(zip(model.lattice.titles, sizes, strict=True), key=lambda one: -one[1])
    shapes.sort(key=lambda one: -one.importance)
    return AdditiveShapes(rest + float(means.sum()), tuple(shapes), dict(importance))


def _events(model: MaskedExperts) -> Interactions:
    """What the model knows; raises where it is no sum of terms."""
    if not isinstance(model, MaskedExperts):
        raise NotApplicable(f"{type(model).__name__} has no terms of columns; choose MaskedExperts(gate='constant')")
    if model.settings.gate != "constant":
        raise NotApplicable(
            "a boosted mixture is no sum of terms; take MaskedExperts(gate='constant'), or subset_shares"
        )
    return model.require_known()


@torch.no_grad()
def _terms(model: MaskedExperts, users: Tensor, items: Tensor) -> tuple[Tensor, float]:
    """Every term of every pair, (pairs, subset) float64, and what is there without them."""
    found, rest = [], 0.0
    for some, wanted in zip(users.split(BLOCK_ROWS), items.split(BLOCK_ROWS), strict=True):
        some, wanted = some.to(model.device), wanted.to(model.device)
        voices = model.voices(model.embed(Request(some, wanted[:, None], some.new_full((len(some), 0), -1))))
        found.append((voices.said * voices.shares)[:, 0].double().cpu())
        rest = float(voices.rest)
    return torch.cat(found), rest


def _single(model: MaskedExperts, subset: tuple[str, ...]) -> str | None:
    """The part of a subset that is one column; None where it is more, or an id."""
    slices = model.columns.slices
    parts = [name for name, one in slices.items() if model.columns.names[one.group] in subset]
    units = [unit for name in parts for unit in model.columns.unit_names(name)]
    return parts[0] if len(units) == 1 and units[0] != f"{slices[parts[0]].side} id" else None


def _shape(model: MaskedExperts, place: int, part: str, mean: float) -> Shape:
    """The term of the subset at `place` for each different value of its one column."""
    side, name, events = model.columns.slices[part].side, model.columns.unit_names(part)[0], model.require_known()
    catalog, counts = (model.users, events.user_counts) if side == "user" else (model.items, events.item_counts)
    rows = torch.arange(len(catalog))
    nobody = torch.zeros_like(rows)
    terms, _ = _terms(model, *((rows, nobody) if side == "user" else (nobody, rows)))
    effects, values = terms[:, place].numpy() - mean, _values(model, part, catalog, name)
    known, first, where = np.unique(values, return_index=True, return_inverse=True)
    found = np.bincount(where, counts, len(known)).astype(np.int64)
    if values.dtype.kind == "f":
        return Shape(model.lattice.titles[place], "numeric", known, effects[first], found)
    order = np.argsort(-found, kind="stable")
    labels = tuple(known[order].tolist())
    return Shape(model.lattice.titles[place], "category", labels, effects[first][order], found[order])


def _values(model: MaskedExperts, part: str, catalog: Catalog, name: str) -> NDArray[Any]:
    """What a column holds for each row: numbers, or texts as they are shown."""
    column = catalog.columns.get(name)
    if column is not None and column.kind == "numeric":
        return column.values.astype(np.float64)
    user = model.columns.slices[part].side == "user"
    titles = [
        model.columns.title(part, 0, user=row if user else -1, item=-1 if user else row) for row in range(len(catalog))
    ]
    shown = np.array([title.removeprefix(f"{name}: ") or "missing" for title in titles])
    return shown.astype(np.float64) if column is None or column.kind == "text" else shown  # years of release

"""Which items are like an item, whatever the model: by its own word for it, by its vectors, or by who took both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch

from whyrec.co_occurrence import cosine
from whyrec.errors import InvalidSetting
from whyrec.interactions import Id
from whyrec.recommender import Recommender
from whyrec.similar_items import SimilarItem, nearest_items
from whyrec.vectors import VectorRecommender


@runtime_checkable
class Likening(Protocol):
    """A model that has its own word for what is like what."""

    def similar(self, item: Id, k: int = 10) -> list[SimilarItem]:
        """The k items most like an item, the most alike first."""


@dataclass(frozen=True)
class SimilarItems:
    """Items like one item, the most alike first. Printing it shows titles."""

    item: Id
    title: str
    by: Literal["model", "item vectors", "users in common"]
    """What is compared: what the model says itself, its vectors of items, or who took both."""
    lines: tuple[SimilarItem, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.title}, by {self.by}", *map(str, self.lines)])


def similar(model: Recommender, item: Id, k: int = 10) -> SimilarItems:
    """The `k` items most like `item`, with the cosine of what is compared.

    A model that has vectors of items, such as MF, is asked what it learned; any other is left alone, and items are
    compared by who took them.

    >>> import whyrec as wr
    >>> model = wr.fit(wr.EASE(), wr.leave_last_out(wr.planted(users=60, items=60)))
    >>> found = wr.similar(model, model.items.id(3), k=2)
    >>> found.by, len(found.lines)
    ('users in common', 2)
    """
    row = int(model.require_built().items.vocabulary.rows([item])[0])
    if k < 1:
        raise InvalidSetting(f"k={k}: at least one item has to be asked for")
    title = model.items.title(row)
    if isinstance(model, Likening):
        return SimilarItems(item, title, "model", tuple(model.similar(item, k)))
    if isinstance(model, VectorRecommender):
        vectors = model.item_table.weight.detach()
        return SimilarItems(item, title, "item vectors", tuple(nearest_items(vectors, model.items, row, k)))
    return SimilarItems(item, title, "users in common", tuple(_by_takers(model, row, k)))


def _by_takers(model: Recommender, row: int, k: int) -> list[SimilarItem]:
    """Items that share users, by cosine; equal ones stand in the order of rows."""
    known, count = model.require_known(), len(model.items)
    alike = torch.from_numpy(cosine(known, np.full(count, row), np.arange(count)))
    alike[row] = 0.0
    best = alike.sort(descending=True, stable=True)
    found = [(float(one), int(place)) for one, place in zip(best.values[:k], best.indices[:k], strict=True) if one > 0]
    return [
        SimilarItem(rank, model.items.id(place), model.items.title(place), one)
        for rank, (one, place) in enumerate(found, start=1)
    ]

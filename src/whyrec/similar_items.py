"""The items most like an item, by the cosine of their vectors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from whyrec.dataset import Catalog
from whyrec.errors import InvalidSetting
from whyrec.interactions import Id


@dataclass(frozen=True, slots=True)
class SimilarItem:
    """One item of a list of similar ones."""

    rank: int  # from 1
    item: Id
    title: str
    similarity: float
    """The cosine of the angle between the two vectors: 1 in the same direction, 0 at right angles."""

    def __str__(self) -> str:
        return f"{self.rank:>3}  {self.similarity:.3f}  {self.title}"


def nearest_items(vectors: Tensor, items: Catalog, row: int, k: int) -> list[SimilarItem]:
    """The k items nearest to the one at `row`, the nearest first; items without a vector (zeros) are left out.

    `vectors` is (items, factors). Equal similarities stand in the order of rows.
    """
    if k < 1:
        raise InvalidSetting(f"k={k}: at least one item has to be asked for")
    directions = F.normalize(vectors, dim=-1)
    alike = directions @ directions[row]
    alike[row] = -2.0  # below every cosine
    alike[(vectors == 0).all(-1)] = -2.0
    best = alike.sort(descending=True, stable=True)
    found = [(float(one), int(place)) for one, place in zip(best.values[:k], best.indices[:k], strict=True) if one > -2]
    return [
        SimilarItem(rank, items.id(place), items.title(place), one) for rank, (one, place) in enumerate(found, start=1)
    ]

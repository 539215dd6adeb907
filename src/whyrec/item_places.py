"""Where items stand on a map: vectors brought down to two numbers each, and a group that gives an item its colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyrec.dataset import Catalog
from whyrec.errors import BadInput, InvalidSetting
from whyrec.interactions import Rows

GROUPS = 6
"""Groups with a colour of their own; what is in none of them is `OTHER`."""
OTHER = "other"


@dataclass(frozen=True, eq=False)
class ItemPlaces:
    """Items as points of a map."""

    xy: NDArray[np.float64]  # (items, 2)
    titles: tuple[str, ...]
    groups: tuple[str, ...]  # one an item
    weights: NDArray[np.float64]  # (items,) how much each matters: who is drawn larger, and named first
    how: str
    """What the two numbers are, one line."""


def item_places(
    vectors: NDArray[np.floating],
    items: Catalog,
    *,
    by: str | Sequence[str] = "genres",
    weights: NDArray[np.floating] | Rows | None = None,
    coordinates: NDArray[np.floating] | None = None,
    how: str = "",
) -> ItemPlaces:
    """Places of all items that have a vector (not all zeros), from `vectors`, (items, factors).

    They are the first two principal components of the directions, with the share of the variance they hold, unless
    `coordinates`, (items, 2), are given, for example of t-SNE, with `how` they came about. Groups are words of the
    column `by`, or given themselves, one an item; the six with most items are kept. An item with several words gets
    the one that fewest items have, so that small groups show.

    >>> from whyrec.interactions import Vocabulary
    >>> items = Catalog(Vocabulary("abc", kind="item"), ("A", "B", "C"))
    >>> found = item_places(np.array([[1.0, 0], [0, 1], [0, 0]]), items, by=["x", "y", "y"])
    >>> found.titles, found.groups
    (('A', 'B'), ('x', 'y'))
    """
    there = np.flatnonzero((vectors != 0).any(axis=1))
    if len(there) < 2:
        raise BadInput(f"{len(there)} items have a vector, and a map needs two; lower min_common_users or min_rating")
    if coordinates is not None and coordinates.shape != (len(vectors), 2):
        raise BadInput(f"coordinates are {coordinates.shape}; for {len(vectors):,} items they have to be two each")
    if coordinates is None:
        xy, share = principal(vectors[there])
        how = f"principal components; they hold {100 * share:.0f} % of the variance"
    else:
        xy = coordinates[there].astype(np.float64)
    matter = np.ones(len(vectors)) if weights is None else np.asarray(weights, dtype=np.float64)
    groups = _kept(_words(items, by), there)
    return ItemPlaces(xy, tuple(items.title(int(row)) for row in there), groups, matter[there], how)


def principal(vectors: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
    """The first two principal components of the directions of vectors, (items, 2), and their share of the variance."""
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    centred = directions - directions.mean(axis=0)
    left, lengths, _ = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    found = np.zeros((len(vectors), 2))
    kept = min(2, len(lengths))
    found[:, :kept] = left[:, :kept] * lengths[:kept]
    return found, float((lengths[:2] ** 2).sum() / max((lengths**2).sum(), 1e-30))


def _words(items: Catalog, by: str | Sequence[str]) -> list[tuple[str, ...]]:
    if not isinstance(by, str):
        if len(by) != len(items):
            raise BadInput(f"{len(by):,} groups are given for {len(items):,} items; give one for each")
        return [(word,) for word in by]
    if by not in items.columns or items.columns[by].kind not in ("category", "multi"):
        words = [name for name, column in items.columns.items() if column.kind in ("category", "multi")]
        raise InvalidSetting(f"items have no column of words called {by!r}; there are {', '.join(words) or 'none'}")
    values = items.columns[by].values
    return [() if one is None else (one,) if isinstance(one, str) else tuple(one) for one in values]


def _kept(words: list[tuple[str, ...]], rows: Rows) -> tuple[str, ...]:
    """One of the most frequent words for each item, the rarest it has."""
    counts = Counter(word for row in rows for word in words[row])
    kept = dict(counts.most_common(GROUPS))
    return tuple(min((one for one in words[row] if one in kept), key=kept.__getitem__, default=OTHER) for row in rows)

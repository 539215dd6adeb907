"""Graphs of items: two items are linked when enough users liked both, or, in the bipartite graph, items and users.

A graph is a few arrays (compressed sparse rows), so ten million edges take 240 MB, and 1.6 GB while they are sorted; a
walk finds the neighbours of a node without a search. Edges have no direction; each stands twice, once from either end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whyrec.dataset import Catalog, Dataset
from whyrec.errors import BadInput, InvalidSetting
from whyrec.interactions import Id, Interactions, Rows, Vocabulary
from whyrec.ranking import Memory, in_bytes

Weight = Literal["count", "pmi", "cosine"]
WEIGHTS: Mapping[Weight, str] = {
    "count": "how many they are",
    "pmi": "pointwise mutual information",
    "cosine": "the cosine over users",
}
"""What an edge may weigh, in words."""

BLOCK_PAIRS = 1 << 21
"""Pairs of past items of one user that are counted at a time: about 80 MB."""
CELLS_PER_PAIR = 8
"""Counting in a table is faster than sorting as long as the table has at most so many cells for each pair."""
BYTES_PER_EDGE = 160
"""What an edge takes at the peak of building, measured: both ends, weight and count, and a sort of both directions."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes and weighted edges without direction. Nodes are called by their ids; arrays hold rows.

    >>> graph = graph_of(np.array([0, 0]), np.array([1, 2]), np.array([3.0, 1.0]), node_count=4)
    >>> graph.degrees.tolist(), graph.neighbours_of(0).tolist(), graph.edge_count
    ([2, 1, 1, 0], [1, 2], 2)
    """

    offsets: Rows  # (nodes + 1,) where the links of each node start
    neighbours: NDArray[np.int32]  # (links,) the other ends, rising within a node
    weights: NDArray[np.float32]  # (links,) positive
    common: NDArray[np.int32] | None  # (links,) users behind each edge; None where edges are no counts of users
    nodes: Catalog
    how: str
    """What an edge and its weight mean, one line."""

    @property
    def node_count(self) -> int:
        """How many nodes there are, with and without edges."""
        return len(self.offsets) - 1

    @property
    def edge_count(self) -> int:
        """How many edges there are, each counted once."""
        return len(self.neighbours) // 2

    @property
    def degrees(self) -> Rows:
        """Edges of each node; (nodes,)."""
        return np.diff(self.offsets)

    @cached_property
    def strengths(self) -> NDArray[np.float64]:
        """The sum of the weights of each node's edges; (nodes,)."""
        total = np.concatenate([[0.0], np.cumsum(self.weights, dtype=np.float64)])
        found: NDArray[np.float64] = np.maximum(total[self.offsets[1:]] - total[self.offsets[:-1]], 0.0)
        return found

    def links_of(self, node: int) -> slice:
        """Where the links of a node (a row) stand in `neighbours`, `weights` and `common`."""
        return slice(int(self.offsets[node]), int(self.offsets[node + 1]))

    def neighbours_of(self, node: int) -> NDArray[np.int32]:
        """Rows of the nodes that a node (a row) is linked to, rising."""
        return self.neighbours[self.links_of(node)]

    def row(self, node: Id) -> int:
        """The row of a node by its id. Raises `UnknownId` with the nearest known ids."""
        return int(self.nodes.vocabulary.rows([node])[0])


def co_rating_graph(
    data: Dataset | Interactions,
    *,
    min_rating: float | None = None,
    min_common_users: int = 1,
    weight: Weight = "count",
    within: int | None = None,
    max_memory: Memory = "4GB",
) -> Graph:
    """Items as nodes; an edge where at least `min_common_users` users rated both, each at least `min_rating`.

    With c users in common, n and m users of either item and N users in all, an edge weighs c (`count`), c / sqrt(n m)
    (`cosine`), or log(c N / (n m)) (`pmi`, pointwise mutual information in nats; pairs that meet no more often than
    by chance get no edge). A user counts once for a pair, by the latest rating of each item. With `within`, only
    users count who rated both within so many seconds.

    Pairs are counted in blocks. `BadInput` where ratings or times are asked for that are not there; `InvalidSetting`
    before more than `max_memory` would be taken.

    >>> events = Interactions(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, 2]), user_count=2, item_count=3)
    >>> co_rating_graph(events, min_common_users=2).neighbours_of(0).tolist()
    [1]
    """
    if min_common_users < 1:
        raise InvalidSetting(f"min_common_users={min_common_users}: an edge needs at least one user")
    if weight not in WEIGHTS:
        raise InvalidSetting(f"weight={weight!r} is not known; there are {', '.join(WEIGHTS)}")
    events = data.interactions if isinstance(data, Dataset) else data
    liked = _liked(events, min_rating, within)
    left, right, common = edges = _counted(liked, min_common_users, within, max_memory)
    weights = _weighted(liked, edges, weight)
    there = weights > 0
    how = _said(min_rating, min_common_users, weight, within)
    return _graph(left[there], right[there], weights[there], common[there], _items(data), how)


def user_item_graph(data: Dataset | Interactions, *, min_rating: float | None = None) -> Graph:
    """Items and users as nodes, items first; an edge for each rating, which is its weight, 1 where there are none.

    Nodes are called `item 42` and `user 42`, since the same id may stand on both sides. Ratings of zero or less cannot
    be weights: `BadInput`, choose a higher `min_rating`.
    """
    events = data.interactions if isinstance(data, Dataset) else data
    liked = _liked(events, min_rating, None)
    values = np.ones(len(liked), dtype=np.float32) if liked.values is None else liked.values
    if (values <= 0).any():
        raise BadInput(f"the lowest rating is {values.min():g}, and weights have to be positive; raise min_rating")
    items, users = _items(data), data.users.vocabulary.ids() if isinstance(data, Dataset) else range(events.user_count)
    names = [*(f"item {one}" for one in items.vocabulary.ids()), *(f"user {one}" for one in users)]
    titles = (*(items.title(row) for row in range(len(items))), *names[len(items) :])
    nodes = Catalog(Vocabulary(names, kind="node"), titles)
    how = f"a user rated an item{_at_least(min_rating)}; weighed by the rating"
    return _graph(liked.items, liked.users + liked.item_count, values, None, nodes, how)


def graph_of(one: Rows, other: Rows, weights: NDArray[np.floating], *, node_count: int) -> Graph:
    """A graph from its edges, each given once: rows of either end and a positive weight; (edges,) each.

    Raises `BadInput` for an edge from a node to itself, one that stands twice, a row that is no node and a weight
    that is not positive.
    """
    ends = np.concatenate([one, other])
    if len(ends) and not (ends.min() >= 0 and ends.max() < node_count):
        raise BadInput(
            f"edges name nodes {ends.min()} to {ends.max()}; there are {node_count:,}, and rows count from 0"
        )
    if len(loops := np.flatnonzero(one == other)):
        raise BadInput(f"edge {loops[0]} goes from node {one[loops[0]]} to itself; leave such edges out")
    if len(bad := np.flatnonzero(~(weights > 0) | ~np.isfinite(weights))):
        raise BadInput(f"edge {bad[0]} weighs {weights[bad[0]]}; weights are positive numbers, leave other edges out")
    nodes = Catalog(Vocabulary(range(node_count), kind="node"))
    found = _graph(one, other, weights, None, nodes, "edges as given")
    source = np.repeat(np.arange(node_count), found.degrees)
    twice = (source[1:] == source[:-1]) & (found.neighbours[1:] == found.neighbours[:-1])
    if twice.any():
        place = int(np.flatnonzero(twice)[0])
        raise BadInput(f"the edge of {source[place]} and {found.neighbours[place]} stands twice; add the weights up")
    return found


def _liked(events: Interactions, min_rating: float | None, within: int | None) -> Interactions:
    """One event for each user and item, the latest, of those rated high enough; by user, then by item."""
    if min_rating is not None:
        if events.values is None:
            raise BadInput(f"there are no ratings, so min_rating={min_rating:g} cannot be kept; leave it out")
        events = events.where(events.values >= min_rating)
    if within is not None and events.times is None:
        raise BadInput(f"there are no times, so within={within} cannot be kept; leave it out")
    if within is not None and within < 0:
        raise InvalidSetting(f"within={within}: two ratings cannot be less than 0 seconds apart")
    latest = events.oldest_first[::-1]
    _, first = np.unique(events.pairs[latest], return_index=True)
    return events.where(latest[first])


Edges = tuple[Rows, Rows, NDArray[np.int32]]
"""The smaller row, the larger row, and users in common, of each edge."""


def _counted(liked: Interactions, least: int, within: int | None, max_memory: Memory) -> Edges:
    """Users in common of every pair of items that has at least `least` of them."""
    found: list[Edges] = []
    edges, most = 0, None if max_memory is None else in_bytes(max_memory)
    for first, last, left, right in _pairs(liked, within):
        found.append(_counts(left - first, right, last - first, liked.item_count, least))
        found[-1][0][:] += first
        edges += len(found[-1][0])
        if most is not None and edges * BYTES_PER_EDGE > most:
            raise InvalidSetting(
                f"with {last:,} of {liked.item_count:,} items looked at there are {edges:,} edges, "
                f"{edges * BYTES_PER_EDGE:,} bytes, and max_memory is {max_memory}; raise min_common_users or "
                "min_rating, or give more"
            )
    nothing = np.zeros(0, dtype=np.int64)
    left, right, common = (
        np.concatenate(part) for part in zip((nothing, nothing, nothing.astype(np.int32)), *found, strict=True)
    )
    return left, right, common


def _pairs(liked: Interactions, within: int | None) -> Iterator[tuple[int, int, Rows, Rows]]:
    """Blocks of items, first and one behind the last, with each pair of one user's items whose smaller is in it."""
    places = np.arange(len(liked))
    later = liked.offsets[1:][liked.users] - places - 1  # items of the same user with a larger row
    order = np.argsort(liked.items, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(liked.items, minlength=liked.item_count))])
    before = np.concatenate([[0], np.cumsum(later[order])])[starts]  # pairs before each item
    items = liked.items.astype(np.int64)
    first = 0
    while first < liked.item_count:
        last = max(first + 1, int(np.searchsorted(before, before[first] + BLOCK_PAIRS, side="right")) - 1)
        events = order[starts[first] : starts[last]]
        counts = later[events]
        one = np.repeat(events, counts)
        other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(counts) - counts, counts)
        if within is not None and liked.times is not None:
            near = np.abs(liked.times[one] - liked.times[other]) <= within
            one, other = one[near], other[near]
        yield first, last, items[one], items[other]
        first = last


def _counts(left: Rows, right: Rows, rows: int, columns: int, least: int) -> Edges:
    """How often each pair of numbers stands there, for those that stand at least `least` times."""
    keys = left * columns + right
    if rows * columns <= CELLS_PER_PAIR * len(keys):
        table = np.bincount(keys, minlength=rows * columns)
        kept = np.flatnonzero(table >= least)
        counts = table[kept]
    else:
        different, often = np.unique(keys, return_counts=True)
        kept, counts = different[often >= least], often[often >= least]
    one, other = np.divmod(kept, columns)
    return one, other, counts.astype(np.int32)


def _weighted(liked: Interactions, edges: Edges, weight: Weight) -> NDArray[np.float64]:
    """The weight of each edge, (edges,); of pairs that meet no more often than by chance, `pmi` is 0 or less."""
    left, right, common = edges
    if weight == "count":
        return common.astype(np.float64)
    takers = liked.item_counts.astype(np.float64)
    product = takers[left] * takers[right]
    users = len(np.unique(liked.users))
    found: NDArray[np.float64] = common / np.sqrt(product) if weight == "cosine" else np.log(common * users / product)
    return found


def _graph(
    one: Rows, other: Rows, weights: NDArray[np.floating], common: NDArray[np.int32] | None, nodes: Catalog, how: str
) -> Graph:
    """Both directions of every edge, by node and then by neighbour."""
    source, target = np.concatenate([one, other]), np.concatenate([other, one])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=len(nodes)))]).astype(np.int64)
    order = np.argsort(source * len(nodes) + target)
    there = order % max(1, len(one))  # which edge a link is of
    return Graph(
        offsets,
        target[order].astype(np.int32),
        weights[there].astype(np.float32),
        None if common is None else common[there].astype(np.int32),
        nodes,
        how,
    )


def _items(data: Dataset | Interactions) -> Catalog:
    return data.items if isinstance(data, Dataset) else Catalog(Vocabulary(range(data.item_count), kind="item"))


def _said(min_rating: float | None, least: int, weight: Weight, within: int | None) -> str:
    soon = "" if within is None else f" within {within:,} seconds"
    users = "a user" if least == 1 else f"{least:,} users or more"
    return f"{users} rated both{_at_least(min_rating)}{soon}; weighed by {WEIGHTS[weight]}"


def _at_least(min_rating: float | None) -> str:
    return "" if min_rating is None else f" {min_rating:g} or higher"

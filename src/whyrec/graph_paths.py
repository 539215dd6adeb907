"""Why two items are near each other in a graph: the strongest paths between them, with the users behind each edge.

    share of an edge u-v of weight w = w / sqrt(s_u s_v),   s the sum of the weights of all edges of a node

It is the geometric mean of how likely a walk takes the edge from either end, so an edge to a hub counts little.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whyrec.errors import InvalidSetting
from whyrec.graph import Graph
from whyrec.interactions import Id, Rows

Strength = Literal["product", "bottleneck"]
"""How strong a path is: the product of the shares of its edges, or the least of them."""

LONGEST = 3
"""Edges of a path at most: beyond it nearly everything is linked with everything."""


@dataclass(frozen=True, slots=True)
class GraphPath:
    """One path from item to item."""

    nodes: tuple[Id, ...]
    titles: tuple[str, ...]
    common_users: tuple[int, ...]
    """Users behind each edge; empty where the graph does not count them."""
    weights: tuple[float, ...]  # of the edges
    strength: float

    def __str__(self) -> str:
        users = [f"{count:,} users" for count in self.common_users] or [f"{weight:.3g}" for weight in self.weights]
        return self.titles[0] + "".join(f" ({one}) {title}" for one, title in zip(users, self.titles[1:], strict=True))


@dataclass(frozen=True, slots=True)
class SimilarityEvidence:
    """The strongest paths between two items, the strongest first; printed, a line each."""

    item: Id
    other: Id
    titles: tuple[str, str]
    by: Strength
    paths: tuple[GraphPath, ...]
    edges: int  # the longest path that was looked for

    def __str__(self) -> str:
        one, other = self.titles
        if not self.paths:
            return f"no path of at most {self.edges} edges leads from {one} to {other}"
        return "\n".join([f"why {one} is near {other}:", *(f"{path.strength:9.2g}  {path}" for path in self.paths)])


def why_similar(
    graph: Graph, item: Id, other: Id, *, paths: int = 5, edges: int = LONGEST, by: Strength = "product"
) -> SimilarityEvidence:
    """The strongest paths of at most `edges` (1 to 3) edges between two items of a graph, by their ids.

    With `product`, longer paths are weaker; with `bottleneck`, a path is as strong as its weakest edge. All paths that
    pass no node twice are looked at. `UnknownId` for an item that is not in the graph.

    >>> from whyrec.graph import graph_of
    >>> graph = graph_of(np.array([0, 1, 0]), np.array([1, 2, 3]), np.array([4.0, 2.0, 2.0]), node_count=4)
    >>> print(why_similar(graph, 0, 2))
    why 0 is near 2:
         0.38  0 (4) 1 (2) 2
    """
    if not 1 <= edges <= LONGEST or paths < 1:
        raise InvalidSetting(f"edges={edges}, paths={paths}: ask for 1 to {LONGEST} edges and at least one path")
    first, last = graph.row(item), graph.row(other)
    if first == last:
        raise InvalidSetting(f"{graph.nodes.title(first)!r} was asked about twice; name two items")
    found = [path for links in _all_paths(graph, first, last, edges) for path in _best(graph, links, by, paths)]
    strongest = sorted(found, key=lambda one: (-one[0], len(one[1])))[:paths]
    return SimilarityEvidence(
        item=graph.nodes.id(first),
        other=graph.nodes.id(last),
        titles=(graph.nodes.title(first), graph.nodes.title(last)),
        by=by,
        paths=tuple(_named(graph, first, links, strength) for strength, links in strongest),
        edges=edges,
    )


def _all_paths(graph: Graph, first: int, last: int, edges: int) -> Iterator[Rows]:
    """The links of every path of one, two and three edges, (paths, edges) each."""
    start, end = (np.arange(*graph.links_of(node).indices(len(graph.neighbours))[:2]) for node in (first, last))
    yield start[graph.neighbours[start] == last][:, None]
    position = np.full(graph.node_count, -1)  # of the link from the last item to each node
    position[graph.neighbours[end]] = end
    back = _reversed(graph, last, end)
    if edges >= 2:
        meets = position[graph.neighbours[start]]
        there = meets >= 0
        yield np.stack([start[there], back[meets[there] - graph.offsets[last]]], axis=1)
    if edges >= 3:
        start = start[graph.neighbours[start] != last]
        middle, of = _onward(graph, graph.neighbours[start])
        meets = position[graph.neighbours[middle]]
        there = (meets >= 0) & (graph.neighbours[middle] != first)
        yield np.stack([start[of[there]], middle[there], back[meets[there] - graph.offsets[last]]], axis=1)


def _onward(graph: Graph, nodes: NDArray[np.int32]) -> tuple[Rows, Rows]:
    """All links of each of `nodes`, and whose they are as places in `nodes`; (links,) each."""
    counts = graph.degrees[nodes]
    of = np.repeat(np.arange(len(nodes)), counts)
    return np.arange(len(of)) + np.repeat(graph.offsets[nodes] - (np.cumsum(counts) - counts), counts), of


def _reversed(graph: Graph, node: int, links: Rows) -> Rows:
    """For each link of a node, the same edge as a link of its other end."""
    ends = graph.neighbours[links]
    onward, of = _onward(graph, ends)
    found = np.zeros(len(links), dtype=np.int64)
    same = graph.neighbours[onward] == node
    found[of[same]] = onward[same]
    return found


def _best(graph: Graph, links: Rows, by: Strength, most: int) -> list[tuple[float, Rows]]:
    """The strongest of some paths, with their strengths."""
    shares = _shares(graph, links)
    strengths = shares.prod(axis=1) if by == "product" else shares.min(axis=1)
    order = np.argsort(-strengths, kind="stable")[:most]
    return [(float(strengths[place]), links[place]) for place in order]


def _shares(graph: Graph, links: Rows) -> NDArray[np.float64]:
    source = np.searchsorted(graph.offsets, links, side="right") - 1
    scale = np.sqrt(graph.strengths[source] * graph.strengths[graph.neighbours[links]])
    shares: NDArray[np.float64] = graph.weights[links] / scale
    return shares


def _named(graph: Graph, first: int, links: Rows, strength: float) -> GraphPath:
    rows = [first, *graph.neighbours[links].tolist()]
    return GraphPath(
        nodes=tuple(graph.nodes.id(row) for row in rows),
        titles=tuple(graph.nodes.title(row) for row in rows),
        common_users=() if graph.common is None else tuple(graph.common[links].tolist()),
        weights=tuple(graph.weights[links].tolist()),
        strength=strength,
    )

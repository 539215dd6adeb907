"""An item with its nearest in a graph, and the edges between these: a piece that fits on a page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.graph import Graph
from whyrec.interactions import Id, Rows


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """An item, first, and its neighbours, so ordered that those linked heavily stand side by side."""

    titles: tuple[str, ...]
    weights: NDArray[np.float64]  # (titles, titles) symmetric, 0 where there is no edge
    common: NDArray[np.int64] | None  # (titles, titles) users behind each edge
    how: str
    """What an edge and its weight mean, one line."""


def neighbourhood(graph: Graph, item: Id, *, most: int = 12) -> Neighbourhood:
    """An item with the `most` neighbours to which its edges are heaviest.

    >>> from whyrec.graph import graph_of
    >>> graph = graph_of(np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([4.0, 2.0, 1.0]), node_count=3)
    >>> neighbourhood(graph, 0, most=1).titles
    ('0', '1')
    """
    if most < 1:
        raise InvalidSetting(f"most={most}: at least one neighbour has to be shown")
    row = graph.row(item)
    links = graph.links_of(row)
    if links.start == links.stop:
        raise NotApplicable(f"{graph.nodes.title(row)!r} has no edge in the graph ({graph.how})")
    heaviest = np.argsort(-graph.weights[links], kind="stable")[:most]
    near = graph.neighbours[links][heaviest].astype(np.int64)
    rows = np.concatenate([[row], _side_by_side(near, _among(graph, near, graph.weights))])
    common = None if graph.common is None else _among(graph, rows, graph.common).astype(np.int64)
    titles = tuple(graph.nodes.title(int(one)) for one in rows)
    return Neighbourhood(titles, _among(graph, rows, graph.weights), common, graph.how)


def _among(graph: Graph, rows: Rows, values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Values of the edges between some nodes, as a table."""
    place = np.full(graph.node_count, -1)
    place[rows] = np.arange(len(rows))
    found = np.zeros((len(rows), len(rows)))
    for one, row in enumerate(rows):
        links = graph.links_of(int(row))
        there = place[graph.neighbours[links]]
        found[one, there[there >= 0]] = values[links][there >= 0]
    return found


def _side_by_side(near: Rows, weights: NDArray[np.float64]) -> Rows:
    """The heaviest first, each time followed by the one that is linked to the last most heavily."""
    left, order = list(range(1, len(near))), [0]
    while left:
        last = max(left, key=lambda one: (weights[order[-1], one], -one))
        order.append(last)
        left.remove(last)
    return near[order]

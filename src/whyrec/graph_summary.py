"""What a person should know of a graph before anything walks on it: how much is linked, how heavily, in what pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyrec.doctor import Finding
from whyrec.graph import Graph
from whyrec.interactions import Rows

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class GraphSummary:
    """A graph in numbers; printed, as findings with advice."""

    how: str
    nodes: int
    edges: int
    isolated: int
    """Nodes without an edge: no walk meets them."""
    components: int
    """Pieces that no edge joins, isolated nodes aside."""
    largest: int
    """Nodes of the largest piece."""
    degrees: tuple[float, ...]
    """Least, lower quartile, median, upper quartile and most edges of a node that has one; empty without edges."""
    weights: tuple[float, ...]
    """The same of the weights of edges."""
    bytes: int
    """What the arrays take."""

    @property
    def findings(self) -> list[Finding]:
        """One line for each thing worth knowing, `bad` where nothing can be learned, `note` where little can."""
        if not self.edges:
            advice = "lower min_common_users or min_rating, or bring more data"
            return [Finding("bad", f"{self.nodes:,} nodes and no edge ({self.how})", advice)]
        filled = self.edges / (self.nodes * (self.nodes - 1) / 2)
        size = f"{self.nodes:,} nodes and {self.edges:,} edges, {100 * filled:.2g} % of all pairs"
        found = [
            Finding("good", f"{size}, {max(1, self.bytes / 1e6):,.0f} MB ({self.how})"),
            Finding("good", f"a node has {_spread(self.degrees)} edges"),
            Finding("good", f"an edge weighs {_spread(self.weights)}"),
        ]
        if self.isolated:
            advice = "they are like nothing; lower min_common_users or min_rating to link more"
            found.append(Finding("note", f"{self.isolated:,} of {self.nodes:,} nodes have no edge", advice))
        linked = self.nodes - self.isolated
        if self.components > 1:
            advice = "walks do not leave a piece, so nodes of two are near by chance only"
            what = f"{self.components:,} pieces; {self.largest:,} of {linked:,} linked nodes are in the largest"
            found.append(Finding("note", what, advice))
        return found

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))


def summarise_graph(graph: Graph) -> GraphSummary:
    """Size, degrees, weights, isolated nodes and pieces of a graph.

    >>> from whyrec.graph import graph_of
    >>> print(summarise_graph(graph_of(np.array([0, 2]), np.array([1, 3]), np.array([1.0, 2.0]), node_count=5)))
      ok  5 nodes and 2 edges, 20 % of all pairs, 1 MB (edges as given)
      ok  a node has 1 edges
      ok  an edge weighs 1 to 2, half of them 1 to 2
     note 1 of 5 nodes have no edge: they are like nothing; lower min_common_users or min_rating to link more
     note 2 pieces; 2 of 4 linked nodes are in the largest: walks do not leave a piece, so nodes of two are near by ...
    """
    degrees = graph.degrees
    linked = degrees > 0
    sizes = np.bincount(components(graph)[linked])
    arrays = (graph.offsets, graph.neighbours, graph.weights, graph.common)
    return GraphSummary(
        how=graph.how,
        nodes=graph.node_count,
        edges=graph.edge_count,
        isolated=int((~linked).sum()),
        components=int((sizes > 0).sum()),
        largest=int(sizes.max(initial=0)),
        degrees=_quantiles(degrees[linked]),
        weights=_quantiles(graph.weights),
        bytes=sum(0 if one is None else one.nbytes for one in arrays),
    )


def components(graph: Graph) -> Rows:
    """The smallest row of the piece that each node is in; (nodes,).

    Each round a node takes the smallest number that it or a neighbour has, then that of the node of this number.
    """
    found = np.arange(graph.node_count)
    linked = np.flatnonzero(graph.degrees)
    while len(linked):
        near = np.minimum.reduceat(found[graph.neighbours], graph.offsets[linked])
        better = found.copy()
        better[linked] = np.minimum(found[linked], near)
        better = better[better]
        if np.array_equal(better, found):
            break
        found = better
    return found


def _quantiles(values: NDArray[np.float32] | Rows) -> tuple[float, ...]:
    return tuple(np.quantile(values, QUANTILES).tolist()) if len(values) else ()


def _spread(quantiles: tuple[float, ...]) -> str:
    """Quantiles in words."""
    least, low, _, high, most = (f"{one:.3g}" if one < 1000 else f"{one:,.0f}" for one in quantiles)
    return least if least == most else f"{least} to {most}, half of them {low} to {high}"

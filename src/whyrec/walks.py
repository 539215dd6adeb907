"""Random walks on a graph: from node to node, heavy edges more often, near its start or away from it as asked."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from whyrec.errors import InvalidSetting
from whyrec.graph import Graph
from whyrec.ranking import Memory, in_bytes
from whyrec.settings import settings

BITS_UP_TO = 16_384
"""Graphs of so many nodes keep a bit for each pair, 32 MiB at most; larger ones search a node's neighbours."""

LIGHTEST = 1e-30
"""What an edge weighs at least beside the heaviest one, so that none has the weight zero in single precision."""


@settings
class Walks:
    """How to walk. With p = q = 1 a walk forgets where it came from."""

    per_node: int = Field(default=10, ge=1)
    """Walks from each node that has an edge."""
    length: int = Field(default=80, ge=2)
    """Nodes of a walk, its start among them."""
    p: float = Field(default=1.0, gt=0)
    """Larger turns back less often to where the walk just came from."""
    q: float = Field(default=1.0, gt=0)
    """Smaller moves on to nodes that are not linked to the last one; larger stays near it."""
    sharpness: float = Field(default=1.0, gt=0)
    """Edges are taken in proportion to weight to this power: larger keeps to the heaviest."""


def random_walks(
    graph: Graph,
    walks: Walks | None = None,
    *,
    seed: int = 0,
    threads: int | None = None,
    max_memory: Memory = "4GB",
) -> NDArray[np.int32]:
    """Walks from every node that has an edge, (walks, length) rows of nodes; those of one round stand together.

    The next node is drawn by edge weight to the power of `sharpness`, times 1/p where it is the last one, 1 where it is
    linked to that, else 1/q (Grover and Leskovec 2016, node2vec). Each walk draws its own random numbers, which depend
    on the seed and its number alone: any number of `threads`, by default as many as PyTorch uses, gives the same walks.

    Needs Numba: `pip install 'whyrec[graph]'`.

    >>> from whyrec.graph import graph_of
    >>> pair = graph_of(np.array([0]), np.array([2]), np.array([1.0]), node_count=3)
    >>> random_walks(pair, Walks(per_node=1, length=4)).tolist()
    [[0, 2, 0, 2], [2, 0, 2, 0]]
    """
    asked = walks or Walks()
    graph = _sharpened(graph, asked.sharpness)
    starts = _starts(graph, asked.per_node, seed)
    _refuse_too_much(len(starts), asked.length, max_memory)
    from whyrec import walk_kernels  # compiling takes seconds: only who walks waits

    found = np.empty((len(starts), asked.length), dtype=np.int32)
    chance, other = walk_kernels.alias_tables(graph.offsets, graph.weights)
    second_order = asked.p != 1 or asked.q != 1
    bits = np.zeros((0, 0), dtype=np.uint64)
    if second_order and graph.node_count <= BITS_UP_TO:
        bits = walk_kernels.adjacency(graph.offsets, graph.neighbours)
    tables = (graph.offsets, graph.neighbours, graph.weights, graph.strengths, chance, other, bits)

    def walk(first: int, last: int) -> None:
        part = starts[first:last], first, np.uint64(seed % 2**64), asked.p, asked.q, found[first:last]
        walk_kernels.walk_from(*tables, *part)

    in_threads(walk, len(starts), threads)
    return found


def in_threads(work: Callable[[int, int], None], size: int, threads: int | None) -> None:
    """Call `work(first, last)` for even parts of `size` things, each in a thread of its own."""
    count = torch.get_num_threads() if threads is None else threads
    if count < 1:
        raise InvalidSetting(f"threads={count}: at least one thread has to work")
    cuts = np.linspace(0, size, count + 1).astype(int).tolist()
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(work, first, last) for first, last in pairwise(cuts)]:
            done.result()


def _sharpened(graph: Graph, sharpness: float) -> Graph:
    """The graph with its weights, the heaviest counted as 1, to a power."""
    if sharpness == 1:
        return graph
    share = graph.weights.astype(np.float64) / graph.weights.max(initial=0.0)
    return replace(graph, weights=np.maximum(share**sharpness, LIGHTEST).astype(np.float32))


def _starts(graph: Graph, rounds: int, seed: int) -> NDArray[np.int32]:
    """Every node with an edge once a round, in an order of chance: training sees no node late."""
    nodes = np.flatnonzero(graph.degrees).astype(np.int32)
    return np.random.default_rng(seed).permuted(np.tile(nodes, (rounds, 1)), axis=1).reshape(-1)


def _refuse_too_much(walks: int, length: int, max_memory: Memory) -> None:
    needed = 4 * walks * length
    if max_memory is not None and needed > in_bytes(max_memory):
        raise InvalidSetting(
            f"{walks:,} walks of {length} nodes take {needed:,} bytes, and max_memory is {max_memory}; "
            "walk less often or less far, or give more"
        )

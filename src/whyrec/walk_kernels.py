"""The loops of random walks, compiled: tables to draw neighbours from, and the walks themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from whyrec.compiled import GOLDEN, below, compiled, fill_alias, mixed, share, state_of

TRIES = 64
"""Proposals that may be refused before the chances of all neighbours are added up instead."""
WALKS = np.uint64(1)
"""The stream of random numbers that walks draw from."""


def _alias_tables(offsets: Any, weights: Any) -> Any:
    chance, other = np.empty(len(weights), np.float32), np.empty(len(weights), np.int32)
    most = 0
    for node in range(len(offsets) - 1):
        most = max(most, offsets[node + 1] - offsets[node])
    small, large, exact = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.float64)
    for node in range(len(offsets) - 1):
        first, last = offsets[node], offsets[node + 1]
        fill_alias(weights[first:last], exact[: last - first], other[first:last], small, large)
        chance[first:last] = exact[: last - first]
    return chance, other


alias_tables = compiled(_alias_tables)
"""One alias table for each node's links: `chance` and `other`, (links,) each."""


def _adjacency(offsets: Any, neighbours: Any) -> Any:
    nodes = len(offsets) - 1
    bits = np.zeros((nodes, (nodes + 63) // 64), np.uint64)
    for node in range(nodes):
        for link in range(offsets[node], offsets[node + 1]):
            there = np.int64(neighbours[link])
            bits[node, there >> 6] |= np.uint64(1) << np.uint64(there & 63)
    return bits


adjacency = compiled(_adjacency)
"""Which nodes are linked, one bit a pair; (nodes, words)."""


def _place(neighbours: Any, first: int, last: int, node: int) -> int:
    """Where a node stands among neighbours that rise, or where it would."""
    while first < last:
        middle = (first + last) >> 1
        if neighbours[middle] < node:
            first = middle + 1
        else:
            last = middle
    return first


place_of = compiled(_place)


def _linked(offsets: Any, neighbours: Any, bits: Any, one: int, other: int) -> Any:
    if len(bits) > 0:
        return (bits[one, other >> 6] >> np.uint64(other & 63)) & np.uint64(1) != np.uint64(0)
    place = place_of(neighbours, offsets[one], offsets[one + 1], other)
    return place < offsets[one + 1] and neighbours[place] == other


linked = compiled(_linked)


def _by_sums(
    offsets: Any, neighbours: Any, weights: Any, bits: Any, node: int, before: int, back: float, out: float, at: float
) -> Any:
    """The neighbour where the running sum of weight times bias passes `at` of its end: slow, and never refused."""
    total = 0.0
    for again in range(2):
        wanted, total = at * total, 0.0
        for link in range(offsets[node], offsets[node + 1]):
            there = neighbours[link]
            bias = back if there == before else (1.0 if linked(offsets, neighbours, bits, before, there) else out)
            total += weights[link] * bias
            if again == 1 and total > wanted:
                return there
    return neighbours[offsets[node + 1] - 1]


by_sums = compiled(_by_sums)


def _walk(
    offsets: Any, neighbours: Any, weights: Any, strengths: Any, chance: Any, other: Any, bits: Any,
    starts: Any, first: int, seed: np.uint64, p: float, q: float, found: Any,
) -> None:  # fmt: skip
    back, out = 1.0 / p, 1.0 / q
    highest, plain = max(1.0, out), p == 1.0 and q == 1.0
    lowest = min(min(1.0, out), back) / highest
    for walk in range(len(starts)):
        state = state_of(seed, WALKS, np.uint64(first + walk))
        node, before = np.int64(starts[walk]), np.int64(-1)
        found[walk, 0] = node
        for step in range(1, found.shape[1]):
            begin, degree = offsets[node], offsets[node + 1] - offsets[node]
            if degree == 0:
                found[walk, step:] = -1
                break
            taken, tries, extra = np.int64(-1), 0, 0.0
            if before >= 0 and back > highest:  # else the way back would make nearly all other proposals refused
                extra = weights[place_of(neighbours, begin, begin + degree, before)] * (back - highest)
            while taken < 0:
                if extra > 0:
                    state += GOLDEN
                    if share(mixed(state)) * (extra + strengths[node] * highest) < extra:
                        taken = before
                        break
                state += GOLDEN
                drawn = mixed(state)
                place = begin + below(drawn, degree)
                if share(drawn) >= chance[place]:
                    place = begin + other[place]
                there = np.int64(neighbours[place])
                if plain or before < 0:
                    taken = there
                    break
                state += GOLDEN
                level = share(mixed(state))
                if level < lowest:
                    taken = there
                elif there == before:
                    if level * highest < back:
                        taken = there
                elif level * highest < (1.0 if linked(offsets, neighbours, bits, before, there) else out):
                    taken = there
                tries += 1
                if taken < 0 and tries == TRIES:
                    state += GOLDEN
                    at = share(mixed(state))
                    taken = by_sums(offsets, neighbours, weights, bits, node, before, back, out, at)
            before, node = node, taken
            found[walk, step] = node


walk_from = compiled(_walk)
"""Walks from `starts`, (walks,), the first of them number `first`, into `found`, (walks, length).

A neighbour x of the node v that was reached from t is taken in proportion to its weight times 1/p where x is t, 1 where
x is linked to t, else 1/q (Grover and Leskovec 2016, node2vec). It is proposed by weight and refused by its bias, so
nothing is made ready for pairs of nodes; where 1/p is the largest bias, what the way back has above the next largest
is a proposal of its own (Yang et al. 2019, KnightKing).
"""

"""The loops of skip-gram with negative sampling, compiled: one step of stochastic gradient descent, and an epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from whyrec.compiled import GOLDEN, below, compiled, fill_alias, mixed, share, state_of

SKIPS = np.uint64(2)
"""The stream of random numbers that training draws from, one for each epoch: SKIPS + epoch."""
STEEPEST = np.float32(80.0)
"""Dot products are held within this: exp overflows in single precision at 88."""


def _noise_table(weights: Any) -> Any:
    size = len(weights)
    chance, other = np.empty(size, np.float64), np.empty(size, np.int32)
    fill_alias(weights, chance, other, np.empty(size, np.int32), np.empty(size, np.int32))
    return chance, other


noise_table = compiled(_noise_table)
"""An alias table, `chance` and `other`, of weights; (nodes,) each."""


def _step(
    vectors: Any, contexts: Any, centre: int, asked: Any, count: int, rate: float, change: Any, odds: Any
) -> None:  # fmt: skip
    """One step for a centre, the context it was met with, asked[0], and the noise in asked[1:count].

    The loss is -log s(v c) of the context and -log s(-v c) of each noise node, s the logistic function. `odds`, (2,),
    is multiplied by what the losses are minus the logarithm of, first of the context, then of the noise.
    """
    factors = vectors.shape[1]
    for place in range(factors):
        change[place] = 0.0
    for number in range(count):
        node, dot = asked[number], np.float32(0.0)
        for place in range(factors):
            dot += vectors[centre, place] * contexts[node, place]
        tail = np.exp(-min(max(dot, -STEEPEST), STEEPEST))
        likely = np.float32(1.0) / (np.float32(1.0) + tail)  # s(dot); s(-dot) is tail times it, without cancellation
        if number == 0:
            odds[0] *= likely
            size = rate * tail * likely
        else:
            odds[1] *= tail * likely
            size = -rate * likely
        for place in range(factors):
            change[place] += size * contexts[node, place]
            contexts[node, place] += size * vectors[centre, place]
    for place in range(factors):
        vectors[centre, place] += change[place]


step = compiled(_step, reorder=True)


def _train(
    walks: Any, first: int, kept: Any, chance: Any, other: Any, window: int, negatives: int,
    rates: Any, seed: np.uint64, epoch: int, vectors: Any, contexts: Any, losses: Any,
) -> None:  # fmt: skip
    length, nodes = walks.shape[1], len(chance)
    asked, change = np.empty(1 + negatives, np.int32), np.empty(vectors.shape[1], np.float32)
    walk, odds = np.empty(length, np.int32), np.ones(2, np.float64)
    for row in range(len(walks)):
        rate = np.float32(rates[0] + (rates[1] - rates[0]) * row / len(walks))
        state = state_of(seed, SKIPS + np.uint64(epoch), np.uint64(first + row))
        size = 0
        for place in range(length):
            node = walks[row, place]
            if node < 0:
                break
            if kept[node] < 1.0:
                state += GOLDEN
                if share(mixed(state)) >= kept[node]:
                    continue
            walk[size] = node
            size += 1
        for place in range(size):
            state += GOLDEN
            reach = 1 + below(mixed(state), window)
            for near in range(max(0, place - reach), min(size, place + reach + 1)):
                if near == place:
                    continue
                asked[0], count = walk[near], 1
                for _ in range(negatives):
                    state += GOLDEN
                    drawn = mixed(state)
                    node = below(drawn, nodes)
                    if share(drawn) >= chance[node]:
                        node = other[node]
                    if node != asked[0]:  # as word2vec: noise that is the context itself is left out, not drawn again
                        asked[count] = node
                        count += 1
                step(vectors, contexts, walk[place], asked, count, rate, change, odds)
                losses[1] += 1
                losses[3] += count - 1
                for side in range(2):  # products of chances; a logarithm only before they get too small
                    if odds[side] < 1e-150:
                        losses[2 * side] -= np.log(odds[side])
                        odds[side] = 1.0
    for side in range(2):
        losses[2 * side] -= np.log(odds[side])


train = compiled(_train)
"""One epoch over `walks`, (walks, length), the first of them number `first`; changes `vectors` and `contexts`.

`kept` is how likely each node stays in a walk, `rates` the learning rate at the beginning and at the end. Added to
`losses`, (4,): the sum of the losses of contexts, how many they are, and the same of noise.
"""

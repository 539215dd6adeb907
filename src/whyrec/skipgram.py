"""Skip-gram with negative sampling: a vector for each node, from which the nodes near it on walks can be told.

    loss of a pair (v, c) on a walk = -log s(x_v . y_c) - sum over k noise nodes n of log s(-x_v . y_n)

with s the logistic function, vectors x, context vectors y and noise drawn in proportion to frequency^0.75. Mikolov et
al. 2013, Distributed representations of words and phrases and their compositionality; on walks Perozzi et al. 2014 and
Grover and Leskovec 2016.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whyrec.errors import BadInput, WhyrecError
from whyrec.settings import settings
from whyrec.walks import in_threads

NOISE_EXPONENT = 0.75

Vectors = NDArray[np.float32]


@settings
class SkipGram:
    """How vectors are learned from walks."""

    factors: int = Field(default=64, ge=1)
    """Length of the vectors."""
    window: int = Field(default=5, ge=1)
    """Steps along a walk up to which two nodes are near; how many of them count is drawn anew for each node."""
    negatives: int = Field(default=5, ge=1)
    """Noise nodes for each pair."""
    epochs: int = Field(default=5, ge=1)
    """Passes over the walks."""
    learning_rate: float = Field(default=0.025, gt=0)
    """Step size in the beginning; it falls in a straight line."""
    last_rate: float = Field(default=0.0001, ge=0)
    """Step size at the end."""
    subsample: float = Field(default=0.0, ge=0)
    """Share of all places from which on a node is left out of walks now and then; 0 leaves all in."""


@dataclass(frozen=True, slots=True)
class SkipGramEpoch:
    """Mean losses of one pass, in nats a pair: both fall where there is something to learn."""

    number: int  # from 1
    positives: float
    negatives: float


@dataclass(frozen=True, eq=False)
class Embedded:
    """What skip-gram learned. A node that no walk met keeps its first small vector."""

    vectors: Vectors  # (nodes, factors)
    contexts: Vectors  # (nodes, factors)
    log: tuple[SkipGramEpoch, ...]
    threads: int

    @property
    def is_reproducible(self) -> bool:
        """Whether the same walks and seed give the same vectors to the last bit: with one thread only.

        Several threads write to the same vectors unasked (HogWild, Niu et al. 2011), in whatever order they come.
        """
        return self.threads == 1


def embed_walks(
    walks: NDArray[np.int32], node_count: int, skipgram: SkipGram | None = None, *, seed: int = 0, threads: int = 1
) -> Embedded:
    """Vectors of all nodes, learned from `walks`, (walks, length) rows of nodes, -1 behind the end of a shorter one.

    Needs Numba: `pip install 'whyrec[graph]'`. On a GPU, `whyrec.skipgram_batches` learns by the same loss.

    >>> two_cliques = np.array([[0, 1, 2, 0, 2, 1], [3, 4, 5, 4, 3, 5]] * 50, dtype=np.int32)
    >>> x = embed_walks(two_cliques, 6, SkipGram(factors=8, window=2, epochs=20)).vectors
    >>> bool(x[0] @ x[1] > x[0] @ x[3])
    True
    """
    asked = skipgram or SkipGram()
    counts = frequencies(walks, node_count)
    from whyrec import skipgram_kernels  # compiling takes seconds: only who trains waits

    vectors, contexts = first_vectors(node_count, asked.factors, seed)
    noise = skipgram_kernels.noise_table(counts**NOISE_EXPONENT)
    kept, log = chance_to_stay(counts, asked.subsample), []
    for epoch in range(asked.epochs):
        losses: list[NDArray[np.float64]] = []

        def train(first: int, last: int, epoch: int = epoch, losses: list[NDArray[np.float64]] = losses) -> None:
            found = np.zeros(4)
            losses.append(found)
            how = kept, *noise, asked.window, asked.negatives, rates(asked, epoch), np.uint64(seed % 2**64), epoch
            skipgram_kernels.train(walks[first:last], first, *how, vectors, contexts, found)

        in_threads(train, len(walks), threads)
        log.append(epoch_of(epoch, np.sum(losses, axis=0)))
    refuse_no_numbers(vectors)
    return Embedded(vectors, contexts, tuple(log), threads)


def frequencies(walks: NDArray[np.int32], node_count: int) -> NDArray[np.float64]:
    """How often each node stands in the walks, (nodes,); refuses walks with nothing to learn from."""
    met = walks[walks >= 0]
    if not len(met):
        raise BadInput("there are no walks to learn from: no node has an edge; lower min_common_users or min_rating")
    if met.max() >= node_count:
        raise BadInput(f"a walk meets node {met.max()}, and there are {node_count:,}, counted from 0")
    return np.bincount(met, minlength=node_count).astype(np.float64)


def first_vectors(node_count: int, factors: int, seed: int) -> tuple[Vectors, Vectors]:
    """Vectors of small random numbers and context vectors of zeros, as word2vec begins."""
    drawn = np.random.default_rng(seed).random((node_count, factors), dtype=np.float32)
    return (drawn - np.float32(0.5)) / np.float32(factors), np.zeros((node_count, factors), dtype=np.float32)


def chance_to_stay(counts: NDArray[np.float64], subsample: float) -> NDArray[np.float64]:
    """How likely each node stays in a walk: (sqrt(f / t) + 1) t / f for its share f of all places, t the threshold."""
    if not subsample:
        return np.ones(len(counts))
    ratio = subsample * counts.sum() / np.maximum(counts, 1.0)
    stays: NDArray[np.float64] = np.minimum(1.0, np.sqrt(ratio) + ratio)
    return stays


def rates(asked: SkipGram, epoch: int) -> NDArray[np.float64]:
    """The learning rate at the beginning and at the end of an epoch; (2,)."""
    done = np.array([epoch, epoch + 1]) / asked.epochs
    return asked.learning_rate + (min(asked.last_rate, asked.learning_rate) - asked.learning_rate) * done


def epoch_of(epoch: int, losses: NDArray[np.float64]) -> SkipGramEpoch:
    """Mean losses from their sums and counts."""
    positives, pairs, negatives, noise = losses.tolist()
    return SkipGramEpoch(epoch + 1, positives / max(1.0, pairs), negatives / max(1.0, noise))


def refuse_no_numbers(vectors: Vectors) -> None:
    """Training that ran away leaves no vectors behind."""
    if not np.isfinite(vectors).all():
        raise WhyrecError("skip-gram diverged: a vector is no finite number; take a smaller learning_rate")

"""Groups of things that are alike, found from their likenesses alone: spectral clustering, small and deterministic.

    W = likeness, negative ones as 0        L = I - D^(-1/2) W D^(-1/2),   D the row sums of W

Ng, Jordan and Weiss 2002, On spectral clustering: k-means on the rows of the k first eigenvectors of L, each row of
length one. The number of groups is where the eigenvalues of L jump (von Luxburg 2007, A tutorial on spectral
clustering). No neighbours are counted and nothing is tuned, so the order of the things does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whyrec.interactions import Rows
from whyrec.statistics import Array

ONE_GROUP = 0.5
"""The second eigenvalue is the least that any cut in two costs, where 1 is what a random cut does (Shi and Malik 2000,
Normalized cuts). From here on even the best cut goes through too much to speak of groups."""

RESTARTS, ROUNDS = 10, 100


@dataclass(frozen=True, eq=False)
class Groups:
    """Who belongs together, and how clearly."""

    labels: Rows  # (things,) the largest group is 0
    eigenvalues: Array  # (most + 1,) in rising order, from 0
    separation: float
    """The jump of the eigenvalues behind the last group, from 0 to 1; 1 is groups with nothing in common."""

    @property
    def count(self) -> int:
        """How many groups there are."""
        return int(self.labels.max()) + 1


def spectral_groups(likeness: Array, *, most: int = 20, seed: int = 0) -> Groups:
    """Groups of things by their `likeness`, (things, things), symmetric, 1 with itself; at most `most` groups.

    Takes one eigendecomposition: a second for 1,500 things.

    >>> pairs = np.kron(np.eye(3), np.ones((2, 2)))
    >>> found = spectral_groups(pairs, most=5)
    >>> found.count, round(found.separation, 9)
    (3, 1.0)
    """
    weights = np.maximum(likeness, 0.0)
    scale = 1 / np.sqrt(weights.sum(1))
    values, vectors = np.linalg.eigh(scale[:, None] * weights * scale[None, :])
    eigenvalues = np.maximum(1 - values[::-1][: most + 1], 0.0)
    count = _number(eigenvalues)
    separation = float(eigenvalues[count] - eigenvalues[count - 1]) if count < len(eigenvalues) else 0.0
    if count == 1:
        return Groups(np.zeros(len(likeness), dtype=np.int64), eigenvalues, separation)
    rows = vectors[:, ::-1][:, :count]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return Groups(_largest_first(_k_means(rows, count, seed)), eigenvalues, separation)


def _number(eigenvalues: Array) -> int:
    """Where the eigenvalues jump farthest, from two groups on; one where no cut is much better than a random one."""
    if len(eigenvalues) < 3 or eigenvalues[1] >= ONE_GROUP:
        return 1
    return int(np.diff(eigenvalues)[1:].argmax()) + 2


def _k_means(points: Array, count: int, seed: int) -> Rows:
    """Labels (points,) of the best of several starts, by the sum of squared distances; Lloyd 1982."""
    generator = np.random.default_rng(seed)
    tried = [_settled(points, _start(points, count, generator)) for _ in range(RESTARTS)]
    return min(tried, key=lambda one: one[0])[1]


def _start(points: Array, count: int, generator: np.random.Generator) -> Array:
    """Centres far apart: each drawn with odds of its squared distance to the nearest so far (k-means++)."""
    centres = points[[generator.integers(len(points))]]
    while len(centres) < count:
        odds = _squared_distances(points, centres).min(1)
        total = odds.sum()
        odds = odds / total if total > 0 else np.full(len(points), 1 / len(points))
        centres = np.concatenate([centres, points[[generator.choice(len(points), p=odds)]]])
    return centres


def _settled(points: Array, centres: Array) -> tuple[float, Rows]:
    """Centres moved to the mean of what is nearest, until none moves."""
    for _ in range(ROUNDS):
        distances = _squared_distances(points, centres)
        labels = distances.argmin(1)
        nearest = labels[:, None] == np.arange(len(centres))
        members = nearest.sum(0)
        means = (nearest.T @ points) / np.maximum(members, 1)[:, None]
        moved = np.where(members[:, None] > 0, means, centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return float(distances.min(1).sum()), labels


def _squared_distances(points: Array, centres: Array) -> Array:
    """(points, centres)."""
    found: Array = np.square(points[:, None, :] - centres[None, :, :]).sum(-1)
    return found


def _largest_first(labels: Rows) -> Rows:
    """The same groups, numbered by size; of two of one size the one that comes first in the data."""
    names, first, place, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    number = np.empty(len(names), dtype=np.int64)
    number[order] = np.arange(len(names))
    found: Rows = number[place]
    return found

"""Sets of units: all of them, or few that stand for all."""

from __future__ import annotations

import math
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

Sets = NDArray[np.bool_]
Shares = NDArray[np.float64]


def all_subsets(units: int) -> Sets:
    """Every set of some units, (2 ** units, unit).

    >>> all_subsets(2).astype(int).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    bits: Sets = (np.arange(1 << units)[:, None] >> np.arange(units)) & 1 > 0
    return bits


def subsets_by_size(
    share: Shares, samples: int, generator: np.random.Generator, *, paired: bool = False
) -> tuple[Sets, Shares]:
    """Sets of units, (sets, unit), and what each stands for, (sets,); all sets of k units stand for `share[k]`.

    Sizes whose sets all fit into their part of the samples are taken whole, the weightiest sets first, as in Lundberg
    and Lee's code for Kernel SHAP. Chance is left for the rest, spread over sizes as evenly as whole numbers go. With
    at least as many samples as there are sets, all are taken. `paired` sets come with the set of all other units, and
    then one more set than asked for where the last has no room for its other half; `share` has to be symmetric.

    >>> sets, weights = subsets_by_size(np.array([0, 0.6, 0.6, 0]), 6, np.random.default_rng(0))
    >>> [int(size) for size in sets.sum(1)], [float(weight) for weight in weights.round(3)]
    ([2, 2, 2, 1, 1, 1], [0.2, 0.2, 0.2, 0.2, 0.2, 0.2])
    """
    units = len(share) - 1
    levels = _levels(share, paired=paired)
    sets, weights = [np.zeros((0, units), dtype=bool)], [np.zeros(0)]
    left = samples
    mass = np.array([share[level].sum() for level in levels])
    whole = 0  # levels that are taken whole
    for whole, level in enumerate([*levels, []]):
        every = sum(math.comb(units, size) for size in level)
        if not level or every > left or left * mass[whole] < every * mass[whole:].sum() * (1 - 1e-12):
            break
        sets += [_all_of_size(units, size) for size in level]
        weights.append(np.full(every, mass[whole] / every))
        left -= every
    if whole < len(levels) and left:
        sets.append(_drawn(units, levels[whole:], mass[whole:], left, generator, paired=paired))
        weights.append(np.full(len(sets[-1]), mass[whole:].sum() / len(sets[-1])))
    return np.concatenate(sets), np.concatenate(weights)


def _levels(share: Shares, *, paired: bool) -> list[list[int]]:
    """Sizes that stand for anything, the weightiest sets first; a size and its complement together where paired."""
    units = len(share) - 1
    sizes = [size for size in range(units + 1) if share[size] > 0]
    if paired:
        return [[size, units - size] if 2 * size < units else [size] for size in sizes if 2 * size <= units]
    heaviest = {size: math.log(share[size]) - math.log(math.comb(units, size)) for size in sizes}
    return [[size] for size in sorted(sizes, key=lambda size: (-heaviest[size], -size))]


def _all_of_size(units: int, size: int) -> Sets:
    """Every set of `size` units, (sets, unit)."""
    count = math.comb(units, size)
    members = np.fromiter(chain.from_iterable(combinations(range(units), size)), dtype=np.int64, count=count * size)
    sets = np.zeros((count, units), dtype=bool)
    np.put_along_axis(sets, members.reshape(count, size), values=True, axis=1)
    return sets


def _drawn(
    units: int, levels: list[list[int]], mass: Shares, samples: int, generator: np.random.Generator, *, paired: bool
) -> Sets:
    """Random sets whose sizes come as often as they stand for: each as often as expected, or once more."""
    draws = (samples + 1) // 2 if paired else samples
    places = (generator.random() + np.arange(draws)) / draws
    level = np.searchsorted(mass.cumsum() / mass.sum(), places, side="right").clip(max=len(levels) - 1)
    sizes = np.array([sizes[0] for sizes in levels])[level]
    order = generator.random((draws, units)).argsort(axis=1)
    sets: Sets = np.empty((draws, units), dtype=bool)
    np.put_along_axis(sets, order, np.arange(units) < sizes[:, None], axis=1)
    return np.concatenate([sets, ~sets]) if paired else sets

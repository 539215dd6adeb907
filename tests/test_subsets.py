"""Sets of units that stand for all: whole sizes where they fit, and of the others as many as they stand for."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from whyrec.subsets import Shares, all_subsets, subsets_by_size


def kernel(units: int) -> Shares:
    """What all sets of a size stand for in Kernel SHAP, summing to one."""
    sizes = np.arange(1, units)
    weights = 1 / (sizes * (units - sizes))
    return np.concatenate([[0.0], weights / weights.sum(), [0.0]])


def sizes_of(units: int, samples: int, *, paired: bool = False) -> tuple[dict[int, int], np.ndarray, np.ndarray]:
    sets, weights = subsets_by_size(kernel(units), samples, np.random.default_rng(0), paired=paired)
    return {size: int((sets.sum(1) == size).sum()) for size in range(units + 1)}, sets, weights


def test_every_set_is_there_once() -> None:
    assert sorted(map(tuple, all_subsets(4).tolist())) == sorted(product((False, True), repeat=4))
    assert all_subsets(0).shape == (1, 0)


@pytest.mark.parametrize("samples", [254, 300])
def test_with_samples_for_all_sets_each_is_taken_once_for_what_it_stands_for(samples: int) -> None:
    counts, sets, weights = sizes_of(8, samples)
    assert len(np.unique(sets, axis=0)) == len(sets) == 254
    for size in range(1, 8):
        assert counts[size] == math.comb(8, size)
        np.testing.assert_allclose(weights[sets.sum(1) == size], kernel(8)[size] / math.comb(8, size))


@pytest.mark.parametrize("samples", [20, 60, 61, 100, 200])
def test_sizes_that_fit_are_whole_and_the_others_are_drawn_as_often_as_they_stand_for(samples: int) -> None:
    counts, sets, weights = sizes_of(8, samples)
    left, mass, whole = samples, kernel(8), []
    for size in (7, 1, 6, 2, 5, 3, 4):  # the weightiest sets first
        if left * mass[size] / sum(mass[one] for one in range(9) if one not in whole) < math.comb(8, size):
            break
        whole.append(size)
        left -= math.comb(8, size)
    others = [size for size in range(1, 8) if size not in whole]
    for size in whole:
        assert counts[size] == math.comb(8, size)
        assert len(np.unique(sets[sets.sum(1) == size], axis=0)) == counts[size]
        assert weights[sets.sum(1) == size].sum() == pytest.approx(mass[size])
    for size in others:
        assert counts[size] == pytest.approx(left * mass[size] / mass[others].sum(), abs=1)
    assert len(sets) == samples
    assert weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("samples", [20, 61, 100])
def test_paired_sets_come_with_all_other_units(samples: int) -> None:
    _, sets, weights = sizes_of(8, samples, paired=True)
    assert len(sets) in (samples, samples + 1)
    weight_of = dict[tuple[bool, ...], float]()
    for one, weight in zip(sets.tolist(), weights.tolist(), strict=True):
        weight_of[tuple(one)] = weight_of.get(tuple(one), 0.0) + weight
    for one, weight in weight_of.items():
        assert weight_of[tuple(not unit for unit in one)] == pytest.approx(weight)

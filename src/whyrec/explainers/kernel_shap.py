"""Kernel SHAP: Shapley values as the weighted least-squares fit of a sum to the scores of coalitions.

    minimise  sum over S of  (n - 1) / (C(n, |S|) |S| (n - |S|))  (target(S) - target(nothing) - sum of R_i in S) ** 2
    where all R add up to  target(everything) - target(nothing)

Lundberg and Lee 2017, A unified approach to interpreting model predictions. Coalitions of the fewest and of the most
units weigh most, and are played whole as far as the samples reach; the others are drawn, each with its complement,
which takes all error of pairwise interactions away (Covert and Lee 2021, Improving KernelSHAP).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from whyrec.attribution import Attribution
from whyrec.designs import Design, explained
from whyrec.errors import InvalidSetting
from whyrec.question import Question
from whyrec.subsets import Shares, subsets_by_size

STREAM = 0x73686170
"""Keeps these coalitions apart from other draws of the same seed."""


@dataclass(frozen=True)
class KernelSHAP:
    """Exact where all coalitions fit into the samples, else with an error that halves with four times as many.

    One design serves all lists with as many units. With a background, each of its users is a game with coalitions of
    its own, and the answer is the mean: no less exact than playing the same coalitions against everybody, and mostly
    much more so.
    """

    samples: int | None = None
    """Coalitions for each user of the background, besides none and all units; 4 * units + 2048 unless given."""
    background: int = 0
    """Known users whose values stand in for removed units, drawn by the seed; 0 takes units away."""

    def __post_init__(self) -> None:
        if self.samples is not None and self.samples < 2:
            raise InvalidSetting(f"KernelSHAP: samples={self.samples}: a fit takes four coalitions for each unit")

    def __call__(self, question: Question) -> Attribution:
        def plan(units: int, row: int) -> Design:
            return _plan(units, self._samples(units), np.random.default_rng([question.seed, STREAM, units, row]))

        return explained(question, plan, background=self.background, complete=True)

    def _samples(self, units: int) -> int:
        if self.samples is None:
            return 4 * units + 2048
        if self.samples < min(4 * units, 2**units - 2):
            raise InvalidSetting(
                f"KernelSHAP: samples={self.samples}: a list with {units} units takes at least {4 * units}, or chance "
                "decides; give more samples, or choose PermutationShapley"
            )
        return self.samples


def _plan(units: int, samples: int, generator: np.random.Generator) -> Design:
    """Nothing, all, and coalitions between them; the solution of the fit is linear in their worth."""
    share = np.array([0.0, *(1 / (size * (units - size)) for size in range(1, units)), 0.0][: units + 1])
    sets, mass = subsets_by_size(share, samples, generator, paired=True)
    inside, evenly = _solution(sets.astype(np.float64), mass)
    nothing, everything = np.zeros((1, units), dtype=bool), np.ones((1, units), dtype=bool)
    weights = np.concatenate([-inside.sum(0, keepdims=True) - evenly, evenly, inside])
    return Design(torch.from_numpy(np.concatenate([nothing, everything, sets])), torch.from_numpy(weights))


def _solution(sets: Shares, mass: Shares) -> tuple[Shares, Shares]:
    """What a fit takes from the worth of each set, (sets, unit), and from the worth of all units, (1, unit)."""
    units = sets.shape[1]
    if units < 2:
        return np.zeros(sets.shape), np.ones((1, units))
    weighted = sets * mass[:, None]
    inverse = np.linalg.inv(sets.T @ weighted)
    evenly = inverse.sum(0, keepdims=True) / inverse.sum()
    return weighted @ (inverse - np.outer(inverse.sum(1), evenly)), evenly

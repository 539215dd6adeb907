"""Exact Shapley values: every coalition is played.

    R_i = sum over S without i of  |S|! (n - |S| - 1)! / n!  (target(S + i) - target(S))

Shapley 1953, A value for n-person games. The mean of what a unit adds, over all orders in which the units can come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from whyrec.attribution import Attribution
from whyrec.designs import Design, explained
from whyrec.errors import NotApplicable
from whyrec.question import Question
from whyrec.subsets import all_subsets

MOST_UNITS = 16
"""Units of one list: 65,536 coalitions."""


@dataclass(frozen=True)
class ExactShapley:
    """The truth that Kernel SHAP and permutations approach; 2 ** units scores for each place of a list."""

    background: int = 0
    """Known users whose values stand in for removed units, drawn by the seed; 0 takes units away."""

    def __call__(self, question: Question) -> Attribution:
        return explained(question, self._plan, background=self.background, complete=True)

    def _plan(self, units: int, row: int) -> Design:
        if units > MOST_UNITS:
            raise NotApplicable(
                f"ExactShapley scores every set of units, and {units} of them have 2**{units}; it goes up to "
                f"{MOST_UNITS}: choose KernelSHAP or PermutationShapley, or ask for fewer parts"
            )
        sets = all_subsets(units)
        others = sets.sum(1, keepdims=True) - sets  # units of the set beside the one that is judged
        ways = np.array([math.factorial(size) * math.factorial(units - size - 1) for size in range(units)] or [1])
        weights = np.where(sets, 1.0, -1.0) * (ways / math.factorial(units))[others]
        return Design(torch.from_numpy(sets), torch.from_numpy(weights))

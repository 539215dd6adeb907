"""Shapley values from random orders: what each unit adds when it comes, in an order and in the same order backwards.

    R_i = mean over orders of  target(those before i, and i) - target(those before i)

Castro, Gomez and Tejada 2009, Polynomial calculation of the Shapley value based on sampling. An order and its reverse
together are exact for scores without interactions of three units or more (Mitchell et al. 2022, Sampling permutations
for Shapley value estimation). The additions of one order telescope, so the account closes whatever the orders are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from whyrec.attribution import Attribution
from whyrec.designs import Design, explained
from whyrec.errors import InvalidSetting
from whyrec.question import Question

STREAM = 0x7065726D
"""Keeps these orders apart from other draws of the same seed."""


@dataclass(frozen=True)
class PermutationShapley:
    """Shapley values with an error that halves with four times the orders; 2 * units scores for each of them."""

    permutations: int = 10
    """Random orders, each walked forwards and backwards. With a background each order is played against one of its
    users, all of them equally often; so at least as many orders are walked as users stand in."""
    background: int = 0
    """Known users whose values stand in for removed units, drawn by the seed; 0 takes units away."""

    def __post_init__(self) -> None:
        if self.permutations < 1:
            raise InvalidSetting(f"PermutationShapley: permutations={self.permutations}: there is at least one order")

    def __call__(self, question: Question) -> Attribution:
        plan = partial(_plan, orders=-(-self.permutations // max(1, self.background)), seed=question.seed)
        return explained(question, plan, background=self.background, complete=True)


def _plan(units: int, row: int, *, orders: int, seed: int) -> Design:
    """Nothing, all, and between them the heads of every order and of its reverse."""
    generator = np.random.default_rng([seed, STREAM, units, row])
    place = generator.random((orders, units)).argsort(axis=1)[:, None]  # (orders, 1, unit): when each unit comes
    steps = np.arange(1, units)[:, None]
    head = (place < steps).reshape(orders * len(steps), units)
    added = ((place == steps - 1) * 1.0 - (place == steps)).reshape(head.shape)  # the last one in, and the next
    first, last = (place == 0).sum((0, 1)), (place == units - 1).sum((0, 1))
    keep = np.concatenate([np.zeros((1, units), dtype=bool), np.ones((1, units), dtype=bool), head, ~head])
    weights = np.concatenate([-(first + last)[None], (first + last)[None], added, -added])
    return Design(torch.from_numpy(keep), torch.from_numpy(weights / (2.0 * orders)))

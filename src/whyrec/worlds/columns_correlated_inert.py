"""Columns that come in twins, of which only one counts.

    f = b + sum over causes g of w_g x_g,   corr(x_g, x_twin) = .9          phi_g = w_g x_g,   phi_twin = 0

The game removes columns from the model's input (the interventional question), so a twin that the model does not read
has no part in the score. Asked what one learns from seeing a column (the conditional question), a twin would have one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.planted_columns import ColumnsModel, columns_of
from whyrec.planted_truth import ITEMS, UNITS, PlantedTruth, World, numbered, random_lists, signs, sizes, some
from whyrec.recommender import Inputs

CORRELATION = 0.9
BIAS = 0.5


class _Twins(ColumnsModel):
    weights: Tensor  # (ITEMS, UNITS); columns 0 and 1 are twins, 2 and 3, ...

    def make(self, user_count: int, item_count: int) -> None:
        one, noise = torch.randn(2, user_count, UNITS // 2, dtype=torch.float64)
        twin = CORRELATION * one + (1 - CORRELATION**2) ** 0.5 * noise
        self.register_buffer("people", torch.stack([one, twin], dim=-1).flatten(1))
        weights = sizes(item_count, UNITS // 2) * signs(item_count, UNITS // 2) * some(item_count, UNITS // 2, 4)
        first = torch.rand(item_count, UNITS // 2) < 0.5  # which of the two counts
        self.register_buffer("weights", torch.stack([weights * first, weights * ~first], dim=-1).flatten(1))

    def planted(self, inputs: Inputs) -> Tensor:
        return F.linear(columns_of(inputs), self.weights) + BIAS


def columns_correlated_inert(lists: int = 100, *, seed: int = 0) -> World:
    """Each column that counts has a twin that does not: data misleads, the model does not."""
    model = _Twins().build(numbered(lists, "user"), numbered(ITEMS, "item"), seed=seed)
    request = random_lists(lists, seed)
    weights = model.weights[request.items]  # (users, items, UNITS)
    causes = weights != 0
    twins = causes.unflatten(2, (-1, 2)).flip(-1).flatten(2)
    shapley = {"columns": weights * model.people[request.users][:, None]}
    return World(
        "columns_correlated_inert", model, request, PlantedTruth(shapley, {"columns": causes}, {"columns": twins})
    )

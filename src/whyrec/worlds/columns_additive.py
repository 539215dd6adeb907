"""Columns that add up, each on a ramp that saturates.

    f = b + sum over columns g of r_g clip(x_g, -1, 1)          phi_g = r_g clip(x_g, -1, 1)

Seven of twelve columns have a ramp, other ones for each item. Where a ramp is flat the gradient is zero, and the column
still brings all it has.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.planted_columns import ColumnsModel, columns_of
from whyrec.planted_truth import (
    ITEMS,
    UNITS,
    PlantedTruth,
    World,
    nothing_like,
    numbered,
    random_lists,
    signs,
    sizes,
    some,
)
from whyrec.recommender import Inputs

BIAS = -1.0


class _Ramps(ColumnsModel):
    rises: Tensor  # (ITEMS, UNITS)

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("people", 1.2 * torch.randn(user_count, UNITS, dtype=torch.float64))
        rises = sizes(item_count, UNITS) * signs(item_count, UNITS)
        self.register_buffer("rises", rises * some(item_count, UNITS, 7))

    def planted(self, inputs: Inputs) -> Tensor:
        x = columns_of(inputs)
        clipped = F.relu(x + 1) - F.relu(x - 1) - 1  # (users, 1, UNITS)
        return F.linear(clipped, self.rises) + BIAS


def columns_additive(lists: int = 100, *, seed: int = 0) -> World:
    """Saturating columns that add up: gradients miss what is flat."""
    model = _Ramps().build(numbered(lists, "user"), numbered(ITEMS, "item"), seed=seed)
    request = random_lists(lists, seed)
    rises = model.rises[request.items]  # (users, items, UNITS)
    shapley = {"columns": rises * model.people[request.users][:, None].clamp(-1, 1)}
    return World(
        "columns_additive", model, request, PlantedTruth(shapley, {"columns": rises != 0}, nothing_like(shapley))
    )

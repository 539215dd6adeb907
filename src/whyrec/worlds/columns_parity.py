"""Columns that count only together: parity of two signs.

    f = b + sum over pairs of c s_g s_h,   s = -1 or 1          phi_g = phi_h = c s_g s_h / 2

No column of a pair says anything by itself. Taking one away takes the whole pair, so what single removals find is twice
the Shapley value.
"""

from __future__ import annotations

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

BIAS = 0.3


class _Parity(ColumnsModel):
    strengths: Tensor  # (ITEMS, pairs); columns 0 and 1 are a pair, 2 and 3, ...

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("people", signs(user_count, UNITS))
        strengths = sizes(item_count, UNITS // 2) * signs(item_count, UNITS // 2)
        self.register_buffer("strengths", strengths * some(item_count, UNITS // 2, 3))

    def planted(self, inputs: Inputs) -> Tensor:
        x = columns_of(inputs)
        return F.linear(x[..., 0::2] * x[..., 1::2], self.strengths) + BIAS


def columns_parity(lists: int = 100, *, seed: int = 0) -> World:
    """Pairs of columns whose product counts: nothing that looks at one column alone can see it."""
    model = _Parity().build(numbered(lists, "user"), numbered(ITEMS, "item"), seed=seed)
    request = random_lists(lists, seed)
    strengths = model.strengths[request.items].repeat_interleave(2, dim=2)  # (users, items, UNITS)
    products = model.people[request.users].unflatten(1, (-1, 2)).prod(-1).repeat_interleave(2, dim=1)  # (users, UNITS)
    shapley = {"columns": strengths * products[:, None] / 2}
    return World(
        "columns_parity", model, request, PlantedTruth(shapley, {"columns": strengths != 0}, nothing_like(shapley))
    )

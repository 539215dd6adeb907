"""Past items that add up, and pairs of them that bring more or less together.

    f = b + sum over j of a_j + sum over pairs of c_jk          phi_j = a_j + sum over k of c_jk / 2

Taking an item away takes all its pairs, so single removals find a_j + sum c_jk.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.planted_histories import PAST, HistoryModel, basket, drawn, of_past
from whyrec.planted_truth import PlantedTruth, World, nothing_like, signs, sizes, some
from whyrec.recommender import Inputs, Request

BIAS = -2.0
PAIRED = 0.25
"""Share of the pairs of active past items that bring something together."""


class _Pairs(HistoryModel):
    effects: Tensor  # (ITEMS, PAST)
    pairs: Tensor  # (ITEMS, PAST, PAST) symmetric, zero where nothing comes of the two

    def make(self, user_count: int, item_count: int) -> None:
        recommended = item_count - PAST
        active = some(recommended, PAST, PAST // 2)
        self.register_buffer("effects", sizes(recommended, PAST) * active)
        shape = (recommended, PAST, PAST)
        both = active[:, :, None] & active[:, None, :] & (torch.rand(shape) < PAIRED)
        above = (sizes(*shape) * signs(*shape) * both).triu(1)
        self.register_buffer("pairs", above + above.transpose(1, 2))

    def floats_per_user(self, items: int) -> int:
        return self.pairs.numel() // 4  # (users, 1, ITEMS, PAST), several of them at a time

    def planted(self, inputs: Inputs) -> Tensor:
        x = basket(inputs)
        partners = torch.einsum("uxj,ijk->uxik", x, self.pairs)
        together = (partners * x.unsqueeze(2)).sum(-1) / 2  # each pair is met from both sides
        return F.linear(x, self.effects) + together + BIAS


def history_pairs(lists: int = 100, *, seed: int = 0) -> World:
    """A history whose items work in pairs: single removals count every pair twice."""
    model = _Pairs()
    request = drawn(model, lists, seed)
    alone, together = of_past(model.effects, request), _pairs_of(model.pairs, request)
    shapley = {"history": alone + together.sum(-1) / 2}
    causes = {"history": (alone != 0) | (together != 0).any(-1)}
    return World("history_pairs", model, request, PlantedTruth(shapley, causes, nothing_like(shapley)))


def _pairs_of(pairs: Tensor, request: Request) -> Tensor:
    """What each two past items bring together, (users, items, length, length); 0 where one is missing."""
    past, there = request.history.clamp(min=0)[:, None], (request.history >= 0)[:, None]
    together = pairs[(request.items - PAST)[:, :, None, None], past.unsqueeze(3), past.unsqueeze(2)]
    return together * (there.unsqueeze(3) & there.unsqueeze(2))

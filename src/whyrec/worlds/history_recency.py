"""Past items that fade with age.

    f = b + sum over j of a_j g^(age of j)          phi_j = a_j g^(age of j)

Removal masks: the others keep their ages. Deleting an item would make all that is older a step younger, which is
another question: its effect is a_j g^(age of j) - (1/g - 1) sum over older i of a_i g^(age of i).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.planted_histories import PAST, HistoryModel, basket, drawn, of_past
from whyrec.planted_truth import PlantedTruth, World, nothing_like, signs, sizes, some
from whyrec.recommender import Inputs, Request

FADING = 0.75
"""What is left of an effect for each item that was taken later."""

BIAS = -1.0


class _Recency(HistoryModel):
    effects: Tensor  # (ITEMS, PAST)

    def make(self, user_count: int, item_count: int) -> None:
        recommended = item_count - PAST
        effects = sizes(recommended, PAST, least=1.0, most=3.0) * signs(recommended, PAST)
        self.register_buffer("effects", effects * some(recommended, PAST, PAST // 2))

    def units(self, request: Request) -> Inputs:
        history = super().units(request)["history"]
        return {"history": replace(history, values=history.values * _faded(request)[:, None, :, None])}

    def planted(self, inputs: Inputs) -> Tensor:
        return F.linear(basket(inputs), self.effects) + BIAS


def history_recency(lists: int = 100, *, seed: int = 0) -> World:
    """A history that fades: what is recent and what is strong are two things."""
    model = _Recency()
    request = drawn(model, lists, seed)
    effects = of_past(model.effects, request)
    shapley = {"history": effects * _faded(request)[:, None]}
    return World(
        "history_recency", model, request, PlantedTruth(shapley, {"history": effects != 0}, nothing_like(shapley))
    )


def _faded(request: Request) -> Tensor:
    """How much is left of each past item, the last one whole: (users, length)."""
    length = (request.history >= 0).sum(1, keepdim=True)
    age = (length - 1 - torch.arange(request.history.shape[1])).clamp(min=0)
    return FADING**age

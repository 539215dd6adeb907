"""Past items that speak against, and companions that say nothing.

    f = b + sum over j of a_j          phi_j = a_j, many below zero; 0 for a companion

Everybody who took an item also has its companion, and few others do: it goes with the item like nothing else, and moves
no score. Methods that count events put it first; methods that cannot say "against" miss the suppressors.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.planted_histories import (
    PAST,
    USERS_PER_LIST,
    HistoryModel,
    ask_lists,
    basket,
    build,
    draw_histories,
    of_past,
    take,
)
from whyrec.planted_truth import ITEMS, PlantedTruth, World, signs, sizes, some
from whyrec.recommender import Inputs

BIAS = 0.0
EACH = 2
"""Companions of each recommended item."""

FIRST = PAST - EACH * ITEMS
"""The companions are the least popular past items, from here on, in the order of the items they go with."""


class _Suppressors(HistoryModel):
    effects: Tensor  # (ITEMS, PAST)

    def make(self, user_count: int, item_count: int) -> None:
        recommended = item_count - PAST
        effects = sizes(recommended, PAST) * signs(recommended, PAST) * some(recommended, PAST, 3 * PAST // 5)
        effects[:, FIRST:] = 0
        self.register_buffer("effects", effects)

    def planted(self, inputs: Inputs) -> Tensor:
        return F.linear(basket(inputs), self.effects) + BIAS


def history_decoys(lists: int = 100, *, seed: int = 0) -> World:
    """Suppressors, and companions that go with everything and move nothing: counting events is led astray."""
    generator, model = np.random.default_rng(seed), _Suppressors()
    histories = draw_histories(lists * USERS_PER_LIST, generator)
    histories = torch.where(histories < FIRST, histories, -1)
    build(model, len(histories), seed)
    taken = take(model, histories, generator)
    histories = torch.cat([histories[:, EACH:], _companions(taken)], dim=1)
    request = ask_lists(model, histories, taken, generator)
    shapley = {"history": of_past(model.effects, request)}
    decoys = (request.history >= FIRST)[:, None].expand(shapley["history"].shape)
    truth = PlantedTruth(shapley, {"history": shapley["history"] != 0}, {"history": decoys})
    return World("history_decoys", model, request, truth)


def _companions(taken: Tensor) -> Tensor:
    """What goes with each taken item, (users, EACH); taken last, it moves nothing."""
    return FIRST + EACH * (taken - PAST)[:, None] + torch.arange(EACH)

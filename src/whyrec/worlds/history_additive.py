"""Past items that add up.

    f = b + sum over past items j of a_j          phi_j = a_j

Half of the past items bring something, other ones for each item. Nothing is left to opinion: single removals,
gradients, relevance and Shapley values are one and the same.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from whyrec.planted_histories import PAST, HistoryModel, basket, drawn, of_past
from whyrec.planted_truth import PlantedTruth, World, nothing_like, sizes, some
from whyrec.recommender import Inputs

BIAS = -2.0


class _Additive(HistoryModel):
    effects: Tensor  # (ITEMS, PAST)

    def make(self, user_count: int, item_count: int) -> None:
        recommended = item_count - PAST
        self.register_buffer("effects", sizes(recommended, PAST) * some(recommended, PAST, PAST // 2))

    def planted(self, inputs: Inputs) -> Tensor:
        return F.linear(basket(inputs), self.effects) + BIAS


def history_additive(lists: int = 100, *, seed: int = 0) -> World:
    """A history that adds up, like that of MF or EASE: every sound method is exact."""
    model = _Additive()
    request = drawn(model, lists, seed)
    shapley = {"history": of_past(model.effects, request)}
    causes = {"history": shapley["history"] != 0}
    return World("history_additive", model, request, PlantedTruth(shapley, causes, nothing_like(shapley)))

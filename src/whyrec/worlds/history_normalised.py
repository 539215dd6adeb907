"""Past items whose vector is brought to length one, as an autoencoder for recommendations does.

    f = sum over the n known past items of a_j / sqrt(n)

    phi_j = 1/n sum for k = 0 ... n - 1 of (a_j + k m) / sqrt(k + 1) - k m / sqrt(k),   m the mean of the other effects

The score does not change with the length of the input: gradients along a path from zero sum to nothing, while the score
has come a long way. A known item without an effect dilutes the others, and so speaks against; one that the encoder does
not know does nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.planted_histories import PAST, HistoryModel, basket, drawn, of_past
from whyrec.planted_truth import UNITS, PlantedTruth, World, nothing_like, sizes, some
from whyrec.recommender import Inputs


class _Normalised(HistoryModel):
    effects: Tensor  # (ITEMS, PAST)
    encoded: Tensor  # (PAST,) 1 for items that the encoder knows

    def make(self, user_count: int, item_count: int) -> None:
        recommended = item_count - PAST
        encoded = some(1, PAST, 2 * PAST // 3)
        self.register_buffer("encoded", encoded[0].double())
        self.register_buffer("effects", sizes(recommended, PAST) * some(recommended, PAST, PAST // 2) * encoded)

    def planted(self, inputs: Inputs) -> Tensor:
        return F.linear(F.normalize(basket(inputs) * self.encoded, dim=-1), self.effects)


def history_normalised(lists: int = 100, *, seed: int = 0) -> World:
    """A history of length one whatever it holds: integrated gradients from zero find no way the score has come."""
    model = _Normalised()
    request = drawn(model, lists, seed)
    encoded = of_past(model.encoded.expand_as(model.effects), request) > 0
    effects = of_past(model.effects, request)
    shapley = {"history": _shapley(effects, encoded)}
    causes = {"history": encoded & (effects != 0).any(-1, keepdim=True)}  # where nothing has an effect, nothing dilutes
    return World("history_normalised", model, request, PlantedTruth(shapley, causes, nothing_like(shapley)))


def _shapley(effects: Tensor, encoded: Tensor) -> Tensor:
    """The formula above for every past item, (users, items, length)."""
    count = encoded.sum(-1, keepdim=True)
    mean_of_others = (effects.sum(-1, keepdim=True) - effects) / (count - 1).clamp(min=1)
    total = torch.zeros_like(effects)
    for before in range(UNITS):
        gained = (effects + before * mean_of_others) / (before + 1) ** 0.5 - before**0.5 * mean_of_others
        total += torch.where(before < count, gained, 0.0)
    return torch.where(encoded, total / count.clamp(min=1), 0.0)

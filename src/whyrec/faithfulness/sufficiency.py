"""Sufficiency: how much of the target the k most relevant units bring by themselves.

    SUF@k = g(only its top k) - g(nothing)         higher is better

Says that the units carry the score alone. A model that never saw short histories may answer strangely to them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from whyrec.coalitions import Players

JUDGES = "order"


def sufficiency(players: Players, ranks: Tensor, k: int) -> Tensor:
    """Rise of the target for each order, (orders, users, items), in units of the target; ranks as in `orders`."""
    nothing = players.worth(torch.zeros_like(players.present)[None])
    return players.worth(players.present & (ranks < k)) - nothing

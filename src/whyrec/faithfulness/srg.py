"""SRG: the area between taking the least relevant units away first and taking the most relevant away first.

    SRG = AUC(least first) - AUC(most first),   areas over the share removed, 0 to 1      higher is better

Bluecher et al. 2024, Decoupling pixel flipping and occlusion strategy. A random order has expectation exactly 0, and
the reversed order the same value with the other sign, whatever removal means.
"""

from __future__ import annotations

import torch
from torch import Tensor

from whyrec.coalitions import Players
from whyrec.orders import removal_curve

JUDGES = "order"
STEPS = 20


def srg(players: Players, ranks: Tensor, k: int = STEPS) -> Tensor:
    """Area for each order with `k` steps of removal, (orders, users, items); ranks as in `orders`."""
    backwards = players.present.sum(-1, keepdim=True) - 1 - ranks
    most, least = (removal_curve(players, order, k) for order in (ranks, backwards))
    return torch.trapezoid(least - most, dx=1 / k, dim=0)

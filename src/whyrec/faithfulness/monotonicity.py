"""Monotonicity: going down the order of relevance, does each unit matter no more than the one before it?

    share of neighbours i, j in the order with  g(x) - g(x without i) >= g(x) - g(x without j)      higher is better

Exactly 1 for a right attribution of a linear model; one half is chance. Looks at single removals only.
"""

from __future__ import annotations

import torch
from torch import Tensor

from whyrec.coalitions import Players

JUDGES = "order"


def monotonicity(players: Players, ranks: Tensor, k: int = 0) -> Tensor:
    """Share of neighbours in the right order, (orders, users, items); the `k` first units where k > 0, else all."""
    drops = players.single_drops().expand(ranks.shape)
    in_order = torch.empty_like(drops).scatter_(-1, ranks, drops)
    count = players.present.sum(-1)
    last = count if k == 0 else count.clamp(max=k)
    neighbour = torch.arange(1, ranks.shape[-1], device=ranks.device) < last.unsqueeze(-1)
    tolerance = 1e-9 * drops.abs().amax(-1, keepdim=True)  # rounding is no disorder
    right = in_order[..., :-1] >= in_order[..., 1:] - tolerance
    return (right & neighbour).sum(-1) / neighbour.sum(-1)

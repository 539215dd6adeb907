"""Removal fit: how well sums of relevance foretell what removing sets of units does, in the best common scale.

    1 - E[(b s - d)^2] / E[d^2],   s = sum of relevance in S,  d = g(x) - g(x without S),  b = E[s d] / E[s^2]

The infidelity of Yeh et al. 2019 with the scale fitted, as a share of what relevance of zero would get, and turned
round: 1 is perfect, 0 says nothing. Unlike a correlation it is not blind to what all sets share.
"""

from __future__ import annotations

import torch
from torch import Tensor

from whyrec.coalitions import Players
from whyrec.faithfulness import said_and_fell

JUDGES = "relevance"


def removal_fit(players: Players, relevance: Tensor, seed: int = 0) -> Tensor:
    """Fit over 200 random sets of 5, 10 or 20 % of the units, (users, items); NaN where nothing falls.

    `relevance` is (users, items, players), as `Players.join` gives it. A method that is right but for its sign fits
    with b < 0 and counts below 0.
    """
    said, fell = said_and_fell(players, relevance, f"fit{seed}")
    together, own = (said * fell).sum(0), said.square().sum(0)
    fit = together.abs() * together / (own * fell.square().sum(0))
    return torch.where(own == 0, 0.0, fit).masked_fill(fell.square().sum(0) == 0, torch.nan)

"""Faithfulness correlation: does the relevance of a set of units say how far the target falls without it?

    correlation over random sets S of   sum of relevance in S   with   g(x) - g(x without S)        higher is better

Bhatt et al. 2020; with sets of one size it is Sensitivity-n (Ancona et al. 2018). Exactly 1 for a right attribution of
a linear model. Blind to a wrong scale, and to what all sets share.
"""

from __future__ import annotations

import torch
from torch import Tensor

from whyrec.coalitions import Players
from whyrec.faithfulness import said_and_fell

JUDGES = "relevance"


def correlation(players: Players, relevance: Tensor, seed: int = 0) -> Tensor:
    """Pearson correlation over 200 random sets of 5, 10 or 20 % of the units, (users, items); NaN where nothing varies.

    `relevance` is (users, items, players), as `Players.join` gives it.
    """
    said, fell = said_and_fell(players, relevance, f"corr{seed}")
    said, fell = said - said.mean(0), fell - fell.mean(0)
    scale = (said.square().sum(0) * fell.square().sum(0)).sqrt()
    return (said * fell).sum(0) / scale.masked_fill(scale == 0, torch.nan)

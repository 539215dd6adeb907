"""How many reasons an explanation amounts to. Describes an explanation; simple is neither right nor wrong."""

from __future__ import annotations

import torch
from torch import Tensor


def effective_reasons(relevance: Tensor, present: Tensor) -> Tensor:
    """exp of the entropy of the positive relevance, (...) from (..., unit): n equal reasons and nothing else give n.

    NaN where nothing is positive.

    >>> effective_reasons(torch.tensor([2.0, 2.0, -7.0, 0.0]), torch.ones(4, dtype=torch.bool)).round(decimals=3)
    tensor(2., dtype=torch.float64)
    """
    positive = relevance.double().clamp(min=0).masked_fill(~present, 0)
    total = positive.sum(-1, keepdim=True)
    share = positive / total
    effective: Tensor = torch.special.entr(share).sum(-1).exp()
    return effective.masked_fill(total.squeeze(-1) == 0, torch.nan)


def negative_share(relevance: Tensor, present: Tensor) -> Tensor:
    """Share of the absolute relevance that is negative, (...) from (..., unit); NaN where all is zero.

    >>> negative_share(torch.tensor([3.0, -1.0]), torch.ones(2, dtype=torch.bool)).item()
    0.25
    """
    there = relevance.double().masked_fill(~present, 0)
    return there.clamp(max=0).abs().sum(-1) / there.abs().sum(-1)

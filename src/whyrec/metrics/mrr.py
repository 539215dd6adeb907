"""MRR@k: one over the rank of the first held-out item, 0 where none is among the first k."""

from __future__ import annotations

import torch
from torch import Tensor

LABEL = "MRR"
OF = "ranks"


def mrr(ranks: Tensor, k: int) -> Tensor:
    """1 / rank of the best held-out item where that is among the first k, else 0; (users,) float64.

    `ranks` is (users, held out): 1 is the top, 0 is padding. A user with nothing held out gets NaN. The mean over users
    is the mean reciprocal rank (Voorhees 1999).

    >>> mrr(torch.tensor([[2, 4], [11, 0]]), k=10).tolist()
    [0.5, 0.0]
    """
    there = ranks > 0
    gained = torch.where(there & (ranks <= k), 1 / ranks.double(), 0.0)
    return gained.amax(1).masked_fill(~there.any(1), float("nan"))

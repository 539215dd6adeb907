"""NDCG@k: how near the top the held-out items are; 1 when they lead the list, 0 when none is among the first k."""

from __future__ import annotations

import torch
from torch import Tensor

LABEL = "NDCG"
OF = "ranks"


def ndcg(ranks: Tensor, k: int) -> Tensor:
    """Gain 1 / log2(1 + rank) of each held-out item among the first k, divided by the best possible; (users,) float64.

    `ranks` is (users, held out): 1 is the top, 0 is padding. A user with nothing held out gets NaN.
    Järvelin and Kekäläinen 2002, with binary relevance.

    >>> ndcg(torch.tensor([[1], [3], [11]]), k=10).tolist()
    [1.0, 0.5, 0.0]
    """
    there = ranks > 0
    gained = torch.where(there & (ranks <= k), 1 / torch.log2(1 + ranks.double().clamp(min=1)), 0.0).sum(1)
    places = torch.arange(1, k + 1, dtype=torch.float64)
    best = torch.cat([torch.zeros(1, dtype=torch.float64), (1 / torch.log2(1 + places)).cumsum(0)])
    return gained / best[there.sum(1).clamp(max=k)].masked_fill(~there.any(1), float("nan"))

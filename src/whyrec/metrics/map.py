"""MAP@k: precision at each place that holds a held-out item, averaged; 1 when they lead the list."""

from __future__ import annotations

import torch
from torch import Tensor

LABEL = "MAP"
OF = "ranks"


def average_precision(ranks: Tensor, k: int) -> Tensor:
    """Sum over held-out items among the first k of (held-out items so far / rank), over the most there can be.

    (users,) float64. The most is the number of held-out items, or k where there are more, so a perfect list has 1. The
    mean over users is mean average precision. `ranks` is (users, held out): 1 is the top, 0 is padding. A user with
    nothing held out gets NaN.

    >>> average_precision(torch.tensor([[1, 4], [11, 0]]), k=10).tolist()
    [0.75, 0.0]
    """
    there = ranks > 0
    ordered = torch.where(there, ranks, k + 1).sort(dim=1).values
    so_far = torch.arange(1, ranks.shape[1] + 1, device=ranks.device)
    gained = torch.where(ordered <= k, so_far / ordered.double(), 0.0).sum(1)
    return gained / there.sum(1).clamp(max=k)

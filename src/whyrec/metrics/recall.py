"""Recall@k: the share of a user's held-out items that are among the first k."""

from __future__ import annotations

from torch import Tensor

LABEL = "Recall"
OF = "ranks"


def recall(ranks: Tensor, k: int) -> Tensor:
    """Held-out items among the first k, over all held-out items; (users,) float64.

    `ranks` is (users, held out): 1 is the top, 0 is padding. A user with nothing held out gets NaN. With more than k
    held-out items even a perfect list stays below 1.

    >>> import torch
    >>> recall(torch.tensor([[2, 4, 11], [11, 0, 0]]), k=10).round(decimals=3).tolist()
    [0.667, 0.0]
    """
    there = ranks > 0
    return ((ranks <= k) & there).sum(1).double() / there.sum(1)

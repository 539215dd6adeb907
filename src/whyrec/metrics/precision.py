"""Precision@k: the share of the first k places that hold a held-out item."""

from __future__ import annotations

from torch import Tensor

LABEL = "Precision"
OF = "ranks"


def precision(ranks: Tensor, k: int) -> Tensor:
    """Held-out items among the first k, over k; (users,) float64.

    `ranks` is (users, held out): 1 is the top, 0 is padding. A user with nothing held out gets NaN. With fewer than k
    held-out items even a perfect list stays below 1: with one of them, precision is HR / k.

    >>> import torch
    >>> precision(torch.tensor([[2, 4, 11], [11, 0, 0]]), k=10).tolist()
    [0.2, 0.0]
    """
    there = ranks > 0
    return (((ranks <= k) & there).sum(1).double() / k).masked_fill(~there.any(1), float("nan"))

"""HR@k: the share of users with at least one held-out item among the first k."""

from __future__ import annotations

from torch import Tensor

LABEL = "HR"
OF = "ranks"


def hit_rate(ranks: Tensor, k: int) -> Tensor:
    """1 for a user whose list of k holds a held-out item, 0 for one whose list holds none; (users,) float64.

    `ranks` is (users, held out): 1 is the top, 0 is padding. A user with nothing held out gets NaN.

    >>> import torch
    >>> hit_rate(torch.tensor([[3], [11]]), k=10).tolist()
    [1.0, 0.0]
    """
    there = ranks > 0
    hit = ((ranks <= k) & there).any(1).double()
    return hit.masked_fill(~there.any(1), float("nan"))

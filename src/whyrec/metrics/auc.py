"""AUC: how often a held-out item stands above another candidate; 0.5 is chance, wherever in the list it happens."""

from __future__ import annotations

from torch import Tensor

LABEL = "AUC"
OF = "candidates"


def auc(ranks: Tensor, candidates: Tensor) -> Tensor:
    """Share of pairs of a held-out item and another candidate in which the held-out one ranks higher; (users,) float64.

    Area under the ROC curve of each user (Rendle et al. 2009). `ranks` is (users, held out): 1 is the top, 0 is
    padding; `candidates` (users,) counts all that was ranked, held-out items included. Ties count against the held-out
    item, as they do in the ranks. A user with nothing held out, or with nothing else ranked, gets NaN.

    >>> import torch
    >>> auc(torch.tensor([[1, 3], [5, 0]]), candidates=torch.tensor([4, 5])).tolist()
    [0.75, 0.0]
    """
    held_out = (ranks > 0).sum(1)
    others = candidates - held_out
    ahead = ranks.sum(1) - held_out * (held_out + 1) // 2  # the j-th held-out item has j - 1 of its own kind above it
    return 1 - ahead.double() / (held_out * others)

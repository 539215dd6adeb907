"""Diversity@k: how little the items of a list have in common; 1 where no user took any two of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from whyrec.co_occurrence import cosine
from whyrec.metrics import Lists

LABEL = "Diversity"
OF = "lists"


def diversity(lists: Lists) -> Tensor:
    """1 - mean cosine over all pairs of a list's items as vectors over users; (users,) float64, from 0 to 1.

    One minus the intra-list similarity of Ziegler et al. 2005, by who took the items and not by what they are. An item
    that nobody took is like no other. A list of fewer than two items has NaN.

    >>> from whyrec.interactions import Interactions
    >>> known = Interactions(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 2]), user_count=2, item_count=4)
    >>> diversity(Lists(torch.tensor([[1, 2], [0, -1]]), np.array([0, 1]), known)).tolist()
    [1.0, nan]
    """
    first, second = np.triu_indices(lists.items.shape[1], k=1)
    one, other = lists.items[:, first], lists.items[:, second]  # (users, pairs)
    there = (one >= 0) & (other >= 0)
    alike = torch.from_numpy(cosine(lists.known, one.clamp(min=0).numpy(), other.clamp(min=0).numpy()))
    return 1 - torch.where(there, alike, 0.0).sum(1) / there.sum(1)

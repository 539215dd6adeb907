"""PopularityBias@k: how much more popular the recommended items are than those the same users took by themselves."""

from __future__ import annotations

import torch
from torch import Tensor

from whyrec.metrics import Lists, mean_of

LABEL = "PopularityBias"
OF = "lists"


def popularity_bias(lists: Lists) -> Tensor:
    """Mean popularity of each user's list, and of the user's history; (users, 2) float64, in users who took the item.

    The ratio of their means is 1 where lists are as popular as histories, above 1 where they are more so: one more than
    the change in group average popularity of Abdollahpouri et al. 2019, with all users as one group. A user without a
    list or without a history has NaN.

    >>> import numpy as np
    >>> from whyrec.interactions import Interactions
    >>> known = Interactions(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), user_count=3, item_count=2)
    >>> popularity_bias(Lists(torch.tensor([[1], [-1]]), np.array([0, 1]), known)).tolist()
    [[2.0, 2.0], [nan, 2.0]]
    """
    takers = lists.takers
    return torch.stack([mean_of(takers, lists.items), mean_of(takers, lists.histories)], dim=1)

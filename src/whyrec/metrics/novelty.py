"""Novelty@k: how surprising the recommended items are, in bits; one more bit is half as many users who took them."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from whyrec.metrics import Lists, mean_of

LABEL = "Novelty"
OF = "lists"


def novelty(lists: Lists) -> Tensor:
    """Mean self-information of each list's items, -log2(share of users who took it); (users,) float64, in bits.

    Zhou et al. 2010, Solving the apparent diversity-accuracy dilemma of recommender systems. Users without any event
    are not counted; an item that nobody took counts as if one user had. An empty list has NaN.

    >>> import torch
    >>> from whyrec.interactions import Interactions
    >>> known = Interactions(np.array([0, 1, 2, 3, 3]), np.array([0, 0, 0, 0, 1]), user_count=4, item_count=3)
    >>> novelty(Lists(torch.tensor([[0, 1], [1, 2]]), np.array([0, 1]), known)).tolist()
    [1.0, 2.0]
    """
    people = len(np.unique(lists.known.users))
    return mean_of(-(lists.takers.double().clamp(min=1) / max(people, 1)).log2(), lists.items)

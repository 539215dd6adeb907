"""Gini@k: how unevenly the places of all lists are shared out among items; 0 is evenly, near 1 all to one."""

from __future__ import annotations

import torch
from torch import Tensor

from whyrec.metrics import Lists

LABEL = "Gini"
OF = "lists"


def gini(lists: Lists) -> Tensor:
    """Gini coefficient of how many lists each item of the catalogue is in; one number, float64.

        sum over items of (2 j - n - 1) c_j / (n sum of c),  c_1 <= ... <= c_n

    Items in no list count as zero: with n items, one that takes every place makes 1 - 1/n.

    >>> import numpy as np
    >>> from whyrec.interactions import Interactions
    >>> known = Interactions(np.array([0, 1]), np.array([0, 0]), user_count=2, item_count=4)
    >>> gini(Lists(torch.tensor([[1], [1]]), np.array([0, 1]), known)).item()
    0.75
    """
    counts = lists.recommended.sort().values.double()
    n = lists.catalogue
    place = torch.arange(1, n + 1, dtype=torch.float64)
    return ((2 * place - n - 1) * counts).sum() / (n * counts.sum())

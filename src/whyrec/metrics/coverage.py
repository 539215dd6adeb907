"""Coverage@k: the share of the catalogue that is in anybody's list."""

from __future__ import annotations

import torch
from torch import Tensor

from whyrec.metrics import Lists

LABEL = "Coverage"
OF = "lists"


def coverage(lists: Lists) -> Tensor:
    """Items in at least one list, over all items of the catalogue; one number, float64.

    Grows with the number of lists, so only models that made lists for the same users can be compared.

    >>> import numpy as np
    >>> from whyrec.interactions import Interactions
    >>> known = Interactions(np.array([0, 1]), np.array([0, 0]), user_count=2, item_count=8)
    >>> coverage(Lists(torch.tensor([[1, 2], [2, 3]]), np.array([0, 1]), known)).item()
    0.375
    """
    if not (lists.items >= 0).any():
        return torch.tensor(float("nan"), dtype=torch.float64)
    return (lists.recommended > 0).double().mean()

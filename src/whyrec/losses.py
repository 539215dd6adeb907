"""How wrong a batch of scores is. The first column holds the item that was taken, the others were not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def log_loss(scores: Tensor) -> Tensor:
    """Binary cross-entropy of each score read as a logit; the mean over the batch, in nats.

    Eq. 7 of He et al. 2017, Neural collaborative filtering.

    >>> round(float(log_loss(torch.zeros(2, 5))), 4)
    0.6931
    """
    taken = torch.zeros_like(scores)
    taken[:, 0] = 1.0
    return F.binary_cross_entropy_with_logits(scores, taken)

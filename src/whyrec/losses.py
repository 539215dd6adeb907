"""How wrong a batch of scores is. The first column holds the item that was taken, the others were not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def log_loss(scores: Tensor) -> Tensor:
    """Binary cross-entropy of each score read as a logit; the mean over the batch, in nats.

    Eq. 7 of He et al. 2017, Neural collaborative filtering.

    >>> round(float(log_loss(torch.zeros(2, 5))), 4)
    0.6931
    """
    taken = torch.zeros_like(scores)
    taken[:, 0] = 1.0
    return F.binary_cross_entropy_with_logits(scores, taken)


def bpr(scores: Tensor) -> Tensor:
    """Minus the log-probability that the taken item is ahead of each other one; the mean over pairs, in nats.

    Rendle et al. 2009, BPR: Bayesian personalised ranking from implicit feedback. Only differences of scores within a
    row mean something to it.

    >>> round(float(bpr(torch.zeros(2, 5))), 4)
    0.6931
    """
    return F.softplus(scores[:, 1:] - scores[:, :1]).mean()


LOSSES = {"log": log_loss, "bpr": bpr}

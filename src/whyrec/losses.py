"""How wrong a batch of scores is, beside what is wanted, both (users, items); and how long the vectors they rest on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.recommender import Inputs, spread, vector


def log_loss(scores: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy of each score read as a logit; the mean over the batch, in nats.

    Eq. 7 of He et al. 2017, Neural collaborative filtering.

    >>> import torch
    >>> round(float(log_loss(torch.zeros(2, 5), torch.ones(2, 5))), 4)
    0.6931
    """
    return F.binary_cross_entropy_with_logits(scores, wanted)


def bpr(scores: Tensor) -> Tensor:
    """Minus the log-probability that the first item is ahead of each other one; the mean over pairs, in nats.

    Rendle et al. 2009, BPR: Bayesian personalised ranking from implicit feedback. Only differences of scores within a
    row mean something to it.

    >>> import torch
    >>> round(float(bpr(torch.zeros(2, 5))), 4)
    0.6931
    """
    return F.softplus(scores[:, 1:] - scores[:, :1]).mean()


def multinomial(scores: Tensor, wanted: Tensor) -> Tensor:
    """Minus the log-probability of each item that was taken, of all items; the mean over items taken, in nats.

    Eq. 2 of Liang et al. 2018, Variational autoencoders for collaborative filtering; there summed over a user's items,
    here everybody's items weigh the same.

    >>> import torch
    >>> round(float(multinomial(torch.zeros(2, 5), torch.tensor([[1.0, 1, 0, 0, 0], [0, 0, 1, 0, 0]]))), 4)
    1.6094
    """
    return -(wanted * F.log_softmax(scores, dim=1)).sum() / wanted.sum()


def squared(scores: Tensor, wanted: Tensor) -> Tensor:
    """Squared error, the mean over the batch, in squared units of the values.

    >>> import torch
    >>> float(squared(torch.tensor([[3.0], [4.0]]), torch.tensor([[5.0], [4.0]])))
    2.0
    """
    return F.mse_loss(scores, wanted)


def ridge(inputs: Inputs) -> Tensor:
    """Squared length of what each score is read from, the mean over scores and the sum over parts.

    Past items that a score only sums count by their sum. As each score pays for its own vectors, those that are read
    often weigh as much beside their errors as those that are not (Koren 2008, Factorization meets the neighborhood).

    >>> from whyrec.recommender import Part
    >>> user, bias = torch.full((2, 1, 3, 1), 2.0), torch.tensor([[[1.0]], [[3.0]]])
    >>> float(ridge({"user": Part.of(user), "bias": Part.of(bias)}))
    17.0
    """
    read = ((part.values.sum(2) if part.summed else vector(part), part.index) for part in inputs.values())
    return torch.stack([spread(one.square().sum(-1, keepdim=True), index).mean() for one, index in read]).sum()

"""How alike two explanations are: rank correlation over all units, and overlap of the most relevant ones."""

from __future__ import annotations

import torch
from torch import Tensor

from whyrec.attribution import Attribution


def unit_correlation(one: Attribution, other: Attribution) -> Tensor:
    """Spearman's correlation over the units both have, for every place of every list, (users, items)."""
    pairs = [
        (part.flatten(2), other.relevance[name].flatten(2), (one.present[name] & other.present[name]).flatten(2))
        for name, part in one.relevance.items()
    ]
    first, second, both = (torch.cat(side, dim=-1) for side in zip(*pairs, strict=True))
    return spearman(first, second, both)


def spearman(first: Tensor, second: Tensor, present: Tensor) -> Tensor:
    """Correlation of ranks over the last axis, ties at their mean rank; NaN where fewer than three are present.

    >>> a = torch.tensor([1.0, 2.0, 3.0, 9.0])
    >>> spearman(a, a.flip(0), torch.ones(4, dtype=torch.bool)).item()
    -1.0
    """
    x, y = _centred_ranks(first, present), _centred_ranks(second, present)
    scale = (x.square().sum(-1) * y.square().sum(-1)).sqrt()
    correlation = torch.where(scale > 0, (x * y).sum(-1) / scale, 0.0)  # a constant explanation agrees with nothing
    return correlation.masked_fill(present.sum(-1) < 3, torch.nan)


def top_overlap(one: Tensor, other: Tensor, among: Tensor, k: int = 5) -> Tensor:
    """Share of the k most relevant units of one that are among those of the other, (...) from (..., unit).

    Only units in the mask `among` count; where fewer than k are there, all of them are the top.

    >>> a, b = torch.tensor([4.0, 3, 2, 1]), torch.tensor([4.0, 1, 2, 3])
    >>> top_overlap(a, b, torch.ones(4, dtype=torch.bool), k=2).item()
    0.5
    """
    return (_top(one, among, k) & _top(other, among, k)).sum(-1) / among.sum(-1).clamp(max=k)


def _top(relevance: Tensor, among: Tensor, k: int) -> Tensor:
    best = relevance.masked_fill(~among, -torch.inf).topk(min(k, relevance.shape[-1]), dim=-1).indices
    return torch.zeros_like(among).scatter_(-1, best, True) & among


def _centred_ranks(values: Tensor, present: Tensor) -> Tensor:
    pairs = present[..., None, :] & present[..., :, None]
    below = ((values[..., :, None] > values[..., None, :]) & pairs).sum(-1)
    equal = ((values[..., :, None] == values[..., None, :]) & pairs).sum(-1)
    ranks = below + (equal - 1) / 2.0
    mean = ranks.masked_fill(~present, 0).sum(-1, keepdim=True) / present.sum(-1, keepdim=True).clamp(min=1)
    return (ranks - mean).masked_fill(~present, 0).double()

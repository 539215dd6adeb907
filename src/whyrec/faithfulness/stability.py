"""Stability: nearly the same user should get nearly the same reasons.

    share of the k most relevant units that stay among the k when one random unit of the history is gone

The neighbour is a user whose history lacks one item (never noise on a list of items). Stable is not the same as right:
a constant explanation is perfectly stable.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from whyrec.attribution import Attribution
from whyrec.explanation import Explainer
from whyrec.question import Question, ask

JUDGES = "explainer"
TOP = 5


def stability(explainer: Explainer, question: Question, attribution: Attribution) -> Tensor:
    """Overlap of the top 5, from 0 to 1, for every place of every list, (users, items); NaN without a history."""
    history = question.request.history
    gone = _one_each(history, question)
    request = replace(question.request, history=torch.where(gone, -1, history))
    asked = ask(question.model, request, parts=question.parts, seed=question.seed)
    neighbour = explainer(replace(asked, train=question.train))
    if "history" not in attribution.relevance:
        return torch.full(question.shape, torch.nan)
    still = attribution.present["history"] & ~gone[:, None, :].cpu()
    top = [_top(found.relevance["history"], still) for found in (attribution, neighbour)]
    return (top[0] & top[1]).sum(-1) / still.sum(-1).clamp(max=TOP)


def _one_each(history: Tensor, question: Question) -> Tensor:
    """Mask of one random past item of every user, (users, length)."""
    gone = torch.zeros_like(history, dtype=torch.bool)
    for row, generator in enumerate(question.generators("stable")):
        there = (history[row] >= 0).nonzero()[:, 0]
        if len(there):
            gone[row, there[int(generator.integers(len(there)))]] = True
    return gone


def _top(relevance: Tensor, among: Tensor) -> Tensor:
    best = relevance.masked_fill(~among, -torch.inf).topk(min(TOP, relevance.shape[-1]), dim=-1).indices
    return torch.zeros_like(among).scatter_(-1, best, True) & among

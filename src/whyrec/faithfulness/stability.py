"""Stability: nearly the same user should get nearly the same reasons.

    share of the k most relevant units that stay among the k when one random unit is gone

The neighbour is a user whose history lacks one item (never noise on a list of items) or, of a model without histories,
one who has one unit at its baseline. Stable is not the same as right: a constant explanation is perfectly stable.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from whyrec.attribution import Attribution
from whyrec.coalitions import Players
from whyrec.explanation import Explainer
from whyrec.question import Question, ask
from whyrec.recommender import keep_only
from whyrec.spearman import top_overlap

JUDGES = "explainer"


def stability(explainer: Explainer, question: Question, attribution: Attribution) -> Tensor:
    """Overlap of the top 5, from 0 to 1, for every place of every list, (users, items)."""
    if "history" not in attribution.relevance:
        return _without_one_unit(explainer, question, attribution)
    history = question.request.history
    gone = _one_each(history, question)
    request = replace(question.request, history=torch.where(gone, -1, history))
    asked = ask(
        question.model,
        request,
        parts=question.parts,
        target=question.target,
        rivals=question.rivals,
        seed=question.seed,
    )
    neighbour = explainer(asked)
    still = attribution.present["history"] & ~gone[:, None, :].cpu()
    return top_overlap(attribution.relevance["history"], neighbour.relevance["history"], still)


def _without_one_unit(explainer: Explainer, question: Question, attribution: Attribution) -> Tensor:
    """The same where there is no history: the inputs keep all but one unit of every user."""
    players = Players(question)
    gone = players.present.new_zeros(players.present.shape)
    for row, generator in enumerate(question.generators("stable")):
        there = players.present[row, 0].nonzero()[:, 0]
        gone[row, :, there[int(generator.integers(len(there)))]] = True
    shared = {name: question.inputs[name].values.shape[1] == 1 for name in question.parts}
    keep = {name: ~(one[:, :1] if shared[name] else one) for name, one in players.part(gone).items()}
    neighbour = explainer(replace(question, inputs=keep_only(question.inputs, keep)))
    one, other = players.join(attribution.relevance), players.join(neighbour.relevance)
    return top_overlap(one, other, players.present & ~gone)


def _one_each(history: Tensor, question: Question) -> Tensor:
    """Mask of one random past item of every user, (users, length)."""
    gone = torch.zeros_like(history, dtype=torch.bool)
    for row, generator in enumerate(question.generators("stable")):
        there = (history[row] >= 0).nonzero()[:, 0]
        if len(there):
            gone[row, there[int(generator.integers(len(there)))]] = True
    return gone

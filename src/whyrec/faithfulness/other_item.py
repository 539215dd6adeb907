"""Other item: reasons for one item should not be the reasons for any other.

    Spearman correlation of the relevances for the explained item and for a random one that is not in the list

Above 0.9 a method fails: it says what the user is like, or what is popular, and not why this item.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from whyrec.attribution import Attribution
from whyrec.explanation import Explainer
from whyrec.question import Question, ask
from whyrec.spearman import unit_correlation
from whyrec.targets import seen_of

JUDGES = "explainer"


def other_item(explainer: Explainer, question: Question, attribution: Attribution) -> Tensor:
    """Rank correlation for every place of every list, (users, items); lower is better; NaN where there is no other."""
    others = _others(question)
    if others is None:
        return torch.full(question.shape, torch.nan)
    request = replace(question.request, items=others)
    asked = ask(question.model, request, parts=question.parts, target=question.target, seed=question.seed)
    return unit_correlation(attribution, explainer(asked))


def _others(question: Question) -> Tensor | None:
    """A random item for every place, neither seen nor in the list, (users, items); None where a user has none."""
    count, (users, places) = len(question.model.items), question.shape
    taken = torch.cat([seen_of(question.model, question.request), question.request.items.expand(users, -1)], dim=1)
    found = torch.empty(users, places, dtype=torch.int64)
    for row, generator in enumerate(question.generators("other")):
        free = torch.ones(count, dtype=torch.bool)
        free[taken[row][taken[row] >= 0].cpu()] = False
        rows = free.nonzero()[:, 0]
        if len(rows) == 0:
            return None
        found[row] = rows[torch.from_numpy(generator.integers(len(rows), size=places))]
    return found.to(question.request.items.device)

"""Popularity: how often each past item was taken in training, whatever is recommended. A control.

It never looks at the model, so it cannot say why the model did anything. A method that does no better has found nothing
but what is popular; a check that passes this one is too easy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from whyrec.attribution import Attribution, account
from whyrec.explainers import past_events
from whyrec.question import Question


@dataclass(frozen=True)
class ByPopularity:
    """Training events of each past item, the same for every recommended one. In events, not in units of the score."""

    def __call__(self, question: Question) -> Attribution:
        train, history = past_events(question, type(self).__name__)
        counts = torch.from_numpy(train.item_counts[np.maximum(history, 0)]).double()  # (users, length)
        present = {name: question.present(name) for name in question.parts}
        relevance = {name: torch.where(there, counts[:, None].to(there.device), 0.0) for name, there in present.items()}
        with torch.no_grad():
            target = question.value(question.inputs)
        return Attribution(relevance, present, account(target, relevance), complete=False)

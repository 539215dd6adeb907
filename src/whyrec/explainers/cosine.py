"""Cosine: how often past item and recommended item were taken by the same users. A control.

It is what "customers who took this also took that" says, and it never looks at the model: an item can go with
everything and move no score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from whyrec.attribution import Attribution, account
from whyrec.co_occurrence import cosine
from whyrec.explainers import past_events
from whyrec.question import Question


@dataclass(frozen=True)
class ByCosine:
    """Cosine of past and recommended item as sets of training users, from 0 to 1. Not in units of the score."""

    def __call__(self, question: Question) -> Attribution:
        train, history = past_events(question, type(self).__name__)
        items = question.request.items.expand(question.shape).cpu().numpy()
        past, wanted = np.broadcast_arrays(np.maximum(history, 0)[:, None, :], items[:, :, None])
        alike = torch.from_numpy(cosine(train, past, wanted))  # (users, items, length)
        present = {name: question.present(name) for name in question.parts}
        relevance = {name: torch.where(there, alike.to(there.device), 0.0) for name, there in present.items()}
        with torch.no_grad():
            target = question.value(question.inputs)
        return Attribution(relevance, present, account(target, relevance), complete=False)

"""Explainers, one a file: each answers a `Question` with an `Attribution`."""

from __future__ import annotations

from whyrec.errors import NotApplicable
from whyrec.interactions import Interactions, Rows
from whyrec.question import Question


def past_events(question: Question, method: str) -> tuple[Interactions, Rows]:
    """The events a model learned from, and the past items that the units stand for, (users, length), -1 where empty.

    For methods that look at data and never at the model; they know past items only, and say so of anything else.
    """
    model = question.model
    if question.train is None:
        raise NotApplicable(
            f"{method} counts training events, and this {type(model).__name__} knows none; "
            "save and load the model with its data, or choose a method that looks at the model, for example LRP"
        )
    for part in question.parts:
        if model.unit_kinds[part] != "past item":
            raise NotApplicable(
                f"{method} knows past items only, and a unit of {part!r} of {type(model).__name__} is a "
                f"{model.unit_kinds[part]}; ask for parts of past items, or choose a method that looks at the model"
            )
    return question.train, question.request.history.cpu().numpy()

"""Leave one out: take each unit away by itself and see how far the score falls."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from whyrec.attribution import Attribution, account
from whyrec.coalitions import Players
from whyrec.question import Question


@dataclass(frozen=True)
class LeaveOneOut:
    """Exact about single removals; blind where two causes stand in for each other, and no promise that it adds up."""

    def __call__(self, question: Question) -> Attribution:
        players = Players(question)
        with torch.no_grad():
            target = question.value(question.inputs)
        relevance = players.part(players.single_drops())
        present = {name: question.present(name) for name in question.parts}
        return Attribution(relevance, present, account(target, relevance), complete=False)

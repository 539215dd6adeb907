"""Leave one out: take each unit away by itself and see how far the score falls."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from whyrec.attribution import Attribution
from whyrec.designs import Design, explained
from whyrec.question import Question


@dataclass(frozen=True)
class LeaveOneOut:
    """Exact about single removals; blind where two causes stand in for each other, and no promise that it adds up."""

    background: int = 0
    """Known users whose values stand in for removed units, drawn by the seed; 0 takes units away."""

    def __call__(self, question: Question) -> Attribution:
        return explained(question, _plan, background=self.background, complete=False)


def _plan(units: int, row: int) -> Design:
    """All units, and all but each."""
    alone = torch.eye(units, dtype=torch.bool)
    keep = torch.cat([torch.ones(1, units, dtype=torch.bool), ~alone])
    return Design(keep, torch.cat([torch.ones(1, units), -alone.float()]).double())

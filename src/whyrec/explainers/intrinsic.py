"""Intrinsic: a model's own terms, where a score is a plain sum of what each unit brings.

    score = constant + sum of terms,    term of a unit = slope times distance from its baseline

EASE and nearest items are such sums, and so are dot products with a vector of pooled past items. There all honest
methods say the same, and there is nothing to verify. Whether a score is such a sum is not believed but checked: with
random sets of units taken away, the terms of those left have to add up to the score of what is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.attribution import Attribution, account
from whyrec.coalitions import Players
from whyrec.errors import NotApplicable
from whyrec.paths import mean_along_paths, starts_of
from whyrec.question import Question

SETS = 16
"""Random sets of units that the terms have to add up on, besides none and all."""

CLOSE_TO = 1e-4
"""Relative error up to which terms add up; single precision leaves 1e-6."""

LEAST_SCALE = 0.01
"""Sums smaller than this are compared as if they were this large: two equal scores differ by the last bits only."""


@dataclass(frozen=True)
class Intrinsic:
    """Exact terms of a score that is affine in its units; refuses all others, and says so."""

    def __call__(self, question: Question) -> Attribution:
        players = Players(question)
        nobody = torch.zeros_like(players.present)
        with torch.no_grad():
            target = question.value(question.inputs)
            reference = players.worth(nobody[None])[0]
        relevance = _terms(question, target)
        _refuse_what_is_no_sum(players, players.join(relevance), reference)
        present = {name: question.present(name) for name in question.parts}
        return Attribution(relevance, present, account(target, relevance, reference=reference), complete=True)


def _terms(question: Question, target: Tensor) -> Mapping[str, Tensor]:
    """(value - baseline) times gradient of every unit that is there."""
    return mean_along_paths(question, starts_of(question, 0), target.new_ones(1, 1))


@torch.no_grad()
def _refuse_what_is_no_sum(players: Players, terms: Tensor, reference: Tensor) -> None:
    sizes = players.present.sum(-1) * torch.arange(SETS, device=terms.device)[:, None, None] / (SETS - 1)
    kept = players.random_sets(sizes.round().long(), "intrinsic")
    found = players.worth(kept).double()
    expected = reference.double() + (terms * kept).sum(-1)
    scale = (terms.abs().sum(-1) + reference.abs()).clamp(min=LEAST_SCALE)
    if ((found - expected).abs() > CLOSE_TO * scale).any():
        question = players.question
        raise NotApplicable(
            f"{question.target.name!r} of {type(question.model).__name__} is no sum of what each unit of "
            f"{', '.join(question.parts)} brings, so it has no terms of its own; "
            "choose a method for any model, for example LRP or LeaveOneOut"
        )

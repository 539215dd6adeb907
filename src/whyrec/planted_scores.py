"""How near an explanation comes to the truth of a world: one number for each asked list and score.

Relevances are compared after rounding to a billionth of the largest, so that what is equal but for rounding is equal.
An explanation of nothing but zeros says as much of each unit, and scores what equal shares would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.attribution import Attribution
from whyrec.coalitions import Players
from whyrec.planted_truth import PlantedTruth
from whyrec.spearman import spearman

DIGITS = 9


@dataclass(frozen=True, slots=True)
class Exam:
    """An explanation beside the truth, all units side by side; each (users, items, players)."""

    relevance: Tensor
    shapley: Tensor
    causes: Tensor
    decoys: Tensor
    present: Tensor

    @classmethod
    def of(cls, players: Players, attribution: Attribution, truth: PlantedTruth) -> Exam:
        """The relevances of an attribution and the truth of the same lists."""
        return cls(
            players.join(attribution.relevance).double(),
            players.join(truth.shapley),
            players.join(truth.causes),
            players.join(truth.decoys),
            players.present,
        )


@dataclass(frozen=True, slots=True)
class Score:
    """One way to compare with the truth."""

    measure: Callable[[Exam], Tensor]
    """(users, items) float64, NaN where the truth leaves nothing to judge."""
    what: str
    higher_is_better: bool
    only_complete: bool = False
    """Whether it is a promise that only some methods make: that relevance adds up."""


def rank(exam: Exam) -> Tensor:
    """Spearman's correlation with the Shapley values."""
    truth = _rounded(exam.shapley)
    found = spearman(_rounded(exam.relevance), truth, exam.present)
    there = truth.masked_fill(~exam.present, torch.nan)
    same = (there == truth.masked_fill(~exam.present, -torch.inf).amax(-1, keepdim=True)) | ~exam.present
    return found.masked_fill(same.all(-1), torch.nan)


def causes(exam: Exam) -> Tensor:
    """Precision of the s units with the largest |relevance|, where s units are causes; ties share their places."""
    size = _rounded(exam.relevance).abs().masked_fill(~exam.present, -1)
    count = exam.causes.sum(-1, keepdim=True)
    last = size.sort(dim=-1, descending=True).values.gather(-1, (count - 1).clamp(min=0))
    above, level = size > last, (size == last) & exam.present
    chance = (count - above.sum(-1, keepdim=True)) / level.sum(-1, keepdim=True)
    hits = (above & exam.causes).sum(-1) + ((level & exam.causes) * chance).sum(-1)
    return (hits / count[..., 0]).double()


def sign(exam: Exam) -> Tensor:
    """Share of the causes whose relevance has the right sign; a zero is half right."""
    said, true = _rounded(exam.relevance).sign(), _rounded(exam.shapley).sign()
    judged = exam.causes & (true != 0)
    return (((said * true + 1) / 2) * judged).sum(-1) / judged.sum(-1)


def leak(exam: Exam) -> Tensor:
    """Share of all |relevance| on units that move nothing."""
    return _share(exam, exam.present & ~exam.causes)


def decoys(exam: Exam) -> Tensor:
    """Share of all |relevance| on units that were planted to mislead."""
    return _share(exam, exam.decoys)


def error(exam: Exam) -> Tensor:
    """Sum of |relevance - Shapley value| over the sum of |Shapley value|."""
    return (exam.relevance - exam.shapley).abs().sum(-1) / _total(exam)


def gap(exam: Exam) -> Tensor:
    """|sum of relevance - (score - score of nothing)| over the sum of |Shapley value|."""
    return (exam.relevance.sum(-1) - exam.shapley.sum(-1)).abs() / _total(exam)


SCORES = {
    "rank": Score(rank, "rank correlation with the exact Shapley values", higher_is_better=True),
    "causes": Score(causes, "precision of the units named first: share that are causes", higher_is_better=True),
    "sign": Score(sign, "share of the causes with the right sign", higher_is_better=True),
    "leak": Score(leak, "share of the relevance on units that move nothing", higher_is_better=False),
    "decoys": Score(decoys, "share of the relevance on decoys", higher_is_better=False),
    "error": Score(error, "distance from the exact Shapley values, relative", higher_is_better=False),
    "gap": Score(gap, "how far relevance is from adding up, relative", higher_is_better=False, only_complete=True),
}


def _share(exam: Exam, units: Tensor) -> Tensor:
    """Share of |relevance| on some units; NaN where there are none of them, or nothing else."""
    size = _rounded(exam.relevance).abs()
    silent = ~(size > 0).any(-1, keepdim=True)
    size = torch.where(silent, exam.present.double(), size)
    judged = units.any(-1) & exam.causes.any(-1)
    return ((size * units).sum(-1) / size.sum(-1)).masked_fill(~judged, torch.nan)


def _total(exam: Exam) -> Tensor:
    """Sum of |Shapley value|, NaN where it is zero."""
    total = exam.shapley.abs().sum(-1)
    return total.masked_fill(total == 0, torch.nan)


def _rounded(values: Tensor) -> Tensor:
    """The values over the largest of their list, to a billionth."""
    scale = values.abs().amax(-1, keepdim=True)
    return torch.round(values / torch.where(scale > 0, scale, 1.0), decimals=DIGITS)

"""How near explanations of texts come to the words that people marked as their reasons.

    IOU F1       a text counts as found where the words named first overlap with the marked ones by half of their union
    token F1     mean over texts of 2 |named & marked| / (|named| + |marked|)
    AUPRC        mean over texts of the area under precision and recall, whatever number of words is named

DeYoung et al. 2020, ERASER. Words are named by relevance, as many as people mark on average (a share of the words). A
floor is what random numbers reach on the same texts. People mark what convinced people: a model that is right for other
reasons is rightly far from them, so this says whether reasons are alike, not whether an explanation is true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from whyrec.errors import InvalidSetting
from whyrec.statistics import Array, Estimate, mean_interval

HALF = 0.5
"""Overlap from which a text counts as found."""

Marks = Sequence[NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class RationaleAgreement:
    """One method beside people's marks; intervals over texts. Printing it shows one line."""

    method: str
    per_text: Mapping[str, Array] = field(repr=False)  # each (texts,)
    floor: Mapping[str, float]
    """The same for random numbers, the mean over draws."""

    @property
    def metrics(self) -> dict[str, Estimate]:
        """IOU F1, token F1 and AUPRC."""
        return {name: mean_interval(values) for name, values in self.per_text.items()}

    def __str__(self) -> str:
        shown = (f"{name} {one} (floor {self.floor[name]:.3f})" for name, one in self.metrics.items())
        return f"{self.method}: {', '.join(shown)}"


def rationale_agreement(
    relevance: Sequence[Array],
    marked: Marks,
    *,
    method: str = "",
    share: float | None = None,
    draws: int = 20,
    seed: int = 0,
) -> RationaleAgreement:
    """Relevance of the words of some texts beside the words that people marked; texts without a mark are left out.

    `share` is the share of the words that are named, at least one; by default what people mark on average.

    >>> agreement = rationale_agreement([np.array([0.1, 2.0, 0.3])], [np.array([False, True, False])])
    >>> agreement.metrics["AUPRC"].value, agreement.metrics["IOU F1"].value
    (1.0, 1.0)
    """
    for place, (one, marks) in enumerate(zip(relevance, marked, strict=True)):
        if one.shape != marks.shape:
            raise InvalidSetting(
                f"text {place} has {len(one)} words with relevance and {len(marks)} that may be marked"
            )
    kept = [place for place, marks in enumerate(marked) if marks.any()]
    if not kept:
        raise InvalidSetting("nobody marked a word in any of these texts; there is nothing to agree with")
    amounts, marks_of = [relevance[place] for place in kept], [marked[place] for place in kept]
    named = float(np.mean([marks.mean() for marks in marks_of])) if share is None else share
    chance = np.random.default_rng(seed)
    random = [_measured([chance.random(len(one)) for one in amounts], marks_of, named) for _ in range(draws)]
    floor = {name: float(np.mean([one[name] for one in random])) for name in random[0]}
    return RationaleAgreement(method, _measured(amounts, marks_of, named), floor)


def _measured(relevance: Sequence[Array], marked: Marks, share: float) -> dict[str, Array]:
    overlaps, tokens, areas = [], [], []
    for amounts, marks in zip(relevance, marked, strict=True):
        named = np.zeros(len(marks), dtype=bool)
        named[np.argsort(-amounts, kind="stable")[: max(1, round(share * len(marks)))]] = True
        both = (named & marks).sum()
        overlaps.append(float(both / (named | marks).sum() >= HALF))
        tokens.append(2 * both / (named.sum() + marks.sum()))
        areas.append(average_precision(amounts, marks))
    return {"IOU F1": np.array(overlaps), "token F1": np.array(tokens), "AUPRC": np.array(areas)}


def average_precision(amounts: Array, marks: NDArray[np.bool_]) -> float:
    """The area under precision by recall: mean precision at each marked word. Equal amounts are taken together.

    >>> average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))
    0.8333333333333333
    """
    ends = np.unique(-amounts, return_counts=True)[1].cumsum()
    hits = np.concatenate([[0], marks[np.argsort(-amounts, kind="stable")].cumsum()])[ends]
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / ends).sum() / marks.sum())

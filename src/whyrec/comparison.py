"""Which of two models is better, judged on the same users: the difference with its interval, and whether it is one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from whyrec.errors import InvalidSetting
from whyrec.evaluation import Evaluation, PerUser
from whyrec.statistics import Array, Estimate, bootstrap, mcnemar

Verdict = Literal["better", "worse", "higher", "lower", "not told apart"]
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far one model lies above another by one metric. Printing it shows one line."""

    metric: str
    one: str
    other: str
    difference: Estimate
    """The first model's number minus the second's; its interval draws users together with both of their values."""
    p_value: float | None
    """McNemar's exact test where a user is a hit or none; None where the interval alone decides."""
    verdict: Verdict
    """Of the first model. *Not told apart* means not shown to differ, never shown to be equal."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        tested = "" if self.p_value is None else f" (p = {self.p_value:.2g})"
        return f"{self.metric}: {self.one} - {self.other} = {self.difference}, {self.verdict}{tested}"


def compare(one: Evaluation, other: Evaluation, metric: str = "NDCG@10") -> Comparison:
    """Whether the first model is better than the second, user by user.

    Both must have been ranked for the same users against the same items. Two intervals that overlap do not say that
    two models are equal: users who are hard for one are hard for the other, and the difference is known better than
    either number. Several comparisons at once need `whyrec.statistics.holm` on their p-values.

    >>> import whyrec as wr
    >>> split = wr.leave_last_out(wr.planted(users=200, items=60))
    >>> found = wr.evaluate(wr.fit(wr.EASE(regularisation=20.0), split), split)
    >>> compare(found, found.baseline("popularity"), "NDCG@10").verdict
    'better'
    """
    _require_same_terms(one, other)
    pair = [_values(found, metric) for found in (one, other)]
    first, second = (found.values for found in pair)
    there = ~(np.isnan(first) | np.isnan(second)).reshape(len(first), -1).any(1)
    difference = _difference(first[there], second[there])
    p_value = _p_value(first[there], second[there])
    told_apart = difference.low > 0 or difference.high < 0 if p_value is None else p_value < LEVEL
    return Comparison(
        metric, one.model, other.model, difference, p_value, _verdict(difference, told_apart, pair[0].of == "lists")
    )


def _require_same_terms(one: Evaluation, other: Evaluation) -> None:
    both = f"{one.model} and {other.model} cannot be compared"
    if one.protocol != other.protocol:
        raise InvalidSetting(f"{both}: the first has the {one.protocol} protocol, the second the {other.protocol} one")
    if not np.array_equal(one.ranks.users, other.ranks.users):
        raise InvalidSetting(f"{both}: they were evaluated on different users; evaluate both on the same split")
    if one.how != other.how or not one.ranks.candidates.equal(other.ranks.candidates):
        raise InvalidSetting(f"{both}: they were ranked against different items: {one.how!r}, and {other.how!r}")


def _values(found: Evaluation, metric: str) -> PerUser:
    if metric not in found.per_user:
        there = ", ".join(found.per_user)
        raise InvalidSetting(f"{metric} of {found.model} was not measured, but {there}; name it in metrics= and k=")
    values = found.per_user[metric]
    if values.values.ndim == 0:
        raise InvalidSetting(
            f"{metric} is one number of all lists together, with nothing to compare user by user; "
            "print both evaluations, or compare by another metric"
        )
    return values


def _difference(first: Array, second: Array) -> Estimate:
    """Difference of the means, or of the ratios of means, over users drawn together."""
    if first.ndim == 1:
        return bootstrap((first - second)[:, None], lambda means: means[:, 0])
    return bootstrap(
        np.concatenate([first, second], axis=1), lambda means: means[:, 0] / means[:, 1] - means[:, 2] / means[:, 3]
    )


def _p_value(first: Array, second: Array) -> float | None:
    if first.ndim > 1 or not np.isin([first, second], (0.0, 1.0)).all():
        return None
    return mcnemar(int((first > second).sum()), int((second > first).sum()))


def _verdict(difference: Estimate, told_apart: bool, of_lists: bool) -> Verdict:
    """What lists are like is higher or lower; whether that is better is for the reader to say."""
    if not told_apart:
        return "not told apart"
    if difference.value > 0:
        return "higher" if of_lists else "better"
    return "lower" if of_lists else "worse"

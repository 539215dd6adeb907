"""How often a model is right about skips: of all tracks, of the first one, and on average where early ones weigh most.

    Acc      right guesses among all
    Acc@1    right guesses among the first of each session
    MAA      mean over sessions of AA = 1/T sum over i of A(i) L(i)

T is how many tracks of a session are to be guessed, L(i) whether the i-th guess is right, and A(i) the accuracy of the
first i of them: the measure of the sequential skip prediction challenge of WSDM Cup 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from whyrec import kinds
from whyrec.errors import BadInput, InvalidSetting
from whyrec.interactions import Rows
from whyrec.recommender import Request
from whyrec.sessions import HALF
from whyrec.skip_model import SkipModel
from whyrec.statistics import Array, Estimate, bootstrap, mean_interval

BLOCK = 512
"""Sessions that are scored together."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Guesses:
    """Scores of each place of the second half, and which are right."""

    scores: NDArray[np.float32]  # (sessions, HALF)
    right: Flags
    there: Flags  # False where there is no track, or where nobody knows whether it was skipped


@torch.no_grad()
def guesses(model: SkipModel) -> Guesses:
    """What the model says of all sessions that it looks at: a skip where its score is above 0."""
    sessions, found = model.require_sessions(), []
    places = torch.arange(HALF, device=model.device)[None]
    for rows in torch.arange(len(sessions), device=model.device).split(BLOCK):
        request = Request(rows, places, rows.new_zeros(len(rows), 0), compact=True)
        found.append(model.score(model.embed(request)).cpu())
    scores = torch.cat(found).numpy()
    right = (scores > 0) == (sessions.skipped[:, HALF:] == 1)
    return Guesses(scores, right & sessions.to_guess, sessions.to_guess)


def accuracy(right: Flags, there: Flags) -> Array:
    """Share of right guesses of each session, (sessions,); NaN where there are none.

    >>> accuracy(np.array([[True, False, True]]), np.array([[True, True, False]]))
    array([0.5])
    """
    return _shares((right & there).sum(1), there.sum(1))


def first_accuracy(right: Flags, there: Flags) -> Array:
    """1 where the first guess of a session is right, else 0; (sessions,), NaN where there are none.

    >>> first_accuracy(np.array([[True, False], [True, True]]), np.array([[True, True], [False, False]]))
    array([ 1., nan])
    """
    first = there.argmax(1)
    hit = (right & there)[np.arange(len(there)), first].astype(np.float64)
    return np.where(there.any(1), hit, np.nan)


def average_accuracy(right: Flags, there: Flags) -> Array:
    """AA of each session, (sessions,): the mean over its tracks of the accuracy so far, 0 where the guess is wrong.

    The mean over sessions is MAA. Early guesses weigh most:

    >>> average_accuracy(np.array([[True, False], [False, True]]), np.array([[True, True], [True, True]]))
    array([0.5 , 0.25])
    """
    hits = right & there
    so_far = np.cumsum(hits, axis=1) / np.maximum(np.cumsum(there, axis=1), 1)
    return _shares((so_far * hits).sum(1), there.sum(1))


@dataclass(frozen=True, eq=False)
class SkipAccuracy:
    """A model's accuracy about skips with 95 % intervals over sessions. Printing it shows a table."""

    model: str
    sessions: Rows = field(repr=False)  # (sessions,) rows of those that have something to guess
    name: str
    per_session: Array = field(repr=False)  # (sessions, 4): right guesses, how many, the first right or not, AA

    @property
    def metrics(self) -> dict[str, Estimate]:
        """Acc, Acc@1 and MAA."""
        acc = bootstrap(self.per_session, _pooled)
        return {
            "Acc": acc,
            "Acc@1": mean_interval(self.per_session[:, 2]),
            "MAA": mean_interval(self.per_session[:, 3]),
        }

    @property
    def pooled_maa(self) -> float:
        """Sum over sessions of T AA, over the sum of T: longer sessions weigh more. Not the challenge's measure."""
        counts = self.per_session[:, 1]
        return float((self.per_session[:, 3] * counts).sum() / counts.sum())

    def minus(self, other: SkipAccuracy) -> dict[str, Estimate]:
        """What this model is better by in each metric, with the interval of sessions drawn together."""
        if self.name != other.name or not np.array_equal(self.sessions, other.sessions):
            raise InvalidSetting(f"{self.model} and {other.model} guessed different sessions; evaluate both on one set")
        both = np.concatenate([self.per_session, other.per_session], axis=1)
        return {
            "Acc": bootstrap(both, lambda means: _pooled(means) - _pooled(means[:, 4:])),
            "Acc@1": bootstrap(both, lambda means: means[:, 2] - means[:, 6]),
            "MAA": bootstrap(both, lambda means: means[:, 3] - means[:, 7]),
        }

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"model": self.model, **_json(self.metrics), "pooled MAA": self.pooled_maa}

    def __str__(self) -> str:
        metrics = self.metrics
        head = "  ".join(f"{name:<21}" for name in metrics)
        row, wide = "  ".join(str(one) for one in metrics.values()), len(self.model)
        note = f"{len(self.sessions):,} sessions; 95 % intervals over sessions"
        return f"{'':<{wide}}  {head}\n{self.model}  {row}\n{note}"


def evaluate_skips(model: SkipModel) -> SkipAccuracy:
    """Acc, Acc@1 and MAA of a model on the sessions that it looks at: `evaluate_skips(model.on(test))`.

    Sessions of whose second half nothing is known are left out.
    """
    sessions, found = model.require_sessions(), guesses(model)
    rows = np.flatnonzero(found.there.any(1))
    if len(rows) == 0:
        raise BadInput(f"{sessions.name}: no skip of a second half is known, so nothing can be compared with guesses")
    right, there = found.right[rows], found.there[rows]
    columns = (right.sum(1), there.sum(1), first_accuracy(right, there), average_accuracy(right, there))
    return SkipAccuracy(kinds.name_of(model).rpartition(":")[2], rows, sessions.name, np.stack(columns, axis=1))


def _pooled(means: Array) -> Array:
    found: Array = means[:, 0] / means[:, 1]
    return found


def _json(metrics: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: one.to_json() for name, one in metrics.items()}


def _shares(some: NDArray[Any], of: NDArray[Any]) -> Array:
    return np.where(of > 0, some / np.maximum(of, 1), np.nan)

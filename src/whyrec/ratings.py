"""Ratings: on what scale people give them, what a model says a person would give, and how wrong that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from whyrec import kinds
from whyrec.errors import BadInput, InvalidSetting, NotApplicable
from whyrec.interactions import Id, Interactions, Rows
from whyrec.ranking import Memory, block_size
from whyrec.recommender import Recommender, Request, scores_of
from whyrec.split import Split
from whyrec.statistics import Array, Estimate, bootstrap
from whyrec.train import fit


@dataclass(frozen=True, slots=True)
class RatingScale:
    """The lowest and highest rating, and the step between neighbours; None where values are continuous."""

    low: float
    high: float
    step: float | None = None

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> RatingScale:
        """The scale that ratings were given on: whole or half steps where all of them are.

        >>> RatingScale.of(np.array([0.5, 3.0, 4.5], dtype=np.float32))
        RatingScale(low=0.5, high=4.5, step=0.5)
        """
        if len(values) == 0 or not np.isfinite(values).all():
            raise BadInput("a scale is read off ratings, and here are none, or some that are not finite numbers")
        low, high = float(values.min()), float(values.max())
        step = next((step for step in (1.0, 0.5) if np.equal(np.mod(values, step), 0).all()), None)
        return cls(low, high, step)

    def clip(self, scores: Array) -> Array:
        """Scores beyond either end put at that end."""
        return np.clip(scores, self.low, self.high)

    def nearest(self, scores: Array) -> Array:
        """The ratings that could be given nearest to each score, halves up; clipped scores where any value could be.

        >>> RatingScale(1.0, 5.0, 0.5).nearest(np.array([0.2, 3.3, 4.25]))
        array([1. , 3.5, 4.5])
        """
        if self.step is None:
            return self.clip(scores)
        return self.clip(np.floor(scores / self.step + 0.5) * self.step)


def predict(model: Recommender, users: Sequence[Id], items: Sequence[Id], *, clip: bool = True) -> Array:
    """The rating that each of `users` would give to the item at the same place in `items`; (pairs,) float64.

    Put into the scale of the ratings that the model learned from unless `clip` says not.
    """
    if len(users) != len(items):
        raise InvalidSetting(f"{len(users)} users and {len(items)} items do not pair up; give as many of both")
    model.require_built()
    _require_ratings(model)
    found = _scores(model, model.users.vocabulary.rows(users), model.items.vocabulary.rows(items), model.known, None)
    return scale_of(model).clip(found) if clip else found


def scale_of(model: Recommender) -> RatingScale:
    """The scale of the ratings that a model learned from."""
    known = model.require_known()
    if known.values is None:
        raise NotApplicable(f"this {type(model).__name__} learned from events without values, so there is no scale")
    return RatingScale.of(known.values)


@dataclass(frozen=True, eq=False)
class RatingErrors:
    """How far a model's ratings are from those given, baselines beside it. Printing it shows a table."""

    model: str
    how: str
    rmse: Estimate
    mae: Estimate
    users: Rows = field(repr=False)  # (users,) whose test ratings these are
    per_user: Array = field(repr=False)  # (users, 3): summed squared errors, summed absolute errors, how many
    beside: Mapping[str, RatingErrors] = field(default_factory=dict, repr=False)

    def minus(self, other: RatingErrors) -> Estimate:
        """This RMSE minus the other's, with the interval of users drawn together; negative where this is better."""
        if self.how != other.how or not np.array_equal(self.users, other.users):
            raise InvalidSetting(f"{self.model} and {other.model} cannot be compared: {self.how!r}, and {other.how!r}")
        both = np.concatenate([self.per_user, other.per_user], axis=1)
        return bootstrap(both, lambda means: _rmse(means) - _rmse(means[:, 3:]))

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        own = {"RMSE": self.rmse.to_json(), "MAE": self.mae.to_json()}
        beside = {name: one.to_json() for name, one in self.beside.items()}
        return {"model": self.model, "how": self.how, **own, "baselines": beside}

    def __str__(self) -> str:
        rows = {self.model: self, **self.beside}
        width = max(map(len, rows))
        lines = [f"{'':<{width}}  {'RMSE':<22}  {'MAE':<22}"]
        lines += [f"{name:<{width}}  {one.rmse!s:<22}  {one.mae!s:<22}" for name, one in rows.items()]
        return "\n".join([*lines, self.how])


def evaluate_ratings(
    model: Recommender,
    split: Split,
    *,
    baselines: Sequence[str] = ("bias_only",),
    max_memory: Memory = None,
) -> RatingErrors:
    """RMSE and MAE on the test part, with 95 % intervals over users, and each baseline's beside them.

    Histories are train and validation together. Scores are put into the scale of the known ratings first.
    """
    test, known = split.test, split.known
    if len(test) == 0 or test.values is None or known.values is None:
        raise BadInput(f"{split.dataset.name}: the test part has no ratings to compare with; bring a column of ratings")
    _require_ratings(model.require_built())
    fitted = {name: fit(kinds.load("models", name)(), split, progress=False) for name in baselines}
    beside = {name: evaluate_ratings(one, split, baselines=(), max_memory=max_memory) for name, one in fitted.items()}
    wrong = RatingScale.of(known.values).clip(_scores(model, test.users, test.items, known, max_memory)) - test.values
    users, place = np.unique(test.users, return_inverse=True)
    sums = [np.bincount(place, weights=column) for column in (wrong**2, np.abs(wrong), np.ones(len(wrong)))]
    per_user = np.stack(sums, axis=1).astype(np.float64)
    how = f"{split.how}; {len(test):,} ratings of {len(users):,} users; 95 % intervals over users"
    rmse, mae = bootstrap(per_user, _rmse), bootstrap(per_user, lambda means: means[:, 1] / means[:, 2])
    return RatingErrors(kinds.name_of(model), how, rmse, mae, users, per_user, beside)


def _rmse(means: Array) -> Array:
    found: Array = np.sqrt(means[:, 0] / means[:, 2])
    return found


@torch.no_grad()
def _scores(model: Recommender, users: Rows, items: Rows, known: Interactions | None, max_memory: Memory) -> Array:
    """One score for each pair, (pairs,), in blocks of users."""
    found = []
    size = block_size(model, (0, model.floats_per_user(1) + 2 * model.history_limit), max_memory)
    for start in range(0, len(users), size):
        rows, asked = (torch.from_numpy(one[start : start + size]).to(model.device) for one in (users, items))
        request = Request(rows, asked[:, None], model.seen_by(rows, known), compact=True)
        found.append(scores_of(model, request)[:, 0].double().cpu().numpy())
    return np.concatenate(found)


def _require_ratings(model: Recommender) -> None:
    """Refuse a model whose scores are known to be something else; what was trained elsewhere is taken at its word."""
    if not model.belongs_elsewhere and (model.trained_by is None or model.trained_by.loss != "squared"):
        raise NotApplicable(
            f"the scores of this {type(model).__name__} are no ratings; fit it with Training(loss='squared'), or use "
            "whyrec.recommend"
        )

"""Everybody's ratings as deviations from a mean: what RatingItemKNN and RatingUserKNN share.

    d_ui = r_ui - mean        of the item's ratings or of the user's, and 0 where u did not rate i

As the mean stands in for what was not rated, the cosine of two rows, or of two columns, is their Pearson correlation
over everybody. Only likeness above zero counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from whyrec.interactions import Interactions
from whyrec.rating_vectors import values_of
from whyrec.recommender import Recommender, Request, UnitKind
from whyrec.training import Loss

TINY = 1e-12
"""Stands in for a length of zero."""


class NeighbourSettings(Protocol):
    """What the settings of a model of neighbours have in common."""

    @property
    def limit(self) -> int: ...


class NeighbourRecommender(Recommender):
    """A model that remembers each rating beside its mean. Subclasses say whose mean, and who is near."""

    settings: NeighbourSettings
    usual_loss: ClassVar[Loss] = "squared"
    mean_of: ClassVar[Literal["user", "item"]]
    """Whose mean ratings are taken from."""
    deviations: Tensor  # (items, people), rating less the mean, 0 where there is none
    rated: Tensor  # (items, people) bool
    means: Tensor  # (items,) or (people,), the mean of all ratings for those who have none

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("deviations", torch.zeros(item_count, user_count))
        self.register_buffer("rated", torch.zeros(item_count, user_count, dtype=torch.bool))
        self.register_buffer("means", torch.zeros(user_count if self.mean_of == "user" else item_count))

    def solve(self, train: Interactions) -> None:
        users, items = torch.from_numpy(train.users), torch.from_numpy(train.items)
        means, left = centred(users if self.mean_of == "user" else items, values_of(train), len(self.means))
        self.means.copy_(means)
        self.deviations.zero_()[items, users] = left.to(self.deviations.device)
        self.rated.zero_()[items, users] = True

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {"history": "past item"}

    @property
    def history_limit(self) -> int:
        return self.settings.limit

    @property
    def max_trained_drop(self) -> float:
        return 1.0  # every part of a history is a history like any other

    def past_ratings(self, request: Request) -> tuple[Tensor, Tensor]:
        """Deviations of the ratings that users gave past items, and which of these are there; (users, length) each."""
        rows, people = request.history.clamp(min=0), request.users.clamp(min=0)[:, None]
        there = request.in_sight & self.rated[rows, people] & (request.users >= 0)[:, None]
        return self.deviations[rows, people] * there, there


def centred(rows: Tensor, values: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The mean of each row's values, of all values where a row has none, (size,); and values less their row's mean."""
    counts = torch.bincount(rows, minlength=size)
    sums = torch.bincount(rows, weights=values.double(), minlength=size)
    means = torch.where(counts > 0, sums / counts.clamp(min=1), values.double().mean())
    return means, (values - means[rows]).to(values.dtype)


def nearest(alike: Tensor, count: int) -> Tensor:
    """Which of the last axis are among the `count` most alike; whoever ties with the last of them is, too.

    >>> nearest(torch.tensor([0.5, 0.9, 0.5, 0.1]), 2).tolist()
    [True, True, True, False]
    """
    if alike.shape[-1] == 0:
        return alike.bool()
    return alike >= alike.topk(min(count, alike.shape[-1]), dim=-1).values[..., -1:]

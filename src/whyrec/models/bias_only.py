"""BiasOnly: a mean, what a user adds and what an item adds. The bar that anything personal about ratings has to clear.

    score = mean + b_u + b_i
    b_i = sum of (r - mean - b_u) / (damping_i + ratings of i)
    b_u = sum of (r - mean - b_i) / (damping_u + ratings of u)

Koren 2010, Factor in the neighbors, has one sweep, items first; more sweeps go to the least squares of Koren 2008 in
which each bias pays for its square.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from whyrec.interactions import Interactions
from whyrec.rating_vectors import BIASES, both_biases, values_of
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.training import Loss


class BiasOnly(Recommender):
    """How much somebody gives, and how much an item gets, whoever meets what."""

    @settings
    class Settings:
        """How far biases are drawn to zero."""

        user_damping: float = Field(default=5.0, ge=0)
        """Added to the number of a user's ratings: larger trusts those who gave few less."""
        item_damping: float = Field(default=2.0, ge=0)
        """Added to the number of an item's ratings: larger trusts those that got few less."""
        sweeps: int = Field(default=10, ge=1)
        """How many times items and users take turns."""

    settings: Settings
    usual_loss: ClassVar[Loss] = "squared"
    search_space: ClassVar[SearchSpace] = {
        "user_damping": ("log", 0.1, 100.0),
        "item_damping": ("log", 0.1, 100.0),
    }
    mean: Tensor  # ()
    of_users: Tensor  # (users,)
    of_items: Tensor  # (items,)

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("of_users", torch.zeros(user_count))
        self.register_buffer("of_items", torch.zeros(item_count))

    def solve(self, train: Interactions) -> None:
        users, items = torch.from_numpy(train.users), torch.from_numpy(train.items)
        values = values_of(train).double()
        left = values - values.mean()
        of_users, of_items = left.new_zeros(train.user_count), left.new_zeros(train.item_count)
        for _ in range(self.settings.sweeps):
            of_items = _damped(items, left - of_users[users], len(of_items), self.settings.item_damping)
            of_users = _damped(users, left - of_items[items], len(of_users), self.settings.user_damping)
        for kept, found in ((self.mean, values.mean()), (self.of_users, of_users), (self.of_items, of_items)):
            kept.copy_(found)

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return dict.fromkeys(BIASES, "factor")

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        return BIASES[part]

    def embed(self, request: Request) -> Inputs:
        rows, index = request.item_rows()
        own = self.of_users[request.users.clamp(min=0)] * (request.users >= 0)
        return {
            "user_bias": Part.of(own[:, None, None, None]),
            "item_bias": Part.of(self.of_items[rows][..., None, None], index=index),
        }

    def score(self, inputs: Inputs) -> Tensor:
        return both_biases(inputs) + self.mean


def _damped(rows: Tensor, left: Tensor, size: int, damping: float) -> Tensor:
    """For each row the sum of what is left, over its count and the damping; (size,)."""
    counts = torch.bincount(rows, minlength=size) + damping
    return torch.bincount(rows, weights=left, minlength=size) / torch.where(counts > 0, counts, 1.0)

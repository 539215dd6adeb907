"""User-based nearest neighbours: an item's score is how alike those who took it are to the user.

    s_uv = |taken by u and v| / (|taken by u|^alpha |taken by v|^(1 - alpha) + shrink)
    score(u, item) = sum of s_uv over the `neighbours` people v nearest to u who took the item

Resnick et al. 1994, GroupLens; shrinkage as in Bell and Koren 2007, exponents as in Aiolli 2013. Likeness is computed
from the history that is asked about, so somebody new needs no training. Removing a past item chooses the neighbours
anew; with the neighbours as they are, the score is a sum over past items, which is what LRP and gradients split.
The number of past items counts those hidden or removed, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from whyrec.interactions import Interactions
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind, spread, vector
from whyrec.search_space import SearchSpace
from whyrec.settings import settings

TIE = 1e-5
"""Relative difference below which two people are as near: more than rounding, less than one item in common."""


class UserKNN(Recommender):
    """What people like the user took. Holds a table of items by people, and when explaining a row of it a past item."""

    @settings
    class Settings:
        """What counts as near."""

        neighbours: int = Field(default=200, ge=1)
        """People who may speak for a user: those most like the user, and whoever ties with the last of them."""
        shrink: float = Field(default=10.0, ge=0)
        """Added to the denominator: larger trusts similarities that rest on few items less."""
        alpha: float = Field(default=0.5, ge=0, le=1)
        """0.5 is the cosine; less punishes people who took much."""
        limit: int = Field(default=200, ge=1)
        """Past items looked at, the most recent first."""

    settings: Settings
    search_space: ClassVar[SearchSpace] = {
        "neighbours": ("int", 5, 1000),
        "shrink": ("linear", 0.0, 1000.0),
        "alpha": ("linear", 0.0, 1.0),
    }
    takers: Tensor  # (items, people), 1 where the person took the item in training

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("takers", torch.zeros(item_count, user_count))

    def solve(self, train: Interactions) -> None:
        self.takers.zero_()
        self.takers[torch.from_numpy(train.items), torch.from_numpy(train.users)] = 1.0

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {"history": "past item"}

    @property
    def history_limit(self) -> int:
        return self.settings.limit

    @property
    def max_trained_drop(self) -> float:
        return 1.0  # every part of a history is a history like any other

    def floats_per_user(self, items: int) -> int:
        return items + len(self.items) + 4 * len(self.users)

    def floats_to_rank(self) -> tuple[int, int]:
        return len(self.items) * len(self.users), self.floats_per_user(len(self.items))

    def embed(self, request: Request) -> Inputs:
        rows, index = request.item_rows()
        item = Part.of(self.takers[rows].unsqueeze(2), index=index)  # (users | 1, items, 1, people)
        return {"history": self._past_items(request), "item": item}

    def _past_items(self, request: Request) -> Part:
        """Who took each past item, scaled so that the sum over past items is the likeness to each person."""
        seen, met = request.in_sight, (request.history >= 0).sum(1)
        rows, scale = request.history.clamp(min=0), self._scale(request.users, met)
        if request.compact:
            x = self.takers.new_zeros(len(rows), len(self.items)).scatter_add_(1, rows, seen.to(self.takers.dtype))
            return Part.of((x @ self.takers * scale)[:, None, None, :], present=seen.any(1)[:, None, None], summed=True)
        values = self.takers[rows] * seen.unsqueeze(-1) * scale[:, None, :]
        return Part.of(values.unsqueeze(1), present=seen.unsqueeze(1), summed=True)

    def _scale(self, users: Tensor, counts: Tensor) -> Tensor:
        """What one item in common is worth, (users, people); nobody is a neighbour of their own."""
        alpha, shrink = self.settings.alpha, self.settings.shrink
        taken = self.takers.square().sum(0).clamp(min=1)
        own = counts.clamp(min=1).to(taken.dtype)[:, None]
        others = torch.arange(len(taken), device=users.device) != users[:, None]
        return others / (own**alpha * taken ** (1 - alpha) + shrink)

    def score(self, inputs: Inputs) -> Tensor:
        item = inputs["item"]
        return (self._near(inputs["history"]) * spread(vector(item), item.index)).sum(-1)

    def _near(self, past: Part) -> Tensor:
        """Likeness to each neighbour, 0 for everybody else; (users, items | 1, people)."""
        alike = past.values.sum(2)
        reach = alike.detach()
        last = reach.topk(min(self.settings.neighbours, reach.shape[-1]), dim=-1).values[..., -1:]
        return alike * (reach >= last - TIE * last.abs())

    def rank_scores(self, request: Request) -> Tensor:
        """The same scores as one matrix product over all distinct items."""
        inputs = self.embed(request)
        item = inputs["item"]
        if item.index is None and request.items.shape[0] != 1:
            return self.score(inputs)
        scores = self._near(inputs["history"])[:, 0] @ vector(item)[0].T
        return scores if item.index is None else scores.gather(1, item.index)

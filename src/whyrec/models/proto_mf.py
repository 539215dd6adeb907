"""ProtoMF: people and items are described by how much they are like a few prototypes, which are learned beside them.

    like(a, b) = 1 + cos(a, b), from 0 to 2
    score = sum over user prototypes of like(u, p_l) (W_t t)_l  +  sum over item prototypes of like(t, q_l) (W_u u)_l

Melchiorre et al. 2022, ProtoMF: prototype-based matrix factorization for effective and explainable recommendations
(UI-ProtoMF). Each prototype brings one term to a score, so the score is its own explanation. Two more losses keep each
prototype like somebody, and everybody like some prototype.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind, spread, vector
from whyrec.search_space import SearchSpace
from whyrec.settings import settings

USER_LIKE, ITEM_LIKE = "user prototypes", "item prototypes"
ITEM_WEIGHT, USER_WEIGHT = "item weights", "user weights"

NEAREST = 3
"""Items or users that a prototype is called after."""


class ProtoMF(Recommender):
    """Similarities to prototypes of one side times weights of the other, both ways."""

    @settings
    class Settings:
        """How many prototypes, and how far they are held to what they stand for."""

        factors: int = Field(default=32, ge=1)
        """Length of the vectors."""
        user_prototypes: int = Field(default=20, ge=1)
        """Prototypes of users."""
        item_prototypes: int = Field(default=20, ge=1)
        """Prototypes of items."""
        inclusion: float = Field(default=0.01, ge=0)
        """Weight of the loss by which each prototype is like somebody in a batch, and everybody like a prototype."""
        init_std: float = Field(default=0.3, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings
    search_space: ClassVar[SearchSpace] = {
        "factors": ("choice", (16, 32, 64)),
        "user_prototypes": ("int", 10, 100),
        "item_prototypes": ("int", 10, 100),
        "inclusion": ("log", 0.001, 1.0),
        "init_std": ("log", 0.05, 1.0),
    }

    def make(self, user_count: int, item_count: int) -> None:
        asked = self.settings
        self.user_table = nn.Embedding(user_count, asked.factors, sparse=True)
        self.item_table = nn.Embedding(item_count, asked.factors, sparse=True)
        self.user_prototypes = nn.Parameter(torch.empty(asked.user_prototypes, asked.factors))
        self.item_prototypes = nn.Parameter(torch.empty(asked.item_prototypes, asked.factors))
        for one in (self.user_table.weight, self.item_table.weight, self.user_prototypes, self.item_prototypes):
            nn.init.normal_(one, std=asked.init_std)
        self.item_map = nn.Linear(asked.factors, asked.user_prototypes, bias=False)
        self.user_map = nn.Linear(asked.factors, asked.item_prototypes, bias=False)

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {USER_LIKE: "factor", ITEM_LIKE: "factor"}

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        """A prototype is called after those that are most like it."""
        if part == USER_LIKE:
            table, prototypes, catalog = self.user_table.weight, self.user_prototypes, self.users
        else:
            table, prototypes, catalog = self.item_table.weight, self.item_prototypes, self.items
        with torch.no_grad():
            alike = _like(table, prototypes[[unit]])[:, 0]
        nearest = alike.topk(min(NEAREST, len(alike))).indices.tolist()
        return f"{part[:-1]} {unit + 1}: like {', '.join(catalog.title(row) for row in nearest)}"

    def floats_per_user(self, items: int) -> int:
        return items * max(self.settings.user_prototypes, self.settings.item_prototypes)

    def floats_to_rank(self) -> tuple[int, int]:
        items = len(self.items)
        wide = max(self.settings.factors, self.settings.user_prototypes, self.settings.item_prototypes)
        return items * wide, max(wide, items)

    def embed(self, request: Request) -> Inputs:
        (users, at), (items, index) = request.user_rows(), request.item_rows()
        user, item = self.user_table(users.clamp(min=0)), self.item_table(items)
        user = user * (users >= 0).unsqueeze(-1)  # somebody new is like nobody in particular
        user_like, item_like = _like(user, self.user_prototypes), _like(item, self.item_prototypes)
        return {
            USER_LIKE: Part.of(user_like.unsqueeze(-1), index=at),
            ITEM_LIKE: Part.of(item_like.unsqueeze(-1), index=index),
            ITEM_WEIGHT: Part.of(self.item_map(item), index=index),
            USER_WEIGHT: Part.of(self.user_map(user), index=at),
        }

    def score(self, inputs: Inputs) -> Tensor:
        return _matched(_all(inputs, USER_LIKE), _all(inputs, ITEM_WEIGHT)) + _matched(
            _all(inputs, USER_WEIGHT), _all(inputs, ITEM_LIKE)
        )

    def penalty(self, inputs: Inputs) -> Tensor:
        """Minus how much each prototype is like the nearest of the batch, and each of the batch like its prototype.

        Whoever stands in the batch more than once counts as often.
        """
        found = inputs[USER_LIKE].values.new_zeros(())
        for name in (USER_LIKE, ITEM_LIKE):
            alike, index = vector(inputs[name]), inputs[name].index
            of_each = spread(alike.amax(2, keepdim=True), index)
            found = found - alike.amax((0, 1)).mean() - of_each.mean()
        return self.settings.inclusion * found


def _like(vectors: Tensor, prototypes: Tensor) -> Tensor:
    """(..., factors) and (prototypes, factors) -> (..., prototypes), from 0 to 2."""
    return 1 + F.normalize(vectors, dim=-1) @ F.normalize(prototypes, dim=-1).T


def _all(inputs: Inputs, name: str) -> Tensor:
    """(users | 1, items | 1, prototypes), spread where one list of distinct rows stands for all."""
    values = inputs[name].values
    return spread(values.flatten(2), inputs[name].index)


def _matched(users: Tensor, items: Tensor) -> Tensor:
    """Products of the vectors of users and items, summed: (users, items)."""
    if users.shape[1] == 1 and len(items) == 1:  # one list of items for everybody
        return users[:, 0] @ items[0].T
    return (users * items).sum(-1)

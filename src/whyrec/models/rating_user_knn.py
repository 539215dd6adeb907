"""User-based nearest neighbours for ratings: how those who rate alike rated the item.

    s_uv = Pearson correlation of u and v
    score(u, i) = mean_u + sum of s_uv (r_vi - mean_v) / (sum of s_uv + damping)

over the `neighbours` people nearest to u (Resnick et al. 1994, GroupLens). Where somebody did not rate an item, the own
mean stands in; so the correlation is the cosine of ratings less their giver's mean, over all items. Only likeness above
zero counts, and where nobody near rated the item the user's own mean is left. The likeness is a sum over past items;
removing one chooses the neighbours anew, while the user's mean and the number that makes a correlation of a sum stay as
they are.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from whyrec.interactions import Interactions
from whyrec.rating_neighbours import TINY, NeighbourRecommender, nearest
from whyrec.rating_vectors import values_of
from whyrec.recommender import Inputs, Part, Request, spread
from whyrec.search_space import SearchSpace
from whyrec.settings import settings


class RatingUserKNN(NeighbourRecommender):
    """The mean of a user, moved by how people like that user rated the item."""

    @settings
    class Settings:
        """What counts as near."""

        neighbours: int = Field(default=50, ge=1)
        """People who may speak for a user: those nearest, and whoever ties with the last of them."""
        among: Literal["raters", "everybody"] = "raters"
        """Whether the nearest are sought among those who rated the item, or among everybody; then fewer have a say."""
        centred: bool = True
        """Whether each rating counts by how far it is from its giver's mean, or as it stands."""
        damping: float = Field(default=0.1, gt=0)
        """Added to the sum of likeness: larger draws those who have nobody near to their own mean."""
        limit: int = Field(default=1000, ge=1)
        """Past items looked at, the most recent first."""

    settings: Settings
    mean_of: ClassVar[Literal["user"]] = "user"
    search_space: ClassVar[SearchSpace] = {
        "neighbours": ("int", 5, 200),
        "among": ("choice", ("raters", "everybody")),
        "damping": ("log", 0.01, 10.0),
    }
    mean: Tensor  # (), of all ratings

    def make(self, user_count: int, item_count: int) -> None:
        super().make(user_count, item_count)
        self.register_buffer("mean", torch.zeros(()))

    def solve(self, train: Interactions) -> None:
        super().solve(train)
        self.mean.copy_(values_of(train).mean())

    def floats_per_user(self, items: int) -> int:
        return 2 * max(items, 2) * len(self.users) + len(self.items)

    def floats_to_rank(self) -> tuple[int, int]:
        return 2 * len(self.items) * len(self.users), self.floats_per_user(len(self.items))

    def embed(self, request: Request) -> Inputs:
        rows, index = request.item_rows()
        rated = self.rated[rows].to(self.means.dtype)
        given = self.deviations[rows] + (0.0 if self.settings.centred else self.means * rated)
        own = torch.where(request.users >= 0, self.means[request.users.clamp(min=0)], self.mean)
        return {
            "history": self._past_items(request),
            "item": Part.of(torch.stack([given, rated], dim=2), index=index),  # (users | 1, items, 2, people)
            "mean": Part.of(own[:, None, None]),
        }

    def _past_items(self, request: Request) -> Part:
        """How everybody rated each past item, scaled so that the sum over past items is the correlation."""
        rows, people = request.history.clamp(min=0), request.users.clamp(min=0)[:, None]
        (own, there), scale = self.past_ratings(request), self._scale(people)
        if request.compact:
            x = own.new_zeros(len(rows), len(self.items)).scatter_add_(1, rows, own)
            values, present = (x @ self.deviations * scale).unsqueeze(1), there.any(1, keepdim=True)
        else:
            values, present = self.deviations[rows] * (own.unsqueeze(-1) * scale.unsqueeze(1)), there
        return Part.of(values.unsqueeze(1), present=present.unsqueeze(1), summed=True)

    def _scale(self, people: Tensor) -> Tensor:
        """What makes a correlation of a sum of products, (users, people); nobody is a neighbour of their own."""
        lengths = self.deviations.norm(dim=0).clamp(min=TINY)
        others = torch.arange(len(lengths), device=people.device) != people
        scale: Tensor = others / (lengths * lengths[people])
        return scale

    def score(self, inputs: Inputs) -> Tensor:
        item, mean = inputs["item"], inputs["mean"].values.squeeze(-1)
        given, rated = spread(item.values.flatten(2), item.index).unflatten(-1, (2, -1)).unbind(2)
        alike = F.relu(inputs["history"].values.sum(2))  # (users, items | 1, people)
        near = alike * self._nearest(alike.detach(), rated)
        brought, likeness = (near * given).sum(-1), (near * rated).sum(-1)
        if not self.settings.centred:
            brought = brought - mean * likeness
        scores: Tensor = mean + brought / (likeness + self.settings.damping)
        return scores

    def _nearest(self, alike: Tensor, rated: Tensor) -> Tensor:
        """Who speaks for each user, (users, items | 1, people) bool."""
        return nearest(alike * rated if self.settings.among == "raters" else alike, self.settings.neighbours)

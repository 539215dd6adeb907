"""Item-based nearest neighbours for ratings: how somebody rated the items most like this one, each beside its mean.

    s_ij = Pearson correlation of i and j,  times n / (n + shrink) for n people who rated both
    score(u, i) = mean_i + sum of s_ij (r_uj - mean_j) / (sum of s_ij + damping)

over the `neighbours` past items most like i. Where somebody did not rate an item, its mean stands in; so the
correlation is the cosine of ratings less their item's mean, over everybody. Shrinkage as in Koren 2008, Factorization
meets the neighborhood. Only likeness above zero counts, and who has no past items like i gets its mean. Removing a past
item chooses the neighbours anew.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from whyrec.interactions import Interactions
from whyrec.rating_neighbours import TINY, NeighbourRecommender, nearest
from whyrec.recommender import Inputs, Part, Request, spread
from whyrec.search_space import SearchSpace
from whyrec.settings import settings


class RatingItemKNN(NeighbourRecommender):
    """The mean of an item, moved by how somebody rated what is like it."""

    @settings
    class Settings:
        """What counts as near."""

        neighbours: int = Field(default=40, ge=1)
        """Past items that may speak for an item: those most like it, and whatever ties with the last of them."""
        shrink: float = Field(default=10.0, ge=0)
        """Common raters at which a correlation counts half: larger trusts those that rest on few people less."""
        damping: float = Field(default=0.1, gt=0)
        """Added to the sum of likeness: larger draws those who have little like an item to its mean."""
        limit: int = Field(default=1000, ge=1)
        """Past items looked at, the most recent first."""

    settings: Settings
    mean_of: ClassVar[Literal["item"]] = "item"
    search_space: ClassVar[SearchSpace] = {
        "neighbours": ("int", 5, 200),
        "shrink": ("linear", 0.0, 500.0),
        "damping": ("log", 0.01, 10.0),
    }
    alike: Tensor  # (items, items), 0 on the diagonal

    def make(self, user_count: int, item_count: int) -> None:
        super().make(user_count, item_count)
        self.register_buffer("alike", torch.zeros(item_count, item_count))

    def solve(self, train: Interactions) -> None:
        super().solve(train)
        unit = self.deviations / self.deviations.norm(dim=1, keepdim=True).clamp(min=TINY)
        common = self.rated.to(unit.dtype) @ self.rated.to(unit.dtype).T
        shrunk = unit @ unit.T * common / (common + self.settings.shrink).clamp(min=TINY)
        self.alike.copy_(shrunk.fill_diagonal_(0.0))

    def floats_per_user(self, items: int) -> int:
        return 2 * items * min(self.settings.limit, len(self.items))

    def embed(self, request: Request) -> Inputs:
        rows, (given, there) = request.history.clamp(min=0), self.past_ratings(request)
        items = request.items.expand(len(rows), -1)
        likeness = self.alike[rows[:, None, :], items[:, :, None]].clamp(min=0)  # (users, items, length)
        alike = likeness * there[:, None, :]
        values = torch.stack([alike * given[:, None, :], alike], dim=-1)
        present = there[:, None, :].expand(alike.shape)
        places, index = request.item_rows()
        return {
            "history": Part.of(values, present=present),
            "mean": Part.of(self.means[places].unsqueeze(-1), index=index),
        }

    def score(self, inputs: Inputs) -> Tensor:
        mean, past = inputs["mean"], inputs["history"].values
        near = past * nearest(past[..., 1].detach(), self.settings.neighbours).unsqueeze(-1)
        brought, likeness = near.sum(2).unbind(-1)
        return spread(mean.values, mean.index).squeeze(-1) + brought / (likeness + self.settings.damping)

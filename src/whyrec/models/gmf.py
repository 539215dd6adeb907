"""GMF: a dot product whose terms are weighted.

score = h . (p * q) + b          He et al. 2017, Neural collaborative filtering, equation 9
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from whyrec.recommender import Inputs, Request, spread, vector
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.vectors import History, UserSource, VectorRecommender, user_half, user_vector


class GMF(VectorRecommender):
    """Generalised matrix factorisation: each factor of the product has a weight of its own."""

    @settings
    class Settings:
        """Shape of the factorisation."""

        factors: int = Field(default=16, ge=1)
        """Length of the vectors."""
        user: UserSource = "history"
        """Where a user's vector comes from: a row of its own, or the sum of past items (works for new users)."""
        history: History = History()
        """How past items become a vector."""
        init_std: float = Field(default=0.05, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings
    search_space: ClassVar[SearchSpace] = {
        "factors": ("choice", (8, 16, 32, 64, 128)),
        "init_std": ("log", 0.005, 0.5),
        "history.dropout": ("linear", 0.0, 1.0),
        "history.exponent": ("linear", 0.0, 1.0),
    }

    @property
    def width(self) -> int:
        return self.settings.factors

    def make(self, user_count: int, item_count: int) -> None:
        super().make(user_count, item_count)
        self.output = nn.Linear(self.settings.factors, 1)

    def floats_to_rank(self) -> tuple[int, int]:
        return len(self.items) * self.width, len(self.items)

    def score(self, inputs: Inputs) -> Tensor:
        user, item = user_half(inputs), inputs["item"]
        scores: Tensor = self.output(spread(*user) * spread(vector(item), item.index))
        return scores.squeeze(-1)

    def rank_scores(self, request: Request) -> Tensor:
        """The same scores as one matrix product, where one list of items serves all users."""
        inputs = self.embed(request)
        if request.items.shape[0] != 1:
            return self.score(inputs)
        weighted = user_vector(inputs)[:, 0] * self.output.weight
        return torch.addmm(self.output.bias, weighted, vector(inputs["item"])[0].T)

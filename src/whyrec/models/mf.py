"""Matrix factorisation: a user is a vector, an item is a vector, their dot product is the score.

Koren, Bell and Volinsky 2009; with the user summed from past items it is FISM (Kabbur et al. 2013).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from whyrec.recommender import Inputs, Part, Request, spread, vector
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.vectors import History, UserSource, VectorRecommender, user_vector


class MF(VectorRecommender):
    """Dot product of a user vector and an item vector, plus what the item brings by itself."""

    @settings
    class Settings:
        """Shape of the factorisation."""

        factors: int = Field(default=64, ge=1)
        """Length of the vectors."""
        user: UserSource = "history"
        """Where a user's vector comes from: a row of its own, or the sum of past items (works for new users)."""
        history: History = History()
        """How past items become a vector."""
        init_std: float = Field(default=0.05, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings
    search_space: ClassVar[SearchSpace] = {
        "factors": ("choice", (16, 32, 64, 128, 256)),
        "init_std": ("log", 0.005, 0.5),
        "history.dropout": ("linear", 0.0, 1.0),
        "history.exponent": ("linear", 0.0, 1.0),
    }

    @property
    def width(self) -> int:
        return self.settings.factors

    def make(self, user_count: int, item_count: int) -> None:
        super().make(user_count, item_count)
        self.item_bias = nn.Embedding(item_count, 1, sparse=True)
        nn.init.zeros_(self.item_bias.weight)

    def floats_to_rank(self) -> tuple[int, int]:
        return len(self.items) * self.width, len(self.items)

    def embed(self, request: Request) -> Inputs:
        rows, index = request.item_rows()
        return {**super().embed(request), "item_bias": Part.of(self.item_bias(rows), index=index)}

    def score(self, inputs: Inputs) -> Tensor:
        item, bias = inputs["item"], inputs["item_bias"]
        match = (user_vector(inputs) * spread(vector(item), item.index)).sum(-1)
        return match + spread(bias.values, bias.index).squeeze(-1)

    def rank_scores(self, request: Request) -> Tensor:
        """The same scores as one matrix product, where one list of items serves all users."""
        inputs = self.embed(request)
        if request.items.shape[0] != 1:
            return self.score(inputs)
        bias = inputs["item_bias"].values[0, :, 0]
        return torch.addmm(bias, user_vector(inputs)[:, 0], vector(inputs["item"])[0].T)

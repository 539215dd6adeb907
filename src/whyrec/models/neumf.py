"""NeuMF: a product branch (GMF) and a network branch (MLP), joined by one linear layer.

He et al. 2017, Neural collaborative filtering. With `depth` 3 and 8 factors the network is 32 -> 16 -> 8, as there.
The first layer on [user, item] is written as two linears that are added: the user's half is computed once a list, the
item's half once a distinct item.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn

from whyrec.recommender import Inputs, spread, vector
from whyrec.settings import settings
from whyrec.vectors import History, UserSource, VectorRecommender, user_vector


class NeuMF(VectorRecommender):
    """Neural matrix factorisation: what a product of vectors and a small network say together."""

    @settings
    class Settings:
        """Shape of both branches."""

        factors: int = Field(default=16, ge=1)
        """Length of the product branch, and of the network's last layer."""
        depth: int = Field(default=3, ge=1)
        """Layers of the network; each halves the width, down to `factors`."""
        user: UserSource = "history"
        """Where a user's vectors come from: rows of their own, or the sum of past items (works for new users)."""
        history: History = History()
        """How past items become a vector."""
        init_std: float = Field(default=0.05, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings

    @property
    def width(self) -> int:
        return self.settings.factors + self._layer_widths[0]

    @property
    def _layer_widths(self) -> list[int]:
        """Outputs of the network's layers; its input is twice the first."""
        return [self.settings.factors * 2**step for step in reversed(range(self.settings.depth))]

    def make(self, user_count: int, item_count: int) -> None:
        super().make(user_count, item_count)
        widths = self._layer_widths
        self.user_half = nn.Linear(widths[0], widths[0])
        self.item_half = nn.Linear(widths[0], widths[0], bias=False)
        self.tower = nn.Sequential(nn.ReLU())
        for wide, narrow in pairwise(widths):
            self.tower.extend([nn.Linear(wide, narrow), nn.ReLU()])
        self.output = nn.Linear(2 * self.settings.factors, 1)

    def floats_per_user(self, items: int) -> int:
        return items * 2 * self._layer_widths[0]

    def score(self, inputs: Inputs) -> Tensor:
        item, index = vector(inputs["item"]), inputs["item"].index
        user, split = user_vector(inputs), self.settings.factors
        product = user[..., :split] * spread(item[..., :split], index)
        network = self.tower(self.user_half(user[..., split:]) + spread(self.item_half(item[..., split:]), index))
        scores: Tensor = self.output(torch.cat([product, network], dim=-1))
        return scores.squeeze(-1)

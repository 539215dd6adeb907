"""MLP: a small network on the user's and the item's vector, side by side.

He et al. 2017, Neural collaborative filtering. With `depth` 3 and 8 factors the network is 32 -> 16 -> 8, as there;
with depth 0 the two vectors go straight to the output, which leaves nothing of one to meet the other.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from whyrec.pair_network import PairNetwork, vector_width
from whyrec.recommender import Inputs, spread, vector
from whyrec.settings import settings
from whyrec.vectors import History, UserSource, VectorRecommender, user_half


class MLP(VectorRecommender):
    """A network that has to find out by itself how users and items go together."""

    @settings
    class Settings:
        """Shape of the network."""

        factors: int = Field(default=16, ge=1)
        """Width of the last layer."""
        depth: int = Field(default=3, ge=0)
        """Layers; each halves the width, down to `factors`."""
        user: UserSource = "history"
        """Where a user's vector comes from: a row of its own, or the sum of past items (works for new users)."""
        history: History = History()
        """How past items become a vector."""
        init_std: float = Field(default=0.05, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings

    @property
    def width(self) -> int:
        return vector_width(self.settings.factors, self.settings.depth)

    def make(self, user_count: int, item_count: int) -> None:
        super().make(user_count, item_count)
        if self.settings.depth == 0:
            self.user_output, self.item_output = nn.Linear(self.width, 1), nn.Linear(self.width, 1, bias=False)
            return
        self.network = PairNetwork(self.settings.factors, self.settings.depth)
        self.output = nn.Linear(self.settings.factors, 1)

    def floats_per_user(self, items: int) -> int:
        return items * 2 * self.width

    def score(self, inputs: Inputs) -> Tensor:
        user, item = user_half(inputs), (vector(inputs["item"]), inputs["item"].index)
        if self.settings.depth == 0:
            scores: Tensor = spread(self.user_output(user[0]), user[1]) + spread(self.item_output(item[0]), item[1])
        else:
            scores = self.output(self.network(user, item))
        return scores.squeeze(-1)

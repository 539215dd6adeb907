"""MLP: a small network on the user's and the item's vector, side by side.

He et al. 2017, Neural collaborative filtering. With `depth` 3 and 8 factors the network is 32 -> 16 -> 8, as there;
with depth 0 the two vectors go straight to the output, which leaves nothing of one to meet the other.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from whyrec.pair_network import Interaction, PairNetwork, vector_width
from whyrec.recommender import Inputs, Request, spread, vector
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.vectors import History, UserSource, VectorRecommender, user_half, user_vector


class MLP(VectorRecommender):
    """A network that has to find out by itself how users and items go together."""

    @settings
    class Settings:
        """Shape of the network."""

        factors: int = Field(default=16, ge=1)
        """Width of the last layer."""
        depth: int = Field(default=3, ge=0)
        """Layers; each halves the width, down to `factors`."""
        interaction: Interaction = "concat"
        """How the vectors meet in the first layer: side by side, or each number of one with each of the other."""
        user: UserSource = "history"
        """Where a user's vector comes from: a row of its own, or the sum of past items (works for new users)."""
        history: History = History()
        """How past items become a vector."""
        init_std: float = Field(default=0.05, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings
    search_space: ClassVar[SearchSpace] = {
        "factors": ("choice", (8, 16, 32, 64)),
        "depth": ("int", 1, 4),
        "init_std": ("log", 0.005, 0.5),
        "history.dropout": ("linear", 0.0, 1.0),
        "history.exponent": ("linear", 0.0, 1.0),
    }

    @property
    def width(self) -> int:
        return vector_width(self.settings.factors, self.settings.depth)

    def make(self, user_count: int, item_count: int) -> None:
        super().make(user_count, item_count)
        if self.settings.depth == 0:
            self.user_output, self.item_output = nn.Linear(self.width, 1), nn.Linear(self.width, 1, bias=False)
            return
        self.network = PairNetwork(self.settings.factors, self.settings.depth, self.settings.interaction)
        self.output = nn.Linear(self.settings.factors, 1)

    def floats_per_user(self, items: int) -> int:
        return items if self.settings.depth == 0 else self.network.floats_per_user(items)

    def floats_to_rank(self) -> tuple[int, int]:
        items = len(self.items)
        network = 0 if self.settings.depth == 0 else self.network.floats_to_rank(items)
        return items * self.width + network, items

    def score(self, inputs: Inputs) -> Tensor:
        user, item = user_half(inputs), (vector(inputs["item"]), inputs["item"].index)
        if self.settings.depth == 0:
            scores: Tensor = spread(self.user_output(user[0]), user[1]) + spread(self.item_output(item[0]), item[1])
        else:
            scores = self.output(self.network(user, item))
        return scores.squeeze(-1)

    def rank_scores(self, request: Request) -> Tensor:
        """The same scores, a few users at a time, where one list of items serves all users."""
        inputs = self.embed(request)
        if request.items.shape[0] != 1 or self.settings.depth == 0:
            return self.score(inputs)
        users, items = user_vector(inputs)[:, 0], vector(inputs["item"])[0]
        return self.network.rank(users, items, self.output.weight[0]) + self.output.bias

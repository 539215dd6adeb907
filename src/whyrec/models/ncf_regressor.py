"""NCFRegressor: the user's and the item's vector side by side, dense layers, one linear output that is the rating.

Neural collaborative filtering (He et al. 2017) as a regression: one hidden layer of 100 unless said otherwise, batch
norm, activation and dropout between the layers, and no product of the vectors anywhere.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from whyrec.dense_network import Activation, DenseNetwork, weights_of
from whyrec.rating_vectors import RatingRecommender, rater
from whyrec.recommender import Inputs, Request, spread, vector
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.vectors import History, side_by_side


class NCFRegressor(RatingRecommender):
    """A network that reads both vectors and says a rating."""

    @settings
    class Settings:
        """Shape of the network."""

        factors: int = Field(default=32, ge=1)
        """Length of the vectors."""
        width: int = Field(default=100, ge=1)
        """Numbers in each dense layer."""
        depth: int = Field(default=1, ge=1)
        """Dense layers before the linear one."""
        activation: Activation = "relu"
        """What bends the output of each dense layer."""
        batch_norm: bool = False
        """Whether each dense layer is put on a common scale before its activation."""
        dropout: float = Field(default=0.0, ge=0, lt=1)
        """Share of each dense layer's numbers that a step of training leaves out."""
        implicit: bool = False
        """Whether what somebody rated, whatever the ratings, adds to that person's vector."""
        history: History = History(limit=1000)
        """How past items become a vector, where they do."""
        regularisation: float = Field(default=0.05, ge=0)
        """Weight of the squared length of the vectors beside the squared error of each rating."""
        init_std: float = Field(default=0.05, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings
    has_biases: ClassVar[bool] = False
    search_space: ClassVar[SearchSpace] = {
        "factors": ("choice", (8, 16, 32, 64)),
        "width": ("choice", (16, 100, 400)),
        "depth": ("int", 1, 3),
        "dropout": ("linear", 0.0, 0.5),
        "regularisation": ("log", 0.001, 0.3),
        "init_std": ("log", 0.005, 0.5),
    }

    @property
    def width(self) -> int:
        return self.settings.factors

    def make(self, user_count: int, item_count: int) -> None:
        super().make(user_count, item_count)
        self.network = DenseNetwork(2 * self.settings.factors, self.settings)

    def floats_per_user(self, items: int) -> int:
        return items * max(2 * self.width, self.settings.width)

    def embed(self, request: Request) -> Inputs:
        return self.network.with_dropout(super().embed(request), request)

    def score(self, inputs: Inputs) -> Tensor:
        item = inputs["item"]
        both = side_by_side([rater(inputs), spread(vector(item), item.index)])
        scores: Tensor = self.network(both, inputs) + self.mean
        return scores

    def summary(self) -> str:
        """What a batch of pairs goes through, layer by layer, with shapes and numbers learned: a table to print."""
        self.require_built()
        one = f"(batch, {self.width})"
        lines = [
            ("user vector", "(batch,)", one, weights_of(self.user_table)),
            ("item vector", "(batch,)", one, weights_of(self.item_table)),
        ]
        if self.settings.implicit:
            lines.append(("past items, added", "(batch, past)", one, weights_of(self.past_table)))
        lines.append(("concatenate", f"2 x {one}", f"(batch, {2 * self.width})", 0))
        lines += [
            (step.name, f"(batch, {step.wide})", f"(batch, {step.narrow})", step.weights)
            for step in self.network.steps()
        ]
        lines.append(("total", "", "", weights_of(self)))
        table = [f"{'layer':<18} {'input':<18} {'output':<14} {'weights':>10}"]
        return "\n".join(
            table + [f"{name:<18} {wide:<18} {narrow:<14} {count:>10,}" for name, wide, narrow, count in lines]
        )

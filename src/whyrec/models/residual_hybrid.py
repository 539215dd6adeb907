"""ResidualHybrid: matrix factorisation with biases, and a network that says what is left over.

    score = mean + dot + dense                                     where `alpha` is not set
    score = alpha (mean + dot) + (1 - alpha) (mean + dense)        where it is, or is learned

dot is b_u + b_i + p_u . q_i, as in BiasedMF; dense is a network on the two vectors side by side, as in NCFRegressor.
`shares` tells of each score how much is linear and how much the network's. He et al. 2016, Deep residual learning, is
where a network that only learns a correction comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from whyrec.dense_network import Activation, DenseNetwork
from whyrec.rating_vectors import RatingRecommender, both_biases, product, rater
from whyrec.recommender import Inputs, Request, spread, vector
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.vectors import History, side_by_side

Alpha = Annotated[float, Field(ge=0, le=1)] | Literal["learned"] | None


class ResidualHybrid(RatingRecommender):
    """A dot product and a network, added or weighed against each other."""

    @settings
    class Settings:
        """Shape of both branches, and how they are joined."""

        factors: int = Field(default=16, ge=1)
        """Length of the vectors of each branch."""
        alpha: Alpha = None
        """Weight of the dot product beside that of the network, 1 - alpha; "learned" finds it in training; without it
        the two are added."""
        shared_vectors: bool = False
        """Whether both branches read the same vectors; apart, each has its own."""
        width: int = Field(default=100, ge=1)
        """Numbers in each dense layer of the network."""
        depth: int = Field(default=1, ge=1)
        """Dense layers of the network before its linear one."""
        activation: Activation = "relu"
        """What bends the output of each dense layer."""
        batch_norm: bool = False
        """Whether each dense layer is put on a common scale before its activation."""
        dropout: float = Field(default=0.0, ge=0, lt=1)
        """Share of each dense layer's numbers that a step of training leaves out."""
        implicit: bool = False
        """Whether what somebody rated, whatever the ratings, adds to that person's vectors."""
        history: History = History(limit=1000)
        """How past items become a vector, where they do."""
        regularisation: float = Field(default=0.08, ge=0)
        """Weight of the squared length of vectors and biases beside the squared error of each rating."""
        init_std: float = Field(default=0.01, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings
    search_space: ClassVar[SearchSpace] = {
        "factors": ("choice", (8, 16, 32, 64)),
        "alpha": ("choice", (None, "learned", 0.25, 0.5, 0.75)),
        "width": ("choice", (16, 100, 400)),
        "dropout": ("linear", 0.0, 0.5),
        "regularisation": ("log", 0.001, 0.3),
        "init_std": ("log", 0.005, 0.5),
    }

    @property
    def width(self) -> int:
        return self.settings.factors * (1 if self.settings.shared_vectors else 2)

    def make(self, user_count: int, item_count: int) -> None:
        super().make(user_count, item_count)
        self.network = DenseNetwork(2 * self.settings.factors, self.settings)
        if self.settings.alpha == "learned":
            self.leaning = nn.Parameter(torch.zeros(1))

    def floats_per_user(self, items: int) -> int:
        return items * max(self.width, 2 * self.settings.factors, self.settings.width)

    @property
    def alpha(self) -> float | None:
        """The weight of the dot product, whether learned or given; None where the branches are added."""
        weight = self._weight()
        return weight.item() if isinstance(weight, Tensor) else weight

    def embed(self, request: Request) -> Inputs:
        return self.network.with_dropout(super().embed(request), request)

    def score(self, inputs: Inputs) -> Tensor:
        shares = self.shares(inputs)
        return shares["linear"] + shares["residual"]

    def shares(self, inputs: Inputs) -> Mapping[str, Tensor]:
        """What the mean and the dot product, and what the network bring to each score: they sum to it.

        Both are (users, items), "linear" and "residual".
        """
        dot, dense, alpha = *self._branches(inputs), self._weight()
        if alpha is None:
            return {"linear": self.mean + dot, "residual": dense}
        return {"linear": alpha * (self.mean + dot), "residual": (1 - alpha) * (self.mean + dense)}

    def _weight(self) -> Tensor | float | None:
        return torch.sigmoid(self.leaning) if self.settings.alpha == "learned" else self.settings.alpha

    def _branches(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """What each branch says beyond the mean, (users, items)."""
        item = inputs["item"]
        users, items = (self._apart(one) for one in (rater(inputs), spread(vector(item), item.index)))
        dot = product(users[0], items[0]) + both_biases(inputs)
        return dot, self.network(side_by_side([users[1], items[1]]), inputs)

    def _apart(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """What the dot product and what the network read of vectors."""
        if self.settings.shared_vectors:
            return vectors, vectors
        dot, dense = vectors.split(self.settings.factors, dim=-1)
        return dot, dense

"""NeuMF: a product branch (GMF) and a network branch (MLP), joined by one linear layer.

He et al. 2017, Neural collaborative filtering. With `depth` 3 and 8 factors the network is 32 -> 16 -> 8, as there.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from whyrec import kinds
from whyrec.errors import InvalidSetting
from whyrec.pair_network import PairNetwork, vector_width
from whyrec.recommender import Inputs, spread, vector
from whyrec.settings import settings
from whyrec.vectors import History, UserSource, VectorRecommender, user_half


class NeuMF(VectorRecommender):
    """Neural matrix factorisation: what a product of vectors and a small network say together."""

    @settings
    class Settings:
        """Shape of both branches."""

        factors: int = Field(default=16, ge=1)
        """Length of the product branch, and of the network's last layer."""
        depth: int = Field(default=3, ge=1)
        """Layers of the network; each halves the width, down to `factors`."""
        shared_vectors: bool = False
        """Whether both branches read the same vectors; apart, each has its own."""
        user: UserSource = "history"
        """Where a user's vectors come from: rows of their own, or the sum of past items (works for new users)."""
        history: History = History()
        """How past items become a vector."""
        init_std: float = Field(default=0.05, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings

    @classmethod
    def from_pretrained(cls, gmf: VectorRecommender, mlp: VectorRecommender, *, alpha: float = 0.5) -> Self:
        """The fusion of a trained GMF and a trained MLP, to be trained further by `fit`.

        `alpha` is the weight of GMF's output beside MLP's (equation 13 of the paper). Both models must have the same
        factors, users, items and kind of user.
        """
        if (kinds.name_of(gmf), kinds.name_of(mlp)) != ("gmf", "mlp"):
            raise InvalidSetting("NeuMF is fused from a trained GMF and a trained MLP, in this order")
        own: Any = gmf.require_built().settings
        other: Any = mlp.require_built().settings
        if (own.factors, own.user, own.history) != (other.factors, other.user, other.history) or other.depth == 0:
            raise InvalidSetting(
                "GMF and MLP can be fused only with the same factors, user and history, and a depth of at least 1; "
                f"these have {own} and {other}"
            )
        fused = cls(factors=own.factors, depth=other.depth, user=own.user, history=own.history)
        fused.build(gmf.users, gmf.items)
        product: Any = gmf
        network: Any = mlp
        with torch.no_grad():
            for side in ("user_table", "item_table"):
                both = torch.cat([getattr(product, side).weight, getattr(network, side).weight], dim=1)
                getattr(fused, side).weight.copy_(both)
            fused.network.load_state_dict(network.network.state_dict())
            weights = [alpha * product.output.weight, (1 - alpha) * network.output.weight]
            fused.output.weight.copy_(torch.cat(weights, dim=1))
            fused.output.bias.copy_(alpha * product.output.bias + (1 - alpha) * network.output.bias)
        return fused

    @property
    def width(self) -> int:
        network = vector_width(self.settings.factors, self.settings.depth)
        return network if self.settings.shared_vectors else self.settings.factors + network

    def make(self, user_count: int, item_count: int) -> None:
        super().make(user_count, item_count)
        self.network = PairNetwork(self.settings.factors, self.settings.depth)
        product = self.width if self.settings.shared_vectors else self.settings.factors
        self.output = nn.Linear(product + self.settings.factors, 1)

    def floats_per_user(self, items: int) -> int:
        return items * 2 * self.width

    def score(self, inputs: Inputs) -> Tensor:
        (user, of_user), item, of_item = user_half(inputs), vector(inputs["item"]), inputs["item"].index
        start, end = (0, self.width) if self.settings.shared_vectors else (self.settings.factors,) * 2
        product = spread(user[..., :end], of_user) * spread(item[..., :end], of_item)
        network = self.network((user[..., start:], of_user), (item[..., start:], of_item))
        scores: Tensor = self.output(torch.cat([product, network], dim=-1))
        return scores.squeeze(-1)

"""NeuMF: a product branch (GMF) and a network branch (MLP), joined by one linear layer.

    score = w [g, m] + b  (+ g' F m  where `fusion` is bilinear),   g the product, m what the network says

He et al. 2017, Neural collaborative filtering. With `depth` 3 and 8 factors the network is 32 -> 16 -> 8, as there.
Some implementations add a bilinear layer of both branches before the output; a linear output of it is one matrix F.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from whyrec import kinds
from whyrec.errors import InvalidSetting
from whyrec.pair_network import Interaction, PairNetwork, vector_width
from whyrec.recommender import Inputs, Request, spread, vector
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.vectors import History, UserSource, VectorRecommender, user_half, user_vector


class NeuMF(VectorRecommender):
    """Neural matrix factorisation: what a product of vectors and a small network say together."""

    @settings
    class Settings:
        """Shape of both branches."""

        factors: int = Field(default=16, ge=1)
        """Length of the product branch, and of the network's last layer."""
        depth: int = Field(default=3, ge=1)
        """Layers of the network; each halves the width, down to `factors`."""
        interaction: Interaction = "concat"
        """How the vectors meet in the network: side by side, or each number of one with each of the other."""
        fusion: Interaction = "concat"
        """How the branches meet: side by side before the output; bilinear adds what each number of one says with each
        of the other."""
        shared_vectors: bool = False
        """Whether both branches read the same vectors; apart, each has its own."""
        user: UserSource = "history"
        """Where a user's vectors come from: rows of their own, or the sum of past items (works for new users)."""
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
        shared = {"factors": own.factors, "user": own.user, "history": own.history, "init_std": own.init_std}
        fused = cls(**shared, depth=other.depth, interaction=other.interaction)
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
        self.network = PairNetwork(self.settings.factors, self.settings.depth, self.settings.interaction)
        product = self.width if self.settings.shared_vectors else self.settings.factors
        self.output = nn.Linear(product + self.settings.factors, 1)
        if self.settings.fusion == "bilinear":
            self.fusion = nn.Bilinear(product, self.settings.factors, 1, bias=False)
            nn.init.zeros_(self.fusion.weight)  # training begins with the plain fusion

    def floats_per_user(self, items: int) -> int:
        return self.network.floats_per_user(items) + 2 * items * self.output.in_features

    def floats_to_rank(self) -> tuple[int, int]:
        items = len(self.items)
        if self.settings.fusion == "bilinear":
            return super().floats_to_rank()
        return items * self.width + self.network.floats_to_rank(items), 2 * items

    def score(self, inputs: Inputs) -> Tensor:
        (user, of_user), item, of_item = user_half(inputs), vector(inputs["item"]), inputs["item"].index
        (user_product, user_network), (item_product, item_network) = self._branches(user), self._branches(item)
        product = spread(user_product, of_user) * spread(item_product, of_item)
        network = self.network((user_network, of_user), (item_network, of_item))
        scores: Tensor = self.output(torch.cat([product, network], dim=-1))
        if self.settings.fusion == "bilinear":
            scores = scores + self.fusion(product, network)
        return scores.squeeze(-1)

    def rank_scores(self, request: Request) -> Tensor:
        """The same scores, the product branch as one matrix product, where one list of items serves all users."""
        inputs = self.embed(request)
        if request.items.shape[0] != 1 or self.settings.fusion == "bilinear":
            return self.score(inputs)
        (users, user_network), (items, item_network) = (
            self._branches(one) for one in (user_vector(inputs)[:, 0], vector(inputs["item"])[0])
        )
        of_product, of_network = self.output.weight[0].split([users.shape[-1], self.settings.factors])
        product = torch.addmm(self.output.bias, users * of_product, items.T)
        return product + self.network.rank(user_network, item_network, of_network)

    def _branches(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """What the product and what the network read of vectors; one split has a cheaper gradient than two slices."""
        if self.settings.shared_vectors:
            return vectors, vectors
        product, network = vectors.split([self.settings.factors, self.width - self.settings.factors], dim=-1)
        return product, network

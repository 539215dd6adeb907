"""AttentionNCF: attention over the pieces of a user's and an item's vector, and over past items, before dense layers.

A vector of `width` numbers is cut into tokens, which look at one another by scaled dot-product attention with query,
key and value layers of their side; what they gather goes through dense layers and, beside them, a product, as in NeuMF.
A user from history is the past items, weighed anew for each item i:

    u_i = sum_j a_ij p_j,    a_ij = exp(l_ij) / (1 + sum_k exp(l_ik))^beta,    l_ij = (W q_i + b) . p_j / sqrt(width)

He et al. 2018, NAIS: neural attentive item similarity model, whose smoothed softmax has beta = 0.5 (`history.exponent`;
1 is a softmax, which makes long histories no louder than short ones), here with a bilinear fit in place of a network.
The 1 stands for looking at nothing, so that somebody without a past has weights that sum to 0. A past item that is
removed is out of the sum below the line as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.errors import InvalidSetting
from whyrec.pair_network import PairNetwork, Vectors, vector_width
from whyrec.recommender import Inputs, Part, Request, spread, vector
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.vectors import History, UserSource, VectorRecommender


class AttentionNCF(VectorRecommender):
    """A network that chooses where to look: in the vectors of user and item, and among past items."""

    @settings
    class Settings:
        """Shape of the network, and of its attention."""

        factors: int = Field(default=16, ge=1)
        """Width of the last layer."""
        depth: int = Field(default=3, ge=1)
        """Dense layers; each halves the width, down to `factors`."""
        tokens: int = Field(default=8, ge=1)
        """Pieces that each vector is cut into; they divide its length, factors * 2^(depth - 1), and factors more where
        there is a product."""
        product: bool = True
        """Whether the first `factors` numbers of user and item meet as a product beside the dense layers: NeuMF, but
        for attention."""
        residual: bool = True
        """Whether a token keeps what it was beside what it gathers; without that, tokens that look everywhere alike are
        hard to tell apart, and training takes long to begin."""
        user: UserSource = "history"
        """Where a user's vector comes from: a row of its own, or past items, those that go with the item weighing
        more (works for new users)."""
        history: History = History(limit=100)
        """How many past items are looked at, how many training hides, and beta as the exponent."""
        init_std: float = Field(default=0.1, gt=0)
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
        network = vector_width(self.settings.factors, self.settings.depth)
        return network + self.settings.factors if self.settings.product else network

    def make(self, user_count: int, item_count: int) -> None:
        if self.width % self.settings.tokens:
            raise InvalidSetting(
                f"AttentionNCF: tokens={self.settings.tokens} does not divide vectors of {self.width} numbers, "
                "factors * 2^(depth - 1) and factors more with a product; choose one that does"
            )
        super().make(user_count, item_count)
        self.user_head, self.item_head = (self._head() for _ in range(2))
        if self._from_history:
            self.look = nn.Linear(self.width, self.width)
        self.network = PairNetwork(self.settings.factors, self.settings.depth)
        self.output = nn.Linear(self.settings.factors * (2 if self.settings.product else 1), 1)

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        return f"{part} token {unit + 1}"

    def floats_per_user(self, items: int) -> int:
        history = self.history_limit * self.width + items * (self.history_limit + 1)
        return history + 6 * items * self.width + self.network.floats_per_user(items)

    def embed(self, request: Request) -> Inputs:
        rows, index = request.item_rows()
        item = Part.of(self._tokens(self.item_table(rows)), index=index)
        if not self._from_history:
            users, places = request.user_rows()
            return {"user": Part.of(self._tokens(self.user_table(users)), index=places), "item": item}
        seen = request.in_sight[:, None]  # (users, 1, length)
        past = self.user_table(request.history.clamp(min=0))[:, None].masked_fill(~seen.unsqueeze(-1), 0.0)
        return {"history": Part.of(past, present=seen), "item": item}

    def score(self, inputs: Inputs) -> Tensor:
        item, user = inputs["item"], inputs.get("user")
        items = self.item_head(item.values).flatten(2), item.index
        if user is not None:
            users = self.user_head(user.values).flatten(2), user.index
        else:
            found = self._weights(inputs) @ inputs["history"].values[:, 0]  # (users, items, width)
            users = self.user_head(self._tokens(found)).flatten(2), None
        scores: Tensor = self.output(self._met(users, items))
        return scores.squeeze(-1)

    def _met(self, users: Vectors, items: Vectors) -> Tensor:
        """What the dense layers, and the product beside them, say of each pair, (users, items, channel)."""
        if not self.settings.product:
            alone: Tensor = self.network(users, items)
            return alone
        sizes = [self.settings.factors, self.width - self.settings.factors]
        (user_product, user), (item_product, item) = (one[0].split(sizes, dim=-1) for one in (users, items))
        product = spread(user_product, users[1]) * spread(item_product, items[1])
        return torch.cat([product, self.network((user, users[1]), (item, items[1]))], dim=-1)

    @torch.no_grad()
    def attention(self, inputs: Inputs) -> Mapping[str, Tensor]:
        """How much each token is looked at, the mean over the tokens that look, and a_ij of past items."""
        item = inputs["item"]
        found = {"item": spread(self.item_head.weights(item.values), item.index)}
        user = inputs.get("user")
        if user is None:
            found["history"] = self._weights(inputs)
        else:
            found["user"] = spread(self.user_head.weights(user.values), user.index)
        users, items = torch.broadcast_shapes(*(weights.shape[:2] for weights in found.values()))
        return {name: weights.expand(users, items, -1) for name, weights in found.items()}

    def _weights(self, inputs: Inputs) -> Tensor:
        """a_ij, (users, items, length), 0 for a past item that is not there."""
        past, item = inputs["history"], inputs["item"]
        wanted = spread(self.look(vector(item)), item.index)  # (users | 1, items, width)
        fit = wanted @ past.values[:, 0].mT / self.width**0.5
        shares = F.pad(fit.masked_fill(~past.present, -torch.inf), (1, 0)).softmax(-1)  # nothing, and each past item
        nothing, each = shares[..., :1], shares[..., 1:]
        weights: Tensor = each * nothing ** (self.settings.history.exponent - 1)
        return weights

    def _head(self) -> _Head:
        return _Head(self.width // self.settings.tokens, residual=self.settings.residual)

    def _tokens(self, vectors: Tensor) -> Tensor:
        """(..., width) -> (..., tokens, width / tokens)."""
        found: Tensor = vectors.unflatten(-1, (self.settings.tokens, -1))
        return found


class _Head(nn.Module):
    """Tokens that look at one another: softmax(Q K' / sqrt(size)) V, added to themselves where `residual`."""

    def __init__(self, size: int, *, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        if residual:  # training begins with vectors as they are
            nn.init.zeros_(self.value.weight)
            nn.init.zeros_(self.value.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """What each token becomes, (..., tokens, size)."""
        gathered: Tensor = self._shares(tokens) @ self.value(tokens)
        return tokens + gathered if self.residual else gathered

    def weights(self, tokens: Tensor) -> Tensor:
        """How much each token is looked at, the mean over the tokens that look, (..., tokens); they sum to 1."""
        return self._shares(tokens).mean(-2)

    def _shares(self, tokens: Tensor) -> Tensor:
        """How much each token looks at each, (..., tokens, tokens)."""
        fit: Tensor = self.query(tokens) @ self.key(tokens).mT / tokens.shape[-1] ** 0.5
        return fit.softmax(-1)

"""Denoising autoencoder: a person's past items, some of them hidden, are squeezed into one vector and all items read
off it.

    h = tanh(n^(-1/2) sum of w_j over the n past items j + b),   score of item i = h . v_i + c_i

Mult-DAE with one hidden layer: Liang et al. 2018, Variational autoencoders for collaborative filtering; trained by the
multinomial loss on whole lists. It knows nobody by id, so it serves whoever brings a history.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from whyrec.recommender import Inputs, Part, Request, spread, vector
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.training import Loss
from whyrec.vectors import History, VectorRecommender, user_vector


class Autoencoder(VectorRecommender):
    """Past items in, a probability of each item out."""

    @settings
    class Settings:
        """Shape of the autoencoder."""

        factors: int = Field(default=200, ge=1)
        """Length of the vector in the middle."""
        user: Literal["history"] = "history"
        """A person is what that person took."""
        history: History = History(limit=1000)
        """How past items become a vector."""
        init_std: float = Field(default=0.05, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings
    usual_loss: ClassVar[Loss] = "multinomial"
    search_space: ClassVar[SearchSpace] = {
        "factors": ("choice", (64, 128, 200, 400)),
        "init_std": ("log", 0.005, 0.5),
        "history.dropout": ("linear", 0.0, 1.0),
        "history.exponent": ("linear", 0.0, 1.0),
    }

    @property
    def width(self) -> int:
        return self.settings.factors

    def make(self, user_count: int, item_count: int) -> None:
        super().make(user_count, item_count)
        self.item_table = nn.Embedding.from_pretrained(
            self.item_table.weight, freeze=False
        )  # a step asks for all items
        self.hidden_bias = nn.Parameter(torch.zeros(self.width))
        self.item_bias = nn.Embedding.from_pretrained(torch.zeros(item_count, 1), freeze=False)

    def floats_to_rank(self) -> tuple[int, int]:
        return len(self.items) * self.width, len(self.items)

    def embed(self, request: Request) -> Inputs:
        rows, index = request.item_rows()
        return {**super().embed(request), "item_bias": Part.of(self.item_bias(rows), index=index)}

    def score(self, inputs: Inputs) -> Tensor:
        item, bias = inputs["item"], inputs["item_bias"]
        hidden, offered = self._hidden(inputs), spread(vector(item), item.index)
        if len(offered) == 1 and hidden.shape[1] == 1:  # one list of items for everybody
            match = hidden[:, 0] @ offered[0].T
        else:
            match = (hidden * offered).sum(-1)
        return match + spread(bias.values, bias.index).squeeze(-1)

    def _hidden(self, inputs: Inputs) -> Tensor:
        """What a person's past items come to, (users, items | 1, factors)."""
        return torch.tanh(user_vector(inputs) + self.hidden_bias)

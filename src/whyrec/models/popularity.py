"""Popularity: everybody gets what most people took. The bar that anything personal has to clear."""

from __future__ import annotations

import torch
from torch import Tensor

from whyrec.interactions import Interactions
from whyrec.recommender import Inputs, Part, Recommender, Request
from whyrec.settings import settings


class Popularity(Recommender):
    """An item's score is how many training events it has. There is nothing in it to explain by removal."""

    @settings
    class Settings:
        """Popularity has none."""

    counts: Tensor

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("counts", torch.zeros(item_count))

    def solve(self, train: Interactions) -> None:
        self.counts.copy_(torch.from_numpy(train.item_counts))

    def embed(self, request: Request) -> Inputs:
        items = request.items.expand(len(request.users), -1)
        return {"popularity": Part.of(self.counts[items].unsqueeze(-1))}

    def score(self, inputs: Inputs) -> Tensor:
        return inputs["popularity"].values.sum(-1)

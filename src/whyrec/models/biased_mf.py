"""Biased matrix factorisation: a mean, what a user and an item bring by themselves, and how their vectors match.

    score = mean + b_u + b_i + q_i . (p_u + n^(-1/2) sum of y_j over the n past items j)

Koren, Bell and Volinsky 2009, Matrix factorization techniques for recommender systems; the sum over past items, which
is there where `implicit` is set, makes it SVD++ (Koren 2008, Factorization meets the neighborhood). Of one item the
score is a plain sum of what the biases, each factor of the user and each past item bring, so its terms are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from whyrec.rating_vectors import RatingRecommender, both_biases, product, rater
from whyrec.recommender import Inputs, Request, UnitKind, spread, vector
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.vectors import History


class BiasedMF(RatingRecommender):
    """Ratings as a mean, two biases and a dot product; with `implicit`, what somebody rated has a say (SVD++)."""

    @settings
    class Settings:
        """Shape of the factorisation."""

        factors: int = Field(default=16, ge=1)
        """Length of the vectors."""
        implicit: bool = False
        """Whether what somebody rated, whatever the ratings, adds to that person's vector."""
        history: History = History(limit=1000)
        """How past items become a vector, where they do."""
        regularisation: float = Field(default=0.08, ge=0)
        """Weight of the squared length of vectors and biases beside the squared error of each rating."""
        init_std: float = Field(default=0.01, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings
    search_space: ClassVar[SearchSpace] = {
        "factors": ("choice", (8, 16, 32, 64)),
        "regularisation": ("log", 0.01, 0.3),
        "init_std": ("log", 0.005, 0.5),
        "history.dropout": ("linear", 0.0, 1.0),
        "history.exponent": ("linear", 0.0, 1.0),
    }

    @property
    def width(self) -> int:
        return self.settings.factors

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        """The item's vector is no unit: it is what those of the user are weighed by."""
        return {part: kind for part, kind in super().unit_kinds.items() if part != "item"}

    def floats_to_rank(self) -> tuple[int, int]:
        return len(self.items) * self.width, len(self.items)

    def score(self, inputs: Inputs) -> Tensor:
        item = inputs["item"]
        return product(rater(inputs), spread(vector(item), item.index)) + both_biases(inputs) + self.mean

    def rank_scores(self, request: Request) -> Tensor:
        """The same scores as one matrix product, where one list of items serves all users."""
        inputs = self.embed(request)
        if request.items.shape[0] != 1:
            return self.score(inputs)
        of_items = vector(inputs["item_bias"])[0, :, 0] + self.mean
        found = torch.addmm(of_items, rater(inputs)[:, 0], vector(inputs["item"])[0].T)
        return found + vector(inputs["user_bias"])[:, 0]

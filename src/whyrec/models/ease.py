"""EASE: each item's score is a weighted sum of the user's past items, the weights solved in one step.

    B = I - P / diag(P),  P = (X'X + regularisation I)^(-1),  score = x B

Steck 2019, Embarrassingly shallow autoencoders for sparse data. One matrix inverse; among the best on small catalogues.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from whyrec.interactions import Interactions
from whyrec.item_weights import ItemWeights, takers_in_common
from whyrec.search_space import SearchSpace
from whyrec.settings import settings


class EASE(ItemWeights):
    """A linear item-to-item model. Its explanation is exact: past item j brings B[j, item]."""

    @settings
    class Settings:
        """How EASE is solved."""

        regularisation: float = Field(default=300.0, gt=0)
        """Added to the diagonal of X'X: larger trusts rare co-occurrences less."""

    settings: Settings
    search_space: ClassVar[SearchSpace] = {"regularisation": ("log", 1.0, 10_000.0)}

    def solve(self, train: Interactions) -> None:
        gram = takers_in_common(train)
        gram.diagonal().add_(self.settings.regularisation)
        inverse = torch.linalg.inv(gram)
        weights = -inverse / inverse.diagonal()
        self.weights.copy_(weights.fill_diagonal_(0.0))

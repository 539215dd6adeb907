"""GMF: a dot product whose terms are weighted.

score = h . (p * q) + b          He et al. 2017, Neural collaborative filtering, equation 9
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from whyrec.recommender import Inputs, spread, vector
from whyrec.settings import settings
from whyrec.vectors import History, UserSource, VectorRecommender, user_half


class GMF(VectorRecommender):
    """Generalised matrix factorisation: each factor of the product has a weight of its own."""

    @settings
    class Settings:
        """Shape of the factorisation."""

        factors: int = Field(default=16, ge=1)
        """Length of the vectors."""
        user: UserSource = "history"
        """Where a user's vector comes from: a row of its own, or the sum of past items (works for new users)."""
        history: History = History()
        """How past items become a vector."""
        init_std: float = Field(default=0.05, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings

    @property
    def width(self) -> int:
        return self.settings.factors

    def make(self, user_count: int, item_count: int) -> None:
        super().make(user_count, item_count)
        self.output = nn.Linear(self.settings.factors, 1)

    def floats_per_user(self, items: int) -> int:
        return items * self.width

    def score(self, inputs: Inputs) -> Tensor:
        user, item = user_half(inputs), inputs["item"]
        scores: Tensor = self.output(spread(*user) * spread(vector(item), item.index))
        return scores.squeeze(-1)

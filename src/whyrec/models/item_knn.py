"""Item-based nearest neighbours: an item's score is how alike it is to the user's past items.

    s_ji = |takers of j and i| / (|takers of j|^(1 - alpha) |takers of i|^alpha + shrink)
    score(user, i) = sum of s_ji over those past items j that are among the `neighbours` nearest to i

Sarwar et al. 2001, Item-based collaborative filtering; shrinkage as in Bell and Koren 2007, exponents as in Aiolli
2013. Dacrema et al. 2021 found it, when tuned, hard to beat.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from whyrec.interactions import Interactions
from whyrec.item_weights import ItemWeights, largest_of_columns, takers_in_common
from whyrec.search_space import SearchSpace
from whyrec.settings import settings


class ItemKNN(ItemWeights):
    """Sum of cosines to the past items. Its explanation is exact: past item j brings its similarity to the item."""

    @settings
    class Settings:
        """What counts as near."""

        neighbours: int = Field(default=100, ge=1)
        """Items that may speak for an item: those most like it."""
        shrink: float = Field(default=10.0, ge=0)
        """Added to the denominator: larger trusts similarities that rest on few users less."""
        alpha: float = Field(default=0.5, ge=0, le=1)
        """0.5 is the cosine; more punishes popular items as recommendations, less as past items."""

    settings: Settings
    search_space: ClassVar[SearchSpace] = {
        "neighbours": ("int", 5, 1000),
        "shrink": ("linear", 0.0, 1000.0),
        "alpha": ("linear", 0.0, 1.0),
    }

    def solve(self, train: Interactions) -> None:
        together = takers_in_common(train)
        takers, alpha = together.diagonal().clamp(min=1), self.settings.alpha
        alike = together / (takers[:, None] ** (1 - alpha) * takers**alpha + self.settings.shrink)
        self.weights.copy_(largest_of_columns(alike.fill_diagonal_(0.0), self.settings.neighbours))

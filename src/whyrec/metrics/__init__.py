"""Metrics, one a file. `LABEL` is the name that papers print, `OF` says what the function looks at.

| OF           | called with           | printed as |
|--------------|-----------------------|------------|
| "ranks"      | `(ranks, k)`          | LABEL@k    |
| "candidates" | `(ranks, candidates)` | LABEL      |
| "lists"      | `(lists)`, k long     | LABEL@k    |

`ranks` is (users, held out): where each held-out item stands, 1 the top, 0 padding; `candidates` is (users,), how many
items were ranked. The first two judge lists by held-out items: more is better. Metrics of lists describe what is
recommended, and whether more of it is better is for the reader to say.

What a metric returns says how users come together: (users,) is averaged; (users, 2) is the ratio of two means; () is
one number of all lists together, which has no interval, because lists drawn twice add nothing to it. All float64; a
user with nothing to measure has NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from whyrec.interactions import Interactions, Rows

Of = Literal["ranks", "candidates", "lists"]


@dataclass(frozen=True, eq=False, slots=True)
class Lists:
    """What was recommended to whom, and what everybody had taken before."""

    items: Tensor  # (users, k) item rows, best first; -1 where nothing was left
    users: Rows  # (users,) whose lists they are
    known: Interactions  # of all users, these and others

    @property
    def catalogue(self) -> int:
        """How many items could have been recommended."""
        return self.known.item_count

    @property
    def recommended(self) -> Tensor:
        """How many lists each item is in, (catalogue,)."""
        return torch.bincount(self.items[self.items >= 0], minlength=self.catalogue)

    @property
    def takers(self) -> Tensor:
        """How many users have taken each item, (catalogue,)."""
        return torch.from_numpy(self._taken.item_counts)

    @property
    def histories(self) -> Tensor:
        """What the users of these lists have taken, (users, length) item rows, -1 where empty."""
        return torch.from_numpy(self._taken.histories(self.users, self.catalogue))

    @property
    def _taken(self) -> Interactions:
        """Each user's items once, however often they were taken."""
        pairs = np.unique(self.known.pairs)
        users, items = np.divmod(pairs, self.catalogue)
        return Interactions(users, items, user_count=self.known.user_count, item_count=self.catalogue)


def mean_of(numbers: Tensor, items: Tensor) -> Tensor:
    """Mean number of each row's items, (users,) float64: `numbers` is (catalogue,), `items` -1 padded; NaN if empty."""
    there = items >= 0
    return torch.where(there, numbers.double()[items.clamp(min=0)], 0.0).sum(1) / there.sum(1)

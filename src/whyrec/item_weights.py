"""Item-to-item models: a score is the sum of what each past item brings, read from one table of weights.

    score(user, item) = sum of B[j, item] over the user's past items j

EASE and nearest neighbours differ in how they make B; embedding, scoring and explaining are the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from whyrec.interactions import Interactions
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind


class ItemWeights(Recommender):
    """A linear item-to-item model. Subclasses write `solve`, which fills `weights`."""

    weights: Tensor  # (past item, item)

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("weights", torch.zeros(item_count, item_count))

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {"history": "past item"}

    @property
    def history_limit(self) -> int:
        return len(self.items)

    @property
    def max_trained_drop(self) -> float:
        return 1.0  # the model is linear: no history is out of its distribution

    def floats_per_user(self, items: int) -> int:
        return items + len(self.items)

    def floats_to_rank(self) -> tuple[int, int]:
        return len(self.items) ** 2, 2 * len(self.items)

    def embed(self, request: Request) -> Inputs:
        there = request.in_sight  # (users, length)
        rows = request.history.clamp(min=0)
        if request.compact:
            x = self.weights.new_zeros(len(rows), len(self.items)).scatter_add_(1, rows, there.to(self.weights.dtype))
            return {"history": Part.of(self._summed(x, request.items)[:, :, None, None], summed=True)}
        items = request.items.expand(len(rows), -1)
        brought = self.weights[rows[:, None, :], items[:, :, None]] * there[:, None, :]  # (users, items, length)
        present = there[:, None, :].expand(brought.shape)
        return {"history": Part.of(brought.unsqueeze(-1), present=present, summed=True)}

    def _summed(self, x: Tensor, items: Tensor) -> Tensor:
        """x B at the asked items, (users, items): x is (users, catalogue), items (users | 1, items)."""
        if items.shape[0] == 1:
            return x @ self.weights[:, items[0]]
        return (x @ self.weights).gather(1, items)

    def score(self, inputs: Inputs) -> Tensor:
        return inputs["history"].values.sum((-2, -1))


def largest_of_columns(weights: Tensor, k: int) -> Tensor:
    """The k largest numbers of each column, all others 0.

    >>> largest_of_columns(torch.tensor([[1.0, 5.0], [2.0, 4.0]]), k=1)
    tensor([[0., 5.],
            [2., 0.]])
    """
    best = weights.topk(min(k, len(weights)), dim=0)
    return torch.zeros_like(weights).scatter_(0, best.indices, best.values)


def takers_in_common(train: Interactions) -> Tensor:
    """X'X, how many users took both items, float64 (items, items), takers of each item on the diagonal.

    One block of users at a time; an event counts once a user.

    >>> takers_in_common(Interactions(np.array([0, 0, 1]), np.array([0, 1, 1]), user_count=2, item_count=2))
    tensor([[1., 1.],
            [1., 2.]], dtype=torch.float64)
    """
    gram = torch.zeros(train.item_count, train.item_count, dtype=torch.float64)
    block = max(1, 50_000_000 // max(train.item_count, 1))
    for start in range(0, train.user_count, block):
        inside = (train.users >= start) & (train.users < start + block)
        x = torch.zeros(min(block, train.user_count - start), train.item_count)
        x[torch.from_numpy(train.users[inside] - start), torch.from_numpy(np.asarray(train.items[inside]))] = 1.0
        gram += (x.T @ x).double()
    return gram

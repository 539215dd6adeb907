"""iALS: user and item vectors in turns, each side the exact least-squares answer to the other.

    sum over taken (u, i) of (1 - p_u . q_i)^2  +  w sum over all (u, i) of (p_u . q_i)^2
      + r [ sum over u of (n_u + w items)^f |p_u|^2  +  sum over i of (n_i + w users)^f |q_i|^2 ]

Hu, Koren and Volinsky 2008, Collaborative filtering for implicit feedback datasets; objective, scaled regularisation
and first vectors as in Rendle et al. 2022, Revisiting the performance of iALS on item recommendation benchmarks.

A user's vector is always solved from the history that is asked about, so somebody new needs no training:

    p_u = A_u^(-1) sum over taken j of q_j,   A_u = sum over taken j of q_j q_j' + w Q'Q + r (n_u + w items)^f I

`embed` solves once for each past item, so a score is the sum of what past items bring, q_i . A_u^(-1) q_j: the
explanation of section 5 of the paper of 2008, and every explainer finds it. What is removed or hidden stays in A_u and
n_u: the item still counts as met, it only no longer speaks for others. Solving as if it had never been met is asking
again with a shorter history, and gives other numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from whyrec.interactions import Interactions, Rows
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind, spread, vector
from whyrec.search_space import SearchSpace
from whyrec.settings import settings

BLOCK_FLOATS = 1 << 23
"""Numbers that one block of least-squares problems may hold: 32 MiB in single precision."""

USUAL_HISTORY = 512
"""Past items that blocks of ranking are sized for; a longer history makes its block larger."""


class IALS(Recommender):
    """Implicit alternating least squares: dot products, solved and not descended to."""

    @settings
    class Settings:
        """The objective, and how often it is solved."""

        factors: int = Field(default=64, ge=1)
        """Length of the vectors."""
        regularisation: float = Field(default=0.003, gt=0)
        """r: larger keeps vectors shorter."""
        unobserved_weight: float = Field(default=0.3, gt=0)
        """w: how much a pair that is not there counts as a zero, beside a taken one."""
        frequency_scaling: float = Field(default=1.0, ge=0)
        """f: 0 regularises everybody alike, 1 in proportion to how much there is to fit."""
        epochs: int = Field(default=12, ge=1)
        """How often both sides are solved."""
        init_std: float = Field(default=0.1, gt=0)
        """Standard deviation of the first vectors' lengths: each number has it divided by the root of `factors`."""

    settings: Settings
    search_space: ClassVar[SearchSpace] = {
        "factors": ("choice", (16, 32, 64, 128)),
        "regularisation": ("log", 1e-4, 0.1),
        "unobserved_weight": ("log", 0.01, 1.0),
        "epochs": ("int", 4, 24),
    }

    def make(self, user_count: int, item_count: int) -> None:
        self.item_table = nn.Embedding(item_count, self.settings.factors)
        nn.init.normal_(self.item_table.weight, std=self.settings.init_std / self.settings.factors**0.5)

    @torch.no_grad()
    def solve(self, train: Interactions) -> None:
        by_user = _distinct(train)
        by_item = Interactions(by_user.items, by_user.users, user_count=train.item_count, item_count=train.user_count)
        items = self.item_table.weight
        for _ in range(self.settings.epochs):
            users = self._solved(by_user, items)
            items.copy_(self._solved(by_item, users))

    def _solved(self, events: Interactions, others: Tensor) -> Tensor:
        """The best vector of every row of `events`, (rows, factors), given the other side's."""
        found = others.new_zeros(events.user_count, others.shape[1])
        for rows in _blocks(events, self.settings.factors):
            taken = torch.from_numpy(events.histories(rows, events.item_count)).to(others.device)
            there = taken >= 0
            vectors = others[taken] * there.unsqueeze(-1)
            equations = self._equations(vectors, there, others)
            found[torch.from_numpy(rows)] = torch.linalg.solve(equations, vectors.sum(1))
        return found

    def _equations(self, taken: Tensor, there: Tensor, others: Tensor) -> Tensor:
        """A of each row, (rows, factors, factors): what is solved is A p = sum of the taken q.

        `taken` is (rows, length, factors), zero where `there` (rows, length) is False.
        """
        w, f = self.settings.unobserved_weight, self.settings.frequency_scaling
        ridge = self.settings.regularisation * (there.sum(-1).to(others.dtype) + w * len(others)) ** f
        unit = torch.eye(others.shape[1], dtype=others.dtype, device=others.device)
        return taken.mT @ taken + w * (others.T @ others) + ridge[..., None, None] * unit

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {"history": "past item", "item": "factor"}

    @property
    def history_limit(self) -> int:
        return len(self.items)

    @property
    def max_trained_drop(self) -> float:
        return 1.0  # with A_u held, a score is linear in the past: no part of a history is unfamiliar

    def floats_per_user(self, items: int) -> int:
        width = self.settings.factors
        return items + width * (min(USUAL_HISTORY, len(self.items)) + 2 * width)

    def embed(self, request: Request) -> Inputs:
        rows, index = request.item_rows()
        return {
            "history": self._past_items(request),
            "item": Part.of(self.item_table(rows).unsqueeze(-1), index=index),
        }

    def _past_items(self, request: Request) -> Part:
        """A^(-1) q of each past item, (users, 1, length, factors); of their sum where the request is compact."""
        there, seen = request.history >= 0, request.in_sight  # (users, length)
        past = self.item_table(request.history.clamp(min=0))  # (users, length, factors)
        equations = self._equations(past * there.unsqueeze(-1), there, self.item_table.weight)
        past = past * seen.unsqueeze(-1)
        if request.compact:
            user = torch.linalg.solve(equations, past.sum(1))
            return Part.of(user[:, None, None, :], present=seen.any(1)[:, None, None], summed=True)
        return Part.of(torch.linalg.solve(equations, past.mT).mT.unsqueeze(1), present=seen.unsqueeze(1), summed=True)

    def score(self, inputs: Inputs) -> Tensor:
        user, item = inputs["history"].values.sum(2), inputs["item"]  # (users, items | 1, factors)
        return (user * spread(vector(item), item.index)).sum(-1)

    def rank_scores(self, request: Request) -> Tensor:
        """The same scores as one matrix product, where one list of items serves all users."""
        inputs = self.embed(request)
        if request.items.shape[0] != 1:
            return self.score(inputs)
        return inputs["history"].values.sum(2)[:, 0] @ vector(inputs["item"])[0].T


def _distinct(train: Interactions) -> Interactions:
    """Each pair once."""
    _, first = np.unique(train.pairs, return_index=True)
    return train.where(first)


def _blocks(events: Interactions, factors: int) -> Iterator[Rows]:
    """All rows, those with as many events together, in blocks of bounded memory."""
    counts = events.user_counts
    longest_first = np.argsort(-counts, kind="stable")
    start = 0
    while start < len(longest_first):
        size = max(1, BLOCK_FLOATS // int(factors * (counts[longest_first[start]] + 2 * factors)))
        yield longest_first[start : start + size]
        start += size

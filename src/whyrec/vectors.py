"""Users and items as vectors: what MF, GMF, MLP, NeuMF and attention models share.

A user's vector is a row of its own, or the sum of past items:

    u = n^(-exponent) * sum of p_j over the n past items j          (Kabbur et al. 2013, FISM)

The sum needs no retraining for somebody new, and every past item in it can be named and removed. n counts the whole
history, hidden or removed items included, so the user vector is affine in each of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind, spread, vector
from whyrec.settings import settings

UserSource = Literal["id", "history"]

DENSE_UP_TO = 10
"""Up to so many rows of a table for each place of a history, one product with the whole table is faster than fetching
the rows of each: 6 times for histories of 700 places in a table of 1,682 rows, forwards and backwards."""


@settings
class History:
    """How past items become a user's vector."""

    limit: int = Field(default=200, ge=1)
    """Past items looked at, the most recent first."""
    dropout: float = Field(default=1.0, ge=0, le=1)
    """Training hides up to this share of a history, so that a removed past item is nothing unheard of."""
    exponent: float = Field(default=0.5, ge=0, le=1)
    """0 sums the history, 1 averages it."""


class VectorSettings(Protocol):
    """What the settings of a vector model have in common."""

    @property
    def user(self) -> UserSource: ...
    @property
    def history(self) -> History: ...
    @property
    def init_std(self) -> float: ...


class VectorRecommender(Recommender):
    """A model whose score is a function of one user vector and one item vector. Subclasses write the function."""

    settings: VectorSettings

    @property
    @abstractmethod
    def width(self) -> int:
        """Length of both vectors."""

    def floats_per_user(self, items: int) -> int:
        return items * self.width

    def make(self, user_count: int, item_count: int) -> None:
        past = self._from_history  # pooled histories have dense gradients, single rows sparse ones
        self.user_table = nn.Embedding(item_count if past else user_count, self.width, sparse=not past)
        self.item_table = nn.Embedding(item_count, self.width, sparse=True)
        for table in (self.user_table, self.item_table):
            nn.init.normal_(table.weight, std=self.settings.init_std)

    @property
    def _from_history(self) -> bool:
        return self.settings.user == "history"

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return (
            {"history": "past item", "item": "factor"} if self._from_history else {"user": "factor", "item": "factor"}
        )

    @property
    def history_limit(self) -> int:
        return self.settings.history.limit if self._from_history else 0

    @property
    def max_trained_drop(self) -> float:
        return self.settings.history.dropout if self._from_history else 0.0

    def embed(self, request: Request) -> Inputs:
        rows, index = request.item_rows()
        item = Part.of(self.item_table(rows).unsqueeze(-1), index=index)
        if self._from_history:
            return {"history": past_items(request, self.user_table, self.settings.history.exponent), "item": item}
        users, places = request.user_rows()
        return {"user": Part.of(self.user_table(users).unsqueeze(-1), index=places), "item": item}


def user_half(inputs: Inputs) -> tuple[Tensor, Tensor | None]:
    """The user's vectors, (users | 1, items | distinct | 1, channel), and the index that `spread` follows."""
    if "history" in inputs:
        return inputs["history"].values.sum(2), None
    return vector(inputs["user"]), inputs["user"].index


def user_vector(inputs: Inputs) -> Tensor:
    """The user's half of the inputs, one vector a user: (users, items | 1, channel)."""
    return spread(*user_half(inputs))


def side_by_side(tensors: Sequence[Tensor]) -> Tensor:
    """Channels of all of them, one behind the other; what all users or items share is repeated where it has to be."""
    if len(tensors) == 1:
        return tensors[0]
    shape = torch.broadcast_shapes(*(one.shape[:-1] for one in tensors))
    return torch.cat([one.expand(*shape, one.shape[-1]) for one in tensors], dim=-1)


def past_items(request: Request, table: nn.Embedding, exponent: float) -> Part:
    """One unit per past item, (users, 1, length, channel); already summed to one unit where the request is compact."""
    there, seen = request.history >= 0, request.in_sight  # (users, length)
    share = there.sum(1, keepdim=True).clamp(min=1).to(table.weight.dtype) ** -exponent  # (users, 1)
    rows = request.history.clamp(min=0)
    if request.compact:
        return Part.of(_summed(rows, seen * share, table), present=seen.any(1)[:, None, None], summed=True)
    values = table(rows) * (seen * share).unsqueeze(-1)
    return Part.of(values.unsqueeze(1), present=seen.unsqueeze(1), summed=True)


def _summed(rows: Tensor, weights: Tensor, table: nn.Embedding) -> Tensor:
    if rows.shape[1] == 0:
        return table.weight.new_zeros(len(rows), 1, 1, table.embedding_dim)
    if len(table.weight) <= DENSE_UP_TO * rows.shape[1]:
        counts = table.weight.new_zeros(len(rows), len(table.weight)).scatter_add_(1, rows, weights)
        summed = counts @ table.weight
    else:
        summed = F.embedding_bag(rows, table.weight, mode="sum", per_sample_weights=weights)
    return summed[:, None, None, :]


def hide_some(history: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """History dropout: hide a share of each row's past items, the share itself drawn from 0 to `most`; bool."""
    share = torch.rand(len(history), 1, generator=generator) * most
    return torch.rand(history.shape, generator=generator) < share

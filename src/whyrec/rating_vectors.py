"""Users and items as vectors that say a rating: what BiasedMF, NCFRegressor and ResidualHybrid share.

    user's vector = p_u + n^(-exponent) * sum of y_j over the n past items j          (Koren 2008, SVD++)

A rating tells how much, so a user has a row of its own here; what somebody rated, whatever the ratings, adds to it
where `implicit` is set, and can be named and removed. While a rating is learned its own item is not among the past
ones. Who has no training rating has no vector and no bias: a user's or an item's row that training does not meet is
zero, and so is that of somebody new, for whom past items still count.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from whyrec.errors import BadInput
from whyrec.interactions import Interactions
from whyrec.losses import ridge
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind, spread, vector
from whyrec.training import Loss
from whyrec.vectors import History, past_items

BIASES = {"user_bias": "user bias", "item_bias": "item bias"}
"""Parts that are one number each, and what to call it."""


class RatingSettings(Protocol):
    """What the settings of a model of ratings have in common."""

    @property
    def implicit(self) -> bool: ...
    @property
    def history(self) -> History: ...
    @property
    def regularisation(self) -> float: ...
    @property
    def init_std(self) -> float: ...


class RatingRecommender(Recommender):
    """A model whose score is a mean and a function of a user's and an item's vector. Subclasses write the function."""

    settings: RatingSettings
    usual_loss: ClassVar[Loss] = "squared"
    way_to_past_items: ClassVar[str] = "train it with implicit=True"
    has_biases: ClassVar[bool] = True
    """Whether a user and an item bring one number each, beside their vectors."""
    mean: Tensor  # (), of the training ratings

    @property
    @abstractmethod
    def width(self) -> int:
        """Length of both vectors."""

    def floats_per_user(self, items: int) -> int:
        return items * self.width

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("mean", torch.zeros(()))
        self.user_table = nn.Embedding(user_count, self.width, sparse=True)
        self.item_table = nn.Embedding(item_count, self.width, sparse=True)
        for table in (self.user_table, self.item_table):
            nn.init.normal_(table.weight, std=self.settings.init_std)
        if self.has_biases:
            self.user_bias = nn.Embedding(user_count, 1, sparse=True)
            self.item_bias = nn.Embedding(item_count, 1, sparse=True)
            for bias in (self.user_bias, self.item_bias):
                nn.init.zeros_(bias.weight)
        if self.settings.implicit:
            self.past_table = nn.Embedding(item_count, self.width)
            nn.init.normal_(self.past_table.weight, std=self.settings.init_std)

    @torch.no_grad()
    def prepare(self, train: Interactions) -> None:
        """Begin at the mean rating, and with nothing for those whom training does not meet."""
        if train.values is not None:
            self.mean.fill_(float(train.values.mean()))
        for table, counts in ((self.user_table, train.user_counts), (self.item_table, train.item_counts)):
            table.weight[torch.from_numpy(counts == 0)] = 0.0

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        kinds: dict[str, UnitKind] = {"user": "factor", "item": "factor"}
        if self.has_biases:
            kinds |= dict.fromkeys(BIASES, "factor")
        return {**kinds, "history": "past item"} if self.settings.implicit else kinds

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        return BIASES.get(part) or super().unit_title(part, unit, user=user, item=item)

    @property
    def history_limit(self) -> int:
        return self.settings.history.limit if self.settings.implicit else 0

    @property
    def max_trained_drop(self) -> float:
        return self.settings.history.dropout if self.settings.implicit else 0.0

    def embed(self, request: Request) -> Inputs:
        rows, index = request.item_rows()
        users, met = request.users.clamp(min=0)[:, None], (request.users >= 0)[:, None, None]
        inputs = {
            "user": Part.of((self.user_table(users) * met).unsqueeze(-1)),
            "item": Part.of(self.item_table(rows).unsqueeze(-1), index=index),
        }
        if self.has_biases:
            inputs["user_bias"] = Part.of((self.user_bias(users) * met).unsqueeze(-1))
            inputs["item_bias"] = Part.of(self.item_bias(rows).unsqueeze(-1), index=index)
        if self.settings.implicit:
            inputs["history"] = past_items(request, self.past_table, self.settings.history.exponent)
        return inputs

    def penalty(self, inputs: Inputs) -> Tensor:
        """Keeps vectors and biases short, by how often they are read (Koren 2008, equation 5)."""
        read = {name: part for name, part in inputs.items() if name in self.unit_kinds or name == "item"}
        return self.settings.regularisation * ridge(read)


def rater(inputs: Inputs) -> Tensor:
    """Each user's vector, with what past items add to it: (users, items | 1, channel)."""
    own = vector(inputs["user"])
    return own + inputs["history"].values.sum(2) if "history" in inputs else own


def both_biases(inputs: Inputs) -> Tensor:
    """What user and item bring by themselves, (users, items)."""
    item = inputs["item_bias"]
    return (vector(inputs["user_bias"]) + spread(vector(item), item.index)).squeeze(-1)


def product(user: Tensor, item: Tensor) -> Tensor:
    """How well vectors match, (users, items): their dot product."""
    return (user * item).sum(-1)


def values_of(train: Interactions) -> Tensor:
    """The ratings to learn from, (n,); refuses events without."""
    if train.values is None:
        raise BadInput("the training events have no values, and this model learns ratings; bring a column of ratings")
    return torch.from_numpy(train.values)

"""FeatureMLP: a network on what is known of a user and of an item, column by column.

Every column is one vector (see `column_inputs`); those of both sides, side by side, go through dense layers. Ids are
columns like others, or left out, and then the model knows people by what they have in common alone. It learns logits of
what was taken (`Training(loss="log")`, its usual) or ratings (`Training(loss="squared")`).

The idea of factorisation machines (Rendle 2010) with dense layers in place of products, as in Covington et al. 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.column_inputs import SENSITIVE, ColumnInputs, is_sensitive
from whyrec.errors import InvalidSetting
from whyrec.interactions import Interactions
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind, spread, vector
from whyrec.search_space import SearchSpace
from whyrec.settings import settings

USER, ITEM, DROPOUT = "user columns", "item columns", "dropout"


class FeatureMLP(Recommender):
    """Columns of users and items through a small network."""

    @settings
    class Settings:
        """Which columns, and the shape of the network."""

        width: int = Field(default=16, ge=1)
        """Length of the vector of each column."""
        hidden: tuple[PositiveInt, ...] = (64, 32)
        """Widths of the layers; () makes the score a sum of what each column brings."""
        ids: bool = True
        """Whether the ids of user and item are columns, too."""
        exclude: tuple[str, ...] | Literal["sensitive"] = ()
        """Names of columns to leave out, of users or items; "sensitive" leaves out all that are named so."""
        sensitive: tuple[str, ...] = SENSITIVE
        """Words that make a column sensitive where they stand in its name."""
        fewest: int = Field(default=5, ge=1)
        """Users, or items, that have to share a category or word for it to be learned; else it counts as missing."""
        column_dropout: float = Field(default=0.5, ge=0, le=1)
        """Training hides up to this share of the columns of a row, so that a removed column is nothing unheard of."""
        dropout: float = Field(default=0.0, ge=0, lt=1)
        """Share of each layer's numbers that a step of training leaves out."""
        init_std: float = Field(default=0.05, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings
    reads_columns: ClassVar[bool] = True
    search_space: ClassVar[SearchSpace] = {
        "width": ("choice", (8, 16, 32)),
        "column_dropout": ("linear", 0.0, 1.0),
        "dropout": ("linear", 0.0, 0.5),
        "init_std": ("log", 0.005, 0.5),
    }

    def make(self, user_count: int, item_count: int) -> None:
        self._refuse_unknown_columns()
        self.user_columns, self.item_columns = self._columns("user"), self._columns("item")
        widths = (*self.settings.hidden, 1)
        self.user_half = nn.Linear(len(self.user_columns.names) * self.settings.width, widths[0])
        self.item_half = nn.Linear(len(self.item_columns.names) * self.settings.width, widths[0], bias=False)
        self.layers = nn.ModuleList(nn.Linear(wide, narrow) for wide, narrow in pairwise(widths))

    def prepare(self, train: Interactions) -> None:
        """Learn no value that training hardly meets: it counts as missing."""
        for columns, counts in ((self.user_columns, train.user_counts), (self.item_columns, train.item_counts)):
            columns.learn_from(counts.nonzero()[0], self.settings.fewest)

    @property
    def left_out(self) -> Mapping[str, str]:
        """Columns that the model does not look at, and why."""
        return {**self.user_columns.left_out, **self.item_columns.left_out}

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {USER: "column", ITEM: "column"}

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        return self.user_columns.title(unit, user) if part == USER else self.item_columns.title(unit, item)

    @property
    def max_trained_drop(self) -> float:
        return self.settings.column_dropout

    def floats_per_user(self, items: int) -> int:
        columns = len(self.user_columns.names) * self.settings.width
        return columns + 2 * items * max(self.settings.hidden, default=1)

    def floats_to_rank(self) -> tuple[int, int]:
        items, columns = len(self.items), len(self.item_columns.names)
        once = items * (columns * self.settings.width + max(self.settings.hidden, default=1))
        return once, self.floats_per_user(items)

    def embed(self, request: Request) -> Inputs:
        parts = {
            USER: self.user_columns.part(*request.user_rows()),
            ITEM: self.item_columns.part(*request.item_rows()),
        }
        if self.training and self.settings.dropout and self.settings.hidden:
            parts[DROPOUT] = self._dropped(request)
        return parts

    def score(self, inputs: Inputs) -> Tensor:
        user, item = inputs[USER], inputs[ITEM]
        met = spread(self.user_half(vector(user)), user.index) + spread(self.item_half(vector(item)), item.index)
        kept = inputs[DROPOUT].values.split(self.settings.hidden, dim=-1) if DROPOUT in inputs else None
        for place, layer in enumerate(self.layers):
            met = F.relu(met)
            met = layer(met if kept is None else met * kept[place])
        return met.squeeze(-1)

    def _columns(self, side: Literal["user", "item"]) -> ColumnInputs:
        asked = self.settings
        return ColumnInputs(
            self.users if side == "user" else self.items,
            asked.width,
            ids=f"{side} id" if asked.ids else None,
            exclude=self._excluded(),
            dropout=asked.column_dropout,
            init_std=asked.init_std,
        )

    def _excluded(self) -> tuple[str, ...]:
        if self.settings.exclude != "sensitive":
            return self.settings.exclude
        return tuple(name for name in self._known_names() if is_sensitive(name, self.settings.sensitive))

    def _known_names(self) -> tuple[str, ...]:
        return (*self.users.columns, *self.items.columns, "year")

    def _refuse_unknown_columns(self) -> None:
        for name in self._excluded():
            if name not in self._known_names():
                raise InvalidSetting(
                    f"FeatureMLP: exclude names {name!r}, and the columns are {', '.join(self._known_names())}"
                )

    def _dropped(self, request: Request) -> Part:
        """What each number of the layers is multiplied by in this step: drawn here, since a score draws nothing."""
        keep, shape = 1 - self.settings.dropout, (len(request.users), request.items.shape[1], sum(self.settings.hidden))
        drawn = torch.rand(shape, device=self.device) < keep
        return Part.of(drawn.to(self.user_half.weight) / keep)

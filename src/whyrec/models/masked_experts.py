"""Masked experts: a mixture of networks on subsets of what is known, which is its own explanation.

Columns of users and items stand in groups, and for each chosen subset of groups there is an expert that sees nothing
else. The score is a mixture in which a larger subset is listened to only where the smaller ones inside it are not sure
(see `mixture`). With a constant gate it is the sum of all experts: on single columns an additive model (GAM), with
pairs one with interactions (GA2M).

Afchar and Hennequin 2020, Making neural networks interpretable with attribution: application to implicit signals
prediction. As in the authors' experiment on MovieLens the groups are, unless said otherwise, content and the two ids.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.column_groups import ColumnGroups, Groups
from whyrec.errors import InvalidSetting
from whyrec.expert_blocks import Dense
from whyrec.experts import Experts, MatrixExperts
from whyrec.interactions import Interactions
from whyrec.lattice import Lattice
from whyrec.losses import bpr, log_loss, squared
from whyrec.mixture import PRESETS, Boosting, Preset, Voices, mixed, taught, teaching_weights
from whyrec.recommender import Inputs, Recommender, Request, UnitKind
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.training import Loss, Training

_PLAIN: Mapping[Loss, Callable[[Tensor, Tensor], Tensor]] = {
    "log": log_loss,
    "bpr": lambda scores, _wanted: bpr(scores),
    "squared": squared,
}
"""Losses of a score, for experts that are added up."""

NUMBERS_OF_A_MIXTURE = 8
"""What each expert brings to a score while voices are mixed: what it says, its confidence, its doubt, its share ..."""


class MaskedExperts(Recommender):
    """Experts on subsets of the columns, each of them taught by itself."""

    @settings
    class Settings:
        """Which columns are seen together, and the shape of the networks."""

        groups: Groups = "content"
        """Names of columns by group, as {"who": ["age", "user id"]}; "content": all columns, and each id; "columns":
        each column by itself."""
        subsets: PositiveInt | tuple[tuple[str, ...], ...] | None = None
        """Groups that an expert sees, for each expert; or all subsets of so many groups at most. None: those that hold
        the content where groups are "content", else all of two at most, and the whole."""
        gate: Literal["boosted", "constant"] = "boosted"
        """Whether smaller subsets go first, or all experts are added up, which makes the model additive; then it is
        taught by its score, and `preset`, `posterior` and `lateral` say nothing."""
        preset: Preset = "movielens"
        """How sure an expert counts as, and how it is taught: a variant of the authors'. `movielens` is for what was
        taken or not; ratings, and items that only come before others (`bpr`), go up and down: `library`, `spotify`."""
        posterior: bool = False
        """Whether experts learn the more the better they explain what is wanted."""
        ratings: bool = False
        """Whether scores are ratings, on the scale of those in training."""
        realisation: Literal["list", "matrix"] = "list"
        """One network for each expert, or all in one masked matrix a layer, where parents teach their children, too."""
        lateral: bool = True
        """Whether an expert reads what the experts on smaller subsets inside its own found."""
        width: int = Field(default=16, ge=1)
        """Length of the vector of each column."""
        hidden: tuple[PositiveInt, ...] = (64, 32)
        """Widths of the layers of each expert."""
        fewest: int = Field(default=5, ge=1)
        """Users, or items, that have to share a category or word for it to be learned; else it counts as missing."""
        column_dropout: float = Field(default=0.25, ge=0, le=1)
        """Training hides up to this share of the columns of a row, so that a removed column is nothing unheard of."""
        init_std: float = Field(default=0.05, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings
    reads_columns: ClassVar[bool] = True
    search_space: ClassVar[SearchSpace] = {
        "width": ("choice", (8, 16, 32)),
        "column_dropout": ("linear", 0.0, 0.5),
        "init_std": ("log", 0.005, 0.5),
    }
    volume: Tensor
    """How loud each expert is, (expert,) from 0 to 1; 1 unless it was turned down."""
    scale: Tensor  # the middle of what is said, and how far it goes from there

    def make(self, user_count: int, item_count: int) -> None:
        asked = self.settings
        self.columns = ColumnGroups(
            self.users,
            self.items,
            asked.groups,
            width=asked.width,
            dropout=asked.column_dropout,
            init_std=asked.init_std,
        )
        self.lattice = self._lattice()
        experts = Experts(
            self.lattice, self.columns.widths, [Dense(width) for width in asked.hidden], lateral=self._lateral
        )
        self.experts = experts if asked.realisation == "list" else MatrixExperts(experts)
        self.register_buffer("scale", torch.tensor([0.0, 1.0]))
        self.register_buffer("volume", torch.ones(len(self.lattice)))
        if asked.gate == "constant":
            self.intercept = nn.Parameter(torch.zeros(1))

    def usually(self, training: Training | None) -> Training:
        given = training or Training()
        return replace(given, loss=given.loss or ("squared" if self.settings.ratings else "log"))

    def prepare(self, train: Interactions) -> None:
        """Read off which values are met often enough, and the scale of ratings."""
        self.columns.learn_from(train, self.settings.fewest)
        if self.settings.ratings and train.values is not None:
            middle = float(train.values.mean())
            reach = max(float(train.values.max()) - middle, middle - float(train.values.min()))
            self.scale.copy_(torch.tensor([middle, reach or 1.0]))  # all ratings alike have no reach

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return dict.fromkeys(self.columns.slices, "column")

    def steered(self, volume: Mapping[str, float]) -> Self:
        """The same model, weights shared, with the experts that see a group turned down: 1 leaves them, 0 mutes them.

        An expert is turned down by each of its groups, and by each call; what is left of the others is shared anew. A
        steered model is saved as it is.
        """
        for name, amount in volume.items():
            if name not in self.lattice.groups or not 0 <= amount <= 1:
                known = ", ".join(self.lattice.groups)
                raise InvalidSetting(f"steered: {name!r}: {amount}: give a group ({known}) a volume from 0 to 1")
        loud = torch.tensor([volume.get(name, 1.0) for name in self.lattice.groups])
        other = copy.copy(self)
        other._buffers = dict(self._buffers)  # the copy shares all else
        other.volume = self.volume * torch.where(self.lattice.holds, loud, 1.0).prod(1).to(self.volume)
        return other

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        return self.columns.title(part, unit, user=user, item=item)

    @property
    def max_trained_drop(self) -> float:
        return self.settings.column_dropout

    def floats_per_user(self, items: int) -> int:
        return items * max(self.experts.widest, NUMBERS_OF_A_MIXTURE * len(self.lattice))

    def floats_to_rank(self) -> tuple[int, int]:
        items, columns = len(self.items), self.columns.units("item")
        return items * columns * self.settings.width, self.floats_per_user(items)

    def embed(self, request: Request) -> Inputs:
        return self.columns.parts(request)

    def score(self, inputs: Inputs) -> Tensor:
        """Between -1 and 1, where (score + 1) / 2 is a probability; ratings on their own scale; a sum has no bounds."""
        return self.voices(inputs).score

    @property
    def expert_titles(self) -> tuple[str, ...]:
        """The subsets of groups by their names."""
        return self.lattice.titles

    def voices(self, inputs: Inputs) -> Voices:
        """What each expert says of each place, and how far it is listened to."""
        return self._voices(self._raw(inputs))

    def opinions(self, inputs: Inputs) -> Tensor:
        """What each expert of a boosted mixture says of each place, from -1 to 1, (users, items, expert)."""
        return torch.tanh(self._raw(inputs))

    def sees(self, part: str, present: Tensor) -> Tensor:
        """Which units of a part each expert sees, (expert, unit) bool."""
        seen = self.lattice.holds[:, self.columns.slices[part].group].to(present.device)
        return seen[:, None].expand(-1, present.shape[2])

    def undecided(self, inputs: Inputs) -> Tensor:
        """Where no expert that may be heard has an opinion, (users, items) bool; never so with a constant gate."""
        voices = self.voices(inputs)
        return torch.zeros_like(voices.score, dtype=torch.bool) if voices.undecided is None else voices.undecided

    def own_loss(self, inputs: Inputs, wanted: Tensor, loss: Loss) -> Tensor:
        """Each expert's own loss, weighed by how unsure its children are; with a constant gate that of the score."""
        self._refuse(loss)
        if self.settings.gate == "constant":
            return _PLAIN[loss](self.score(inputs), wanted)
        raw, boosting = self._raw(inputs, apart=self.settings.realisation == "list"), self._boosting
        middle, reach = self.scale
        wanted = wanted.to(raw.dtype)
        agreed = (1 + (wanted - middle) / reach) / 2 if self.settings.ratings else wanted  # from 0 to 1
        weights = teaching_weights(torch.tanh(raw), agreed, self.lattice.children, boosting)
        if loss == "bpr":  # a pair is taught as much as its two items on average
            ahead = 2 * (raw[:, :1] - raw[:, 1:])
            return taught(F.softplus(-ahead), (weights[:, :1] + weights[:, 1:]) / 2, boosting)
        if loss == "squared":
            wrong = (middle + reach * torch.tanh(raw) - wanted.unsqueeze(-1)).square()
        else:  # (1 + tanh x) / 2 is the sigmoid of 2 x
            answers = wanted.unsqueeze(-1).expand_as(raw)
            wrong = F.binary_cross_entropy_with_logits(2 * raw, answers, reduction="none")
        return taught(wrong, weights, boosting)

    def _raw(self, inputs: Inputs, *, apart: bool = False) -> Tensor:
        """What experts say, without bounds, (users, items, expert)."""
        found: Tensor = self.experts(self.columns.halves(inputs), apart=apart)
        return found

    def _voices(self, raw: Tensor) -> Voices:
        if self.settings.gate == "constant":
            return Voices(raw, self.volume.expand_as(raw), self.intercept + self.scale[0])
        voices = mixed(torch.tanh(raw), self.lattice.children, self._boosting, self.volume)
        if not self.settings.ratings:
            return voices
        middle, reach = self.scale
        return Voices(reach * voices.said, voices.shares, middle + reach * voices.rest)

    @property
    def _lateral(self) -> bool:
        return self.settings.lateral and self.settings.gate == "boosted"

    @property
    def _boosting(self) -> Boosting:
        return replace(PRESETS[self.settings.preset], posterior=self.settings.posterior)

    def _lattice(self) -> Lattice:
        asked, names = self.settings.subsets, self.columns.names
        if isinstance(asked, int):
            return Lattice.up_to(names, asked)
        if asked is not None:
            return Lattice(names, asked)
        if self.settings.groups == "content" and names[0] == "content":
            return Lattice.around_first(names)
        pairs = Lattice.up_to(names, 2).subsets
        return Lattice(names, pairs if len(names) <= 2 else (*pairs, names))

    def _refuse(self, loss: Loss) -> None:
        if loss == "multinomial":
            raise InvalidSetting("MaskedExperts learns pairs or ratings, not whole lists: loss='log', 'bpr', 'squared'")
        if (loss == "squared") != self.settings.ratings:
            need = "MaskedExperts(ratings=True)" if loss == "squared" else "loss='squared'"
            raise InvalidSetting(
                f"MaskedExperts(ratings={self.settings.ratings}) cannot learn by loss={loss!r}; choose {need}"
            )

"""Texts as users, labels as items: what models that give a text its label have in common.

    f(text, label) = mean over windows of a logit;   words, or phrases, are the units

An event is a label of a text, so `fit` trains by cross-entropy (`loss="multinomial"`), and whatever ranks, explains or
checks recommendations ranks, explains and checks labels. Texts that come later are the users of the same model read
anew: `model.on([...])`.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from whyrec.dataset import Catalog
from whyrec.interactions import Id, Interactions
from whyrec.losses import multinomial
from whyrec.pieces import Pieces
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind
from whyrec.text_table import TextGrid, TextTable, catalog_of_texts
from whyrec.training import Loss
from whyrec.words import Cut, phrases_of, words_of

WORDS, LABEL, PLACES, SHARE = "words", "label", "places", "share"
Units = Literal["words", "phrases"]
ClassWeights = Literal["none", "balanced"]


class TextSettings(Protocol):
    """What the settings of models of labels have in common."""

    @property
    def column(self) -> str: ...
    @property
    def units(self) -> Units: ...
    @property
    def max_pieces(self) -> int: ...
    @property
    def class_weights(self) -> ClassWeights: ...
    @property
    def word_dropout(self) -> float: ...


class TextModel(Recommender):
    """A model that gives texts their labels. Subclasses write `make_network`, `vectors` and `logits`."""

    settings: TextSettings
    usual_loss: ClassVar[Loss] = "multinomial"
    reads_columns: ClassVar[bool] = True
    label_weights: Tensor  # (items,) what an event of each label counts in the loss

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("label_weights", torch.ones(item_count))
        self.make_network(item_count)
        self._read(self.users, words_of if self.settings.units == "words" else phrases_of)

    def prepare(self, train: Interactions) -> None:
        """Settle what each label counts: balanced ones count alike altogether, however many texts they have."""
        counts = torch.from_numpy(train.item_counts).to(self.label_weights)
        if self.settings.class_weights == "balanced":
            met = counts > 0
            self.label_weights.copy_(torch.where(met, counts.sum() / (met.sum() * counts.clamp(min=1)), 1.0))

    def on(self, texts: Sequence[str] | Mapping[Id, str], *, cut: Cut | None = None) -> Self:
        """The same model, weights shared, with other texts to look at.

        Texts are called by their keys, or by their numbers from 0. `cut` is a function that takes a text and returns
        where each unit begins and ends, such as the chunker of a language; by default the units of the settings.
        """
        self.require_built()
        named: Mapping[Id, str] = texts if isinstance(texts, Mapping) else dict[Id, str](enumerate(texts))
        other = copy.copy(self)
        other.users = catalog_of_texts(named, self.settings.column)
        nothing = np.zeros(0, dtype=np.int64)
        other.known = Interactions(nothing, nothing, user_count=len(named), item_count=len(self.items))
        other._read(other.users, cut or self.table.cut)
        return other

    def _read(self, texts: Catalog, cut: Cut) -> None:
        self.table = TextTable(texts, self.settings.column, self.pieces(), length=self.room, cut=cut)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know of the texts: those that are longer than the model reads at once."""
        windows = {row: self.table.windows_of(row) for row in range(len(self.table))}
        return tuple(
            f"text {self.users.id(row)!r} has {len(self.table.of(row).titles):,} {self.settings.units} and is read in "
            f"{count} windows; its score is the mean of theirs"
            for row, count in windows.items()
            if count > 1
        )

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {WORDS: "word"}

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        return f"word {unit + 1}" if user < 0 else self.table.of(user).titles[unit]

    @property
    def max_trained_drop(self) -> float:
        return self.settings.word_dropout

    @property
    @abstractmethod
    def room(self) -> int:
        """How many pieces of a text the model reads at once."""

    @abstractmethod
    def make_network(self, labels: int) -> None:
        """Create weights and buffers."""

    @abstractmethod
    def pieces(self) -> Pieces:
        """What cuts texts into pieces."""

    @abstractmethod
    def vectors(self, grid: TextGrid) -> Tensor:
        """The vector of each piece as `score` reads it, zero where there is none: (texts, units, pieces, channel)."""

    @abstractmethod
    def logits(self, inputs: Inputs) -> Tensor:
        """A logit of each label for each window, (texts, windows, labels), or (texts, labels) where there is one."""

    def embed(self, request: Request) -> Inputs:
        grid = self.table.grid(request.users)
        vectors = self.vectors(grid)
        present = grid.present
        if self.training and self.settings.word_dropout:
            share = torch.rand(len(present), 1, device=self.device) * self.settings.word_dropout
            present = present & (torch.rand(present.shape, device=self.device) >= share)
        values = (vectors * present[..., None, None]).flatten(2)[:, None]  # (texts, 1, units, pieces * channel)
        asked = request.items[:, :, None, None].to(values)  # as numbers of the same type: a part is floating point
        read = torch.arange(grid.places.shape[1], device=self.device) < grid.windows[:, None]
        share_of_window = (read / grid.windows[:, None]).to(values)
        return {
            WORDS: Part.of(values, present=present[:, None]),
            PLACES: Part.of(grid.places[:, None].to(values)),
            SHARE: Part.of(share_of_window[:, None, None]),
            LABEL: Part.of(asked),
            **self.further(grid),
        }

    def further(self, grid: TextGrid) -> dict[str, Part]:
        """Other parts that `logits` reads; none by themselves."""
        return {}

    def score(self, inputs: Inputs) -> Tensor:
        share = inputs[SHARE].values[:, 0, 0, :, None]  # (texts, windows, 1)
        logits = (self.logits(inputs) * share).sum(1)  # (texts, labels)
        asked = inputs[LABEL].values[:, :, 0, 0].long()
        return torch.take_along_dim(logits, asked.expand(len(logits), -1), dim=1)

    def own_loss(self, inputs: Inputs, wanted: Tensor, loss: Loss) -> Tensor:
        """Cross-entropy of the labels, in nats, each text weighed by its label."""
        return multinomial(self.score(inputs), wanted * self.label_weights)

    def floats_per_user(self, items: int) -> int:
        grid, windows, _ = self.table.widest()
        return max(grid, windows * self.room) * self.widest_channel + items

    def floats_to_rank(self) -> tuple[int, int]:
        return 0, self.floats_per_user(len(self.items))

    @property
    @abstractmethod
    def widest_channel(self) -> int:
        """Numbers for each piece, where they are most."""

"""TextRating: what a user thinks of an item, from the words of the item's text; an item nobody has met has words, too.

    f = mu + b_u + c + (p_u + p) . q_i,    q_i = sum over words t of v_t / n,    c = sum of b_t / n

p_u is a row for each user, p what all have in common, v_t and b_t a vector and a number for each word, mu the mean
rating (0 without ratings). Words are the units, and the score is a sum over them, so what each brings is exact.

The text is a plot, or what others wrote about the item: `with_reviews` makes a column of the reviews of training events
alone, so that the review that goes with a held-out rating is never read. As in Zheng, Noroozi and Yu 2017, Joint deep
modeling of users and items using reviews for recommendation, and Catherine and Cohen 2017 about that leak.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from whyrec.interactions import Interactions
from whyrec.pieces import PADDING, WordPieces, Words
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind, spread
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.text_model import Units
from whyrec.text_table import TextTable
from whyrec.training import Loss
from whyrec.words import phrases_of, words_of

WORDS, USER, MEAN = "words", "user", "mean"


class TextRating(Recommender):
    """A vector of the user and the words of the item, for ratings or for what was taken."""

    @settings
    class Settings:
        """Which text, and the sizes."""

        column: str = "text"
        """The column of the items that holds the texts, such as plots."""
        implicit: bool = False
        """Whether to learn what was taken, and not ratings."""
        units: Units = "words"
        """What is named and taken away: words, or runs of up to four of them between signs of punctuation."""
        vocabulary: int = Field(default=8000, ge=1)
        """Words that have a vector: those of most training items. All others share one."""
        width: int = Field(default=16, ge=1)
        """Length of the vectors."""
        max_pieces: int = Field(default=200, ge=1)
        """Words of a text that are read, from its beginning."""
        word_dropout: float = Field(default=0.5, ge=0, le=1)
        """Training hides up to this share of the words of a text, so that a removed word is nothing unheard of."""
        init_std: float = Field(default=0.1, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings
    reads_columns: ClassVar[bool] = True
    search_space: ClassVar[SearchSpace] = {
        "width": ("choice", (8, 16, 32)),
        "word_dropout": ("linear", 0.0, 0.8),
        "init_std": ("log", 0.01, 0.5),
    }
    mean_rating: Tensor  # ()
    met: Tensor  # (users,) bool

    @property
    def usual_loss(self) -> Loss:  # type: ignore[override]
        """Squared error of ratings, or the logistic loss of what was taken."""
        return "log" if self.settings.implicit else "squared"

    def make(self, user_count: int, item_count: int) -> None:
        asked = self.settings
        self.words = Words(asked.vocabulary)
        self.vector = nn.Embedding(len(self.words), asked.width + 1, padding_idx=PADDING)
        self.user_table = nn.Embedding(user_count, asked.width + 1, sparse=True)
        self.common = nn.Parameter(torch.zeros(asked.width))
        for table in (self.vector, self.user_table):
            nn.init.normal_(table.weight, std=asked.init_std)
        self.register_buffer("mean_rating", torch.zeros(()))
        self.register_buffer("met", torch.zeros(user_count, dtype=torch.bool))
        cut = words_of if asked.units == "words" else phrases_of
        self.table = TextTable(self.items, asked.column, WordPieces(), length=asked.max_pieces, cut=cut)

    def prepare(self, train: Interactions) -> None:
        """Settle the mean rating and the words to learn, of the items of training events alone."""
        self.words.learn(self.table.of(row).keys for row in train.item_counts.nonzero()[0].tolist())
        self.met.copy_(torch.from_numpy(train.user_counts > 0))
        if not self.settings.implicit and train.values is not None:
            self.mean_rating.fill_(float(train.values.mean()))

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {WORDS: "word", USER: "factor"}

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        if part == USER:
            return "user"
        return f"word {unit + 1}" if item < 0 else self.table.of(item).titles[unit]

    @property
    def max_trained_drop(self) -> float:
        return self.settings.word_dropout

    def floats_per_user(self, items: int) -> int:
        return items * (self.settings.width + 1)

    def floats_to_rank(self) -> tuple[int, int]:
        grid, _, _ = self.table.widest()
        return len(self.items) * grid * (self.settings.width + 1), self.floats_per_user(len(self.items))

    def embed(self, request: Request) -> Inputs:
        rows, index = request.item_rows()
        users, whose = request.user_rows()
        there = users >= 0
        known = there & self.met[users.clamp(min=0)]
        own = self.user_table(users.clamp(min=0)) * known.unsqueeze(-1)
        shared = torch.cat([self.common, self.common.new_ones(1)])  # the number that a word brings for everybody
        channel = torch.cat([own[..., :-1], own.new_zeros(*own.shape[:-1], 1)], dim=-1) + shared
        return {
            WORDS: self._words(rows, index),
            USER: Part.of(channel.unsqueeze(-2), index=whose),
            MEAN: Part.of((own[..., -1:] + self.mean_rating).unsqueeze(-2), index=whose),
        }

    def score(self, inputs: Inputs) -> Tensor:
        part, user, mean = (inputs[name] for name in (WORDS, USER, MEAN))
        pieces = part.values.unflatten(-1, (-1, self.settings.width + 1)).sum(-2)  # a unit's pieces add up
        item = spread(pieces.sum(2), part.index)  # (users | 1, items, channel)
        whose = spread(user.values.squeeze(2), user.index)  # (users, 1, channel)
        return (item * whose).sum(-1) + spread(mean.values.squeeze(2), mean.index).squeeze(-1)

    def _words(self, rows: Tensor, index: Tensor | None) -> Part:
        """Words of items, with 1/n in them: (users | 1, items, units, pieces * channel)."""
        grid = self.table.grid(rows.flatten())
        read = (grid.keys >= 0) & _in_first_window(grid.places, grid.keys)
        counted = read.sum((1, 2)).clamp(min=1)
        vectors = self.vector(self.words.rows(torch.where(read, grid.keys, -1))) * read.unsqueeze(-1)
        values = (vectors / counted.view(-1, 1, 1, 1)).flatten(2)
        present = read.any(-1)
        if self.training and self.settings.word_dropout:
            share = torch.rand(len(present), 1, device=self.device) * self.settings.word_dropout
            present = present & (torch.rand(present.shape, device=self.device) >= share)
        values = values * present.unsqueeze(-1)
        lead = tuple(rows.shape)
        return Part.of(values.unflatten(0, lead), present=present.unflatten(0, lead), index=index)


def _in_first_window(places: Tensor, keys: Tensor) -> Tensor:
    """Which pieces of a grid stand in the first window, (texts, units, pieces) bool."""
    found = torch.zeros(len(keys), keys[0].numel() + 1, dtype=torch.bool, device=keys.device)
    first = torch.where(places[:, 0] >= 0, places[:, 0], keys[0].numel())
    return found.scatter_(1, first, value=True)[:, :-1].view_as(keys)

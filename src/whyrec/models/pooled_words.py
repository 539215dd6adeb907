"""PooledWords: the vectors of a text's words become one vector, which dense layers turn into a logit for each label.

    mean          sum of v_t / n                      n is the number of words, removed ones included
    dimensions    sum of a * v_t / n                  a: a weight for each dimension
    positions     sum of b_t * v_t / n                b: a weight for each position
    matrix        sum of A_t * v_t / n                A: a weight for each position and dimension
    flatten       all v_t side by side                the first layer has weights for each position

Five ways to make a sentence of words that a hate-speech classifier for Indian languages was built with, on vectors of
XLM-R there, on vectors learned here. Words up to `max_pieces` are read at once; longer texts in windows.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.interactions import Interactions
from whyrec.pieces import PADDING, Pieces, WordPieces, Words
from whyrec.recommender import Inputs
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.text_model import PLACES, WORDS, ClassWeights, TextModel, Units
from whyrec.text_table import TextGrid

Pooling = Literal["mean", "dimensions", "positions", "matrix", "flatten"]


class PooledWords(TextModel):
    """Pooled word vectors and dense layers, for texts with labels."""

    @settings
    class Settings:
        """How words become a text, and the shape of the network."""

        column: str = "text"
        """The column of the users that holds the texts."""
        pooling: Pooling = "mean"
        """How the vectors of words become one."""
        units: Units = "words"
        """What is named and taken away: words, or runs of up to four of them between signs of punctuation."""
        vocabulary: int = Field(default=8000, ge=1)
        """Words that have a vector, the most frequent of the training texts; all others share one."""
        width: int = Field(default=32, ge=1)
        """Length of the vectors."""
        hidden: tuple[PositiveInt, ...] = (32,)
        """Widths of the layers; () makes the score a sum of what each word brings."""
        activation: Literal["relu", "prelu", "elu", "leaky_relu"] = "relu"
        """What bends each number between two layers."""
        bias: bool = False
        """Whether layers add constants."""
        max_pieces: int = Field(default=50, ge=1)
        """Words read at once."""
        class_weights: ClassWeights = "none"
        """Whether rare labels count more, so that all count alike altogether."""
        word_dropout: float = Field(default=0.5, ge=0, le=1)
        """Training hides up to this share of the words of a text, so that a removed word is nothing unheard of."""
        init_std: float = Field(default=0.1, gt=0)
        """Standard deviation of the first vectors."""

    settings: Settings
    search_space: ClassVar[SearchSpace] = {
        "pooling": ("choice", ("mean", "dimensions", "positions", "matrix", "flatten")),
        "width": ("choice", (16, 32, 64)),
        "word_dropout": ("linear", 0.0, 0.8),
        "init_std": ("log", 0.01, 0.5),
    }

    def make_network(self, labels: int) -> None:
        asked = self.settings
        self.words = Words(asked.vocabulary)
        self.vector = nn.Embedding(len(self.words), asked.width, padding_idx=PADDING)
        nn.init.normal_(self.vector.weight, std=asked.init_std)
        self.weights = nn.Parameter(torch.ones(_shape(asked.pooling, asked.max_pieces, asked.width)))
        first = asked.width * (asked.max_pieces if asked.pooling == "flatten" else 1)
        widths = (first, *asked.hidden, labels)
        self.layers = nn.ModuleList(nn.Linear(wide, narrow, bias=asked.bias) for wide, narrow in pairwise(widths))
        self.slope = nn.Parameter(torch.full((1,), 0.25)) if asked.activation == "prelu" else None

    def prepare(self, train: Interactions) -> None:
        """Learn the words of the training texts, too."""
        super().prepare(train)
        self.words.learn(self.table.of(row).keys for row in train.user_counts.nonzero()[0].tolist())

    @property
    def room(self) -> int:
        return self.settings.max_pieces

    def pieces(self) -> Pieces:
        return WordPieces()

    def vectors(self, grid: TextGrid) -> Tensor:
        """Word vectors with the weights of the pooling and 1/n in them, so that a text is their sum."""
        found: Tensor = self.vector(self.words.rows(grid.keys)) * (grid.keys >= 0).unsqueeze(-1)
        if self.settings.pooling == "flatten":
            return found
        counted = (grid.keys >= 0).sum((1, 2)).clamp(min=1).view(-1, 1, 1, 1)
        by_position = self.weights if len(self.weights) == 1 else self.weights[grid.position]
        weighed: Tensor = found * by_position * grid.windows.view(-1, 1, 1, 1) / counted
        return weighed

    def logits(self, inputs: Inputs) -> Tensor:
        part, places = inputs[WORDS], inputs[PLACES].values[:, 0].long()  # (texts, windows, length)
        pieces = part.values[:, 0].unflatten(-1, (-1, self.settings.width)).flatten(1, 2)  # (texts, pieces, width)
        windows: Tensor = _taken(pieces, places)  # (texts, windows, length, width)
        if self.settings.pooling == "flatten":
            windows = F.pad(windows, (0, 0, 0, self.settings.max_pieces - windows.shape[2])).flatten(2)
        else:
            windows = windows.sum(2)
        for place, layer in enumerate(self.layers):
            windows = layer(windows if place == 0 else self._bent(windows))
        return windows

    def _bent(self, x: Tensor) -> Tensor:
        if self.slope is not None:
            return F.prelu(x, self.slope)
        if self.settings.activation == "elu":
            return F.elu(x)
        return F.leaky_relu(x) if self.settings.activation == "leaky_relu" else F.relu(x)

    @property
    def widest_channel(self) -> int:
        return max(self.settings.width, *self.settings.hidden, len(self.items))


def _taken(pieces: Tensor, places: Tensor) -> Tensor:
    """Pieces where windows want them, (texts, windows, length, width); zero where a window has ended."""
    index = places.clamp(min=0).flatten(1).unsqueeze(-1)
    there = (places >= 0).flatten(1).unsqueeze(-1).to(pieces)
    rows = max(len(pieces), len(places))
    found = torch.take_along_dim(pieces.expand(rows, -1, -1), index.expand(rows, -1, -1), dim=1) * there
    windows: Tensor = found.unflatten(1, places.shape[1:])
    return windows


def _shape(pooling: Pooling, positions: int, width: int) -> tuple[int, int]:
    """Weights by position and dimension; one stands for all where they do not differ."""
    by_position = positions if pooling in ("positions", "matrix") else 1
    return by_position, width if pooling in ("dimensions", "matrix") else 1

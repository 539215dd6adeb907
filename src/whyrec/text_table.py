"""The texts of users or items, cut into units and laid out for a model: a grid of pieces, and windows over it.

    grid      (texts, units, pieces)   the pieces of each unit, side by side: what is removed together
    windows   (texts, windows, length) which piece stands where in what a model reads at once

A text that is longer than a model reads is read in several windows, none of which cuts a unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from whyrec.dataset import Catalog, Column
from whyrec.errors import BadInput
from whyrec.interactions import Id, Rows, Vocabulary
from whyrec.pieces import CutText, Pieces, cut_text
from whyrec.words import Cut, words_of

NOTHING = -1


@dataclass(frozen=True, eq=False, slots=True)
class TextGrid:
    """Some texts side by side."""

    keys: Tensor  # (texts, units, pieces) int64, -1 where there is no piece
    places: Tensor  # (texts, windows, length) positions in units * pieces, -1 where a window has ended
    position: Tensor  # (texts, units, pieces) where in its window each piece stands

    @property
    def present(self) -> Tensor:
        """Which units are there, (texts, units) bool."""
        return (self.keys >= 0).any(-1)

    @property
    def windows(self) -> Tensor:
        """How many windows each text has, at least one; (texts,)."""
        return (self.places >= 0).any(-1).sum(-1).clamp(min=1)


class TextTable:
    """One column of texts, cut when it is first asked for."""

    def __init__(self, catalog: Catalog, column: str, pieces: Pieces, *, length: int, cut: Cut = words_of) -> None:
        """`length` is how many pieces a model reads at once."""
        self.texts = texts_of(catalog, column)
        self.pieces, self.length, self.cut = pieces, length, cut
        self._found: dict[int, CutText] = {}

    def __len__(self) -> int:
        return len(self.texts)

    def of(self, row: int) -> CutText:
        """The text at `row`, cut; an empty one for somebody the model has never met, -1."""
        if row < 0:
            return cut_text("", self.pieces, self.cut)
        if row not in self._found:
            self._found[row] = cut_text(self.texts[row], self.pieces, self.cut)
        return self._found[row]

    def grid(self, rows: Tensor) -> TextGrid:
        """The texts at `rows` (texts,), side by side."""
        cuts = [self.of(row) for row in rows.tolist()]
        spans = [_windows(cut, self.length) for cut in cuts]
        units = max((len(cut.titles) for cut in cuts), default=0)
        wide = max((int(cut.pieces_of_units.max(initial=0)) for cut in cuts), default=0)
        units, wide = max(units, 1), max(wide, 1)
        windows = max((len(one) - 1 for one in spans), default=1)
        length = max((int(np.diff(one).max()) for one in spans), default=0)
        keys = np.full((len(cuts), units, wide), NOTHING)
        position = np.zeros((len(cuts), units, wide), dtype=np.int64)
        places = np.full((len(cuts), windows, max(length, 1)), NOTHING)
        for row, (cut, ends) in enumerate(zip(cuts, spans, strict=True)):
            order = np.arange(len(cut.keys))
            slot = order - np.searchsorted(cut.units, cut.units, side="left")
            window = np.searchsorted(ends, order, side="right") - 1
            keys[row, cut.units, slot] = cut.keys
            position[row, cut.units, slot] = order - ends[window]
            places[row, window, order - ends[window]] = cut.units * wide + slot
        found = (torch.from_numpy(one).to(rows.device) for one in (keys, places, position))
        return TextGrid(*found)

    def windows_of(self, row: int) -> int:
        """In how many windows the text at `row` is read."""
        return max(1, len(_windows(self.of(row), self.length)) - 1)

    def widest(self) -> tuple[int, int, int]:
        """Units times pieces of the widest grid, windows and units of the longest text."""
        cuts = [self.of(row) for row in range(len(self))]
        units = max((len(cut.titles) for cut in cuts), default=1)
        wide = max((int(cut.pieces_of_units.max(initial=1)) for cut in cuts), default=1)
        return max(units, 1) * wide, max((self.windows_of(row) for row in range(len(self))), default=1), units


def catalog_of_texts(texts: Mapping[Id, str], column: str) -> Catalog:
    """Users who are texts, each with its id."""
    values = np.array([*texts.values(), None], dtype=object)[:-1]
    return Catalog(Vocabulary(texts, kind="user"), columns={column: Column(column, "text", values)})


def texts_of(catalog: Catalog, column: str) -> list[str]:
    """The texts of a column, empty where there are none."""
    if column not in catalog.columns:
        known = ", ".join(catalog.columns) or "no columns"
        raise BadInput(f"{catalog.vocabulary.kind}s have no column {column!r} to read; they have {known}")
    return ["" if _is_missing(text) else str(text) for text in catalog.columns[column].values]


def _is_missing(text: object) -> bool:
    return text is None or text != text


def _windows(cut: CutText, length: int) -> Rows:
    """Where each window begins among the pieces, and where the last one ends; whole units as long as they fit."""
    sizes = cut.pieces_of_units
    if len(cut.keys) <= length:
        return np.array([0, len(cut.keys)])
    ends = [0]
    for begin, size in zip(np.cumsum(sizes) - sizes, sizes, strict=True):
        while begin + size - ends[-1] > length:
            ends.append(int(begin) if begin > ends[-1] else ends[-1] + length)
    return np.array([*ends, len(cut.keys)])

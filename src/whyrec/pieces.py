"""Pieces of texts: what a model has vectors for, each in the unit that a person can name.

A model's own vocabulary has a piece for each word that is frequent in training, and one for all others. A tokenizer of
Hugging Face cuts words into smaller pieces; their places in the text tell which word, or phrase, they are a piece of.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from whyrec.errors import BadInput, NotApplicable
from whyrec.interactions import Rows
from whyrec.words import Cut, words_of

LONGEST_UNIT = 32
"""Pieces of a unit, at most: what is longer, such as an address, goes on as another unit."""

PADDING, UNKNOWN, START, FIRST_WORD = 0, 1, 2, 3
"""Rows of a vocabulary of words."""

NO_WORD = torch.iinfo(torch.int64).max
"""In place of the key of a word, where a vocabulary has room left."""


@dataclass(frozen=True, eq=False, slots=True)
class CutText:
    """A text as pieces, in the order of reading."""

    keys: Rows  # (pieces,) what each piece is
    units: Rows  # (pieces,) which unit it belongs to, from 0, rising
    titles: tuple[str, ...]  # of the units, as they stand in the text

    @property
    def pieces_of_units(self) -> Rows:
        """How many pieces each unit has, (units,)."""
        return np.bincount(self.units, minlength=len(self.titles))


class Pieces(Protocol):
    """Something that cuts texts into pieces."""

    def located(self, text: str) -> tuple[Rows, Rows]:
        """The key of each piece, and where in the text it begins; (pieces,) each."""


def cut_text(text: str, pieces: Pieces, cut: Cut = words_of) -> CutText:
    """A text as pieces, and which unit each belongs to; units without a piece, which no model sees, are left out.

    >>> cut_text("good, not bad", WordPieces()).titles
    ('good', ',', 'not', 'bad')
    """
    keys, begins = pieces.located(text)
    spans = cut(text) or [(0, len(text))]  # a tokenizer may have a piece for blanks alone
    if not len(keys):
        return CutText(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), ())
    ends = np.array([end for _, end in spans])
    whose = np.minimum(np.searchsorted(ends, begins, side="right"), len(spans) - 1)
    found, units = np.unique(_in_short_units(whose), axis=1, return_inverse=True)[:2]
    titles = tuple(text[slice(*spans[span])] + (f" ({part + 1})" if part else "") for span, part in found.T)
    return CutText(keys, units.astype(np.int64).reshape(-1), titles)


def _in_short_units(whose: Rows) -> Rows:
    """The span of each piece, and how many full units of it came before; (2, pieces)."""
    starts = np.searchsorted(whose, whose, side="left")
    return np.stack([whose, (np.arange(len(whose)) - starts) // LONGEST_UNIT])


class WordPieces:
    """Words as pieces: a key is made of the letters of a word, whatever their case."""

    def located(self, text: str) -> tuple[Rows, Rows]:
        spans = words_of(text)
        keys = np.fromiter((word_key(text[slice(*span)]) for span in spans), dtype=np.int64, count=len(spans))
        return keys, np.array([start for start, _ in spans], dtype=np.int64)


def word_key(word: str) -> int:
    """A number that tells a word from all others, the same on every machine; case does not count.

    >>> word_key("Good") == word_key("good") != word_key("goods")
    True
    """
    plain = unicodedata.normalize("NFC", word.casefold()).encode()
    return int.from_bytes(hashlib.blake2b(plain, digest_size=8).digest(), "little") >> 1


class Words(nn.Module):
    """The words that a model has vectors for, by their keys. Saved with the weights, so a folder brings it back."""

    keys: Tensor  # (size,) rising

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.full((size,), NO_WORD))

    def __len__(self) -> int:
        return FIRST_WORD + len(self.keys)

    def learn(self, texts: Iterable[Rows]) -> None:
        """Take the most frequent words of some texts, given by their keys, each counted once a text."""
        found = [np.unique(keys) for keys in texts]
        keys, counts = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *found]), return_counts=True)
        chosen = np.sort(keys[np.lexsort((keys, -counts))[: len(self.keys)]])
        self.keys.fill_(NO_WORD)
        self.keys[: len(chosen)] = torch.from_numpy(chosen).to(self.keys)

    def rows(self, keys: Tensor) -> Tensor:
        """The row of each key: `PADDING` for -1, `UNKNOWN` for words that training did not have."""
        place = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        met = torch.where(self.keys[place] == keys, place + FIRST_WORD, UNKNOWN)
        return torch.where(keys < 0, PADDING, met)


class FolderPieces:
    """The tokenizer of a folder that Hugging Face wrote; a key is the row of a piece in the model's own table."""

    def __init__(self, folder: str | Path) -> None:
        tokenizer = _tokenizer_of(Path(folder))
        self._backend = tokenizer
        ends = self._backend.encode("a", add_special_tokens=True)
        inside = [place for place, special in enumerate(ends.special_tokens_mask) if not special]
        first, last = (inside[0], inside[-1]) if inside else (len(ends.ids), len(ends.ids))
        self.before, self.after = tuple(ends.ids[:first]), tuple(ends.ids[last + 1 :])
        self.names = (*ends.tokens[:first], *ends.tokens[last + 1 :])

    def located(self, text: str) -> tuple[Rows, Rows]:
        found = self._backend.encode(text, add_special_tokens=False)
        begins = np.array([start for start, _ in found.offsets], dtype=np.int64)
        return np.array(found.ids, dtype=np.int64), begins


def _tokenizer_of(folder: Path) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError as missing:
        raise NotApplicable("a tokenizer of Hugging Face needs transformers: pip install 'whyrec[text]'") from missing
    try:
        found = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as problem:
        raise BadInput(f"{folder}: there is no tokenizer to read ({str(problem).splitlines()[0]}); save both") from None
    backend = getattr(found, "backend_tokenizer", None)
    if backend is None:
        raise BadInput(f"{folder}: its tokenizer does not say where pieces begin; save a fast one (tokenizer.json)")
    backend.no_truncation()
    backend.no_padding()
    return backend

"""The words of a text in the order of reading, each with what it brought: what colours are made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whyrec.errors import NotApplicable
from whyrec.explanation import Explanations
from whyrec.interactions import Id
from whyrec.statistics import Array


@dataclass(frozen=True, eq=False)
class WordRelevance:
    """What each word brought to one number, according to one method. Nothing is scaled: words and rest add up to it."""

    words: tuple[str, ...]
    relevance: Array  # (words,) in units of the target
    method: str
    target: str
    text: Id
    label: str
    value: float
    """The explained number: a logit, or how far a label is ahead of another."""

    @property
    def unit(self) -> str:
        """What the numbers are counted in."""
        return "ratings" if self.target == "rating" else "logits"

    @property
    def rest(self) -> float:
        """What words did not bring: positions, special tokens, biases, and what a method leaves open."""
        return self.value - float(self.relevance.sum())

    def renamed(self, method: str) -> WordRelevance:
        """The same under another name, such as 'LRP-0'."""
        return WordRelevance(self.words, self.relevance, method, self.target, self.text, self.label, self.value)


def word_relevance(why: Explanations, row: int = 0, place: int = 0, *, part: str | None = None) -> WordRelevance:
    """The words of one place of one list with their relevance, in the order of the text.

    `part` is the input that holds the words, where a model has several with words.
    """
    named = [name for name, kind in why.kinds.items() if kind == "word"] if part is None else [part]
    if len(named) != 1 or named[0] not in why.attribution.present:
        raise NotApplicable(f"there is no one input of words here, but {', '.join(why.kinds)}; name one with part=")
    there = why.attribution.present[named[0]][row, place].flatten().nonzero()[:, 0].tolist()
    units = [why.contribution(named[0], row, place, unit) for unit in there]
    line = why.recommendations.lines(row)[place]
    return WordRelevance(
        tuple(one.title for one in units),
        np.array([one.relevance for one in units]),
        why.method,
        why.target,
        line.user,
        line.title,
        float(why.ledger.target[row, place]),
    )

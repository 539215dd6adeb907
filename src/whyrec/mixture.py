"""How experts on subsets of the inputs make one score, and how each of them is taught.

    g_s      confidence of expert s in what it says, f_s in [-1, 1]
    alpha_s = g_s  prod over children t of s of (1 - g_t)
    score   = sum of alpha_s f_s / sum of alpha_s

A larger subset is listened to only where every smaller one inside it is not sure, so that who is listened to tells
which inputs were enough. Nothing is learned about whom to listen to: alpha follows from what the experts say. Each
expert is taught by itself, the more so the less its children are sure (Afchar and Hennequin 2020, a step of generalised
expectation maximisation for each batch).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from whyrec.recommender import Inputs
from whyrec.settings import settings

LEAST = 1e-9
"""Added to sums that are divided by, as the authors do."""

UNDECIDED = 1e-3
"""Where all experts together are listened to less than this, nobody had an opinion."""

Children = Sequence[Sequence[int]]
"""For each expert, the places of those that see strictly less than it does."""

Confidence = Literal["absolute", "squared", "sharp", "skewed"]

_SURE_AT, _LARGEST = 0.3, (0.7**3 + 1) / 0.7**4

CONFIDENCES: Mapping[Confidence, Callable[[Tensor], Tensor]] = {
    "absolute": lambda said: said.abs(),
    "squared": lambda said: said.square(),
    "sharp": lambda said: 2 * said.abs() ** 4 / (1 + said.abs() ** 3),
    "skewed": lambda said: _skewed((1 + said) / 2),
}
"""Confidence in [0, 1] of what is said in [-1, 1]; `skewed` takes a probability of .3 for no opinion, since most of
what people are not known to like was drawn at random, and is sure of a yes only."""

NO_OPINION: Mapping[Confidence, float] = {"absolute": 0.0, "squared": 0.0, "sharp": 0.0, "skewed": 2 * _SURE_AT - 1}
"""What an expert without any confidence says."""


def _skewed(probability: Tensor) -> Tensor:
    away = (probability - _SURE_AT).abs()
    return _LARGEST * away**4 / (1 + away**3)


@settings
class Boosting:
    """How experts are weighed against each other, in the score and in teaching."""

    confidence: Confidence = "squared"
    """How sure an expert counts as, in the score."""
    taught_by: Confidence = "squared"
    """The same in teaching."""
    own: bool = False
    """Whether an expert is taught the more the surer it is itself."""
    posterior: bool = False
    """Whether an expert is also taught the more the better it explains what is wanted: the posterior of the E-step. Its
    weights always sum to one in a row: else all experts would learn to say no, where most rows want it."""
    normalised: bool = True
    """Whether the weights of each row are made to sum to one."""
    mean: Literal["expert", "row", "weight"] = "row"
    """Wrongness as a weighted mean of each expert, added up; as a sum over experts, its mean over rows; or as one
    weighted mean over rows and experts."""


Preset = Literal["toy", "library", "movielens", "spotify"]

PRESETS: Mapping[Preset, Boosting] = {
    "toy": Boosting(confidence="sharp", own=True, mean="expert"),
    "library": Boosting(),
    "movielens": Boosting(confidence="skewed", taught_by="skewed", normalised=False, mean="weight"),
    "spotify": Boosting(normalised=False, mean="weight"),
}
"""The variants of the authors' code, by the experiment they were used in."""


@dataclass(frozen=True, slots=True)
class Voices:
    """What each expert says and how far it is listened to: score = rest + sum of share * said."""

    said: Tensor  # (users, items, expert), in units of the score, above or below rest
    shares: Tensor  # (users, items, expert); of a boosted mixture they sum to at most one
    rest: Tensor | float = 0.0
    """The score where nobody is listened to."""
    undecided: Tensor | None = None
    """(users, items) bool: where nobody has an opinion worth the name; None where somebody always has."""

    @property
    def score(self) -> Tensor:
        """(users, items)."""
        return self.rest + (self.shares * self.said).sum(-1)

    def since(self, before: Voices) -> tuple[Tensor, Tensor]:
        """How the score moved, (users, items) each: by what experts say, and by who is listened to.

            f(x) - f(b) = sum of pi(x) [f_e(x) - f_e(b)]  +  sum of [pi(x) - pi(b)] f_e(b)

        The terms share * said tell the truth about a score where the second one is small.
        """
        by_saying = (self.shares * (self.said - before.said)).sum(-1)
        return by_saying, ((self.shares - before.shares) * before.said).sum(-1)


@runtime_checkable
class Mixing(Protocol):
    """A model whose score is a mixture of experts, each of whom sees some of the units."""

    @property
    def expert_titles(self) -> tuple[str, ...]:
        """What to call each expert."""

    def voices(self, inputs: Inputs) -> Voices:
        """What the experts say; its `score` is the model's."""

    def sees(self, part: str, present: Tensor) -> Tensor:
        """Which units of a part each expert sees: present (users, items, *unit) -> (expert, *unit) bool."""


def heard(said: Tensor, children: Children, confidence: Confidence, *, own: bool = True) -> Tensor:
    """alpha: how far each expert is listened to, (..., expert) in [0, 1].

    `children` are the places of each expert's children; without `own` an expert's own confidence is left out.

    >>> heard(torch.tensor([0.5, -0.5, 1.0]), ((), (), (0, 1)), "absolute").tolist()
    [0.5, 0.5, 0.25]
    """
    sure = CONFIDENCES[confidence](said).unbind(-1)
    doubt = [1 - one for one in sure]
    found = []
    for place, inner in enumerate(children):
        factors = [sure[place]] if own else [torch.ones_like(sure[place])]
        found.append(reduce(torch.mul, (*factors, *(doubt[child] for child in inner))))
    return torch.stack(found, dim=-1)


def mixed(said: Tensor, children: Children, boosting: Boosting, volume: Tensor | None = None) -> Voices:
    """What experts say in [-1, 1], and their shares, as the score has them; `volume`, (expert,), turns experts down."""
    alpha, rest = heard(said, children, boosting.confidence), NO_OPINION[boosting.confidence]
    alpha = alpha if volume is None else alpha * volume.to(alpha)
    total = alpha.sum(-1, keepdim=True)
    return Voices(said - rest, alpha / (total + LEAST), rest, total.squeeze(-1) < UNDECIDED)


def undecided(said: Tensor, children: Children, confidence: Confidence) -> Tensor:
    """Where nobody has an opinion worth the name, (...) bool; `mixed` says the same of the experts that it hears."""
    return heard(said, children, confidence).sum(-1) < UNDECIDED


@torch.no_grad()
def teaching_weights(said: Tensor, wanted: Tensor | None, children: Children, boosting: Boosting) -> Tensor:
    """How much each expert learns from each row, (..., expert); no gradient goes through it.

    `wanted`, (...), is the probability of a yes; it is looked at for the posterior only, and None will do without.
    """
    weights = heard(said, children, boosting.taught_by, own=boosting.own)
    if boosting.posterior and wanted is not None:
        sign = 2 * wanted.unsqueeze(-1) - 1
        weights = weights * (1 + sign * said) / 2  # times p(wanted | expert)
    if boosting.normalised or boosting.posterior:
        return weights / (weights.sum(-1, keepdim=True) + LEAST)
    return weights


def taught(wrong: Tensor, weights: Tensor, boosting: Boosting) -> Tensor:
    """One number of how wrong each expert is on each row, (..., expert), and how much it shall learn from it."""
    wrong, weights = wrong.flatten(0, -2), weights.flatten(0, -2)
    if boosting.mean == "expert":
        return ((weights * wrong).sum(0) / (weights.sum(0) + LEAST)).sum()
    if boosting.mean == "row":
        return (weights * wrong).sum(-1).mean()
    return (weights * wrong).sum() / (weights.sum() + LEAST)

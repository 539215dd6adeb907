"""Which coalitions to play, and what the worth of each says about each unit.

Leave-one-out, Shapley values, Kernel SHAP and LIME are all the same sum, with other coalitions and other weights:

    R_i = sum over coalitions S of  weight_i(S) * target(S)

The weights depend on nothing but the number of units. So one design serves all places of all lists with as many units,
what is random about it is drawn once, and each method is the file that writes its design down. Lists with fewer units
have a design of their own: nothing is padded, and nobody's answer depends on the company.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.attribution import Attribution, account
from whyrec.coalitions import Players
from whyrec.question import Question

BLOCK_BOOLS = 1 << 24
"""Places in coalitions that are spread over the lists at once."""

ROWS_AT_ONCE = 8
"""Games against rows of a background that are played side by side; more would hold more, and be no faster."""


@dataclass(frozen=True, slots=True)
class Design:
    """Coalitions of a number of units, and what the worth of each counts towards each unit."""

    keep: Tensor  # (coalitions, unit) bool
    weights: Tensor  # (coalitions, unit) float64
    mass: Tensor | None = None
    """Of a design that fits a surrogate: how much each coalition counts in the fit, (coalitions,)."""

    def to(self, device: torch.device) -> Design:
        """The same design on another device."""
        mass = None if self.mass is None else self.mass.to(device)
        return Design(self.keep.to(device), self.weights.to(device), mass)


ROUNDING = 1e-12
"""Variance relative to the mean square that single precision makes out of nothing, and some more."""

Plan = Callable[[int, int], Design]
"""The design for a number of units, and a row of the background."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How well relevances fit as a linear surrogate of the target, each (users, items) float64."""

    intercept: Tensor
    left: Tensor
    """Variance between coalitions that the surrogate misses."""
    whole: Tensor
    """Variance between coalitions."""
    square: Tensor
    """Mean square of the target, to tell variance from rounding."""

    @property
    def r2(self) -> Tensor:
        """The share of variance that the surrogate explains; 1 where the target does not move."""
        moves = self.whole > ROUNDING * self.square
        return torch.where(moves, 1 - self.left / torch.where(moves, self.whole, 1.0), 1.0)


def explained(question: Question, plan: Plan, *, background: int, complete: bool) -> Attribution:
    """The answer of a method that is a plan of coalitions; a complete one starts from all units removed."""
    players = Players(question, background=background)
    with torch.no_grad():
        target = question.value(question.inputs)
    relevance = players.part(play(players, plan)[0])
    present = {name: question.present(name) for name in question.parts}
    reference = players.nothing() if complete else None
    return Attribution(relevance, present, account(target, relevance, reference=reference), complete)


@torch.no_grad()
def play(players: Players, plan: Plan) -> tuple[Tensor, Fit]:
    """Play every coalition of a plan: relevance (users, items, players) float64, 0 for an absent unit, and its fit.

    With a background, each of its rows is a game with a design of its own, and the answer is the mean over the games.
    """
    seats = _Seats(players.present)
    relevance = torch.zeros(*seats.lists, seats.most, dtype=torch.float64, device=players.present.device)
    fit = relevance.new_zeros(4, *seats.lists)
    for rows in torch.arange(players.rows).split(ROWS_AT_ONCE):
        designs = [[plan(count, row).to(relevance.device) for count in seats.counts] for row in rows.tolist()]
        worth = _worth(players, seats, designs, rows)
        for game, design_of_count in zip(worth, designs, strict=True):
            for number, design in enumerate(design_of_count):
                here = seats.having(number)
                played = game[: len(design.keep), here].T  # (lists, coalitions)
                shares = played @ design.weights
                relevance[here] += F.pad(shares, (0, seats.most - shares.shape[1])) / players.rows
                if design.mass is not None:
                    fit[:, here] += _fit(design.keep, design.mass, played, shares) / players.rows
    return seats.to_players(relevance), Fit(*fit)


def _worth(players: Players, seats: _Seats, designs: list[list[Design]], rows: Tensor) -> Tensor:
    """The target of every coalition of every game, (rows, coalitions, users, items) float64."""
    longest = max(len(design.keep) for game in designs for design in game)
    keep = torch.zeros(len(seats.counts), len(rows), longest, seats.most, dtype=torch.bool, device=seats.which.device)
    for row, game in enumerate(designs):
        for number, design in enumerate(game):
            keep[number, row, : len(design.keep), : design.keep.shape[1]] = design.keep
    coalitions = keep.flatten(1, 2)  # (counts, rows * coalitions, seat)
    against = rows.to(keep.device).repeat_interleave(longest)
    size = max(1, BLOCK_BOOLS // max(1, players.present.numel()))
    found = [
        players.worth(seats.filled(some), standing_in).double()
        for some, standing_in in zip(coalitions.split(size, 1), against.split(size), strict=True)
    ]
    worth: Tensor = torch.cat(found).unflatten(0, (len(rows), longest))
    return worth


def _fit(keep: Tensor, mass: Tensor, worth: Tensor, shares: Tensor) -> Tensor:
    """The numbers of a `Fit`, (4, lists): the best constant beside the shares, and variances; worth (lists, sets)."""
    mass = mass / mass.sum()
    rest = worth - shares @ keep.T.to(shares)
    constant = rest @ mass
    left = (rest - constant.unsqueeze(-1)).square() @ mass
    whole = (worth - (worth @ mass).unsqueeze(-1)).square() @ mass
    return torch.stack([constant, left, whole, worth.square() @ mass])


class _Seats:
    """Where the units of a design sit among the players of each list: on the present ones, in order."""

    def __init__(self, present: Tensor) -> None:
        self.lists = present.shape[:2]
        there = present
        if present.equal(present[:, :1].expand_as(present)):
            there = there[:, :1]
        if there.equal(there[:1].expand_as(there)):
            there = there[:1]
        self.there = there  # (users | 1, items | 1, players): one row where all are alike
        self.seat = (there.cumsum(-1) - 1).clamp(min=0)
        counts, self.which = there.sum(-1).unique(return_inverse=True)
        self.counts: list[int] = counts.tolist()
        self.most = self.counts[-1]

    def having(self, number: int) -> Tensor:
        """Which lists have that count of units, (users, items) bool."""
        lists: Tensor = (self.which == number).expand(self.lists)
        return lists

    def filled(self, coalitions: Tensor) -> Tensor:
        """(counts, coalitions, seat) bool -> (coalitions, users, items | 1, players)."""
        if self.most == 0:
            return self.there.expand(coalitions.shape[1], self.lists[0], -1, -1)
        if self.there.all():  # all units of all lists are there, and sit where they stand
            return coalitions[0][:, None, None].expand(-1, self.lists[0], -1, -1)
        wanted = coalitions[self.which]  # (users | 1, items | 1, coalitions, seat)
        taken = torch.take_along_dim(wanted, self.seat.unsqueeze(2), dim=-1) & self.there.unsqueeze(2)
        return taken.movedim(2, 0).expand(-1, self.lists[0], -1, -1)

    def to_players(self, relevance: Tensor) -> Tensor:
        """(users, items, seat) -> (users, items, players), 0 for an absent one."""
        if self.most == 0:
            return relevance.new_zeros(*self.lists, self.there.shape[-1])
        seat = self.seat.expand(*self.lists, -1)
        return torch.where(self.there, torch.take_along_dim(relevance, seat, dim=-1), 0.0)

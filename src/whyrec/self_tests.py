"""Do the checks keep their word? Each one is put to what a sound check must not, and must, react to.

    noise         relevance with 1 % of noise scores nearly as without, for the way it is to chance
    reversal      the opposite of the truth scores worse than chance
    scale         relevance in other units scores the same
    batch         a user scores the same whoever else is asked about
    permutation   a user scores the same whichever way round the units stand

After MetaQuantus (Hedström et al. 2023, The meta-evaluation problem in explainable AI). The truth is known: an affine
model of a planted world, whose LRP-0 is its Shapley values. A check that holds is not thereby right: these are laws
that a sound check cannot break.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from whyrec import kinds
from whyrec.attribution import Attribution, Ledger
from whyrec.coalitions import Players
from whyrec.datasets import planted
from whyrec.errors import InvalidSetting
from whyrec.explainers.lrp import LRP
from whyrec.explainers.random import Random
from whyrec.explanation import Explainer, part_of
from whyrec.models.ease import EASE
from whyrec.orders import by_relevance
from whyrec.question import Question, ask
from whyrec.recommendations import recommend
from whyrec.recommender import Request
from whyrec.split import leave_last_out
from whyrec.train import fit

Law = Literal["noise", "reversal", "scale", "batch", "permutation"]
LAWS: tuple[Law, ...] = get_args(Law)

USERS, ITEMS, UNITS = 30, 150, 4
"""Of the planted world, and how many units are taken away at once."""

NOISE, MOST_MOVED = 0.01, 0.1
"""Standard deviation of the noise beside relevance of 1, and how far a check may move for it on the way to chance."""

ROUNDING = 1e-9
SCALE = 7.0
BLOCKS = (1, 7)
"""Users asked about at once, in turn."""

ERRORS = 4.0
"""Standard errors that a check which draws sets of units may differ by, with its units another way round."""

TRUTH = LRP(0)
"""Exact on an affine model: the Shapley value of each unit."""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """One check under one law."""

    check: str
    law: Law
    holds: bool
    measured: float
    """What the law is about: see `must`."""
    must: str
    """What has to be true of `measured`."""

    def __str__(self) -> str:
        return f"{self.check} {'keeps' if self.holds else 'BREAKS'} {self.law}: {self.measured:.3g}, {self.must}"


@dataclass(frozen=True, eq=False)
class SelfTests:
    """All checks under all laws. Printing it shows the table, and what is broken."""

    rows: tuple[SelfTest, ...]

    @property
    def holds(self) -> bool:
        """Whether every check keeps every law."""
        return all(row.holds for row in self.rows)

    def to_json(self) -> list[dict[str, Any]]:
        """As a JSON list."""
        return [asdict(row) for row in self.rows]

    def __str__(self) -> str:
        cells = {(row.check, row.law): row for row in self.rows}
        names = list(dict.fromkeys(row.check for row in self.rows))
        wide = max(len(name) for name in names)
        lines = [f"{'check':<{wide}}  " + "".join(f"{law:<13}" for law in LAWS).rstrip()]
        for name in names:
            found = [cells[name, law] for law in LAWS]
            lines.append(f"{name:<{wide}}  " + "".join(f"{_cell(row):<13}" for row in found).rstrip())
        return "\n".join([*lines, *(str(row) for row in self.rows if not row.holds)])


def _cell(row: SelfTest) -> str:
    return f"{row.measured:.2g} {'ok' if row.holds else 'BROKEN'}"


def self_test(checks: Sequence[str] | None = None, *, seed: int = 0) -> SelfTests:
    """Put checks to all laws: those of the library, or some, or yours as `package.module:name`.

    A check of your own stands in a module that says what it `JUDGES`: order, relevance, explainer or attribution.

    >>> print(self_test(["srg"]))
    check  noise        reversal     scale        batch        permutation
    srg    ... ok 1.9 ok 0 ok ... ok ... ok
    """
    tried = [_check(name) for name in (kinds.names("faithfulness") if checks is None else checks)]
    question = _question(seed)
    laws = (_noise, _reversal, _scale, _batch, _permutation)
    return SelfTests(tuple(law(check, question) for check in tried for law in laws))


def _question(seed: int) -> Question:
    """The last item of each user's list, in a planted world and by an affine model, in double precision.

    The last one easily leaves the list, so that checks of ranks have something to see.
    """
    split = leave_last_out(planted.load(users=USERS, items=ITEMS, seed=seed))
    model = fit(EASE(regularisation=20.0), split)
    lists = recommend(model, k=10)
    last = replace(lists, item_rows=lists.item_rows[:, -1:], scores=lists.scores[:, -1:])
    return ask(model, last.request(), seed=seed, dtype=torch.float64)


@dataclass(frozen=True, slots=True)
class _Check:
    """A check by its name, called the same whatever it judges."""

    name: str
    judges: str
    function: Callable[..., Tensor]

    @property
    def chance(self) -> Explainer:
        """What knows nothing: random relevance or, where accounts are judged, one that lacks half of what it should."""
        return _halved if self.judges == "attribution" else Random()

    def of(self, question: Question, explainer: Explainer) -> Tensor:
        """What the check says of an explainer, (users, items) float64."""
        return self.said_of(question, explainer(question), explainer)

    def said_of(self, question: Question, attribution: Attribution, explainer: Explainer) -> Tensor:
        """The same of an attribution; a check of explainers compares it with what `explainer` says next."""
        players = Players(question)
        if self.judges == "order":
            ranks = by_relevance(players, attribution, torch.Generator().manual_seed(question.seed))
            return self.function(players, ranks, UNITS).double().mean(0)
        if self.judges == "relevance":
            return self.function(players, players.join(attribution.relevance)).double()
        if self.judges == "attribution":
            return self.function(attribution).double()
        return self.function(explainer, question, attribution).double()


def _check(name: str) -> _Check:
    function = kinds.load("faithfulness", name)
    judges = getattr(sys.modules[function.__module__], "JUDGES", None)
    if judges not in ("order", "relevance", "explainer", "attribution"):
        raise InvalidSetting(
            f"the module of {name!r} does not say what the check judges: give it JUDGES = 'order', 'relevance', "
            "'explainer' or 'attribution'"
        )
    return _Check(name, judges, function)


def _noise(check: _Check, question: Question) -> SelfTest:
    own, _, chance = _scores(check, question)
    moved = (check.of(question, _noisy) - check.of(question, TRUTH)).abs().nanmean()
    share = float(moved) / abs(chance - own) if chance != own else float("inf")
    return SelfTest(check.name, "noise", share <= MOST_MOVED, share, f"at most {MOST_MOVED} of the way to chance")


def _reversal(check: _Check, question: Question) -> SelfTest:
    own, opposite, chance = _scores(check, question)
    far = (opposite - own) / (chance - own) if chance != own else 0.0
    return SelfTest(check.name, "reversal", far > 1, far, "more than 1, where the truth is 0 and chance is 1")


def _scores(check: _Check, question: Question) -> list[float]:
    """Means for the truth, for its opposite and for chance.

    A check of explainers compares two answers: here the truth with the same, with its opposite and with chance.
    """
    truth = TRUTH(question)
    said = (truth, _changed(truth, torch.neg), check.chance(question))
    if check.judges == "explainer":
        values = [check.said_of(question, truth, _saying(one)) for one in said]
    else:
        values = [check.said_of(question, one, TRUTH) for one in said]
    return [float(one.nanmean()) for one in values]


def _scale(check: _Check, question: Question) -> SelfTest:
    own, scaled = (check.of(question, explainer) for explainer in (TRUTH, _in_other_units))
    return _same(check.name, "scale", own, scaled)


def _batch(check: _Check, question: Question) -> SelfTest:
    together, rows = check.of(question, _blunt), torch.arange(question.shape[0])
    requests = [[part_of(question.request, block) for block in rows.split(size)] for size in BLOCKS]
    apart = [torch.cat([check.of(_again(question, one), _blunt) for one in blocks]) for blocks in requests]
    return _same(check.name, "batch", together.expand(len(BLOCKS), -1, -1), torch.stack(apart))


def _permutation(check: _Check, question: Question) -> SelfTest:
    history = question.request.history
    order = torch.randperm(history.shape[1], generator=torch.Generator().manual_seed(question.seed))
    turned = _again(question, replace(question.request, history=history[:, order]))
    moved = check.of(turned, _blunt) - check.of(question, _blunt)
    moved = moved[~moved.isnan()]
    mean = float(moved.mean().abs())  # NaN where nothing is left, which keeps no law
    bound = ROUNDING + ERRORS * float((moved - moved.mean()).square().mean().sqrt()) / max(len(moved), 1) ** 0.5
    must = f"at most {bound:.2g}, {ERRORS:g} standard errors of a check that draws"
    return SelfTest(check.name, "permutation", mean <= bound, mean, must)


def _same(check: str, law: Law, one: Tensor, other: Tensor) -> SelfTest:
    """The largest difference; NaN has to meet NaN."""
    apart = (one - other).abs().nan_to_num(nan=0.0).masked_fill(one.isnan() != other.isnan(), torch.inf)
    most = float(apart.max())
    return SelfTest(check, law, most <= ROUNDING, most, f"at most {ROUNDING:g}")


def _again(question: Question, request: Request) -> Question:
    return ask(question.model, request, seed=question.seed, dtype=torch.float64)


def _saying(attribution: Attribution) -> Explainer:
    """An explainer that says the same whatever it is asked."""
    return lambda _: attribution


def _blunt(question: Question) -> Attribution:
    """The truth in the right order and not in proportion, so that no check has its best value."""
    return _changed(TRUTH(question), lambda relevance: relevance.sign() * relevance.abs().sqrt())


def _halved(question: Question) -> Attribution:
    return _changed(TRUTH(question), lambda relevance: relevance / 2)


def _noisy(question: Question) -> Attribution:
    def shaken(relevance: Tensor) -> Tensor:
        noise = [torch.from_numpy(one.standard_normal(relevance.shape[1:])) for one in question.generators("noise")]
        return relevance * (1 + NOISE * torch.stack(noise))

    return _changed(TRUTH(question), shaken)


def _in_other_units(question: Question) -> Attribution:
    """Relevance and account, as of a score in other units."""
    found = TRUTH(question)
    ledger = Ledger(*(SCALE * getattr(found.ledger, one.name) for one in fields(Ledger)))
    return replace(found, relevance={name: SCALE * one for name, one in found.relevance.items()}, ledger=ledger)


def _changed(attribution: Attribution, change: Callable[[Tensor], Tensor]) -> Attribution:
    """Other relevance of the same target, and the account of it."""
    relevance = {name: change(one) for name, one in attribution.relevance.items()}
    inputs = sum((one.double().flatten(2).sum(-1) for one in relevance.values()), torch.zeros(()))
    return replace(attribution, relevance=relevance, ledger=replace(attribution.ledger, inputs=inputs))

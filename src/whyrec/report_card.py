"""The report card: is an explanation true? Numbers with random floor, ceiling and interval, and a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from whyrec import kinds
from whyrec.attribution import Attribution
from whyrec.coalitions import Players
from whyrec.errors import BadInput, InvalidSetting, NotExplainableByMasking
from whyrec.explanation import Explainer, method_name
from whyrec.faithfulness.completeness import completeness
from whyrec.faithfulness.deletion import deletion
from whyrec.faithfulness.randomised_weights import randomised_weights
from whyrec.faithfulness.srg import srg
from whyrec.faithfulness.stability import stability
from whyrec.faithfulness.sufficiency import sufficiency
from whyrec.orders import at_random, by_relevance, greedy, removal_curves, tied_share
from whyrec.question import Question, ask, removable_parts
from whyrec.recommendations import Recommendations
from whyrec.recommender import Recommender, Request
from whyrec.settings import settings, to_json
from whyrec.statistics import Array, Estimate, bootstrap, mean_interval
from whyrec.targets import Target

Check = Callable[[Players, Tensor, int], Tensor]
Verdict = Literal["faithful", "weak", "not better than random", "undecided"]
MOST_SIMILAR_TO_RANDOM_MODEL = 0.5
LARGEST_GAP = 0.05
MOST_TIES = 0.05


@settings
class Verification:
    """How explanations are judged."""

    k: int = Field(default=5, ge=1)
    """Units taken away, or kept, at once."""
    users: int = Field(default=200, ge=2)
    """Users judged, at most; drawn by the seed."""
    floor: int = Field(default=20, ge=2)
    """Random orders per user that make the floor."""
    steps: int = Field(default=20, ge=2)
    """Steps of the removal curves."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap resamples of the users."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """A number in units of the target, with its interval, and what a random order and the best order found reach."""

    estimate: Estimate
    floor: float
    ceiling: float | None = None
    normalised: Estimate | None = None
    """0 is the floor, 1 the ceiling: (method - floor) / (ceiling - floor), means over users."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            **self.estimate.to_json(),
            "floor": self.floor,
            "ceiling": self.ceiling,
            "normalised": None if self.normalised is None else self.normalised.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one method, and what follows."""

    method: str
    deletion: Measured
    sufficiency: Measured
    srg: Measured
    randomisation: Estimate
    stability: Estimate
    completeness_gap: float | None
    cost_ms: float
    verdict: Verdict
    because: tuple[str, ...]
    """Why, one plain sentence each."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "method": self.method,
            "deletion": self.deletion.to_json(),
            "sufficiency": self.sufficiency.to_json(),
            "srg": self.srg.to_json(),
            "randomisation": self.randomisation.to_json(),
            "stability": self.stability.to_json(),
            "completeness_gap": self.completeness_gap,
            "cost_ms": self.cost_ms,
            "verdict": self.verdict,
            "because": list(self.because),
        }


@dataclass(frozen=True, eq=False)
class ReportCard:
    """One row a method. Printing it shows the table."""

    model: str
    users: int
    skipped: int
    settings: Verification
    rows: tuple[Row, ...]
    curves: dict[str, Array] = field(repr=False)
    """Mean target after 0 ... 100 % of the units went, most relevant first; also `random`'s and `greedy`'s, the latter
    NaN beyond the k units that were searched."""
    target: str = "logit"

    def row(self, method: str) -> Row:
        """The row of one method."""
        for row in self.rows:
            if row.method == method:
                return row
        judged = ", ".join(row.method for row in self.rows)
        raise InvalidSetting(f"{method!r} is not on this report card, which judges {judged}; verify it, too")

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "model": self.model,
            "users": self.users,
            "skipped": self.skipped,
            "target": self.target,
            "operator": "mask",
            "settings": to_json(self.settings),
            "rows": [row.to_json() for row in self.rows],
        }

    def __str__(self) -> str:
        width = max(12, *(len(row.method) + 2 for row in self.rows))
        lines = [f"{'method':<{width}}{'deletion':<24}{'sufficiency':<24}{'random weights':<24}verdict"]
        for row in self.rows:
            cells = (row.deletion.normalised, row.sufficiency.normalised, row.randomisation)
            lines.append(f"{row.method:<{width}}" + "".join(f"{cell!s:<24}" for cell in cells) + row.verdict)
        how = f"{self.users:,} users, {self.settings.k} units; 0 is random, 1 the best order found; 95 % intervals"
        return "\n".join([*lines, how])


def verify(
    model: Recommender,
    recommendations: Recommendations,
    explainers: Sequence[Explainer],
    *,
    target: Target | None = None,
    settings: Verification | None = None,
) -> ReportCard:
    """Judge explanations of each user's first recommendation by taking units away and watching the score.

    All methods get the same users, random orders and resamples; each is judged by itself. Another `target` than the
    score is watched instead of it.
    """
    settings = settings or Verification()
    request, skipped = _judged(model, recommendations, settings)
    question = ask(model, request, target=target, seed=settings.seed)
    if not removable_parts(model, question.inputs):
        raise NotExplainableByMasking(
            f"{type(model).__name__} as set up here has only factors of ids, which nobody can name or remove, so its "
            "explanations cannot be checked by removal; train it with user='history'"
        )
    bench = _Bench(question, settings)
    _refuse_to_take_all(bench.players, settings.k)
    rows, curves = [], {"random": bench.mean_curve(bench.random), "greedy": bench.best_curve()}
    for explainer in explainers:
        row, curve = bench.judge(explainer)
        rows.append(row)
        curves.setdefault(row.method, curve)  # `random` stays the floor of many orders
    users, about = question.shape[0], question.target.name
    return ReportCard(kinds.name_of(model), users, skipped, settings, tuple(rows), curves, about)


def _judged(model: Recommender, lists: Recommendations, settings: Verification) -> tuple[Request, int]:
    """The first place of some users' lists; users with no more than k past items cannot be judged."""
    first = lists.best(1)
    enough = first.present[:, 0]
    if model.history_limit:
        enough = enough & ((first.history >= 0).sum(1) > settings.k)
    usable = enough.nonzero()[:, 0].numpy()
    if len(usable) < 2:
        raise BadInput(
            f"only {len(usable)} of {len(lists):,} users have more than k={settings.k} units to take away; "
            "pass more users, or verify with a smaller k"
        )
    chosen = usable
    if len(usable) > settings.users:
        chosen = np.sort(np.random.default_rng(settings.seed).choice(usable, settings.users, replace=False))
    rows = torch.from_numpy(chosen)
    history = first.history[rows]
    longest = int((history >= 0).sum(1).max()) if history.shape[1] else 0
    asked = first.request(model.device)
    return replace(asked, users=asked.users[rows], items=asked.items[rows], history=history[:, :longest]), len(
        lists
    ) - len(usable)


def _refuse_to_take_all(players: Players, k: int) -> None:
    """Orders of units differ only where some are left when the first k are gone."""
    fewest = int(players.present.sum(-1).min())
    if fewest <= k:
        raise BadInput(
            f"there are {fewest} units to take away, and without k={k} of them nothing is left to compare; "
            "verify with a smaller k: settings=Verification(k=...)"
        )


class _Bench:
    """What all methods are measured against: the same players, floor and ceilings."""

    def __init__(self, question: Question, settings: Verification) -> None:
        self.question, self.settings = question, settings
        self.players = Players(question)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.random = at_random(self.players, settings.floor, self.generator)
        self.best_removal = greedy(self.players, settings.k, remove=True)
        self.best_arrival = greedy(self.players, settings.k, remove=False)
        self.floors: dict[Check, Array] = {
            check: self.per_user(check, self.random) for check in (deletion, sufficiency, srg)
        }
        self.ceilings: dict[Check, Array] = {
            deletion: self.per_user(deletion, self.best_removal),
            sufficiency: self.per_user(sufficiency, self.best_arrival),
        }

    def per_user(self, check: Check, ranks: Tensor) -> Array:
        """A check averaged over orders and the places of a list; (users,)."""
        size = self.settings.steps if check is srg else self.settings.k
        found: Array = check(self.players, ranks, size).double().mean(dim=(0, 2)).cpu().numpy()
        return found

    def mean_curve(self, ranks: Tensor) -> Array:
        """The target as the most relevant units go first, mean over orders and users; (steps + 1,)."""
        most, _ = removal_curves(self.players, ranks, self.settings.steps)
        found: Array = most.double().flatten(1).mean(1).cpu().numpy()
        return found

    def best_curve(self) -> Array:
        """The same for the best order found, which is searched for the first k units only; NaN beyond."""
        curve, steps = self.mean_curve(self.best_removal), self.settings.steps
        most_units = int(self.players.present.sum(-1).max())
        beyond = np.round(most_units * np.arange(steps + 1) / steps) > self.settings.k
        return np.where(beyond, np.nan, curve)

    def judge(self, explainer: Explainer) -> tuple[Row, Array]:
        """One method's row, and its removal curve."""
        started = time.perf_counter()
        attribution = explainer(self.question)
        milliseconds = 1000 * (time.perf_counter() - started) / self.question.shape[0]
        ranks = by_relevance(self.players, attribution, torch.Generator().manual_seed(self.settings.seed))
        found = {check: self._measure(check, ranks) for check in (deletion, sufficiency, srg)}
        similar = randomised_weights(explainer, self.question, attribution).flatten().double().cpu().numpy()
        stable = stability(explainer, self.question, attribution).flatten().double().cpu().numpy()
        gap = float(completeness(attribution).mean()) if attribution.complete else None
        randomisation = self._mean(similar)
        verdict, because = self._verdict(found[deletion], found[sufficiency], randomisation, gap, attribution)
        row = Row(
            method_name(explainer),
            found[deletion],
            found[sufficiency],
            found[srg],
            randomisation,
            self._mean(stable),
            gap,
            milliseconds,
            verdict,
            because,
        )
        return row, self.mean_curve(ranks)

    def _mean(self, values: Array) -> Estimate:
        return mean_interval(values, seed=self.settings.seed, resamples=self.settings.resamples)

    def _measure(self, check: Check, ranks: Tensor) -> Measured:
        own, floor = self.per_user(check, ranks), self.floors[check]
        if check not in self.ceilings:
            return Measured(self._mean(own), float(floor.mean()))
        ceiling = self.ceilings[check]
        normalised = self._bootstrap(
            np.stack([own - floor, ceiling - floor], 1), lambda means: means[:, 0] / means[:, 1]
        )
        return Measured(self._mean(own), float(floor.mean()), float(ceiling.mean()), normalised)

    def _bootstrap(self, users: Array, statistic: Callable[[Array], Array]) -> Estimate:
        with np.errstate(divide="ignore", invalid="ignore"):
            return bootstrap(users, statistic, resamples=self.settings.resamples, seed=self.settings.seed)

    def _nothing_to_find(self) -> list[str]:
        """Checks whose ceiling cannot be told from their floor."""
        names = []
        for check, ceiling in self.ceilings.items():
            room = self._bootstrap((ceiling - self.floors[check])[:, None], lambda means: means[:, 0])
            if not room.low > 0:
                names.append(check.__name__)
        return names

    def _verdict(
        self, deleted: Measured, kept: Measured, randomisation: Estimate, gap: float | None, attribution: Attribution
    ) -> tuple[Verdict, tuple[str, ...]]:
        """Gates, never a weighted average."""
        nothing = self._nothing_to_find()
        if nothing:
            return "undecided", tuple(
                f"for {name}, even the best order found is not better than a random one" for name in nothing
            )
        failed = [
            f"{name} of its top {self.settings.k} is not shown to beat a random order"
            for name, found in (("deletion", deleted), ("sufficiency", kept))
            if found.normalised is None or not found.normalised.low > 0
        ]
        if randomisation.high > MOST_SIMILAR_TO_RANDOM_MODEL:
            failed.append("it says much the same of a model with shuffled weights")
        if failed:
            return "not better than random", tuple(failed)
        doubts = self._doubts(gap, randomisation, attribution)
        return (
            ("weak", doubts)
            if doubts
            else ("faithful", ("it beats a random order both by deletion and by sufficiency",))
        )

    def _doubts(self, gap: float | None, randomisation: Estimate, attribution: Attribution) -> tuple[str, ...]:
        doubts = []
        if randomisation.n == 0:
            doubts.append("the model shows no weights to shuffle, so whether it explains what was learned is not known")
        if gap is not None and gap > LARGEST_GAP:
            doubts.append(f"it promises to add up, and {gap:.0%} of the score is unaccounted for")
        ties = tied_share(self.players.join(attribution.relevance), self.players.present)
        if ties > MOST_TIES:
            doubts.append(f"{ties:.0%} of the units tie, so their order is partly drawn")
        units = self.players.present.sum(-1).double().mean()
        hidden, trained = float(1 - self.settings.k / units), self.question.model.max_trained_drop
        if hidden > trained:
            doubts.append(f"sufficiency hides {hidden:.0%} of the units; in training at most {trained:.0%} was hidden")
        return tuple(doubts)

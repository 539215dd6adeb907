"""The report card: is an explanation true? Numbers with random floor, ceiling and interval, and a verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from whyrec import kinds
from whyrec.bench import Bench, PerUser
from whyrec.coalitions import Players
from whyrec.errors import BadInput, InvalidSetting, NotExplainableByMasking
from whyrec.explanation import Explainer, by_name
from whyrec.interactions import Id
from whyrec.question import ask, removable_parts
from whyrec.recommendations import Recommendations
from whyrec.recommender import Recommender, Request
from whyrec.settings import to_json
from whyrec.statistics import Array, Estimate, bootstrap
from whyrec.tables import write_parquet
from whyrec.targets import Target, name_of
from whyrec.training import chosen_epoch
from whyrec.verification import Row, Verification

TIE = 0.02
"""Two methods are as good as each other where their normalised numbers are shown to differ by less."""

Better = Literal["better", "worse", "as good as the other", "not told apart"]


@dataclass(frozen=True, slots=True)
class MethodComparison:
    """How far one method lies above another, between random, 0, and the best order found, 1."""

    number: str
    one: str
    other: str
    difference: Estimate
    verdict: Better
    """*As good* is shown, by two one-sided tests at 5 % with a margin of 0.02; *not told apart* is not."""

    def __str__(self) -> str:
        return f"{self.number}: {self.one} - {self.other} = {self.difference}, {self.verdict}"


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
    about: dict[str, Any] = field(default_factory=dict)
    """What was judged: fingerprints of weights and events, accuracy, operator, candidates, scope."""
    ids: tuple[Id, ...] = ()
    per_user: dict[str, PerUser] = field(default_factory=dict, repr=False)
    """Method, or `random` and `greedy` for floor and ceiling -> number -> one value for each of `ids`."""

    def row(self, method: str) -> Row:
        """The row of one method."""
        for row in self.rows:
            if row.method == method:
                return row
        judged = ", ".join(row.method for row in self.rows)
        raise InvalidSetting(f"{method!r} is not on this report card, which judges {judged}; verify it, too")

    def compare(
        self, one: str, other: str, number: Literal["deletion", "sufficiency"] = "deletion"
    ) -> MethodComparison:
        """Two methods on the same users, by a paired bootstrap of the difference of their normalised numbers.

        Several comparisons at once need `whyrec.statistics.holm`.
        """
        self._refuse_optimism()
        name = f"{number}@{self.settings.k}"
        first, second = (self.per_user[self.row(method).method][name] for method in (one, other))
        floor, ceiling = (self.per_user[end][name] for end in ("floor", "ceiling"))
        columns = np.stack([first - second, ceiling - floor], 1)
        difference, narrow = (
            bootstrap(
                columns,
                lambda means: means[:, 0] / means[:, 1],
                level=level,
                resamples=self.settings.resamples,
                seed=self.settings.seed,
            )
            for level in (0.95, 0.9)
        )
        return MethodComparison(name, one, other, difference, _better(difference, narrow))

    def to_parquet(self, path: str | Path) -> None:
        """One row a user, method and number, so that others can compute the intervals anew."""
        rows = [
            (str(user), method, number, float(value))
            for method, numbers in self.per_user.items()
            for number, values in numbers.items()
            for user, value in zip(self.ids, values, strict=True)
        ]
        users, methods, numbers, values = zip(*rows, strict=True)
        text = {"user": users, "method": methods, "number": numbers}
        columns = {name: np.array(list(column), dtype=object) for name, column in text.items()}
        write_parquet({**columns, "value": np.array(values)}, Path(path))

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "model": self.model,
            "users": self.users,
            "skipped": self.skipped,
            "target": self.target,
            "operator": self.settings.operator,
            "about": self.about,
            "settings": to_json(self.settings),
            "rows": [row.to_json() for row in self.rows],
        }

    def _refuse_optimism(self) -> None:
        if self.settings.selected_on_metric:
            raise InvalidSetting(
                "these numbers are optimistic, since settings were chosen by them, and so cannot rank methods; "
                "verify on users that chose nothing"
            )

    def __str__(self) -> str:
        width = max(12, *(len(row.method) + 2 for row in self.rows))
        lines = [f"{'method':<{width}}{'deletion':<24}{'sufficiency':<24}{'random weights':<24}verdict"]
        for row in self.rows:
            cells = (row.deletion.normalised, row.sufficiency.normalised, row.randomisation)
            lines.append(f"{row.method:<{width}}" + "".join(f"{cell!s:<24}" for cell in cells) + row.verdict)
        how = f"{self.users:,} users, {self.settings.k} units; 0 is random, 1 the best order found; 95 % intervals"
        stamp = ["optimistic: settings were chosen by these very numbers"] if self.settings.selected_on_metric else []
        return "\n".join([*lines, how, *stamp])


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
    score is watched instead of it. Where one method comes with several settings, its rows are called by these.
    """
    settings, methods = settings or Verification(), by_name(explainers)
    request, skipped = _judged(model, recommendations, settings)
    question = ask(model, request, target=target, seed=settings.seed)
    if not removable_parts(model, question.inputs):
        raise NotExplainableByMasking(
            f"{type(model).__name__} as set up here has only factors of ids, which nobody can name or remove, so its "
            f"explanations cannot be checked by removal; {model.way_to_past_items}"
        )
    _refuse_to_take_all(Players(question), settings.k)
    bench = Bench(question, settings)
    judged = [bench.judge(name, explainer) for name, explainer in methods.items()]
    curves = {"random": bench.random_curve(), "greedy": bench.best_curve()}
    per_user = {"floor": bench.floor, "ceiling": bench.ceiling}
    for one in judged:
        curves.setdefault(one.row.method, one.curve)  # `random` stays the floor of many orders
        per_user.setdefault(one.row.method, one.per_user)
    return ReportCard(
        kinds.name_of(model),
        question.shape[0],
        skipped,
        settings,
        tuple(one.row for one in judged),
        curves,
        name_of(question.target, model),
        _about(model, settings),
        tuple(_names(model, request)),
        per_user,
    )


def operator_agreement(cards: Sequence[ReportCard]) -> float:
    """Kendall's tau of the order of methods by deletion, the mean over pairs of cards; below 0.6 is a warning.

    The cards judge the same methods with other operators. A ranking of methods that changes with the meaning of taking
    away is a ranking of meanings.
    """
    methods = [row.method for row in cards[0].rows]
    if len(cards) < 2 or len(methods) < 2 or any([row.method for row in card.rows] != methods for card in cards):
        raise InvalidSetting(
            "agreement needs at least two cards that judge the same methods, at least two, in one order"
        )
    values = [np.array([_level(row) for row in card.rows]) for card in cards]
    pairs = [(a, b) for place, a in enumerate(values) for b in values[place + 1 :]]
    return float(np.mean([_kendall(a, b) for a, b in pairs]))


def _level(row: Row) -> float:
    return row.deletion.normalised.value if row.deletion.normalised is not None else float("nan")


def _kendall(one: Array, other: Array) -> float:
    upper = np.triu_indices(len(one), 1)
    signs = [np.sign(values[:, None] - values[None, :])[upper] for values in (one, other)]
    return float((signs[0] * signs[1]).mean())


def _better(difference: Estimate, narrow: Estimate) -> Better:
    if difference.low > 0 or difference.high < 0:
        return "better" if difference.value > 0 else "worse"
    return "as good as the other" if narrow.low > -TIE and narrow.high < TIE else "not told apart"


def _about(model: Recommender, settings: Verification) -> dict[str, Any]:
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    best = chosen_epoch(model.log) if model.log else None
    return {
        "weights": digest.hexdigest()[:16],
        "events": None if model.known is None else model.known.fingerprint(),
        **({} if best is None or best.merit is None else {f"validation {best.measure}": abs(best.merit)}),
        "operator": settings.operator,
        "scope": "inference: the trained weights stay",
        "candidates": f"items unseen in the whole history; in the list means among the best {settings.list_length}",
        "selected_on_metric": settings.selected_on_metric,
    }


def _names(model: Recommender, request: Request) -> list[Id]:
    rows = request.users.cpu().tolist()
    return [model.users.id(row) if row >= 0 else f"new {place + 1}" for place, row in enumerate(rows)]


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

"""The leaderboard: every explanation method in every world whose truth is known, with floor and interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from pydantic import Field

from whyrec import kinds
from whyrec.coalitions import Players
from whyrec.errors import InvalidSetting, WhyrecError
from whyrec.explainers.random import Random
from whyrec.explanation import Explainer, by_name
from whyrec.planted_scores import SCORES, Exam
from whyrec.planted_students import taught
from whyrec.planted_truth import World
from whyrec.question import Question
from whyrec.settings import settings, to_json
from whyrec.statistics import Array, Estimate, bootstrap


@settings
class Contest:
    """How methods are compared with the truth."""

    lists: int = Field(default=100, ge=2)
    """Users in each world, with a list of two items each."""
    floor: int = Field(default=20, ge=2)
    """Random explanations of each list that make the floor."""
    resamples: int = Field(default=1000, ge=100)
    """Bootstrap resamples of the users."""
    trained: bool = False
    """Explain networks that learned the worlds, instead of the planted functions themselves; a minute of training."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Floor:
    """What random relevances reach in one world: their mean, and how far luck may take the mean of one of them."""

    value: float
    luck: float
    """Four standard deviations. The 95 % interval alone would call one random method in forty better than random, and
    a leaderboard has hundreds of cells."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One score of one method in one world, beside the floor."""

    estimate: Estimate
    floor: Floor
    higher_is_better: bool

    @property
    def beats_floor(self) -> bool:
        """Whether the interval lies on the better side of the floor, and the value further off than luck goes."""
        if self.higher_is_better:
            return self.estimate.low > self.floor.value and self.estimate.value > self.floor.value + self.floor.luck
        return self.estimate.high < self.floor.value and self.estimate.value < self.floor.value - self.floor.luck

    @property
    def normalised(self) -> float:
        """Where the value lies between the floor, 0, and the truth, 1; below 0 where it is worse than random."""
        best = 1.0 if self.higher_is_better else 0.0
        return (self.estimate.value - self.floor.value) / (best - self.floor.value)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            **self.estimate.to_json(),
            "floor": self.floor.value,
            "luck": self.floor.luck,
            "beats_floor": self.beats_floor,
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """What one method reached in one world: a standing for each score, or why it does not apply."""

    world: str
    method: str
    scores: dict[str, Standing]
    not_applicable: str | None = None
    """What the method said when it was asked."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        found = {name: standing.to_json() for name, standing in self.scores.items()}
        return {"world": self.world, "method": self.method, "scores": found, "not_applicable": self.not_applicable}


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """One entry for each method and world. Printing it shows the rank correlations; `table` shows any score."""

    settings: Contest
    entries: tuple[Entry, ...]

    @property
    def worlds(self) -> tuple[str, ...]:
        """Names of the worlds, in order."""
        return tuple(dict.fromkeys(entry.world for entry in self.entries))

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, best mean rank correlation first; where one does not apply it counts as random, 0."""
        return tuple(sorted(dict.fromkeys(entry.method for entry in self.entries), key=self._mean, reverse=True))

    def entry(self, method: str, world: str) -> Entry:
        """What one method reached in one world."""
        for entry in self.entries:
            if (entry.method, entry.world) == (method, world):
                return entry
        raise InvalidSetting(
            f"there is no entry of {method!r} in {world!r}; the methods are {', '.join(self.methods)}, "
            f"the worlds {', '.join(self.worlds)}"
        )

    def table(self, score: str = "rank") -> str:
        """One score as Markdown, a row a method; in brackets what does not beat the floor, - where it is undefined."""
        require_score(score)
        head = ["method", *(world.replace("_", " ") for world in self.worlds)]
        rows = [[method, *(self._cell(method, world, score) for world in self.worlds)] for method in self.methods]
        lines = [head, ["---", *("---:" for _ in self.worlds)], *rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "settings": to_json(self.settings),
            "scores": {
                name: {"what": score.what, "higher_is_better": score.higher_is_better} for name, score in SCORES.items()
            },
            "worlds": list(self.worlds),
            "methods": list(self.methods),
            "entries": [entry.to_json() for entry in self.entries],
        }

    def _mean(self, method: str) -> float:
        own = [
            entry.scores["rank"].estimate.value
            for entry in self.entries
            if entry.method == method and "rank" in entry.scores
        ]
        return sum(own) / len(self.worlds)

    def _cell(self, method: str, world: str, score: str) -> str:
        entry = self.entry(method, world)
        if entry.not_applicable is not None:
            return "n/a"
        if score not in entry.scores:
            return "-"
        standing = entry.scores[score]
        return f"{standing.estimate.value:.2f}" if standing.beats_floor else f"({standing.estimate.value:.2f})"

    def __str__(self) -> str:
        return self.table()


def leaderboard(
    explainers: Sequence[Explainer] | None = None,
    *,
    worlds: Sequence[str] | None = None,
    settings: Contest | None = None,
) -> Leaderboard:
    """Score explanation methods against the truth of worlds where it is known exactly.

    Without arguments every method of the library, with its own settings, goes through every world. A method that cannot
    answer in a world says why, and that stands in its place. All methods get the same lists, floors and resamples.

    >>> import whyrec as wr
    >>> board = wr.leaderboard([wr.LRP(), wr.LeaveOneOut()], worlds=["history_threshold"])
    >>> board.entry("occlusion", "history_threshold").scores["causes"].estimate.value < 0.8
    True
    """
    settings = settings or Contest()
    if explainers is None:
        explainers = [kinds.load("explainers", name)() for name in kinds.names("explainers")]
    methods, entries = by_name(explainers), []
    for name in kinds.names("worlds") if worlds is None else worlds:
        world: World = kinds.load("worlds", name)(settings.lists, seed=settings.seed)
        bench = _Bench(taught(world, seed=settings.seed) if settings.trained else world, settings)
        entries += [bench.judge(method, explainer) for method, explainer in methods.items()]
    return Leaderboard(settings, tuple(entries))


def require_score(name: str) -> None:
    """Raise `InvalidSetting` where there is no score of this name."""
    if name not in SCORES:
        raise InvalidSetting(f"there is no score called {name!r}; there are {', '.join(SCORES)}")


class _Bench:
    """One world, put to one method after another."""

    def __init__(self, world: World, settings: Contest) -> None:
        self.world, self.settings = world, settings
        self.question = world.question(seed=settings.seed)
        self.players = Players(self.question)
        self.floors = self._floors()

    def judge(self, name: str, explainer: Explainer) -> Entry:
        """The entry of one method."""
        try:
            attribution = explainer(self.question)
        except WhyrecError as refusal:
            return Entry(self.world.name, name, {}, str(refusal))
        exam = Exam.of(self.players, attribution, self.world.truth)
        asked = {key: score for key, score in SCORES.items() if attribution.complete or not score.only_complete}
        found = {key: self._standing(key, per_user(score.measure(exam))) for key, score in asked.items()}
        return Entry(self.world.name, name, {key: standing for key, standing in found.items() if standing is not None})

    def _standing(self, name: str, users: Array) -> Standing | None:
        """A score with its interval over users; None where the world leaves nothing to judge."""
        users = users[~np.isnan(users)]
        if len(users) == 0:
            return None
        contest = self.settings
        estimate = bootstrap(users[:, None], lambda means: means[:, 0], resamples=contest.resamples, seed=contest.seed)
        return Standing(estimate, self.floors[name], SCORES[name].higher_is_better)

    def _floors(self) -> dict[str, Floor]:
        """What random relevances, as large in all as the truth, reach by each score; NaN where it is undefined."""
        first = self.settings.seed + 1  # the method called random has the seed itself, and no part in the floor
        drawn = [self._at_random(replace(self.question, seed=first + draw)) for draw in range(self.settings.floor)]
        return {
            name: _floor(np.stack([per_user(score.measure(exam)) for exam in drawn])) for name, score in SCORES.items()
        }

    def _at_random(self, question: Question) -> Exam:
        exam = Exam.of(self.players, Random()(question), self.world.truth)
        scale = exam.shapley.abs().sum(-1, keepdim=True) / exam.relevance.abs().sum(-1, keepdim=True)
        return replace(exam, relevance=exam.relevance * scale)


def per_user(values: torch.Tensor) -> Array:
    """The mean over the places of each list, (users,); NaN where no place can be judged."""
    found: Array = values.double().nanmean(1).cpu().numpy()
    return found


def _floor(draws: Array) -> Floor:
    """The floor from random relevances, (draws, users), NaN for users whom nobody can judge."""
    judged = draws[:, ~np.isnan(draws).any(0)]
    count = judged.shape[1]
    if count == 0:
        return Floor(float("nan"), float("nan"))
    return Floor(float(judged.mean()), 4 * float(np.sqrt(judged.var(0, ddof=1).mean() / count)))

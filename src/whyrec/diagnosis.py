"""What a model's answers rest on, in groups, and how often each group is right: shortcuts show without being asked for.

Answers are grouped by their relevance profiles (SpRAy, Lapuschkin et al. 2019, Unmasking Clever Hans predictors and
assessing what machines really learn). A group that leans on one unit which the others hardly use stands out: a
watermark in a corner, a brand in a review, one film. The model is then asked again without that unit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import isnan
from typing import Any

import numpy as np

from whyrec import kinds
from whyrec.answers import Mask, Right, accuracy, answers_that_count, can_be_taken_away, right_without
from whyrec.errors import BadInput, InvalidSetting
from whyrec.explanation import Explanations
from whyrec.interactions import Interactions, Rows
from whyrec.profiles import Profiles, profiles_of
from whyrec.recommender import Recommender
from whyrec.spectral import spectral_groups
from whyrec.statistics import Array, Estimate

MUCH, TIMES, FEWEST = 0.25, 2.0, 10
"""A group stands out by a unit that takes so much of its relevance, so many times what it takes elsewhere, in so many
answers at least."""

PULLS = 2.0
"""And by a pull so many times that of the other groups that do so. Where each group leans on a unit of its own, such as
the place of what is looked for, that is how the matter is, and none of them is odd."""

NAMED = 5
"""Units that are named of each group, at most."""


@dataclass(frozen=True, slots=True)
class Leaning:
    """How far a group of answers leans on one unit."""

    part: str
    title: str
    share: float
    """Mean share of the unit in the group's |relevance|."""
    sign: float
    """The same with its sign: below `share` where it sometimes speaks against the answer."""
    elsewhere: float
    """Mean share in all other answers; NaN where there are none."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**asdict(self), "elsewhere": None if isnan(self.elsewhere) else self.elsewhere}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Answers that rest on much the same."""

    size: int
    share: float
    """Of all answers looked at."""
    accuracy: Estimate
    """Share of right answers, mean over users."""
    elsewhere: Estimate
    """The same of all other answers; no users where there are none."""
    without: Estimate | None
    """The same answers given again while the first unit is out of sight: how often these are right. None where what
    would be right is not known, or where units belong to items."""
    units: tuple[Leaning, ...]
    """What it leans on, the most first."""
    spread: float
    """How many equally used units its relevance amounts to: 1 is all on one."""
    stands_out: bool
    """Whether it leans on one unit that the others hardly use. A cause can do that, too: look at the unit."""

    @property
    def pull(self) -> float:
        """How much of all relevance it hangs on its first unit, beyond what the others do: from 0 to 1."""
        return self.share * (self.units[0].share - self.units[0].elsewhere)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "size": self.size,
            "share": self.share,
            "stands_out": self.stands_out,
            "accuracy": self.accuracy.to_json(),
            "elsewhere": self.elsewhere.to_json() if self.elsewhere.n else None,
            "without": None if self.without is None else self.without.to_json(),
            "units": [one.to_json() for one in self.units],
            "spread": self.spread,
        }

    def __str__(self) -> str:
        first = self.units[0]
        again = "" if self.without is None else f", {self.without} without it"
        return (
            f"{self.size:,} answers ({self.share:.0%}) rest on {first.title}: {first.share:.0%} of their relevance, "
            f"{first.elsewhere:.0%} elsewhere; right in {self.accuracy}{again}"
        )


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Groups of answers, the largest first. Printing it shows the table and what to look at first."""

    model: str
    method: str
    clusters: tuple[Cluster, ...]
    accuracy: Estimate
    """Of all answers looked at."""
    units: tuple[Leaning, ...]
    """What all of them together lean on, the most first."""
    separation: float
    """How clearly the groups part, from 0 to 1: the eigengap."""
    eigenvalues: Array
    """Of the graph of answers, in rising order, for a plot of the gap."""
    cluster_of: Rows  # (lists, places) number of the cluster; -1 where an answer was not looked at
    silent: int
    """Answers without any relevance, left out."""

    @property
    def suspects(self) -> tuple[Cluster, ...]:
        """Clusters that stand out, the strongest pull first."""
        return tuple(sorted((one for one in self.clusters if one.stands_out), key=lambda one: -one.pull))

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "model": self.model,
            "method": self.method,
            "answers": sum(one.size for one in self.clusters),
            "silent": self.silent,
            "accuracy": self.accuracy.to_json(),
            "units": [one.to_json() for one in self.units],
            "separation": self.separation,
            "eigenvalues": self.eigenvalues.tolist(),
            "clusters": [one.to_json() for one in self.clusters],
        }

    def __str__(self) -> str:
        lines = [f"{'answers':>7}  {'right':<21}  {'without the first':<21}  rests on"]
        for one in self.clusters:
            without = "" if one.without is None else str(one.without)
            leans = ", ".join(f"{unit.title} {unit.share:.0%}" for unit in one.units[:3])
            lines.append(f"{one.size:>7,}  {one.accuracy!s:<21}  {without:<21}  {leans}")
        first, count = self.units[0], sum(one.size for one in self.clusters)
        lines.append(f"{count:,} answers, {self.method}; right in {self.accuracy}; separation {self.separation:.2f}")
        if first.share >= MUCH:
            lines.append(f"all answers together rest on {first.title}: {first.share:.0%} of their relevance")
        if not self.suspects:
            return "\n".join([*lines, "no group leans on one unit that the others hardly use"])
        ask = "look first at these; whether a unit is a cause or a shortcut is for a person to say:"
        return "\n".join([*lines, ask, *(f"- {one}" for one in self.suspects)])


def diagnose(
    model: Recommender,
    why: Explanations,
    right: Right,
    *,
    by: str | None = None,
    most: int = 20,
    answers: int = 1000,
    seed: int = 0,
) -> Diagnosis:
    """Group answers by what they rest on, and say how often each group is right, with its unit and without.

    An answer is one place of one explained list. `right` is what would have been right, as held-out events (of a
    classifier, the labels: user row, item row), or whether each answer is, (lists,) or (lists, places) bool. With
    events the lists are made again without the unit that a group leans on most: better lists betray a shortcut, worse
    ones say that right answers hang on it. Users without held-out events are not looked at, nor more than `answers`
    answers, drawn by the seed. `by` counts past items by a column of theirs, such as genres.

    It cannot find a shortcut that all answers take alike, as no group differs by it; one that moves about, as units of
    images and tables are places; one that is spread thinly over many units, or taken by fewer than ten answers; nor
    anything that the explanations do not show: verify the method first. And it cannot tell a cause from a shortcut.

    >>> import whyrec as wr
    >>> split = wr.leave_last_out(wr.planted(users=200, items=60))
    >>> model = wr.fit(wr.EASE(), split)
    >>> found = diagnose(model, wr.explain(model, wr.recommend(model, k=1)), split.test, by="genres")
    >>> sum(cluster.size for cluster in found.clusters)
    200
    """
    if most < 2 or answers < 2:
        raise InvalidSetting(f"most={most}, answers={answers}: it takes two answers or more to make groups of")
    hits, judged = answers_that_count(why.recommendations, right)
    profiles = profiles_of(why, *_drawn(judged, answers, seed), by=by)
    if len(profiles) < 2:
        raise BadInput(f"{len(profiles)} answers have any relevance; it takes two or more to make groups of")
    groups = spectral_groups(profiles.likeness(), most=most, seed=seed)
    examined = _Examined(model, why, profiles, hits[profiles.lists, profiles.places], right, seed)
    everybody = np.ones(len(profiles), dtype=np.bool_)
    cluster_of = np.full(hits.shape, -1, dtype=np.int64)
    cluster_of[profiles.lists, profiles.places] = groups.labels
    return Diagnosis(
        model=kinds.name_of(model),
        method=why.method,
        clusters=_marked([examined.cluster(groups.labels == number) for number in range(groups.count)]),
        accuracy=examined.accuracy(everybody),
        units=examined.units(everybody),
        separation=groups.separation,
        eigenvalues=groups.eigenvalues,
        cluster_of=cluster_of,
        silent=profiles.silent,
    )


def _drawn(judged: Mask, most: int, seed: int) -> tuple[Rows, Rows]:
    """Lists and places of the answers to look at, in rising order."""
    lists, places = judged.nonzero()
    if len(lists) < 2:
        raise BadInput(f"{len(lists)} answers can be judged; give held-out events of users who have a list")
    if len(lists) <= most:
        return lists, places
    chosen = np.sort(np.random.default_rng(seed).choice(len(lists), most, replace=False))
    return lists[chosen], places[chosen]


def _marked(clusters: list[Cluster]) -> tuple[Cluster, ...]:
    """The same, and which of them stand out."""
    leaning = [place for place, one in enumerate(clusters) if _leans_on_one_unit(one)]
    odd = set()
    for place in leaning:
        pulls = sorted(clusters[other].pull for other in leaning if other != place)
        if not pulls or clusters[place].pull >= PULLS * pulls[(len(pulls) - 1) // 2]:
            odd.add(place)
    return tuple(replace(one, stands_out=place in odd) for place, one in enumerate(clusters))


def _leans_on_one_unit(cluster: Cluster) -> bool:
    first = cluster.units[0]
    return cluster.size >= FEWEST and first.share >= MUCH and first.share >= TIMES * first.elsewhere


@dataclass(frozen=True, eq=False)
class _Examined:
    """Answers with their profiles, and what is to be said of some of them."""

    model: Recommender
    why: Explanations
    profiles: Profiles
    hits: Array  # (answers,)
    right: Right
    seed: int

    def cluster(self, inside: Mask) -> Cluster:
        """Some answers, as bools over all."""
        own = self.profiles.mean(inside)
        first = int(own.argmax())
        return Cluster(
            size=int(inside.sum()),
            share=float(inside.mean()),
            accuracy=self.accuracy(inside),
            elsewhere=self.accuracy(~inside),
            without=self.accuracy_without(inside, first),
            units=self.units(inside),
            spread=float(np.exp(-np.sum(own[own > 0] * np.log(own[own > 0])))),
            stands_out=False,
        )

    def units(self, inside: Mask) -> tuple[Leaning, ...]:
        """What some answers lean on, the most first."""
        profiles = self.profiles
        own, signed = profiles.mean(inside), profiles.mean(inside, size=False)
        others = np.full(len(own), np.nan) if inside.all() else profiles.mean(~inside)
        first = [unit for unit in np.argsort(-own, kind="stable")[:NAMED].tolist() if own[unit] > 0]
        return tuple(
            Leaning(
                profiles.parts[unit], profiles.names[unit], float(own[unit]), float(signed[unit]), float(others[unit])
            )
            for unit in first
        )

    def accuracy(self, inside: Mask) -> Estimate:
        """As they were given."""
        return accuracy(self.hits[inside], self.profiles.lists[inside], seed=self.seed)

    def accuracy_without(self, inside: Mask, unit: int) -> Estimate | None:
        """Given again while one unit is out of sight."""
        part, lists = self.profiles.parts[unit], self.why.recommendations
        if not isinstance(self.right, Interactions) or not can_be_taken_away(self.model, lists, part):
            return None
        rows, row = np.unique(self.profiles.lists[inside], return_inverse=True)
        again = right_without(self.model, lists, self.right, rows, part, self._where(unit, part)[rows])
        found = again[row, self.profiles.places[inside]]
        return accuracy(found, self.profiles.lists[inside], seed=self.seed)

    def _where(self, unit: int, part: str) -> Mask:
        """Where a unit stands in a part of each list, (lists, positions) bool."""
        there = self.profiles.unit == unit
        lists = self.profiles.lists[self.profiles.answer[there]]
        found = np.zeros((len(self.why.recommendations), self.why.attribution.present[part][0, 0].numel()), np.bool_)
        found[lists, self.profiles.position[there]] = True
        return found

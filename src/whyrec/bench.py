"""What all methods are measured against: the same users, random orders and best orders found, the same resamples."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from whyrec.attribution import Attribution
from whyrec.complexity import effective_reasons, negative_share
from whyrec.errors import NotApplicable
from whyrec.explanation import Explainer
from whyrec.faithfulness.completeness import completeness
from whyrec.faithfulness.correlation import correlation
from whyrec.faithfulness.deletion import deletion
from whyrec.faithfulness.enough import enough
from whyrec.faithfulness.necessity import necessity
from whyrec.faithfulness.other_item import other_item
from whyrec.faithfulness.other_seed import other_seed
from whyrec.faithfulness.randomised_weights import randomised_weights
from whyrec.faithfulness.srg import srg
from whyrec.faithfulness.stability import stability
from whyrec.faithfulness.sufficiency import sufficiency
from whyrec.gates import Evidence, verdict_of
from whyrec.operators import players_of
from whyrec.orders import at_random, by_relevance, greedy, removal_curve, tied_share
from whyrec.question import Question
from whyrec.rank_game import RankGame, greedy_by_rank
from whyrec.statistics import Array, Estimate, bootstrap, mean_interval
from whyrec.verification import BySize, Measured, Row, Verification

Check = Callable[..., Tensor]
PerUser = dict[str, Array]
"""Number -> one value a user; with two of `deletion@3` the k is in the name."""


@dataclass(frozen=True, eq=False)
class Judged:
    """One method's row, its removal curve and what each user brought to it."""

    row: Row
    curve: Array
    per_user: PerUser


class Bench:
    """Floor and ceilings, measured once; `judge` holds a method against them."""

    def __init__(self, question: Question, settings: Verification) -> None:
        self.question, self.settings = question, settings
        self.players = players_of(question, settings)
        self.sizes = sorted({settings.k, *settings.also})
        self._checks = self._checks_by_name()
        generator = torch.Generator().manual_seed(settings.seed)
        self._random = at_random(self.players, settings.floor, generator)
        most = self.sizes[-1]
        self._removal, self._arrival = (greedy(self.players, most, remove=remove) for remove in (True, False))
        self.floor: PerUser = {name: self._per_user(name, self._random) for name in self._checks}
        self.ceiling: PerUser = {name: self._per_user(name, best) for name, best in self._best_orders().items()}

    def random_curve(self) -> Array:
        """The target as units go in random orders, mean over orders and users; (steps + 1,)."""
        return self._mean_curve(self._random)

    def best_curve(self) -> Array:
        """The same for the best order found; NaN beyond the k units that the verdict is about."""
        curve, steps = self._mean_curve(self._removal), self.settings.steps
        most_units = int(self.players.present.sum(-1).max())
        beyond = np.round(most_units * np.arange(steps + 1) / steps) > self.settings.k
        return np.where(beyond, np.nan, curve)

    def judge(self, method: str, explainer: Explainer) -> Judged:
        """Measure one method, to be called by this name, and say what follows."""
        started = time.perf_counter()
        attribution = explainer(self.question)
        milliseconds = 1000 * (time.perf_counter() - started) / self.question.shape[0]
        ranks = by_relevance(self.players, attribution, torch.Generator().manual_seed(self.settings.seed))
        own = {name: self._per_user(name, ranks) for name in self._checks}
        joined, k = self.players.join(attribution.relevance), self.settings.k
        alike = {
            check.__name__: self._mean(_flat(check(explainer, self.question, attribution)))
            for check in (randomised_weights, other_item, stability, other_seed)
        }
        found = {name: self._measured(name, own) for name in self._checks}
        gap = float(completeness(attribution).mean()) if attribution.complete else None
        verdict, because = verdict_of(self._evidence(found, alike, gap, attribution))
        row = Row(
            method=method,
            deletion=found[f"deletion@{k}"],
            sufficiency=found[f"sufficiency@{k}"],
            srg=found["srg"],
            necessity=found.get("necessity"),
            enough=found.get("enough"),
            correlation=self._mean(_flat(correlation(self.players, joined, self.settings.seed))),
            randomisation=alike["randomised_weights"],
            other_item=alike["other_item"],
            stability=alike["stability"],
            other_seed=alike["other_seed"],
            completeness_gap=gap,
            effective_reasons=self._mean(_flat(effective_reasons(joined, self.players.present))),
            negative_share=float(negative_share(joined, self.players.present).nanmean()),
            by_size=tuple(self._by_size(found, size) for size in self.sizes),
            cost_ms=milliseconds,
            verdict=verdict,
            because=because,
        )
        return Judged(row, self._mean_curve(ranks), own)

    def normalised(self, number: str, own: Array) -> Array:
        """Columns whose means make (method - floor) / (ceiling - floor), (users, 2)."""
        floor = self.floor[number]
        return np.stack([own - floor, self.ceiling[number] - floor], 1)

    def _checks_by_name(self) -> dict[str, Check]:
        checks: dict[str, Check] = {"srg": partial(srg, k=self.settings.steps)}
        for size in self.sizes:
            checks[f"deletion@{size}"] = partial(deletion, k=size)
            checks[f"sufficiency@{size}"] = partial(sufficiency, k=size)
        self._ranked = self._rank_game()
        if self._ranked is None:
            return checks
        length = self.settings.list_length
        checks["necessity"] = partial(necessity, k=self.settings.k, length=length)
        checks["enough"] = partial(enough, k=self.settings.k, length=length)
        return checks

    def _rank_game(self) -> RankGame | None:
        """None where leaving the list has no meaning: units that are no past items, or not taken away by a mask."""
        if self.settings.operator != "mask":
            return None
        try:
            return RankGame(self.players)
        except NotApplicable:
            return None

    def _best_orders(self) -> dict[str, Tensor]:
        best = {f"deletion@{size}": self._removal for size in self.sizes}
        best |= {f"sufficiency@{size}": self._arrival for size in self.sizes}
        if self._ranked is not None:
            best |= {"necessity": greedy_by_rank(self._ranked, self.settings.k), "enough": self._arrival}
        return best

    def _per_user(self, name: str, ranks: Tensor) -> Array:
        """A check averaged over orders and the places of a list; (users,)."""
        found: Array = self._checks[name](self.players, ranks).double().mean(dim=(0, 2)).cpu().numpy()
        return found

    def _mean_curve(self, ranks: Tensor) -> Array:
        curve = removal_curve(self.players, ranks, self.settings.steps)
        found: Array = curve.double().flatten(1).mean(1).cpu().numpy()
        return found

    def _mean(self, values: Array) -> Estimate:
        return mean_interval(values, seed=self.settings.seed, resamples=self.settings.resamples)

    def _measured(self, name: str, own: PerUser) -> Measured:
        floor = float(self.floor[name].mean())
        if name not in self.ceiling:
            return Measured(self._mean(own[name]), floor)
        ceiling = float(self.ceiling[name].mean())
        if ceiling == floor:  # nothing to find, nothing to compare with
            return Measured(self._mean(own[name]), floor, ceiling)
        normalised = self._bootstrap(self.normalised(name, own[name]), lambda means: means[:, 0] / means[:, 1])
        return Measured(self._mean(own[name]), floor, ceiling, normalised)

    def _by_size(self, found: dict[str, Measured], size: int) -> BySize:
        return BySize(size, found[f"deletion@{size}"].normalised, found[f"sufficiency@{size}"].normalised)

    def _bootstrap(self, users: Array, statistic: Callable[[Array], Array]) -> Estimate:
        with np.errstate(divide="ignore", invalid="ignore"):
            return bootstrap(users, statistic, resamples=self.settings.resamples, seed=self.settings.seed)

    def _evidence(
        self, found: dict[str, Measured], alike: dict[str, Estimate], gap: float | None, attribution: Attribution
    ) -> Evidence:
        k = self.settings.k
        units = self.players.present.sum(-1).double().mean()
        return Evidence(
            k=k,
            beaten={name: found[f"{name}@{k}"].normalised for name in ("deletion", "sufficiency")},
            room={name: self._room(f"{name}@{k}") for name in ("deletion", "sufficiency")},
            randomisation=alike["randomised_weights"],
            other_item=alike["other_item"],
            gap=gap,
            ties=tied_share(self.players.join(attribution.relevance), self.players.present),
            hidden=float(1 - k / units),
            trained=self.question.model.max_trained_drop if self.settings.operator == "mask" else 1.0,
        )

    def _room(self, name: str) -> Estimate:
        """How far the best order found lies above random ones."""
        return self._bootstrap((self.ceiling[name] - self.floor[name])[:, None], lambda means: means[:, 0])


def _flat(values: Tensor) -> Array:
    found: Array = values.flatten().double().cpu().numpy()
    return found

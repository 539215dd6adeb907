"""What a model leans on over all users: the size of each input's relevance, and how much worse lists are without it.

    relevance   mean |relevance| of an input for the first k items of a user's list, over the users who have the input
    drop        NDCG@k minus NDCG@k after the input was exchanged between users at random, over all judged users

The first asks an explanation, the second the model alone (permutation importance, Breiman 2001, Random forests). An
input that has relevance and no drop moves scores without making lists better; one that has a drop and no relevance is
one that the explanation missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from whyrec import kinds
from whyrec.errors import BadInput, InvalidSetting
from whyrec.exchanged import Exchanged, Partners
from whyrec.explainers.lrp import LRP
from whyrec.explanation import Explainer, Explanations, explain, method_name
from whyrec.interactions import Interactions, Rows
from whyrec.metrics.ndcg import ndcg
from whyrec.ranking import rank_in_catalogue
from whyrec.recommendations import recommend
from whyrec.recommender import Recommender, UnitKind
from whyrec.statistics import Array, Estimate, bootstrap

FEWEST = 10
"""Users who have an input, at least: the mean of fewer is hardly more than their chance."""

SURE = 1.96
"""Standard errors taken off a mean before means are put in order, so that few users cannot lead by luck."""


@dataclass(frozen=True, slots=True)
class MainParameter:
    """One input, or a whole part, over all users who have it."""

    part: str
    unit: int | None  # its position, or the row of a past item; None for the whole part
    title: str
    kind: UnitKind
    relevance: Estimate
    """Mean |relevance| in units of the score; of a whole part, summed over its units."""
    drop: Estimate | None
    """Fall of NDCG@k when it is exchanged between users; None where nothing was held out to measure it by."""


@dataclass(frozen=True, eq=False)
class MainParameters:
    """Whole parts first, then their units, the largest sure relevance first. Printing it shows the table."""

    model: str
    method: str
    users: int
    k: int
    permutations: int
    rows: tuple[MainParameter, ...]
    left_out: int
    """Units that fewer than ten of the users have, or that were beyond `most`."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "model": self.model,
            "method": self.method,
            "users": self.users,
            "k": self.k,
            "permutations": self.permutations,
            "rows": [_row_json(row) for row in self.rows],
            "left_out": self.left_out,
        }

    def __str__(self) -> str:
        wide = max(len(row.title) for row in self.rows)
        with_drop = self.rows[0].drop is not None
        head = f"{'input':<{wide}}  {'users':>6}  {'mean |relevance|':<24}"
        lines = [head + f"drop of NDCG@{self.k}" if with_drop else head.rstrip()]
        for row in self.rows:
            drop = "" if row.drop is None else str(row.drop)
            lines.append(f"{row.title:<{wide}}  {row.relevance.n:>6,}  {row.relevance!s:<24}{drop}".rstrip())
        more = f"; {self.left_out:,} more inputs are rarer or weigh less" if self.left_out else ""
        permuted = f", inputs exchanged between users {self.permutations} times" if with_drop else ""
        return "\n".join([*lines, f"{self.users:,} users, {self.method}{permuted}; 95 % intervals over users{more}"])


def main_parameters(
    model: Recommender,
    held_out: Interactions | None = None,
    *,
    explainer: Explainer | None = None,
    users: int = 500,
    k: int = 10,
    most: int = 20,
    permutations: int = 5,
    seed: int = 0,
) -> MainParameters:
    """What the model leans on: relevance of its inputs over users, beside the drop of NDCG@k where each is exchanged.

    `held_out` are events the model has not learned from, such as `split.test`; without them there is no drop. Past
    items count for those who have them, `most` units of each part are shown, and at most `users` users are judged,
    drawn by the seed. Of parts that belong to items, the inputs are exchanged between items.

    >>> import whyrec as wr
    >>> split = wr.leave_last_out(wr.planted(users=200, items=60))
    >>> found = main_parameters(wr.fit(wr.EASE(), split), split.test, most=3, permutations=1)
    >>> [row.part for row in found.rows]
    ['history', 'history', 'history', 'history']
    """
    if min(users, k, most, permutations) < 1:
        raise InvalidSetting("users, k, most and permutations are each at least 1")
    if held_out is not None and len(model.require_built().items) == 1:
        raise InvalidSetting("a model with one item or output has nothing to rank, so no NDCG; leave held_out away")
    explainer = explainer or LRP()
    rows = _judged(model, held_out, users, seed)
    why = explain(model, recommend(model, model.users.vocabulary.ids(rows), k=k), explainer, seed=seed)
    measured = [_Measured(why, part, model) for part in why.kinds]
    exchange = None if held_out is None else _Exchange(model, _of(held_out, rows), rows, k, permutations, seed)
    found = [row for one in measured for row in one.rows(most, exchange, seed)]
    whole = [row for row in found if row.unit is None]
    units = sorted((row for row in found if row.unit is not None), key=lambda row: -row.relevance.low)
    left_out = sum(one.count for one in measured) - len(units)
    return MainParameters(
        kinds.name_of(model), method_name(explainer), len(rows), k, permutations, (*whole, *units), left_out
    )


def _judged(model: Recommender, held_out: Interactions | None, most: int, seed: int) -> Rows:
    """Rows of the users to look at, in rising order."""
    there = np.arange(len(model.require_built().users)) if held_out is None else np.unique(held_out.users)
    if len(there) < 2:
        raise BadInput(f"{len(there)} users have a held-out event; an interval over users needs at least two")
    if len(there) <= most:
        return there
    return np.sort(np.random.default_rng(seed).choice(there, most, replace=False))


def _of(events: Interactions, users: Rows) -> Interactions:
    return events.where(np.isin(events.users, users))


def _row_json(row: MainParameter) -> dict[str, Any]:
    drop = None if row.drop is None else row.drop.to_json()
    return {
        "part": row.part,
        "unit": row.unit,
        "title": row.title,
        "kind": row.kind,
        "relevance": row.relevance.to_json(),
        "drop": drop,
    }


class _Measured:
    """The relevance of one part for each user: of what, and how much."""

    def __init__(self, why: Explanations, part: str, model: Recommender) -> None:
        self.model, self.part, self.kind = model, part, why.kinds[part]
        lists = why.recommendations
        size = why.attribution.relevance[part].abs().flatten(2)  # (users, k, units)
        there = why.attribution.present[part].flatten(2) & lists.present.cpu().unsqueeze(-1)
        mean = (size * there).sum(1) / there.sum(1).clamp(min=1)  # (users, units)
        of = lists.history if self.kind == "past item" else torch.arange(size.shape[-1]).expand(len(lists), -1)
        has = there.any(1)
        self.total: Array = mean.sum(1).numpy()
        self.users, self.units, self.sizes = _summed(has.nonzero()[:, 0].numpy(), of[has].numpy(), mean[has].numpy())

    @property
    def count(self) -> int:
        """How many different units the users have."""
        return len(np.unique(self.units))

    def rows(self, most: int, exchange: _Exchange | None, seed: int) -> Iterator[MainParameter]:
        """The part as a whole, and its `most` units with the largest sure relevance."""
        drop = None if exchange is None else exchange.drop(self.part, None)
        yield MainParameter(self.part, None, f"all of {self.part}", self.kind, _mean(self.total, seed), drop)
        for unit in self._largest(most):
            drop = None if exchange is None else exchange.drop(self.part, unit)
            relevance = _mean(self.sizes[self.units == unit], seed)
            yield MainParameter(self.part, unit, self._title(unit), self.kind, relevance, drop)

    def _largest(self, most: int) -> list[int]:
        units, place, counts = np.unique(self.units, return_inverse=True, return_counts=True)
        mean = np.bincount(place, self.sizes) / counts
        spread = np.bincount(place, (self.sizes - mean[place]) ** 2) / np.maximum(counts - 1, 1)
        sure = np.where(counts >= min(FEWEST, len(self.total)), mean - SURE * np.sqrt(spread / counts), -np.inf)
        best = np.argsort(-sure, kind="stable")[:most]
        return [int(unit) for unit, lower in zip(units[best], sure[best], strict=True) if lower > -np.inf]

    def _title(self, unit: int) -> str:
        if self.kind == "past item":
            return self.model.items.title(unit)
        return self.model.unit_title(self.part, unit, user=-1, item=-1)


def _summed(users: Rows, units: Rows, sizes: Array) -> tuple[Rows, Rows, Array]:
    """Each user and unit once, what stands twice in a history added up."""
    pairs, place = np.unique(np.stack([users, units]), axis=1, return_inverse=True)
    total: Array = np.bincount(place.reshape(-1), sizes, minlength=pairs.shape[1]).astype(np.float64)
    return pairs[0], pairs[1], total


def _mean(values: Array, seed: int) -> Estimate:
    return bootstrap(values[:, None], lambda means: means[:, 0], seed=seed)


class _Exchange:
    """How much worse lists become when judged users exchange an input."""

    def __init__(
        self, model: Recommender, held_out: Interactions, users: Rows, k: int, permutations: int, seed: int
    ) -> None:
        self.model, self.held_out, self.k, self.seed = model, held_out, k, seed
        self.partners = [Partners.drawn(model, users, seed, number) for number in range(permutations)]
        self.whole = self._ndcg(model)

    def drop(self, part: str, unit: int | None) -> Estimate:
        """Mean fall of NDCG@k over the users, with its interval."""
        after = [self._ndcg(Exchanged(self.model, part, unit, partners)) for partners in self.partners]
        return _mean(self.whole - np.mean(after, axis=0), self.seed)

    def _ndcg(self, model: Recommender) -> Array:
        ranks = rank_in_catalogue(model, self.model.require_known(), self.held_out).ranks
        found: Array = ndcg(ranks, self.k).numpy()
        return found

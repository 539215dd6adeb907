"""How good the lists are: held-out items ranked, metrics with intervals over users, simple baselines beside them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from whyrec import kinds
from whyrec.chance import stream
from whyrec.errors import BadInput, InvalidSetting
from whyrec.metrics import Lists, Of
from whyrec.negatives import Seen, distinct_uniform
from whyrec.ranking import Memory, Ranks, best_in_catalogue, rank_among, rank_in_catalogue
from whyrec.recommender import Recommender
from whyrec.split import Split
from whyrec.statistics import Array, Estimate, bootstrap, mean_interval
from whyrec.train import fit

Protocol = Literal["full", "sampled"]


@dataclass(frozen=True, eq=False, slots=True)
class PerUser:
    """What one metric says of each user, before users come together."""

    values: Array  # (users,) to be averaged; (users, 2), the ratio of two means; (), one number of all lists
    of: Of

    def estimate(self, users: int) -> Estimate:
        """The number that is printed, with its interval; `users` is how many were measured."""
        if self.values.ndim == 0:
            return Estimate(float(self.values), float("nan"), float("nan"), users)
        if self.values.ndim == 1:
            return mean_interval(self.values)
        there = ~np.isnan(self.values).any(1)
        return bootstrap(self.values[there], lambda means: means[:, 0] / means[:, 1])


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics of one model, baselines beside it. Printing it shows a table."""

    model: str
    protocol: Protocol
    how: str
    metrics: Mapping[str, Estimate]
    baselines: Mapping[str, Mapping[str, Estimate]]
    ranks: Ranks = field(repr=False)
    per_user: Mapping[str, PerUser] = field(repr=False)
    """What each metric says of each of `ranks.users`, in that order."""
    beside: Mapping[str, Evaluation] = field(repr=False)
    """The evaluations of the baselines."""

    def baseline(self, name: str) -> Evaluation:
        """A baseline's own evaluation, to be compared with this one."""
        if name not in self.beside:
            there = ", ".join(self.beside) or "none"
            raise InvalidSetting(f"no baseline {name!r} stands beside {self.model}, but {there}; name it in baselines=")
        return self.beside[name]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "model": self.model,
            "protocol": self.protocol,
            "how": self.how,
            "metrics": {name: estimate.to_json() for name, estimate in self.metrics.items()},
            "baselines": {
                model: {name: estimate.to_json() for name, estimate in found.items()}
                for model, found in self.baselines.items()
            },
        }

    def __str__(self) -> str:
        rows = {self.model: self.metrics, **self.baselines}
        width = max(map(len, rows))
        lines = [f"{'':<{width}}  " + "  ".join(f"{name:<22}" for name in self.metrics)]
        lines += [
            f"{model:<{width}}  " + "  ".join(f"{one!s:<22}" for one in found.values()) for model, found in rows.items()
        ]
        of_lists = ", ".join(name for name, found in self.per_user.items() if found.of == "lists")
        if of_lists:
            lines.append(f"{of_lists}: of the lists of these users, out of all items that a user does not know")
        return "\n".join([*lines, self.how])


def evaluate(
    model: Recommender,
    split: Split,
    *,
    protocol: Protocol = "full",
    k: int = 10,
    metrics: Sequence[str] = ("hit_rate", "ndcg"),
    baselines: Sequence[str] = ("popularity",),
    negatives: int = 99,
    seed: int = 0,
    max_memory: Memory = None,
) -> Evaluation:
    """Rank each user's held-out test items, and each baseline's beside them.

    `full` ranks against every item the user does not know; `sampled` against the split's own candidates, or `negatives`
    items drawn by `seed`. Figures of the two cannot be compared. Histories are train and validation together. A tie is
    never in favour of the held-out item. Metrics of lists (`coverage`, `novelty`, ...) look at the `k` best of all
    items that a user does not know, under either protocol. Scores are computed in blocks of users; `max_memory` is the
    most that one block may take, in bytes or as "256MB", and changes nothing but time.
    """
    if len(split.test) == 0:
        raise BadInput(f"{split.dataset.name}: the test part is empty, so there is nothing to evaluate on")
    drawn = _negatives(split, negatives, seed) if protocol == "sampled" else None
    terms = _Terms(split, protocol, _how(split, protocol, negatives, seed), k, tuple(metrics), drawn, max_memory)
    found = terms.judge(model)
    beside = {name: terms.judge(fit(kinds.load("models", name)(), split)) for name in baselines}
    return replace(found, baselines={name: one.metrics for name, one in beside.items()}, beside=beside)


@dataclass(frozen=True, eq=False, slots=True)
class _Terms:
    """What all models are judged on, and by."""

    split: Split
    protocol: Protocol
    how: str
    k: int
    metrics: tuple[str, ...]
    negatives: Tensor | None  # (users, negatives) items to rank against; None for the whole catalogue
    max_memory: Memory

    def judge(self, model: Recommender) -> Evaluation:
        """One model by itself."""
        ranks = self._ranks(model)
        per_user = self._measured(model, ranks)
        metrics = {name: found.estimate(len(ranks.users)) for name, found in per_user.items()}
        return Evaluation(kinds.name_of(model), self.protocol, self.how, metrics, {}, ranks, per_user, {})

    def _ranks(self, model: Recommender) -> Ranks:
        if self.negatives is None:
            return rank_in_catalogue(model, self.split.known, self.split.test, max_memory=self.max_memory)
        return rank_among(model, self.split.known, self.split.test, self.negatives, max_memory=self.max_memory)

    def _measured(self, model: Recommender, ranks: Ranks) -> dict[str, PerUser]:
        found: dict[str, PerUser] = {}
        lists: Lists | None = None  # made only where a metric asks for them
        for name in self.metrics:
            metric = kinds.load("metrics", name)
            label, of = _about(metric, name)
            if of == "ranks":
                values = metric(ranks.ranks, self.k)
            elif of == "candidates":
                values = metric(ranks.ranks, ranks.candidates)
            else:
                lists = lists or self._lists(model, ranks)
                values = metric(lists)
            found[label if of == "candidates" else f"{label}@{self.k}"] = PerUser(values.numpy(), of)
        return found

    def _lists(self, model: Recommender, ranks: Ranks) -> Lists:
        best, _ = best_in_catalogue(model, ranks.users, self.split.known, self.k, max_memory=self.max_memory)
        return Lists(best, ranks.users, self.split.known)


def _about(metric: Any, name: str) -> tuple[str, Of]:
    """What a metric is called in print, and what it looks at."""
    file = sys.modules[metric.__module__]
    try:
        return file.LABEL, file.OF
    except AttributeError as missing:
        raise InvalidSetting(f"metric {name!r}: {missing}; docs/how-to/add-a-metric.md says what it needs") from None


def _negatives(split: Split, count: int, seed: int) -> Tensor:
    if split.candidates is not None:
        return torch.from_numpy(split.candidates)
    everything = split.known.together_with(split.test)
    users = torch.arange(everything.user_count).numpy()
    return distinct_uniform(users, count, Seen(everything), stream("negatives of an evaluation", seed))


def _how(split: Split, protocol: Protocol, negatives: int, seed: int) -> str:
    users = len(np.unique(split.test.users))
    if protocol == "full":
        against = "against all items the user does not know"
    elif split.candidates is not None:
        against = f"against the split's own {split.candidates.shape[1]} candidates"
    else:
        against = f"against {negatives} unseen items drawn uniformly (seed {seed})"
    return f"{split.how}; {users:,} users, each test item ranked {against}; 95 % intervals over users"

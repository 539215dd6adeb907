"""How good the lists are: held-out items ranked, metrics with intervals over users, simple baselines beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from whyrec import kinds
from whyrec.errors import BadInput
from whyrec.negatives import Seen, distinct_uniform
from whyrec.ranking import Ranks, rank_among, rank_in_catalogue
from whyrec.recommender import Recommender
from whyrec.split import Split
from whyrec.statistics import Estimate, mean_interval
from whyrec.train import fit

Protocol = Literal["full", "sampled"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics of one model, baselines beside it. Printing it shows a table."""

    model: str
    protocol: Protocol
    how: str
    metrics: Mapping[str, Estimate]
    baselines: Mapping[str, Mapping[str, Estimate]]
    ranks: Ranks = field(repr=False)

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
) -> Evaluation:
    """Rank each user's held-out test items, and each baseline's beside them.

    `full` ranks against every item the user does not know; `sampled` against the split's own candidates, or `negatives`
    items drawn by `seed`. Figures of the two cannot be compared. Histories are train and validation together. A tie is
    never in favour of the held-out item.
    """
    if len(split.test) == 0:
        raise BadInput(f"{split.dataset.name}: the test part is empty, so there is nothing to evaluate on")
    drawn = _negatives(split, negatives, seed) if protocol == "sampled" else None
    ranks = _ranks(model, split, drawn)
    others = {name: _ranks(fit(kinds.load("models", name)(), split), split, drawn) for name in baselines}
    return Evaluation(
        kinds.name_of(model),
        protocol,
        _how(split, protocol, negatives, seed, len(ranks.users)),
        _measured(ranks, metrics, k),
        {name: _measured(found, metrics, k) for name, found in others.items()},
        ranks,
    )


def _ranks(model: Recommender, split: Split, negatives: Tensor | None) -> Ranks:
    if negatives is None:
        return rank_in_catalogue(model, split.known, split.test)
    return rank_among(model, split.known, split.test, negatives)


def _negatives(split: Split, count: int, seed: int) -> Tensor:
    if split.candidates is not None:
        return torch.from_numpy(split.candidates)
    everything = split.known.together_with(split.test)
    users = torch.arange(everything.user_count).numpy()
    return distinct_uniform(users, count, Seen(everything), torch.Generator().manual_seed(seed))


def _measured(ranks: Ranks, metrics: Sequence[str], k: int) -> dict[str, Estimate]:
    found = {}
    for name in metrics:
        metric = kinds.load("metrics", name)
        found[f"{kinds.module('metrics', name).LABEL}@{k}"] = mean_interval(metric(ranks.ranks, k).numpy())
    return found


def _how(split: Split, protocol: Protocol, negatives: int, seed: int, users: int) -> str:
    if protocol == "full":
        against = "against all items the user does not know"
    elif split.candidates is not None:
        against = f"against the split's own {split.candidates.shape[1]} candidates"
    else:
        against = f"against {negatives} unseen items drawn uniformly (seed {seed})"
    return f"{split.how}; {users:,} users, each test item ranked {against}; 95 % intervals over users"

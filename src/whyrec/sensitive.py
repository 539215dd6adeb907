"""The guard of sensitive columns: how much of what a model says rests on who somebody is, and on which column.

    share of a column = sum over a user's list of |relevance| of the column / the same sum over all columns

A share of nothing is no proof of fairness: another column, such as a postcode, may stand in for one that is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from whyrec import kinds
from whyrec.column_inputs import SENSITIVE, is_sensitive
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.explainers.lrp import LRP
from whyrec.explanation import Explainer, explain, method_name
from whyrec.recommendations import recommend
from whyrec.recommender import Recommender
from whyrec.statistics import Array, Estimate, mean_interval


@dataclass(frozen=True, eq=False)
class SensitiveShare:
    """What sensitive columns have in the scores of a model. Printing it shows the table."""

    model: str
    method: str
    total: Estimate
    """The share of all sensitive columns together, from 0 to 1."""
    columns: Mapping[str, Estimate]
    """The share of each, the largest first."""
    left_out: tuple[str, ...]
    """Sensitive columns of the data that the model does not look at."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "model": self.model,
            "method": self.method,
            "total": self.total.to_json(),
            "columns": {name: share.to_json() for name, share in self.columns.items()},
            "left_out": list(self.left_out),
        }

    def __str__(self) -> str:
        rows = {**self.columns, "all of these": self.total}
        wide = max(len(name) for name in rows)
        lines = [f"{'sensitive column':<{max(wide, 16)}}  share of |relevance|"]
        lines += [f"{name:<{max(wide, 16)}}  {share}" for name, share in rows.items()]
        unread = f"; not looked at: {', '.join(self.left_out)}" if self.left_out else ""
        return "\n".join([*lines, f"{self.total.n:,} users, {self.method}; 95 % intervals over users{unread}"])


def sensitive_share(
    model: Recommender,
    *,
    words: Sequence[str] = SENSITIVE,
    explainer: Explainer | None = None,
    users: int = 500,
    k: int = 10,
    seed: int = 0,
) -> SensitiveShare:
    """The share of relevance that columns named by one of `words` have in the first `k` items of users' lists.

    At most `users` users are asked about, drawn by the seed. Leave them out with `FeatureMLP(exclude="sensitive")`,
    and compare what that costs.

    >>> import whyrec as wr
    >>> split = wr.leave_last_out(wr.planted(users=100, items=60))
    >>> model = wr.fit(wr.FeatureMLP(exclude="sensitive"), split, wr.Training(epochs=1))
    >>> found = sensitive_share(model, users=20)
    >>> found.total.value, found.left_out
    (0.0, ('age', 'gender', 'occupation'))
    """
    if min(users, k) < 1:
        raise InvalidSetting("users and k are each at least 1")
    parts = tuple(part for part, kind in model.require_built().unit_kinds.items() if kind == "column")
    if not parts:
        raise NotApplicable(f"{type(model).__name__} looks at no columns, so none of them is sensitive")
    explainer = explainer or LRP()
    everybody = len(model.users)
    rows = np.sort(np.random.default_rng(seed).permutation(everybody)[:users])
    lists = recommend(model, model.users.vocabulary.ids(rows), k=k)
    why = explain(model, lists, explainer, parts=parts, seed=seed)
    shares: dict[str, Array] = {}
    total = torch.stack([found.abs().flatten(1).sum(1) for found in why.attribution.relevance.values()]).sum(0)
    for part, found in why.attribution.relevance.items():
        for unit in range(found.flatten(2).shape[2]):
            name = model.unit_title(part, unit, user=-1, item=-1)
            if is_sensitive(name, words):
                size = found.flatten(2)[..., unit].abs().sum(1)
                shares[name] = shares.get(name, 0.0) + (size / total.clamp(min=1e-300)).numpy()
    return _summed(kinds.name_of(model), method_name(explainer), shares, len(rows), _unread(model, words, shares))


def _unread(model: Recommender, words: Sequence[str], read: Mapping[str, Array]) -> tuple[str, ...]:
    names = (*model.users.columns, *model.items.columns)
    return tuple(name for name in names if is_sensitive(name, words) and name not in read)


def _summed(
    model: str, method: str, shares: Mapping[str, Array], users: int, left_out: tuple[str, ...]
) -> SensitiveShare:
    total = sum(shares.values(), np.zeros(users))
    columns = {name: mean_interval(share) for name, share in shares.items()}
    largest_first = dict(sorted(columns.items(), key=lambda pair: -pair[1].value))
    return SensitiveShare(model, method, mean_interval(total), largest_first, left_out)

"""What recommendations rest on, as shares of 100 % with intervals, and how the shares of two models differ.

    share of an input = mean over users of  |relevance of the input| / (sum of all |relevance| + |rest of the score|)

for the first k items of a user's list. The rest is what no asked input brought: biases, and what the item brings by
itself. A user's shares add up to one, so their means do, too. The first sentence of Art. 27 of the European Digital
Services Act asks for "the main parameters"; these are the sizes of what a model reads, and no judgement of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from whyrec import kinds
from whyrec.errors import InvalidSetting
from whyrec.explainers.lrp import LRP
from whyrec.explanation import Explainer, Explanations, explain, method_name
from whyrec.fingerprints import model_fingerprint
from whyrec.interactions import Rows
from whyrec.recommendations import recommend
from whyrec.recommender import Recommender
from whyrec.statistics import Array, Estimate, bootstrap
from whyrec.wording import FIRST, Wording, wording

ITEM, PAST, INPUTS = "item itself", "past items", "inputs"
"""Shares of no single input: keys of their words in `languages/`, behind `other` where some stand by themselves."""


@dataclass(frozen=True, slots=True)
class ParameterShare:
    """One input, or what is left of the inputs, or of the score."""

    name: str
    """Tells it from all others, also in another model: `history:i0042`, `user_age`, or one of the keys above."""
    title: str
    share: Estimate  # of 1

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"name": self.name, "title": self.title, "share": self.share.to_json()}


@dataclass(frozen=True)
class ParameterShares:
    """Shares of one model, the largest first; together 1. Printing it shows percentages."""

    model: str
    fingerprint: str
    method: str
    users: int
    k: int
    rows: tuple[ParameterShare, ...]

    def sentences(self, language: str = "en") -> str:
        """What recommendations rest on, in plain words."""
        words = wording(language)
        head = words.says("main parameters", {"users": self.users})
        return "\n".join([head, *(f"- {_sentence(row, words)}" for row in self.rows)])

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; `shares_of` reads it back."""
        return {**asdict(self), "rows": [row.to_json() for row in self.rows]}

    def __str__(self) -> str:
        return self.sentences()


@dataclass(frozen=True, slots=True)
class ParameterChange:
    """One share in an older and a newer model."""

    title: str
    before: float
    after: float
    is_sure: bool
    """Whether the difference is larger than the two intervals together explain (95 %)."""

    def __str__(self) -> str:
        sign = "" if self.is_sure else ", which may be chance"
        return f"{self.title}: {100 * self.before:.1f} % to {100 * self.after:.1f} %{sign}"


def parameter_shares(
    model: Recommender,
    *,
    explainer: Explainer | None = None,
    users: int = 500,
    k: int = 10,
    most: int = 10,
    seed: int = 0,
) -> ParameterShares:
    """What the lists of at most `users` users, drawn by the seed, rest on; LRP unless an explainer is given.

    The `most` inputs with the largest shares stand by themselves, all others together.

    >>> import whyrec as wr
    >>> model = wr.fit(wr.EASE(), wr.leave_last_out(wr.planted(users=60, items=60)))
    >>> found = wr.parameter_shares(model, most=3)
    >>> len(found.rows), round(sum(row.share.value for row in found.rows), 12)
    (5, 1.0)
    """
    if k < 1 or most < 0 or users < 2:
        raise InvalidSetting(f"users={users}, k={k}, most={most}: at least 2 users and one place are needed")
    explainer, rows = explainer or LRP(), _drawn(model, users, seed)
    why = explain(model, recommend(model, model.users.vocabulary.ids(rows), k=k), explainer, seed=seed)
    titles, parts, shares = _table(model, why)
    found = _rows(titles, parts, shares, most, seed)
    return ParameterShares(
        kinds.name_of(model), model_fingerprint(model), method_name(explainer), len(rows), k, tuple(found)
    )


def shares_of(document: Mapping[str, Any]) -> ParameterShares:
    """The shares that `ParameterShares.to_json` gave."""
    rows = tuple(ParameterShare(row["name"], row["title"], Estimate(**row["share"])) for row in document["rows"])
    return ParameterShares(**{**document, "rows": rows})


def parameter_changes(before: ParameterShares, after: ParameterShares) -> list[ParameterChange]:
    """What another version of a model rests on more, or less: every share that stands in either, largest change first.

    An input that stands by itself in one of the two only has gone into the others, or come from them.
    """
    if before.method != after.method:
        raise InvalidSetting(f"shares by {before.method} and by {after.method} differ by it; measure both by one")
    old, new = ({row.name: row for row in shares.rows} for shares in (before, after))
    titles = {row.name: row.title for row in (*before.rows, *after.rows)}
    changes = [_change(title, old.get(name), new.get(name)) for name, title in titles.items()]
    return sorted(changes, key=lambda one: -abs(one.after - one.before))


def _sentence(row: ParameterShare, words: Wording) -> str:
    title = words.sentences.get(row.name, row.title)
    share, low, high = (words.number(100 * value, 1) for value in (row.share.value, row.share.low, row.share.high))
    return words.says("main parameter", {"title": title, "share": share, "low": low, "high": high})


def _drawn(model: Recommender, most: int, seed: int) -> Rows:
    known = model.require_built().require_known()
    there = np.flatnonzero(known.user_counts)
    if len(there) < 2:
        raise InvalidSetting(f"the model knows events of {len(there)} users; shares need at least two")
    return there if len(there) <= most else np.sort(np.random.default_rng(seed).choice(there, most, replace=False))


def _table(model: Recommender, why: Explanations) -> tuple[dict[str, str], dict[str, bool], Array]:
    """Titles by name, which names are past items, and each user's shares, (users, names), the item itself last."""
    lists, columns = why.recommendations, []
    titles: dict[str, str] = {}
    past: dict[str, bool] = {}
    places = lists.present.unsqueeze(-1)
    for part, relevance in why.attribution.relevance.items():
        size = (relevance.abs().flatten(2).double() * places).sum(1)  # (users, units)
        if why.kinds[part] == "past item":
            total = torch.zeros(len(lists), len(model.items), dtype=torch.float64)
            columns.append(total.scatter_add_(1, lists.history.clamp(min=0), size * (lists.history >= 0)))
            named = {f"{part}:{model.items.id(row)}": model.items.title(row) for row in range(len(model.items))}
        else:
            columns.append(size)
            named = {f"{part}:{unit}": model.unit_title(part, unit, user=-1, item=-1) for unit in range(size.shape[1])}
        titles |= named
        past |= dict.fromkeys(named, why.kinds[part] == "past item")
    rest = (why.ledger.target - why.ledger.inputs).abs() * lists.present
    sizes = torch.cat([*columns, rest.sum(1, keepdim=True)], dim=1)
    titles[ITEM], past[ITEM] = "", False
    total = sizes.sum(1, keepdim=True)
    shares: Array = (sizes / total.clamp(min=1e-300))[total[:, 0] > 0].numpy()
    return titles, past, shares


def _rows(titles: dict[str, str], past: dict[str, bool], shares: Array, most: int, seed: int) -> list[ParameterShare]:
    """The largest by themselves; the others in two sums; the item itself."""
    names = list(titles)
    inputs = names[:-1]
    largest = np.argsort(-shares[:, :-1].mean(0), kind="stable")[:most]
    rest = np.setdiff1d(np.arange(len(inputs)), largest)
    is_past = np.array([past[name] for name in inputs], dtype=bool)
    columns = {names[place]: shares[:, place] for place in largest}
    for key, of_kind in ((PAST, is_past), (INPUTS, ~is_past)):
        chosen = rest[of_kind[rest]]
        if len(chosen):
            name = f"other {key}" if of_kind[largest].any() else key
            columns[name] = shares[:, chosen].sum(1)
    columns[ITEM] = shares[:, -1]
    words = wording(FIRST).sentences
    found = [
        ParameterShare(
            name, titles.get(name) or words[name], bootstrap(values[:, None], lambda means: means[:, 0], seed=seed)
        )
        for name, values in columns.items()
    ]
    return sorted(found, key=lambda row: -row.share.value)


def _change(title: str, before: ParameterShare | None, after: ParameterShare | None) -> ParameterChange:
    (old, old_half), (new, new_half) = (_span(one) for one in (before, after))
    return ParameterChange(title, old, new, abs(new - old) > math.hypot(old_half, new_half))


def _span(row: ParameterShare | None) -> tuple[float, float]:
    """Share and half its interval; nothing where it has no row."""
    return (0.0, 0.0) if row is None else (row.share.value, (row.share.high - row.share.low) / 2)

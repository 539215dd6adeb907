"""What the report says, as plain values: numbers, titles and ids, never rows. The words are in `templates/`."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import torch
from markupsafe import Markup

from whyrec import __version__, kinds
from whyrec.comparison import Comparison, compare
from whyrec.dataset import Catalog
from whyrec.evaluation import Evaluation
from whyrec.explained_words import word_relevance
from whyrec.explanation import Explanations
from whyrec.reasons import VerifiedReasons, recovered
from whyrec.recommendations import Recommendations, Recommended
from whyrec.recommender import Recommender
from whyrec.report_card import ReportCard
from whyrec.settings import to_json
from whyrec.split import Split
from whyrec.statistics import Estimate
from whyrec.word_colours import coloured_words

MOST_BARS = 8
LAST_SEEN = 6
SIGNIFICANT = 3
"""Digits of the largest number of a chart or list; the others have as many behind the point."""


@dataclass(frozen=True, eq=False)
class Material:
    """What a report is made of; whatever is missing, the report says how to get."""

    model: Recommender
    lists: Recommendations
    why: Explanations | None
    card: ReportCard | None
    evaluation: Evaluation | None
    reasons: VerifiedReasons | None
    split: Split | None
    users: int
    """How many lists are shown in full."""
    seed: int


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale shared by the rows of a table."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Where a value stands, from 0 to 1; what lies beyond an end stands at that end."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a chart of contributions."""

    title: str
    amount: float
    kind: str
    """`unit`, `rest`, or what the ledger calls it."""
    drop: float | None = None
    """How far the score falls without it, where that was found to matter."""


def content(material: Material) -> dict[str, Any]:
    """Every value of the report by the name that the templates use; None where its source is missing."""
    return {
        "model": _about_model(material),
        "data": None if material.split is None else _data(material.split),
        "quality": None if material.evaluation is None else _quality(material.evaluation),
        "people": _people(material),
        "why": material.why,
        "reasons": None if material.reasons is None else _counted(material.reasons),
        "truth": None if material.card is None else _truth(material.card, material.why),
        "planted": _planted(material),
        "made": _made(material),
        "seed": material.seed,
    }


def _about_model(material: Material) -> dict[str, Any]:
    model, lists = material.model, material.lists
    asked = {kind for kind in model.unit_kinds.values() if kind != "factor"}
    return {
        "name": kinds.name_of(model),
        "about": _described("models", kinds.name_of(model)),
        "units": "past items" if asked == {"past item"} else "inputs",
        "user_count": len(model.users),
        "item_count": len(model.items),
        "lists": len(lists),
        "places": lists.item_rows.shape[1],
    }


def _described(kind: str, name: str) -> str:
    """The first line of a file's docstring; nothing for what lives elsewhere or is called by its settings."""
    return (kinds.module(kind, name).__doc__ or "").split("\n")[0] if name in kinds.names(kind) else ""


def _data(split: Split) -> dict[str, Any]:
    data, parts = split.dataset, {"train": split.train, "validation": split.validation, "test": split.test}
    counts = split.known.together_with(split.test).user_counts
    active = counts[counts > 0]
    times = [part.times for part in parts.values() if part.times is not None and len(part)]
    return {
        "name": data.name,
        "events": int(counts.sum()),
        "user_count": len(data.users),
        "item_count": len(data.items),
        "density": int(counts.sum()) / max(len(data.users) * len(data.items), 1),
        "per_user": (int(active.min()), int(np.median(active)), int(active.max())) if len(active) else None,
        "span": (_day(min(one.min() for one in times)), _day(max(one.max() for one in times))) if times else None,
        "source": data.source,
        "licence": data.licence,
        "findings": data.findings,
        "fingerprint": data.fingerprint(),
        "how": split.how,
        "parts": {name: len(part) for name, part in parts.items()},
    }


def _day(seconds: int) -> str:
    return str(np.datetime64(int(seconds), "s"))[:10]


def _quality(evaluation: Evaluation) -> dict[str, Any]:
    """Models from best to worst by NDCG, or by the first metric where there is none."""
    rows = [(evaluation.model, True, evaluation.metrics)]
    rows += [(name, False, found) for name, found in evaluation.baselines.items()]
    main = next((name for name in evaluation.metrics if name.startswith("NDCG")), next(iter(evaluation.metrics)))
    rows.sort(key=lambda row: -row[2][main].value)
    best = next(((name, found) for name, own, found in rows if not own), None)
    return {
        "metrics": list(evaluation.metrics),
        "main": main,
        "rows": [{"name": name, "own": own, "found": found} for name, own, found in rows],
        "axes": {name: Axis(0.0, max(_end(row[2][name]) for row in rows) or 1.0) for name in evaluation.metrics},
        "own": evaluation.metrics,
        "best": best,
        "standing": None if best is None else _standing(evaluation, main, [name for name, own, _ in rows if not own]),
        "how": evaluation.how,
        "protocol": evaluation.protocol,
    }


def _end(found: Estimate) -> float:
    return found.high if found.has_interval else found.value


@dataclass(frozen=True, slots=True)
class Standing:
    """The model beside its baselines, user by user."""

    verdict: Literal["above", "below", "open", "unjudged"]
    comparison: Comparison | None
    """With the baseline that the verdict speaks of; None where the metric judges no held-out item."""


def _standing(evaluation: Evaluation, metric: str, baselines: Sequence[str]) -> Standing:
    """Above only where better than each of the baselines, which come best first; below where one is better."""
    if evaluation.per_user[metric].of == "lists":
        return Standing("unjudged", None)
    found = [compare(evaluation, evaluation.baseline(name), metric) for name in baselines]
    if worse := [one for one in found if one.verdict == "worse"]:
        return Standing("below", worse[0])
    if undecided := [one for one in found if one.verdict == "not told apart"]:
        return Standing("open", undecided[0])
    return Standing("above", found[0])


def _people(material: Material) -> list[dict[str, Any]]:
    """Some users, drawn by the seed among those with explained lists, in the order of the lists."""
    explained = _explained_rows(material)
    among = sorted(explained) or list(range(len(material.lists)))
    drawn = np.random.default_rng(material.seed).choice(among, min(material.users, len(among)), replace=False)
    return [_person(material, int(row), explained.get(int(row))) for row in sorted(drawn)]


def _explained_rows(material: Material) -> dict[int, int]:
    """List -> explained list of the same user; somebody new is known by the history."""
    if material.why is None:
        return {}
    explained = material.why.recommendations
    place = {_owner(explained, row): row for row in range(len(explained))}
    owners = ((row, place.get(_owner(material.lists, row))) for row in range(len(material.lists)))
    return {row: found for row, found in owners if found is not None}


def _owner(lists: Recommendations, row: int) -> tuple[int, ...]:
    known = int(lists.user_rows[row])
    return (known,) if known >= 0 else (known, *lists.history[row].tolist())


def _person(material: Material, row: int, explained: int | None) -> dict[str, Any]:
    lists, user = material.lists, int(material.lists.user_rows[row])
    seen = _seen(material, row, user)
    lines = [_line(material, row, place, line, explained) for place, line in enumerate(lists.lines(row))]
    first = next((line["explained"] for line in lines if line["explained"] is not None), None)
    return {
        "name": lists.user(row),
        "is_known": user >= 0,
        "columns": _columns(lists.users, user) if user >= 0 else [],
        "last": [lists.items.title(item) for item in seen[:LAST_SEEN]],
        "earlier": max(len(seen) - LAST_SEEN, 0),
        "lines": lines,
        "digits": _digits([line["score"] for line in lines]),
        "words": None if material.why is None or first is None else _words(material.why, *first),
        "chart": None if material.why is None or first is None else _chart(material.why, material.reasons, *first),
    }


def _words(why: Explanations, row: int, place: int) -> Markup | None:
    """The text on the colours of its words, where a score is explained by words alone."""
    if set(why.kinds.values()) != {"word"} or len(why.kinds) > 1:
        return None
    return Markup(coloured_words(word_relevance(why, row, place)))  # noqa: S704 (words are escaped there)


def _seen(material: Material, row: int, user: int) -> list[int]:
    """All past items as rows, the latest first."""
    known, past = material.model.known, material.lists.history[row].numpy()
    if user >= 0 and known is not None:
        past = known.histories(np.array([user]), int(known.user_counts[user]))[0]
    latest_first: list[int] = past[past >= 0][::-1].tolist()
    return latest_first


def _columns(users: Catalog, user: int) -> list[tuple[str, str]]:
    """What is known of a user, missing values and long texts left out."""
    found = []
    for column in users.columns.values():
        value = column.values[user]
        if column.kind == "text" or value is None or (column.kind == "numeric" and not math.isfinite(value)):
            continue
        words = ", ".join(map(str, value)) if column.kind == "multi" else str(value)
        found.append((column.name, f"{value:g}" if column.kind == "numeric" else words))
    return found


def _line(material: Material, row: int, place: int, line: Recommended, explained: int | None) -> dict[str, Any]:
    item, user = int(material.lists.item_rows[row, place]), int(material.lists.user_rows[row])
    at, reasons = _explained_place(material.why, explained, item), material.reasons
    test = None if material.split is None else material.split.test
    return {
        "rank": line.rank,
        "title": line.title,
        "score": line.score,
        "held_out": test is not None and bool(((test.users == user) & (test.items == item)).any()),
        "explained": at,
        "because": [one.contribution.title for one in reasons.at(*at)] if reasons is not None and at else [],
        "otherwise": reasons.sentence(*at) if reasons is not None and at else "",
    }


def _explained_place(why: Explanations | None, explained: int | None, item: int) -> tuple[int, int] | None:
    if why is None or explained is None:
        return None
    same = (why.recommendations.item_rows[explained] == item).nonzero()[:, 0].tolist()
    return (explained, same[0]) if same else None


def _chart(why: Explanations, reasons: VerifiedReasons | None, row: int, place: int) -> dict[str, Any]:
    """The largest contributions to one score, and the whole account."""
    found = sorted(why.contributions(row, place), key=lambda one: -abs(one.relevance))
    verified = reasons.at(row, place) if reasons is not None else ()
    drops = {(one.contribution.part, str(one.contribution.unit)): one.drop for one in verified}
    bars = [Bar(one.title, one.relevance, "unit", drops.get((one.part, str(one.unit)))) for one in found[:MOST_BARS]]
    bars.sort(key=lambda bar: -bar.amount)
    if others := found[MOST_BARS:]:
        bars.append(Bar(f"{len(others)} more", sum(one.relevance for one in others), "rest"))
    names = ("inputs", "bias", "stabilizer", "reference", "gap")
    ledger = {name: float(getattr(why.ledger, name)[row, place]) for name in names}
    digits = _digits([bar.amount for bar in bars] + list(ledger.values()))
    bars += [Bar(name, ledger[name], name) for name in names[1:] if round(ledger[name], digits)]
    amounts = [0.0, *(bar.amount for bar in bars)]
    return {
        "title": why.recommendations.lines(row)[place].title,
        "bars": bars,
        "axis": Axis(min(amounts), max(amounts) if max(amounts) > min(amounts) else 1.0),
        "target": float(why.ledger.target[row, place]),
        "ledger": ledger,
        "complete": why.attribution.complete,
        "digits": digits,
    }


def _digits(values: Sequence[float]) -> int:
    """How many digits behind the point show the largest value with `SIGNIFICANT` digits; at least 2, at most 6."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return 2 if largest == 0 else min(max(SIGNIFICANT - 1 - math.floor(math.log10(largest)), 2), 6)


def _counted(reasons: VerifiedReasons) -> dict[str, Any]:
    """How many explained places hold at least one reason."""
    present = reasons.explanations.recommendations.present
    given = sum(bool(reasons.at(row, place)) for row, place in present.nonzero().tolist())
    return {"given": given, "explained": int(present.sum()), "withheld": reasons.withheld}


def _truth(card: ReportCard, why: Explanations | None) -> dict[str, Any]:
    """The card with one axis for all that is normalised, and the row that the page's head speaks of."""
    normalised = [found for row in card.rows for found in (row.deletion.normalised, row.sufficiency.normalised)]
    ends = [end for one in normalised if one is not None for end in (one.low, one.high)]
    return {
        "card": card,
        "first": card.row(why.method) if why is not None else next(iter(card.rows), None),
        "about": {row.method: _described("explainers", row.method) for row in card.rows},
        "axis": Axis(max(min([-0.1, *ends]), -1.0), min(max([1.1, *ends]), 2.0)),
    }


def _planted(material: Material) -> dict[str, float] | None:
    """The reasons held against the truth of a generated world, where there are both."""
    if material.split is None or material.split.dataset.truth is None or material.reasons is None:
        return None
    found = recovered(material.reasons, material.split.dataset.truth)
    return found if found["items_with_a_planted_cause"] and found["reasons"] else None


def _made(material: Material) -> dict[str, dict[str, Any]]:
    """Settings, versions, seeds and times, by what they belong to."""
    model, why, card, split = material.model, material.why, material.card, material.split
    made: dict[str, dict[str, Any]] = {f"model: {kinds.name_of(model)}": _flat(to_json(model.settings))}
    if model.trained_by is not None:
        made["training"] = _flat(to_json(model.trained_by))
    if model.log:
        spent = round(sum(epoch.seconds for epoch in model.log), 1)
        made["training"] = {**made.get("training", {}), "epochs run": len(model.log), "seconds": spent}
    if why is not None:
        spent = round(why.seconds, 2)
        made[f"explanation: {why.method}"] = {**_flat(why.settings), "target": why.target, "seconds": spent}
    if card is not None:
        made["verification"] = {**_flat(to_json(card.settings)), "users judged": card.users}
    if split is not None:
        made["data"] = {"name": split.dataset.name, "fingerprint": split.dataset.fingerprint(), "split": split.how}
    made["this report"] = {**_versions(), "seed": material.seed}
    return made


def _versions() -> dict[str, Any]:
    return {
        "whyrec": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names; one that is None is not set."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            continue
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found

"""The report: one HTML file that opens offline and says how good the lists are, why, and whether the reasons are true.

What is written in words stands in `templates/`; this file prepares the numbers. It shows titles and ids, never rows.
"""

from __future__ import annotations

import io
import math
import os
import platform
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from whyrec import __version__, kinds
from whyrec.dataset import Catalog
from whyrec.errors import BadInput, InvalidSetting
from whyrec.evaluation import Evaluation
from whyrec.explanation import Explanations
from whyrec.figures import INK, MUTED, RULE
from whyrec.figures.learning import learning
from whyrec.figures.removal import removal
from whyrec.reasons import VerifiedReasons, recovered, verified_reasons
from whyrec.recommendations import Recommendations
from whyrec.recommender import Recommender
from whyrec.report_card import ReportCard
from whyrec.settings import to_json
from whyrec.split import Split
from whyrec.statistics import Estimate

MOST_BARS = 8
LAST_SEEN = 6
SMALLEST_BAR = 0.005
"""Entries of the ledger smaller than this get no bar; the full account below the bars has them."""


@dataclass(frozen=True, eq=False)
class _Material:
    """What a report is made of; whatever is missing, the report says how to get."""

    model: Recommender
    lists: Recommendations
    why: Explanations | None
    card: ReportCard | None
    evaluation: Evaluation | None
    reasons: VerifiedReasons | None
    split: Split | None
    users: int
    seed: int


@dataclass(frozen=True, slots=True)
class _Axis:
    """A scale shared by the rows of a table."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Where a value stands, from 0 to 1; beyond the ends it stands at the end."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class _Bar:
    """One line of a chart of contributions."""

    title: str
    amount: float
    kind: str  # "unit", or what the ledger calls it
    drop: float | None = None
    """How far the score falls without it, where that was found to matter."""


def report(
    model: Recommender,
    recommendations: Recommendations,
    explanations: Explanations | None = None,
    card: ReportCard | None = None,
    *,
    to: str | Path,
    evaluation: Evaluation | None = None,
    reasons: VerifiedReasons | None = None,
    split: Split | None = None,
    users: int = 6,
    seed: int = 0,
) -> Path:
    """Write everything that is known to one HTML file, and return its path. An older file there is replaced.

    The lists of `users` users, drawn by `seed`, are shown in full. Reasons are verified where `explanations` and a
    `card` are given without them. A part that is not given is left out, and the report says how to get it.
    """
    model.require_built()
    to = Path(to)
    if to.is_dir():
        raise BadInput(f"{to} is a folder; give the name of a file, for example {to / 'report.html'}")
    if users < 1:
        raise InvalidSetting(f"users={users}: the report shows the list of at least one user")
    if explanations is None and reasons is not None:
        explanations = reasons.explanations
    _refuse_strangers(model, recommendations, explanations, card, evaluation, reasons)
    if explanations is not None and card is not None and reasons is None:
        reasons = verified_reasons(model, explanations, card)
    material = _Material(model, recommendations, explanations, card, evaluation, reasons, split, users, seed)
    _write_whole(_page(material), to)
    return to


def _refuse_strangers(
    model: Recommender,
    lists: Recommendations,
    why: Explanations | None,
    card: ReportCard | None,
    evaluation: Evaluation | None,
    reasons: VerifiedReasons | None,
) -> None:
    """Pieces that are about another model, other items or another method make no report."""
    name = kinds.name_of(model)
    for piece, about in (("card", card), ("evaluation", evaluation)):
        if about is not None and about.model != name:
            raise InvalidSetting(
                f"the {piece} is about {about.model}, the model is {name}; pass the {piece} of this model"
            )
    for piece, catalog in (("recommendations", lists), ("explanations", why.recommendations if why else lists)):
        if catalog.items.vocabulary != model.items.vocabulary:
            raise InvalidSetting(f"the {piece} name other items than the model has; make them with this model")
    if reasons is not None and reasons.explanations is not why:
        raise InvalidSetting(
            "the reasons were made from other explanations; pass both from one call, or leave reasons out"
        )
    if why is not None and card is not None and why.method not in (judged := [row.method for row in card.rows]):
        raise InvalidSetting(
            f"the card judges {', '.join(judged)} and the explanations are by {why.method}; verify that method as well"
        )


def _page(material: _Material) -> str:
    pages = Environment(
        loader=PackageLoader("whyrec", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(fixed=_fixed, signed=_signed, exact=_exact, count=_count, share=_share, listed=_listed)
    pages.tests["known"] = lambda estimate: estimate is not None and math.isfinite(estimate.value)
    return pages.get_template("report.html").render(
        model=_about_model(material),
        data=None if material.split is None else _data(material.split),
        quality=None if material.evaluation is None else _quality(material.evaluation),
        learned=_drawn(learning(material.model.log), "learning") if material.model.log else None,
        people=_people(material),
        reasons=None if material.reasons is None else _counted(material.reasons),
        truth=None if material.card is None else _truth(material.card),
        why=material.why,
        planted=_planted(material),
        made=_made(material),
        seed=material.seed,
    )


def _about_model(material: _Material) -> dict[str, Any]:
    model, lists = material.model, material.lists
    asked = {kind for kind in model.unit_kinds.values() if kind != "factor"}
    return {
        "name": kinds.name_of(model),
        "about": _described("models", kinds.name_of(model)),
        "units": "past items" if asked == {"past item"} else "inputs",
        "users": len(model.users),
        "items": len(model.items),
        "lists": len(lists),
        "places": lists.item_rows.shape[1],
    }


def _described(kind: str, name: str) -> str:
    """The first sentence of a file's docstring; nothing for what lives elsewhere."""
    return "" if ":" in name else (kinds.module(kind, name).__doc__ or "").split("\n")[0]


def _data(split: Split) -> dict[str, Any]:
    data, parts = split.dataset, {"train": split.train, "validation": split.validation, "test": split.test}
    counts = split.known.together_with(split.test).user_counts
    events, active = int(counts.sum()), counts[counts > 0]
    times = [part.times for part in parts.values() if part.times is not None and len(part)]
    return {
        "name": data.name,
        "events": events,
        "users": len(data.users),
        "items": len(data.items),
        "density": events / max(len(data.users) * len(data.items), 1),
        "history": (int(active.min()), int(np.median(active)), int(active.max())) if len(active) else None,
        "span": (_day(min(one.min() for one in times)), _day(max(one.max() for one in times))) if times else None,
        "source": data.source,
        "licence": data.licence,
        "findings": data.findings,
        "fingerprint": data.fingerprint(),
        "how": split.how,
        "parts": {name: len(part) for name, part in parts.items()},
    }


def _quality(evaluation: Evaluation) -> dict[str, Any]:
    """Models from best to worst by NDCG, or the first metric where there is none."""
    rows = [(evaluation.model, True, evaluation.metrics)]
    rows += [(name, False, found) for name, found in evaluation.baselines.items()]
    main = next((name for name in evaluation.metrics if name.startswith("NDCG")), next(iter(evaluation.metrics)))
    rows.sort(key=lambda row: -row[2][main].value)
    baselines = [(name, found[main]) for name, own, found in rows if not own]
    return {
        "metrics": list(evaluation.metrics),
        "main": main,
        "rows": [{"name": name, "own": own, "found": found} for name, own, found in rows],
        "axes": {name: _Axis(0.0, max(row[2][name].high for row in rows) or 1.0) for name in evaluation.metrics},
        "own": evaluation.metrics,
        "best": baselines[0] if baselines else None,
        "standing": _standing(evaluation.metrics[main], baselines[0][1]) if baselines else None,
        "how": evaluation.how,
        "protocol": evaluation.protocol,
    }


def _standing(own: Estimate, other: Estimate) -> str:
    """Whether two intervals lie apart. Where they overlap, these numbers decide nothing."""
    if own.low > other.high:
        return "above"
    return "below" if own.high < other.low else "overlap"


def _people(material: _Material) -> list[dict[str, Any]]:
    """Some users, drawn by the seed among those with explained lists, in the order of the lists."""
    lists = material.lists
    explained = _explained_rows(material)
    among = sorted(explained) or list(range(len(lists)))
    drawn = np.random.default_rng(material.seed).choice(among, min(material.users, len(among)), replace=False)
    return [_person(material, int(row), explained.get(int(row))) for row in sorted(drawn)]


def _explained_rows(material: _Material) -> dict[int, int]:
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


def _person(material: _Material, row: int, explained: int | None) -> dict[str, Any]:
    lists, user = material.lists, int(material.lists.user_rows[row])
    last, earlier = _last_seen(material, row, user)
    lines = [_line(material, row, place, explained) for place in range(len(lists.lines(row)))]
    places = [line["explained"] for line in lines if line["explained"] is not None]
    return {
        "name": lists.user(row),
        "columns": _columns(lists.users, user) if user >= 0 else [],
        "last": last,
        "earlier": earlier,
        "lines": lines,
        "chart": _chart(material, *places[0]) if places else None,
    }


def _last_seen(material: _Material, row: int, user: int) -> tuple[list[str], int]:
    """The most recent titles, the latest first, and how many came before."""
    lists, known = material.lists, material.model.known
    past = lists.history[row].numpy()
    if user >= 0 and known is not None:
        past = known.histories(np.array([user]), int(known.user_counts[user]))[0]
    seen = past[past >= 0][::-1].tolist()
    return [lists.items.title(item) for item in seen[:LAST_SEEN]], max(len(seen) - LAST_SEEN, 0)


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


def _line(material: _Material, row: int, place: int, explained: int | None) -> dict[str, Any]:
    line = material.lists.lines(row)[place]
    item, user = int(material.lists.item_rows[row, place]), int(material.lists.user_rows[row])
    test = material.split.test if material.split is not None else None
    at = None
    if material.why is not None and explained is not None:
        same = (material.why.recommendations.item_rows[explained] == item).nonzero()[:, 0].tolist()
        at = (explained, same[0]) if same else None
    reasons = material.reasons if at is not None else None
    return {
        "rank": line.rank,
        "title": line.title,
        "score": line.score,
        "held_out": test is not None and bool(((test.users == user) & (test.items == item)).any()),
        "explained": at,
        "because": [one.contribution.title for one in reasons.at(*at)] if reasons is not None and at else [],
        "otherwise": reasons.sentence(*at) if reasons is not None and at else "",
    }


def _chart(material: _Material, row: int, place: int) -> dict[str, Any]:
    """The largest contributions to one score, and the whole account."""
    why = material.why
    assert why is not None  # noqa: S101 (for the type checker: only explained places get here)
    found = sorted(why.contributions(row, place), key=lambda one: -abs(one.relevance))
    reasons = material.reasons.at(row, place) if material.reasons is not None else ()
    drops = {(one.contribution.part, str(one.contribution.unit)): one.drop for one in reasons}
    bars = [_Bar(one.title, one.relevance, "unit", drops.get((one.part, str(one.unit)))) for one in found[:MOST_BARS]]
    bars.sort(key=lambda bar: -bar.amount)
    if found[MOST_BARS:]:
        bars.append(_Bar(f"{len(found) - MOST_BARS} more", sum(one.relevance for one in found[MOST_BARS:]), "rest"))
    names = ("inputs", "bias", "stabilizer", "reference", "gap")
    ledger = {name: float(getattr(why.ledger, name)[row, place]) for name in names}
    bars += [_Bar(name, ledger[name], name) for name in names[1:] if abs(ledger[name]) >= SMALLEST_BAR]
    amounts = [0.0, *(bar.amount for bar in bars)]
    return {
        "title": why.recommendations.lines(row)[place].title,
        "bars": bars,
        "axis": _Axis(min(amounts), max(amounts) if max(amounts) > min(amounts) else 1.0),
        "target": float(why.ledger.target[row, place]),
        "ledger": ledger,
        "complete": why.attribution.complete,
    }


def _counted(reasons: VerifiedReasons) -> dict[str, Any]:
    """How many explained places hold at least one reason."""
    present = reasons.explanations.recommendations.present
    given = sum(bool(reasons.at(row, place)) for row, place in present.nonzero().tolist())
    return {"given": given, "explained": int(present.sum()), "withheld": reasons.withheld}


def _truth(card: ReportCard) -> dict[str, Any]:
    """The card's rows with one axis for all that is normalised."""
    normalised = [found for row in card.rows for found in (row.deletion.normalised, row.sufficiency.normalised)]
    ends = [end for one in normalised if one is not None for end in (one.low, one.high) if math.isfinite(end)]
    return {
        "card": card,
        "settings": card.settings,
        "about": {row.method: _described("explainers", row.method) for row in card.rows},
        "axis": _Axis(max(min([-0.1, *ends]), -1.0), min(max([1.1, *ends]), 2.0)),
        "figure": _drawn(removal(card), "removal"),
    }


def _planted(material: _Material) -> dict[str, float] | None:
    """Against the truth of a generated world, where there is one and reasons to hold against it."""
    if material.split is None or material.split.dataset.truth is None or material.reasons is None:
        return None
    found = recovered(material.reasons, material.split.dataset.truth)
    return found if found["items_with_a_planted_cause"] and found["reasons"] else None


def _made(material: _Material) -> dict[str, dict[str, Any]]:
    """Settings, versions, seeds and times, by what they belong to."""
    model, why, card, split = material.model, material.why, material.card, material.split
    made: dict[str, dict[str, Any]] = {f"model: {kinds.name_of(model)}": _flat(to_json(model.settings))}
    if model.trained_by is not None:
        spent = {"epochs run": len(model.log), "seconds": round(sum(epoch.seconds for epoch in model.log), 1)}
        made["training"] = {**_flat(to_json(model.trained_by)), **(spent if model.log else {})}
    if why is not None:
        made[f"explanation: {why.method}"] = {
            **_flat(why.settings),
            "target": why.target,
            "seconds": round(why.seconds, 2),
        }
    if card is not None:
        made["verification"] = {**_flat(to_json(card.settings)), "operator": "mask", "users judged": card.users}
    if split is not None:
        made["data"] = {"name": split.dataset.name, "fingerprint": split.dataset.fingerprint(), "split": split.how}
    made["this report"] = {
        "whyrec": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "seed": material.seed,
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    return made


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def _drawn(figure: Figure, name: str) -> Markup:
    """A figure as SVG to stand in the page: text as text, the page's own ink, ids that no other figure has."""
    drawn = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(
            drawn, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    svg = drawn.getvalue()
    svg = re.sub(
        r"<style.*?</style>", "", svg[svg.index("<svg") :], flags=re.DOTALL
    )  # it would speak for the whole page
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    for colour, variable in ((INK, "--ink"), (MUTED, "--muted"), (RULE, "--rule")):
        svg = svg.replace(colour, f"var({variable})")
    return Markup(svg)  # noqa: S704 (matplotlib escaped every text in it)


def _write_whole(page: str, to: Path) -> None:
    """Written beside and renamed, so that no half report is ever found."""
    to.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=f".{to.name}.", dir=to.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
        Path(beside).chmod(0o644)  # mkstemp made it private
        os.replace(beside, to)
    finally:
        Path(beside).unlink(missing_ok=True)


def _day(seconds: int) -> str:
    return str(np.datetime64(int(seconds), "s"))[:10]


def _fixed(value: float, digits: int = 3) -> str:
    """A number with a typographic minus; ∞ for an interval that has no end."""
    if math.isnan(value):
        return "not known"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    shown = f"{value:.{digits}f}"
    return (shown.lstrip("-") if float(shown) == 0 else shown).replace("-", "−")


def _signed(value: float, digits: int = 2) -> str:
    shown = _fixed(value, digits)
    return shown if shown.startswith("−") or float(shown) == 0 else f"+{shown}"


def _exact(value: float) -> str:
    """Six digits behind the point, powers of ten for what is smaller."""
    shown = f"{value:+.6f}" if value == 0 or abs(value) >= 1e-4 else f"{value:+.2e}"
    return shown.replace("-", "−")


def _count(value: int) -> str:
    return f"{value:,}"


def _share(value: float) -> str:
    """A percentage that is never rounded to a promise: 100 % and 0 % are exact."""
    digits = 2 if value < 0.01 else 1 if value > 0.99 else 0
    return f"{100 * value:.{digits}f} %".replace("100.0 %", "100 %") if value < 1 else "100 %"


def _listed(words: Iterable[str]) -> str:
    """one, two and three"""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last

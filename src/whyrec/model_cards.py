"""The model card: what a model is, what it learned from, how good it is, what it rests on, and what it is not for.

Sections follow Mitchell et al. 2019, Model cards for model reporting. What nobody measured is said to be not measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from whyrec import __version__, kinds
from whyrec.console import finite
from whyrec.evaluation import Evaluation
from whyrec.fingerprints import model_fingerprint
from whyrec.recommender import Recommender
from whyrec.report_card import ReportCard
from whyrec.settings import to_json
from whyrec.shares import ParameterShares
from whyrec.split import Split
from whyrec.training import chosen_epoch

INTENDED = "Ranking items of its catalogue for people whose past resembles that of the people it learned from."
LIMITS = (
    "It repeats what was taken before, the mistakes and the gaps of the log included.",
    "Accuracy was measured on the log it learned from; what people do with a list may differ.",
    "An explanation says what the model's score rests on, not why a person likes something.",
)


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model. Printing it gives Markdown."""

    document: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; null is what was not measured."""
        plain: dict[str, Any] = finite(self.document)
        return plain

    def to_markdown(self) -> str:
        """As a page."""
        one = self.document
        return "\n".join(
            [
                f"# Model card: {one['model']['family']}",
                *_section("Model", _listed(one["model"])),
                *_section("Data", _listed(one["data"]) if one["data"] else ["Not given."]),
                *_section("How good its lists are", _metrics(one["metrics"])),
                *_section("What recommendations rest on", _shares(one["main_parameters"])),
                *_section("Whether explanations are true", _verdicts(one["report_card"])),
                *_section("Intended use", [one["intended_use"]]),
                *_section("Limits", [f"- {limit}" for limit in one["limits"]]),
            ]
        )

    def __str__(self) -> str:
        return self.to_markdown()


def model_card(
    model: Recommender,
    *,
    split: Split | None = None,
    evaluation: Evaluation | None = None,
    card: ReportCard | None = None,
    shares: ParameterShares | None = None,
    intended_use: str = INTENDED,
    limits: Sequence[str] = LIMITS,
) -> ModelCard:
    """Put together what was measured of a model; the intended use and the limits are for a person to write.

    >>> import whyrec as wr
    >>> split = wr.leave_last_out(wr.planted(users=60, items=60))
    >>> model = wr.fit(wr.EASE(), split)
    >>> print(wr.model_card(model, split=split).to_markdown().splitlines()[0])
    # Model card: ease
    """
    return ModelCard(
        {
            "model": _about_model(model),
            "data": None if split is None else _about_data(split),
            "metrics": None if evaluation is None else evaluation.to_json(),
            "main_parameters": None if shares is None else shares.to_json(),
            "report_card": None if card is None else card.to_json(),
            "intended_use": intended_use,
            "limits": list(limits),
        }
    )


def _about_model(model: Recommender) -> dict[str, Any]:
    best = chosen_epoch(model.require_built().log) if model.log else None
    return {
        "family": kinds.name_of(model),
        "digest": model_fingerprint(model),
        "settings": to_json(model.settings),
        "training": None if model.trained_by is None else to_json(model.trained_by),
        "chosen_epoch": None if best is None else best.number,
        "users": len(model.users),
        "items": len(model.items),
        "inputs": {name: kind for name, kind in model.unit_kinds.items() if kind != "factor"},
        "whyrec": __version__,
    }


def _about_data(split: Split) -> dict[str, Any]:
    data = split.dataset
    return {
        "name": data.name,
        "source": data.source,
        "licence": data.licence,
        "fingerprint": data.fingerprint(),
        "events": len(data.interactions),
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "split": split.how,
        "findings": list(data.findings),
    }


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return ["", f"## {title}", "", *lines]


def _listed(facts: dict[str, Any]) -> list[str]:
    """One line a fact; a record inside it on the same line."""
    return [
        f"- {name.replace('_', ' ')}: {_plain(value)}" for name, value in facts.items() if value not in (None, "", [])
    ]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_plain(one)}" for name, one in value.items()) or "none"
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def _metrics(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return ["Not measured."]
    names = list(found["metrics"])
    rows = [(found["model"], found["metrics"]), *found["baselines"].items()]
    lines = [f"| {' | '.join(_cell(measured[name]) for name in names)} |" for _, measured in rows]
    head = [f"| model | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    return [
        *head,
        *(f"| {_escaped(name)} {line}" for (name, _), line in zip(rows, lines, strict=True)),
        "",
        "95 % intervals over users.",
    ]


def _cell(estimate: dict[str, Any]) -> str:
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    return f"{value:.3f}" if low is None or math.isnan(low) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _shares(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return ["Not measured."]
    lines = [
        f"| {_escaped(row['title'])} | {100 * row['share']['value']:.1f} % "
        f"| {100 * row['share']['low']:.1f} to {100 * row['share']['high']:.1f} % |"
        for row in found["rows"]
    ]
    how = f"Mean share of |relevance| by {found['method']}, first {found['k']} items, {found['users']} users."
    return ["| input | share | 95 % interval |", "|---|---|---|", *lines, "", how]


def _verdicts(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return ["Not judged."]
    return [f"- {row['method']}: **{row['verdict']}** ({'; '.join(row['because'])})" for row in found["rows"]]


def _escaped(title: str) -> str:
    """A title in a table: a bar would begin another cell."""
    return title.replace("|", "\\|").replace("\n", " ")

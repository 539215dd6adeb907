"""What a command prints: words for a person, or one JSON document for a program."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # PyTorch takes a second to import: only commands that need it should wait
    from whyrec.explanation import Explanations
    from whyrec.recommendations import Recommended

SHOWN = 10
"""Units of an explanation that are printed by name; a document has all of them."""


def show(document: dict[str, Any], text: str, as_json: bool) -> None:
    """Print one or the other."""
    print(json.dumps(finite(document), ensure_ascii=False, allow_nan=False) if as_json else text)


def tell(line: str) -> None:
    """Say something beside the result."""
    print(line, file=sys.stderr)


def answer_of(line: Recommended, why: Explanations) -> tuple[dict[str, Any], str]:
    """Why one item is recommended: as a document, and in lines; `why` explains that item alone."""
    ledger, contributions = why.ledger, why.contributions(0, 0)
    explained = float(ledger.target[0, 0])
    account = {
        name: float(getattr(ledger, name)[0, 0]) for name in ("inputs", "bias", "stabilizer", "reference", "gap")
    }
    document = {
        "user": line.user,
        "item": line.item,
        "title": line.title,
        "score": line.score,
        "target": explained,
        "target_name": why.target,
        "method": why.method,
        "parts": [
            {"part": one.part, "unit": one.unit, "title": one.title, "relevance": one.relevance}
            for one in contributions
        ],
        "ledger": account,
        "complete": why.attribution.complete,
        "seconds": why.seconds,
    }
    lines = [f"{line.title} for {line.user}: {explained:.3f} ({why.target}), explained by {why.method}"]
    lines += [f"{one.relevance:+8.3f}  {one.title}" for one in contributions[:SHOWN]]
    if len(contributions) > SHOWN:
        rest = contributions[SHOWN:]
        lines.append(f"{sum(one.relevance for one in rest):+8.3f}  {len(rest)} more")
    lines.append("ledger: " + ", ".join(f"{name} {amount:+.4g}" for name, amount in account.items()))
    return document, "\n".join(lines)


def finite(value: Any) -> Any:
    """JSON knows neither NaN nor infinity: what could not be measured is null."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

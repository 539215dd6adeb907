"""Completeness: how much of the target a method that promises to add up leaves unaccounted for.

    |gap| / max(|target|, sum of |relevance| + |bias|)       0 is perfect

A closed account is a gate, not a merit: a wrong split can add up, too.
"""

from __future__ import annotations

from torch import Tensor

from whyrec.attribution import Attribution

JUDGES = "attribution"


def completeness(attribution: Attribution) -> Tensor:
    """Relative gap of every place of every list, (users, items)."""
    return attribution.ledger.relative_gap(attribution.relevance)

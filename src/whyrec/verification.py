"""How explanations are judged, and the records of what was found: numbers with floor, ceiling and interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from whyrec.settings import settings
from whyrec.statistics import Estimate

Verdict = Literal["faithful", "weak", "not better than random", "undecided"]
Operator = Literal["mask", "delete", "replace", "marginal"]


@settings
class Verification:
    """How explanations are judged."""

    k: int = Field(default=5, ge=1)
    """Units taken away, or kept, at once; the verdict is about these."""
    also: tuple[int, ...] = (1, 3, 10)
    """Other numbers of units that are measured beside, so that k was not chosen after the fact."""
    operator: Operator = "mask"
    """What taking a unit away means: see operators."""
    list_length: int = Field(default=10, ge=1)
    """Length of the list that an item leaves or stays in."""
    users: int = Field(default=200, ge=2)
    """Users judged, at most; drawn by the seed."""
    floor: int = Field(default=20, ge=2)
    """Random orders per user that make the floor."""
    steps: int = Field(default=20, ge=2)
    """Steps of the removal curves."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap resamples of the users."""
    background: int = Field(default=100, ge=1)
    """Other users whose values stand in for removed units, with the operator 'marginal'."""
    selected_on_metric: bool = False
    """Whether a setting of the explainers was chosen by these very numbers; then they are stamped as optimistic."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """A number in units of the target, with its interval, and what a random order and the best order found reach."""

    estimate: Estimate
    floor: float
    ceiling: float | None = None
    normalised: Estimate | None = None
    """0 is the floor, 1 the ceiling: (method - floor) / (ceiling - floor), means over users."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            **self.estimate.to_json(),
            "floor": self.floor,
            "ceiling": self.ceiling,
            "normalised": None if self.normalised is None else self.normalised.to_json(),
        }


@dataclass(frozen=True, slots=True)
class BySize:
    """The normalised numbers for another k."""

    k: int
    deletion: Estimate | None
    sufficiency: Estimate | None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        pair = {"deletion": self.deletion, "sufficiency": self.sufficiency}
        return {"k": self.k, **{name: None if one is None else one.to_json() for name, one in pair.items()}}


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one method, and what follows."""

    method: str
    deletion: Measured
    sufficiency: Measured
    srg: Measured
    necessity: Measured | None
    """Share of users whose item leaves the list without the top k; None where units are no past items."""
    enough: Measured | None
    """Share of users whose item is in the list with the top k alone."""
    correlation: Estimate
    """Of sums of relevance with falls of the target, over random sets."""
    randomisation: Estimate
    """Rank correlation with the explanation of a model with shuffled weights; no users where there are no weights."""
    other_item: Estimate
    """Rank correlation with the explanation of another item; no users where the model scores one item only."""
    stability: Estimate
    """Overlap of the top 5 with that of a user who lacks one unit."""
    other_seed: Estimate
    """Overlap of the top 5 with that from another seed."""
    completeness_gap: float | None
    effective_reasons: Estimate
    """How many equally strong reasons the positive relevance amounts to. Fewer is not better, only simpler."""
    negative_share: float
    """Share of the relevance, in absolute terms, that is negative."""
    by_size: tuple[BySize, ...]
    cost_ms: float
    verdict: Verdict
    because: tuple[str, ...]
    """Why, one plain sentence each."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        measured = ("deletion", "sufficiency", "srg", "necessity", "enough")
        estimates = ("correlation", "randomisation", "other_item", "stability", "other_seed", "effective_reasons")
        found: dict[str, Any] = {"method": self.method}
        for name in (*measured, *estimates):
            one = getattr(self, name)
            found[name] = None if one is None else one.to_json()
        return {
            **found,
            "completeness_gap": self.completeness_gap,
            "negative_share": self.negative_share,
            "by_size": [one.to_json() for one in self.by_size],
            "cost_ms": self.cost_ms,
            "verdict": self.verdict,
            "because": list(self.because),
        }

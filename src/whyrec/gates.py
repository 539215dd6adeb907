"""From numbers to a verdict, by gates and never by a weighted average.

undecided               even the best order found is not better than a random one: there is nothing to find
not better than random  removal does not show it, or it says the same of shuffled weights or of another item
weak                    better than random, with a doubt: it does not add up, many units tie, removal is unfamiliar
faithful                none of these
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from whyrec.statistics import Estimate
from whyrec.verification import Verdict

MOST_LIKE_A_RANDOM_MODEL = 0.5
MOST_LIKE_ANOTHER_ITEM = 0.9
LARGEST_GAP = 0.05
MOST_TIES = 0.05


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict rests on."""

    k: int
    beaten: Mapping[str, Estimate | None]
    """Deletion and sufficiency between a random order, 0, and the best one found, 1."""
    room: Mapping[str, Estimate]
    """How far the best order lies above a random one, for the same two."""
    randomisation: Estimate
    other_item: Estimate
    gap: float | None
    ties: float
    hidden: float
    """Share of the units that sufficiency hides."""
    trained: float
    """Share that was hidden at most in training."""


def verdict_of(evidence: Evidence) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict, and one plain sentence for each reason."""
    nothing = [name for name, room in evidence.room.items() if not room.low > 0]
    if nothing:
        return "undecided", tuple(
            f"for {name}, even the best order found is not better than a random one" for name in nothing
        )
    failed = _failed(evidence)
    if failed:
        return "not better than random", tuple(failed)
    doubts = _doubts(evidence)
    if doubts:
        return "weak", tuple(doubts)
    return "faithful", ("it beats a random order both by deletion and by sufficiency",)


def _failed(evidence: Evidence) -> list[str]:
    failed = [
        f"{name} of its top {evidence.k} is not shown to beat a random order"
        for name, found in evidence.beaten.items()
        if found is None or not found.low > 0
    ]
    if evidence.randomisation.high > MOST_LIKE_A_RANDOM_MODEL:
        failed.append("it says much the same of a model with shuffled weights")
    if evidence.other_item.value > MOST_LIKE_ANOTHER_ITEM:
        failed.append("it says much the same of any other item")
    return failed


def _doubts(evidence: Evidence) -> list[str]:
    doubts = []
    if evidence.randomisation.n == 0:
        doubts.append("the model shows no weights to shuffle, so whether it explains what was learned is not known")
    if evidence.gap is not None and evidence.gap > LARGEST_GAP:
        doubts.append(f"it promises to add up, and {evidence.gap:.0%} of the score is unaccounted for")
    if evidence.ties > MOST_TIES:
        doubts.append(f"{evidence.ties:.0%} of the units tie, so their order is partly drawn")
    if evidence.hidden > evidence.trained:
        doubts.append(
            f"sufficiency hides {evidence.hidden:.0%} of the units; "
            f"in training at most {evidence.trained:.0%} was hidden"
        )
    return doubts

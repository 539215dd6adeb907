"""Two ways to the same answer, timed in turns: when the machine is slow for a while it is slow for both."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Side = Callable[[], Any]


class Turns(NamedTuple):
    """What two sides took, and the ratio of each round."""

    ours: float  # median seconds
    theirs: float
    ratios: np.ndarray  # (rounds,) theirs over ours

    @property
    def quartiles(self) -> dict[str, Any]:
        """The median ratio and the middle half, as JSON."""
        low, middle, high = np.quantile(self.ratios, (0.25, 0.5, 0.75)).tolist()
        return {"median": middle, "quartiles": [low, high], "rounds": len(self.ratios)}


def in_turns(ours: Side, theirs: Side, rounds: int) -> Turns:
    """Each round runs both sides, the one that is first in turn changing, and gives one ratio."""
    ours(), theirs()  # the first call of each is not like the others
    took = np.empty((rounds, 2))
    for number in range(rounds):
        for place in (0, 1) if number % 2 else (1, 0):
            started = time.perf_counter()
            (ours, theirs)[place]()
            took[number, place] = time.perf_counter() - started
    mine, other = np.median(took, axis=0).tolist()
    return Turns(mine, other, took[:, 1] / took[:, 0])

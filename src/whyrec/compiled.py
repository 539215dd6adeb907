"""Numba's compiler for the loops that have to be loops, and random numbers that any number of threads draw alike.

Only files of compiled loops import this one, and they are imported by what needs them when it runs: the rest of the
library works without Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from whyrec.errors import NotApplicable

try:
    import numba
except ImportError as missing:
    raise NotApplicable("random walks and skip-gram need Numba: pip install 'whyrec[graph]'") from missing

FAST = {"reassoc", "contract", "arcp", "nsz"}
"""What the compiler may do to floating point so that sums become vector instructions; NaN and infinity stay true."""

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
SEEDS = np.uint64(0xD1B54A32D192ED03)


def compiled(function: Callable[..., Any], *, reorder: bool = False) -> Any:
    """The function as machine code that leaves other threads running; compiled once and kept on disk where possible.

    Numba keeps code beside the file, else in the user's cache folder. Where it may write to neither, as in a
    read-only container, each process compiles anew; the numbers are the same. `reorder` lets sums be reordered.
    """
    fast = FAST if reorder else False
    try:
        return numba.njit(cache=True, nogil=True, fastmath=fast)(function)
    except RuntimeError:  # "no locator available"
        return numba.njit(nogil=True, fastmath=fast)(function)


def _mixed(number: np.uint64) -> np.uint64:
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))


mixed = compiled(_mixed)
"""A number with its bits mixed, 64 of them (SplitMix64, Steele et al. 2014): `mixed(state += GOLDEN)` are random."""


def _state(seed: np.uint64, stream: np.uint64, number: np.uint64) -> Any:
    return mixed(seed * SEEDS + mixed(stream * GOLDEN + mixed(number + GOLDEN)))


state_of = compiled(_state)
"""Where the random numbers of one walk start, by the seed, what they are for, and the number of the walk."""


def _below(bits: np.uint64, size: int) -> Any:
    return np.int64(((bits >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32))


below = compiled(_below)
"""A number from 0 to size - 1, of the upper half of random bits."""


def _share(bits: np.uint64) -> float:
    return np.float64(bits & np.uint64(0xFFFFFFFF)) * 2.0**-32


share = compiled(_share)
"""A number from 0 to 1, of the lower half of random bits, independent of `below`."""


def _fill_alias(weights: Any, chance: Any, other: Any, small: Any, large: Any) -> None:
    size, total = len(weights), 0.0
    for place in range(size):
        total += weights[place]
    few, many = 0, 0
    for place in range(size):
        chance[place] = weights[place] * size / total
        other[place] = place
        if chance[place] < 1.0:
            small[few] = place
            few += 1
        else:
            large[many] = place
            many += 1
    while few > 0 and many > 0:
        few -= 1
        poor, rich = small[few], large[many - 1]
        other[poor] = rich
        chance[rich] -= 1.0 - chance[poor]
        if chance[rich] < 1.0:
            many -= 1
            small[few] = rich
            few += 1
    for place in range(few):  # left over by rounding only
        chance[small[place]] = 1.0
    for place in range(many):
        chance[large[place]] = 1.0


fill_alias = compiled(_fill_alias)
"""Walker's alias table (1977, built as Vose 1991): a place is drawn in proportion to its weight by one look.

Take place i at random; it is i with `chance[i]`, else `other[i]`. `small` and `large` are room to work in, one integer
for each place.
"""

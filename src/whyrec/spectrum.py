"""The colour spectrum of relevance: which colour stands for a number, linear in it, with a legend that says so.

    diverging    orange - white - blue      symmetric about zero, which is white: what speaks for in blue (the default)
    one-sided    black - red - yellow       from the least to the most (the colours of matplotlib's inferno)

Both can be told apart by people with any colour vision. Numbers beyond the ends are clipped, and the legend says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from whyrec.errors import InvalidSetting

Scale = Literal["diverging", "one-sided"]
Colour = tuple[int, int, int]

DIVERGING = ((217, 118, 10), (255, 255, 255), (0, 114, 178))
"""Orange and blue of Okabe and Ito 2008, as in all figures."""
ONE_SIDED = (
    (0, 0, 4), (27, 12, 65), (74, 12, 107), (120, 28, 109), (165, 44, 96), (207, 68, 70), (237, 105, 37),
    (251, 155, 6), (247, 209, 61), (252, 255, 164),
)  # fmt: skip
"""Ten stops of inferno, by Nathaniel Smith and Stéfan van der Walt (CC0)."""

INK, PAPER, BLACK = (31, 35, 40), (255, 255, 255), (0, 0, 0)
READABLE = 4.5
"""Contrast of letters that the Web Content Accessibility Guidelines ask for."""


@dataclass(frozen=True)
class Spectrum:
    """Colours for the numbers from `low` to `high`."""

    low: float
    high: float
    stops: tuple[Colour, ...] = DIVERGING
    clipped: bool = False
    """Whether there are numbers beyond the ends."""

    @classmethod
    def of(cls, values: Sequence[float], scale: Scale = "diverging", *, limit: float | None = None) -> Spectrum:
        """A spectrum that spans some numbers; `limit` is where it ends, so that several figures share one.

        >>> Spectrum.of([-0.5, 2.0]).colour(0.0)
        (255, 255, 255)
        """
        if limit is not None and not limit > 0:
            raise InvalidSetting(f"limit={limit}: a spectrum ends at a number above 0")
        if scale not in ("diverging", "one-sided"):
            raise InvalidSetting(f"scale={scale!r}: there are 'diverging' and 'one-sided'")
        known = np.array([*values, 0.0]) if scale == "diverging" or not len(values) else np.array(values)
        most = float(np.abs(known).max())
        if scale == "diverging":
            end = limit or most or 1.0
            return cls(-end, end, DIVERGING, clipped=most > end)
        low, high = float(known.min()), float(known.max()) if limit is None else limit
        return cls(low, high if high > low else low + 1.0, ONE_SIDED, clipped=limit is not None and known.max() > limit)

    def share(self, value: float) -> float:
        """Where a number stands between the ends, from 0 to 1."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def colour(self, value: float) -> Colour:
        """Red, green and blue, 0 to 255 each."""
        place = self.share(value) * (len(self.stops) - 1)
        at = min(int(place), len(self.stops) - 2)
        before, after = self.stops[at], self.stops[at + 1]
        red, green, blue = (round(a + (place - at) * (b - a)) for a, b in zip(before, after, strict=True))
        return red, green, blue

    def ink(self, value: float) -> Colour:
        """Letters that stand out on the colour of a number: dark as long as they do, else white or black."""
        fill = self.colour(value)
        return next((one for one in (INK, PAPER) if contrast(one, fill) >= READABLE), BLACK)

    def ticks(self) -> tuple[float, ...]:
        """The numbers of the legend: both ends and the middle."""
        return (self.low, (self.low + self.high) / 2, self.high)


def contrast(one: Colour, other: Colour) -> float:
    """How well two colours can be told apart, from 1 to 21, as the Web Content Accessibility Guidelines measure it.

    >>> round(contrast((0, 0, 0), (255, 255, 255)), 6)
    21.0
    """
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def hexadecimal(colour: Colour) -> str:
    """A colour as HTML writes it.

    >>> hexadecimal((0, 114, 178))
    '#0072b2'
    """
    return "#" + "".join(f"{one:02x}" for one in colour)


def _luminance(colour: Colour) -> float:
    linear = [one / 255 / 12.92 if one <= 10 else ((one / 255 + 0.055) / 1.055) ** 2.4 for one in colour]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

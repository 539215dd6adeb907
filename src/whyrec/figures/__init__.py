"""Figures, one a file: each draws one result as a matplotlib Figure; `figure.savefig` writes it as PNG or SVG.

Colours are of Okabe and Ito 2008 (Color universal design), signed values blue and orange; no meaning hangs on colour
alone. `INK`, `MUTED` and `RULE` carry no meaning, so a page may put its own in their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#1f2328"
MUTED = "#59636e"
RULE = "#d1d9e0"
POSITIVE = "#0072b2"
NEGATIVE = "#d9760a"
MARKS = (
    ("#0072b2", "o"),
    ("#d55e00", "s"),
    ("#009e73", "^"),
    ("#cc79a7", "D"),
    ("#56b4e9", "v"),
    ("#e69f00", "P"),
    (INK, "X"),
)
"""A colour and a marker for each method, told apart by either."""


def plain(axes: Axes, title: str) -> None:
    """One look for all figures: the title says what the y axis shows, a frame only where there is a scale."""
    axes.set_facecolor("white")
    axes.set_title(title, loc="left", fontsize=10, color=INK, pad=10, parse_math=False)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(RULE)
    axes.tick_params(labelsize=9, color=RULE, labelcolor=MUTED)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.label.set(color=MUTED, fontsize=9)

"""Figures, one a file: each draws one result as a matplotlib Figure; `figure.savefig` writes it as PNG or SVG.

Colours are of Okabe and Ito 2008 (Color universal design), signed values blue and orange; no meaning hangs on colour
alone. `INK`, `MUTED` and `RULE` carry no meaning, so a page may put its own in their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
DASHES = ((0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (1.5, 4)))
"""A pattern for each line that stands for something simpler to compare with, told apart without a colour."""

LONGEST_TITLE = 44


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


def beside(figure: Figure, handles: Sequence[Artist | tuple[Artist, ...]], note: str) -> None:
    """What the lines of all panels are, to their right, and a note on how they were measured, below them."""
    legend = figure.legend(
        handles=list(handles),
        loc="outside right center",
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        labelspacing=0.7,
        handlelength=2.8,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # names are people's, and may hold a dollar
    if note:
        figure.supxlabel(note, x=0.01, ha="left", fontsize=8.5, color=MUTED, parse_math=False)


def short(title: str) -> str:
    """A title that fits beside a bar, without the control characters that XML forbids."""
    printable = "".join(one if one.isprintable() else " " for one in title)
    return printable if len(printable) <= LONGEST_TITLE else printable[: LONGEST_TITLE - 1].rstrip() + "…"

"""The attribution table of a session: tracks across, kinds of evidence down; on top what was, and what was guessed."""

from __future__ import annotations

import textwrap

from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from whyrec.errors import NotApplicable
from whyrec.figures import INK, MUTED, NEGATIVE, POSITIVE, plain, short
from whyrec.skip_reasons import SKIP, SessionReasons

CELL_WIDTH, CELL_HEIGHT = 1.02, 0.42  # inches
NAMES = 1.2
"""Inches for what the rows are called."""

FEWEST = 7
"""Columns that the title and the legend need."""

WIDEST = 12
"""Characters of a track's title in one line."""

GAP = 0.35
"""Rows between what was guessed and what it rests on."""


def session_table(found: SessionReasons) -> Figure:
    """A column for each track of the second half, in order.

    The upper rows say what happened and what was guessed, with the probability of a skip; a wrong guess is framed. Each
    cell below is how far experts on that kind of evidence were listened to: the darker the more, the largest in bold.
    """
    count = len(found.tracks)
    if count == 0:
        raise NotApplicable(f"session {found.session!r} has no track to guess, so there is nothing to draw")
    rows = 2 + GAP + len(found.categories)
    size = (NAMES + CELL_WIDTH * max(FEWEST, count), 1.75 + CELL_HEIGHT * rows)
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    title = f"Session {short(str(found.session))}: will the track be skipped, and what tells so"
    plain(axes, title)
    axes.set_title(title, loc="left", fontsize=12, color=INK, pad=14, parse_math=False)
    for place in range(count):
        _fate(axes, place, 0, found.truth(place), "")
        _fate(axes, place, 1, found.guess(place), f" {found.chance[place]:.2f}")
        if found.truth(place) not in ("?", found.guess(place)):
            axes.add_patch(Rectangle((place + 0.04, 1.06), 0.92, 0.88, fill=False, edgecolor=INK, linewidth=2.0))
        _shares(axes, place, found)
    _frame(axes, found, rows)
    _legend(axes, rows)
    return figure


def _fate(axes: Axes, place: int, row: int, word: str, behind: str) -> None:
    """Skip or listen, in a word and in a colour."""
    fill = {"skip": _paler(NEGATIVE, 0.35), "listen": "#eef1f4"}.get(word, "white")
    axes.add_patch(Rectangle((place, row), 1, 1, facecolor=fill, edgecolor="white", linewidth=2))
    weight = "bold" if word == SKIP else "normal"
    axes.text(place + 0.5, row + 0.5, word + behind, ha="center", va="center", fontsize=9, color=INK, weight=weight)


def _shares(axes: Axes, place: int, found: SessionReasons) -> None:
    """One cell for each category; nothing where no expert had an opinion."""
    shares, decided = found.shares[place], found.mostly[place] is not None
    for row, share in enumerate(shares, start=2):
        fill = _paler(POSITIVE, share)
        at = (place, row + GAP)
        axes.add_patch(Rectangle(at, 1, 1, facecolor=fill, edgecolor="white", linewidth=2))
        axes.text(
            at[0] + 0.5,
            at[1] + 0.5,
            f"{share:.2f}" if decided else "",
            ha="center",
            va="center",
            fontsize=10,
            color="white" if share > 0.65 else INK,
            weight="bold" if share == shares.max() else "normal",
        )


def _paler(colour: str, strength: float) -> str:
    """From white to the colour."""
    red, green, blue = (1 + min(1.0, max(0.0, float(strength))) * (one - 1) for one in to_rgb(colour))
    return to_hex((red, green, blue))


def _frame(axes: Axes, found: SessionReasons, rows: float) -> None:
    """Titles of tracks on top, names of rows on the left."""
    titles = [textwrap.fill(short(title), WIDEST) for title in found.tracks]
    names = ["was", "guess and\nchance of skip", *found.categories]
    tops = [0.5, 1.5, *(row + 2.5 + GAP for row in range(len(found.categories)))]
    axes.set_xlim(0, max(FEWEST, len(titles)))
    axes.set_ylim(rows, 0)
    axes.set_xticks([place + 0.5 for place in range(len(titles))], titles)
    axes.set_yticks(tops, names)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelcolor=INK)
    axes.tick_params(axis="x", labelsize=8.5)
    axes.tick_params(axis="y", labelsize=10)
    axes.grid(visible=False)
    for label in axes.get_xticklabels():
        label.set_parse_math(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _legend(axes: Axes, rows: float) -> None:
    """What the cells mean, below the table."""
    top, steps = rows + 0.35, 5
    for step in range(steps):
        fill = _paler(POSITIVE, step / (steps - 1))
        swatch = (step * 0.26, top)
        axes.add_patch(
            Rectangle(swatch, 0.26, 0.42, facecolor=fill, edgecolor=MUTED, linewidth=0.5, clip_on=False),
        )
    words = "how far it was listened to, 0 to 1; a column sums to 1; framed: a wrong guess"
    axes.text(steps * 0.26 + 0.15, top + 0.21, words, va="center", fontsize=9, color=MUTED)

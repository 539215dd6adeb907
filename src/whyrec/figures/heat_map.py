"""The leaderboard at a glance: methods down, worlds across, each number on the colour of how near the truth it is."""

from __future__ import annotations

import textwrap

from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from whyrec.figures import INK, MUTED, NEGATIVE, POSITIVE, plain
from whyrec.planted_scores import SCORES
from whyrec.standings import Entry, Leaderboard, Standing, require_score

CELL_WIDTH, CELL_HEIGHT, LETTER = 0.86, 0.36, 0.09  # inches
NARROWEST = 8.0
"""Inches that the legend needs."""

LONGEST = 28
"""Characters of a method's name that are shown."""

ABSENT = "#f0f2f4"
WIDEST = 11
"""Characters of a world's name in one line."""


def heat_map(board: Leaderboard, score: str = "rank") -> Figure:
    """One score of every method in every world, the methods best by mean rank correlation on top.

    White is the random floor, blue the truth, orange worse than random, whatever the unit of the score. A number in
    brackets is not shown to beat the floor, so nothing hangs on colour alone.
    """
    require_score(score)
    methods, worlds = board.methods, board.worlds
    names = LETTER * max(len(_short(method)) for method in methods)
    size = (max(NARROWEST, names + CELL_WIDTH * len(worlds)), 1.9 + CELL_HEIGHT * len(methods))
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    explained = "networks that learned planted worlds" if board.settings.trained else "planted worlds"
    title = f"{SCORES[score].what}: {explained}, {board.settings.lists} users in each"
    plain(axes, title)
    axes.set_title(title, loc="left", fontsize=12, color=INK, pad=14, parse_math=False)  # a wide figure, a larger title
    for row, method in enumerate(methods):
        for column, world in enumerate(worlds):
            _cell(axes, row, column, board.entry(method, world), score)
    _frame(axes, methods, worlds)
    _legend(axes, len(methods), len(worlds), score)
    return figure


def _cell(axes: Axes, row: int, column: int, entry: Entry, score: str) -> None:
    """One rectangle with its number, or with the reason why there is none."""
    standing = entry.scores.get(score)
    fill = ABSENT if standing is None else _colour(standing.normalised)
    axes.add_patch(Rectangle((column, row), 1, 1, facecolor=fill, edgecolor="white", linewidth=2))
    if standing is not None:
        text, ink = _number(standing), _ink_on(fill)
    else:
        text, ink = ("n/a" if entry.not_applicable else ""), MUTED
    axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=10, color=ink)


def _number(standing: Standing) -> str:
    """Two digits after the point, in brackets where the floor is not beaten."""
    value = standing.estimate.value
    text = f"{value:.2f}" if abs(value) < 99.995 else ">99"
    text = text.replace("-0.00", "0.00").replace("-", "−")
    return text if standing.beats_floor else f"({text})"


def _colour(share: float) -> str:
    """White at the floor, blue at the truth, orange as far below."""
    strength = min(1.0, abs(share))
    red, green, blue = (1 + strength * (one - 1) for one in to_rgb(POSITIVE if share > 0 else NEGATIVE))
    return to_hex((red, green, blue))


def _ink_on(fill: str) -> str:
    """Dark or white letters, whichever stand out."""
    red, green, blue = to_rgb(fill)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def _frame(axes: Axes, methods: tuple[str, ...], worlds: tuple[str, ...]) -> None:
    """Names of methods on the left, of worlds on top."""
    axes.set_xlim(0, len(worlds))
    axes.set_ylim(len(methods), 0)
    axes.set_xticks([column + 0.5 for column in range(len(worlds))], [_wrapped(world) for world in worlds])
    axes.set_yticks([row + 0.5 for row in range(len(methods))], [_short(one) for one in methods])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=10, labelcolor=INK)
    axes.grid(visible=False)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _short(name: str) -> str:
    shown = name.replace("_", " ")
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def _wrapped(name: str) -> str:
    return textwrap.fill(name.replace("_", " "), WIDEST)


def _legend(axes: Axes, rows: int, columns: int, score: str) -> None:
    """What the colours and brackets mean, below the table."""
    marks = ((-0.7, "worse than random"), (0.0, "as random"), (0.5, "half way"), (1.0, "as the truth"))
    top, width = rows + 0.35, columns / (len(marks) + 1.6)
    for place, (share, text) in enumerate(marks):
        swatch = Rectangle(
            (place * width, top), 0.32, 0.5, facecolor=_colour(share), edgecolor=MUTED, linewidth=0.6, clip_on=False
        )
        axes.add_patch(swatch)
        axes.text(place * width + 0.42, top + 0.25, text, va="center", fontsize=9, color=MUTED)
    best = "1 is the truth" if SCORES[score].higher_is_better else "0 is the truth"
    axes.text(
        columns,
        top + 0.25,
        f"{best}; ( ) not shown to beat random",
        ha="right",
        va="center",
        fontsize=9,
        color=MUTED,
    )

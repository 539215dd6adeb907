"""All methods in one chart: inputs down, methods across, each number the share of what the method hands out."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from whyrec.errors import InvalidSetting
from whyrec.figures import INK, MUTED, NEGATIVE, POSITIVE, RULE, plain, short
from whyrec.method_table import SideBySide
from whyrec.statistics import Estimate

CELL_WIDTH, CELL_HEIGHT, LETTER = 0.86, 0.34, 0.088  # inches
WIDEST = 10
"""Characters of a method's name in one line."""

FULL = 0.4
"""The share that has the full colour."""

SAID = {"for": "+ all", "against": "− all", "differ": "they differ", "not told": "not told"}
"""What stands beside an input: the sign that all methods agree on, or that they do not."""


def contributions(found: SideBySide, *, most: int = 20) -> Figure:
    """The `most` inputs with the largest mean share on top; blue speaks for an item, orange against it.

    A number in brackets has an interval with both signs, so nothing hangs on colour alone. Below: how alike the order
    of inputs is to the other methods', within one score, and what a score costs.
    """
    if most < 1:
        raise InvalidSetting(f"most={most}: at least one input has to be shown")
    shares = np.stack([found.shares(method) for method in found.methods])  # (methods, inputs)
    order = np.argsort(-np.abs(shares).mean(0), kind="stable")[:most].tolist()
    titles = [short(found.inputs[place]) for place in order]
    columns, rows = len(found.methods), len(order)
    names = LETTER * max(map(len, (*titles, "rank agreement")))
    size = (max(names + CELL_WIDTH * (columns + 1.5), 5.6), 1.75 + CELL_HEIGHT * (rows + 2.4))
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    plain(axes, "")
    inputs = f"values of {short(found.of)}" if found.of else "columns"
    axes.set_title(
        f"mean contribution of {inputs}, as a share of what the method hands out",
        loc="left",
        fontsize=11,
        color=INK,
        pad=12,
        parse_math=False,
    )
    for row, place in enumerate(order):
        for column, method in enumerate(found.methods):
            _cell(axes, row, column, float(shares[column, place]), found.means[method][place])
        _word(axes, row + 0.5, columns + 0.12, SAID[found.sign(place)], faint=found.sign(place) == "not told")
    _below(axes, rows, found)
    _frame(axes, titles, found.methods)
    return figure


def _cell(axes: Axes, row: int, column: int, share: float, mean: Estimate) -> None:
    """One rectangle with its share."""
    fill = _colour(share)
    axes.add_patch(Rectangle((column, row), 1, 1, facecolor=fill, edgecolor="white", linewidth=2))
    text = f"{share:+.2f}".replace("-", "−").replace("−0.00", "0.00").replace("+0.00", "0.00")
    text = text if mean.low > 0 or mean.high < 0 else f"({text})"
    axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9, color=_ink_on(fill))


def _below(axes: Axes, rows: int, found: SideBySide) -> None:
    """Two lines of numbers that are no contributions."""
    axes.plot([0, len(found.methods)], [rows + 0.2] * 2, color=RULE, linewidth=0.8)
    for column, method in enumerate(found.methods):
        milliseconds = found.milliseconds[method]
        shown = f"{milliseconds:.2g}" if milliseconds < 100 else f"{milliseconds:,.0f}"
        for row, text in ((rows + 0.7, _alike(found, column)), (rows + 1.6, shown)):
            axes.text(column + 0.5, row, text, ha="center", va="center", fontsize=9, color=MUTED)


def _alike(found: SideBySide, column: int) -> str:
    """Mean rank correlation with the other methods; nothing where there are too few inputs for one."""
    others = np.delete(found.agreement[column], column)
    return "" if np.isnan(others).all() else f"{np.nanmean(others):.2f}".replace("-", "−")


def _word(axes: Axes, y: float, x: float, text: str, *, faint: bool) -> None:
    axes.text(x, y, text, ha="left", va="center", fontsize=9, color=MUTED if faint else INK)


def _frame(axes: Axes, titles: list[str], methods: tuple[str, ...]) -> None:
    """Names of inputs on the left, of methods on top."""
    rows, columns = len(titles), len(methods)
    axes.set_xlim(0, columns + 1.4)
    axes.set_ylim(rows + 2.1, 0)
    across = [textwrap.fill(short(method), WIDEST) for method in methods]
    axes.set_xticks([column + 0.5 for column in range(columns)], across)
    axes.text(columns + 0.12, -0.15, "sign", ha="left", va="bottom", fontsize=9, color=INK)
    down = [*(row + 0.5 for row in range(rows)), rows + 0.7, rows + 1.6]
    axes.set_yticks(down, [*titles, "rank agreement", "ms a score"])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=9, labelcolor=INK)
    axes.grid(visible=False)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    for label in axes.get_yticklabels()[-2:]:
        label.set_color(MUTED)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _colour(share: float) -> str:
    """White at nothing, blue for, orange against."""
    strength = min(1.0, abs(share) / FULL)
    red, green, blue = (1 + strength * (one - 1) for one in to_rgb(POSITIVE if share > 0 else NEGATIVE))
    return to_hex((red, green, blue))


def _ink_on(fill: str) -> str:
    """Dark or white letters, whichever stand out."""
    red, green, blue = to_rgb(fill)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"

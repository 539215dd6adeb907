"""Removal curves: the sooner the score falls when an explanation's most relevant units go first, the truer it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from whyrec.figures import INK, MARKS, MUTED, plain
from whyrec.report_card import ReportCard
from whyrec.statistics import Array

FLOOR, CEILING = "random", "greedy"


def removal(card: ReportCard) -> Figure:
    """Mean target of the judged users as their units go, most relevant first: methods, random floor, greedy ceiling.

    All lines begin and end at the same points, so their names stand beside the axes, in the order of the lines. The
    ceiling is searched for the first units only, and its line ends where it is no longer the lowest.
    """
    figure = Figure(figsize=(6.8, 3.4), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    plain(axes, f"mean {card.target} of {card.users:,} users, most relevant units taken away first")
    share = np.linspace(0, 100, card.settings.steps + 1)
    methods = {row.method: card.curves[row.method] for row in card.rows if row.method != FLOOR}
    axes.plot(share, card.curves[FLOOR], label="random order", color=MUTED, linewidth=3, alpha=0.45)
    for place, (name, curve) in enumerate(methods.items()):
        colour, marker = MARKS[place % len(MARKS)]
        every = (place % 3, 3)  # staggered, so that lines that coincide can still be told apart
        axes.plot(share, curve, label=name, color=colour, linewidth=1.5, marker=marker, markersize=5, markevery=every)
    best = _searched(card.curves[CEILING], list(methods.values()))
    axes.plot(share[: len(best)], best, label="best order found", color=INK, linewidth=1.5, linestyle=(0, (4, 2)))
    *drawn, ceiling = axes.get_lines()
    by_height = sorted(drawn, key=lambda line: -float(np.mean(np.asarray(line.get_ydata(), dtype=np.float64))))
    axes.legend(
        handles=[*by_height, ceiling],
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        labelspacing=0.7,
    )
    axes.set_xlabel("share of the units taken away")
    axes.xaxis.set_major_formatter(PercentFormatter())
    axes.set_xlim(0, 100)
    return figure


def _searched(ceiling: Array, methods: Sequence[Array]) -> Array:
    """The ceiling up to its lowest point, and no further than it is the lowest of all."""
    found = ceiling[: int(np.nanargmin(ceiling)) + 1]
    beaten = [int(np.argmax(found > curve[: len(found)])) for curve in methods if (found > curve[: len(found)]).any()]
    return found[: min(beaten, default=len(found))]

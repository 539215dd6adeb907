"""What groups of answers rest on, and how often each is right: with the unit it leans on most, and without."""

from __future__ import annotations

from math import isnan

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from whyrec.diagnosis import Cluster, Diagnosis, Leaning
from whyrec.errors import InvalidSetting
from whyrec.figures import DASHES, INK, MUTED, NEGATIVE, POSITIVE, RULE, plain, short
from whyrec.statistics import Estimate

GAP = 1.9
"""Rows from the last unit of a group to the first of the next: the heading stands between them."""


def diagnosis(found: Diagnosis, *, most: int = 6, units: int = 3) -> Figure:
    """A block for each of the `most` largest groups: its first `units`, and the accuracy of its answers.

    Groups that stand out come first, as in `suspects`, and say so. The line is the accuracy of all answers.
    """
    if min(most, units) < 1:
        raise InvalidSetting(f"most={most}, units={units}: at least one group and one unit have to be shown")
    shown = _in_order(found)[:most]
    tops = _tops(shown, units)
    height = 1.45 + 0.27 * (tops[-1] + len(shown[-1].units[:units]))
    figure = Figure(figsize=(9.0, height), facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1.0))
    plain(left, "share of the group's relevance")
    plain(right, "right answers")
    for top, cluster in zip(tops, shown, strict=True):
        _heading(left, right, top, cluster)
        _units(left, top, cluster.units[:units])
        _accuracy(right, top, cluster.accuracy, filled=True)
        if cluster.without is not None:
            _accuracy(right, top + 0.8, cluster.without, filled=False)
    right.axvline(found.accuracy.value, color=MUTED, linewidth=1.0, linestyle=DASHES[0], zorder=1)
    _name_units(left, tops, shown, units)
    _frame(left, right, tops, height)
    _legend(figure, found, hidden=len(found.clusters) - len(shown))
    return figure


def _in_order(found: Diagnosis) -> list[Cluster]:
    """Those that stand out, then the others, the largest first."""
    return [*found.suspects, *(one for one in found.clusters if not one.stands_out)]


def _tops(shown: list[Cluster], units: int) -> list[float]:
    """Where the first unit of each group stands."""
    tops = [1.0]
    for cluster in shown[:-1]:
        tops.append(tops[-1] + max(2, len(cluster.units[:units])) - 1 + GAP)
    return tops


def _heading(left: Axes, right: Axes, top: float, cluster: Cluster) -> None:
    answers = f"{cluster.size:,} answers ({cluster.share:.0%})"
    left.text(
        0.0,
        top - 0.95,
        f"{answers}  ▸ stands out" if cluster.stands_out else answers,
        va="center",
        fontsize=9.5,
        fontweight="bold" if cluster.stands_out else "normal",
        color=INK,
        transform=left.get_yaxis_transform(),
    )
    for axes in (left, right):
        axes.axhline(top - 1.4, color=RULE, linewidth=0.8)


def _units(axes: Axes, top: float, units: tuple[Leaning, ...]) -> None:
    """A bar for each unit, and a mark for what it takes in the other answers."""
    places = [top + place for place in range(len(units))]
    axes.barh(places, [one.share for one in units], height=0.66, color=POSITIVE, alpha=0.75)
    axes.plot([one.elsewhere for one in units], places, "|", color=INK, markersize=11, markeredgewidth=2.0)
    for place, one in zip(places, units, strict=True):
        _at_the_end(axes, place, f"{one.share:.0%}" + ("" if isnan(one.elsewhere) else f" | {one.elsewhere:.0%}"))


def _accuracy(axes: Axes, place: float, one: Estimate, *, filled: bool) -> None:
    colour, marker = (POSITIVE, "o") if filled else (NEGATIVE, "s")
    axes.plot([one.low, one.high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
    axes.plot(one.value, place, marker, color=colour, markersize=7, markerfacecolor=colour if filled else "white")
    _at_the_end(axes, place, f"{one.value:.0%}")


def _at_the_end(axes: Axes, place: float, text: str) -> None:
    """Numbers in a column of their own, where no mark can stand in their way."""
    axes.text(1.0, place, text, ha="right", va="center", fontsize=9, color=INK, transform=axes.get_yaxis_transform())


def _name_units(axes: Axes, tops: list[float], shown: list[Cluster], units: int) -> None:
    named = [
        (top + place, short(one.title))
        for top, cluster in zip(tops, shown, strict=True)
        for place, one in enumerate(cluster.units[:units])
    ]
    axes.set_yticks([place for place, _ in named], [title for _, title in named], parse_math=False)
    axes.tick_params(axis="y", length=0, labelcolor=INK)


def _frame(left: Axes, right: Axes, tops: list[float], height: float) -> None:
    for axes in (left, right):
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x", color=RULE, linewidth=0.6)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    left.set_xlim(0, 1.3 * left.dataLim.x1)
    right.set_xlim(-0.02, 1.2)
    right.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
    right.tick_params(axis="y", length=0)
    left.set_ylim((height - 1.45) / 0.27 - 0.3, tops[0] - 1.4)


def _legend(figure: Figure, found: Diagnosis, *, hidden: int) -> None:
    handles: list[Artist] = [
        Patch(color=POSITIVE, alpha=0.75, label="mean share of |relevance|"),
        Line2D([], [], color=INK, marker="|", markersize=11, markeredgewidth=2.0, linestyle="", label="in the others"),
        Line2D([], [], color=POSITIVE, marker="o", markersize=7, label="as given"),
    ]
    if any(one.without is not None for one in found.clusters):
        label = "again, its first unit out of sight"
        handles.append(Line2D([], [], color=NEGATIVE, marker="s", markersize=7, markerfacecolor="white", label=label))
    line = f"all answers ({found.accuracy.value:.0%})"
    handles.append(Line2D([], [], color=MUTED, linestyle=DASHES[0], label=line))
    figure.legend(handles=handles, loc="outside lower left", ncols=5, frameon=False, fontsize=8.5, labelcolor=INK)
    count, more = sum(one.size for one in found.clusters), f"; groups not shown: {hidden}" if hidden else ""
    note = f"{count:,} answers, {found.method}, separation {found.separation:.2f}; 95 % intervals over users{more}"
    figure.suptitle(note, x=0.01, ha="left", fontsize=8.5, color=MUTED, parse_math=False)

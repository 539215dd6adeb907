"""What a model leans on: relevance of its inputs, and how much worse lists are when each is exchanged between users."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from whyrec.errors import InvalidSetting
from whyrec.figures import INK, MUTED, NEGATIVE, POSITIVE, RULE, plain, short
from whyrec.parameters import MainParameters
from whyrec.statistics import Estimate


def main_parameters(found: MainParameters, *, most: int = 15) -> Figure:
    """Two panels of bars with 95 % intervals, the largest sure relevance first; one, where nothing was held out.

    Whole parts have no bar: they are sums over their units. Where no unit is common enough, they are all there is.
    """
    if most < 1:
        raise InvalidSetting(f"most={most}: at least one input has to be shown")
    rows = [row for row in found.rows if row.unit is not None][:most] or list(found.rows)
    drops = [row.drop for row in rows if row.drop is not None]
    figure = Figure(figsize=(7.2 if drops else 4.8, 1.0 + 0.28 * len(rows)), facecolor="white", layout="constrained")
    panels = figure.subplots(1, 2 if drops else 1, sharey=True, squeeze=False)[0]
    _bars(panels[0], "mean |relevance|, in units of the score", [row.relevance for row in rows], POSITIVE)
    if drops:
        _bars(panels[1], f"drop of NDCG@{found.k} when exchanged", drops, NEGATIVE)
    panels[0].set_yticks(range(len(rows)), [short(row.title) for row in rows], parse_math=False)
    panels[0].tick_params(axis="y", labelcolor=INK)
    panels[0].invert_yaxis()
    return figure


def _bars(axes: Axes, title: str, estimates: Sequence[Estimate], colour: str) -> None:
    """A bar for each estimate, its interval as a line through the end."""
    plain(axes, title)
    places, values = range(len(estimates)), [one.value for one in estimates]
    reach = [[one.value - one.low for one in estimates], [one.high - one.value for one in estimates]]
    axes.barh(places, values, height=0.62, color=colour, alpha=0.55)
    axes.errorbar(values, places, xerr=reach, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5)
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=RULE, linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4))

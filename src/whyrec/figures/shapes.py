"""Shapes: what each value of each column adds to a score, over how many events have that value."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from whyrec.additive_terms import AdditiveShapes, Shape
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.figures import MUTED, POSITIVE, RULE, plain, short

ACROSS = 3
MOST_VALUES = 12
"""Categories drawn, the most frequent first."""


def shapes(found: AdditiveShapes, *, most: int = 9) -> Figure:
    """A panel for each column, the most important first: effects as a line or bars, events as grey bars below.

    Effects of all panels stand on one scale, so that what looks large is large.
    """
    if most < 1:
        raise InvalidSetting(f"most={most}: at least one column has to be shown")
    drawn = found.shapes[:most]
    if not drawn:
        raise NotApplicable("no term of this model is a single column, so there is no shape to draw")
    down = -(-len(drawn) // ACROSS)
    figure = Figure(figsize=(3.1 * min(ACROSS, len(drawn)), 2.6 * down), facecolor="white", layout="constrained")
    panels = figure.subplots(down, min(ACROSS, len(drawn)), squeeze=False).ravel()
    reach = max(_reach(one) for one in drawn) or 1.0
    for axes, one in zip(panels, drawn, strict=False):
        plain(axes, short(one.title))
        (_number if one.kind == "numeric" else _category)(axes, one)
        axes.set_ylim(-1.75 * reach, 1.1 * reach)
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.yaxis.set_major_locator(MaxNLocator(4))
    for axes in panels[len(drawn) :]:
        axes.set_axis_off()
        axes.set_facecolor("white")
    figure.supxlabel("effect on the score; grey: events with that value", x=0.01, ha="left", fontsize=8.5, color=MUTED)
    return figure


def _reach(one: Shape) -> float:
    """The largest effect that is drawn."""
    return float(np.abs(one.effects if one.kind == "numeric" else one.effects[:MOST_VALUES]).max())


def _number(axes: Axes, one: Shape) -> None:
    values = np.asarray(one.values, dtype=np.float64)
    there = np.isfinite(values)
    values, effects, events = values[there], one.effects[there], one.events[there]
    marker = "o" if len(values) < MOST_VALUES else ""
    axes.plot(values, effects, color=POSITIVE, linewidth=1.6, marker=marker, markersize=3)
    heights, edges = np.histogram(values, bins=min(20, len(values)), weights=events)
    _density(axes, (edges[:-1] + edges[1:]) / 2, heights, width=float(edges[1] - edges[0]))
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _category(axes: Axes, one: Shape) -> None:
    effects, events = one.effects[:MOST_VALUES], one.events[:MOST_VALUES]
    places = np.arange(len(effects))
    axes.bar(places, effects, width=0.7, color=POSITIVE, alpha=0.8)
    _density(axes, places, events.astype(np.float64), width=0.7)
    labels = [short(str(value)) for value in one.values[:MOST_VALUES]]
    axes.set_xticks(places, labels, rotation=60, ha="right", fontsize=7, parse_math=False)


def _density(axes: Axes, places: np.ndarray, heights: np.ndarray, *, width: float) -> None:
    """Bars in the lower quarter of the panel, the tallest as tall as that."""
    tall = float(heights.max()) or 1.0
    axes.bar(places, 0.22 * heights / tall, width=width, color=RULE, zorder=0, transform=axes.get_xaxis_transform())

"""An item in the middle and its neighbours around it: the wider a line, the heavier the edge."""

from __future__ import annotations

from math import cos, pi, sin

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from whyrec.errors import NotApplicable
from whyrec.figures import INK, MUTED, NEGATIVE, POSITIVE, RULE, plain, short
from whyrec.neighbourhoods import Neighbourhood

THINNEST, WIDEST = 0.6, 8.0
"""Points of the lines of the lightest and of the heaviest edge that is drawn."""
BETWEEN = 2
"""Edges of each neighbour to others that are drawn, its heaviest: with all of them the ring is a grey disc."""
AROUND = 1.6
"""How much wider than high the ring of neighbours is: titles stand to its left and right."""


def item_neighbourhood(found: Neighbourhood) -> Figure:
    """Lines from the item in blue, between its neighbours in grey, of these the two heaviest of each.

    Widths go from the lightest edge drawn to the heaviest, whose weights are said below. Beside each neighbour stands
    how many users it has in common with the item, where the graph counts them.
    """
    count = len(found.titles) - 1
    if count < 1:
        raise NotApplicable("there is no neighbour to draw; choose an item with an edge")
    figure = Figure(figsize=(9.2, 5.4), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    plain(axes, f"{short(found.titles[0])} and its nearest")
    places = [(0.0, 0.0), *(_on_the_ring(number, count) for number in range(count))]
    edges = _drawn(found)
    weights = [float(found.weights[edge]) for edge in edges]
    lightest, heaviest = min(weights), max(weights)
    for (one, other), weight in zip(edges, weights, strict=True):
        share = (weight - lightest) / (heaviest - lightest) if heaviest > lightest else 1.0
        _line(axes, places[one], places[other], THINNEST + (WIDEST - THINNEST) * share, from_item=one == 0)
    for number in range(1, count + 1):
        users = "" if found.common is None else f"{found.common[0, number]:,}"
        _title(axes, short(found.titles[number]), users, places[number])
    axes.scatter([across for across, _ in places[1:]], [along for _, along in places[1:]], s=70, color=INK, zorder=3)
    axes.scatter([0], [0], s=240, color=NEGATIVE, edgecolor="white", linewidth=2, zorder=4)
    axes.set_xlim(-3.6, 3.6)
    axes.set_ylim(-1.22, 1.22)
    axes.set_axis_off()
    users = "" if found.common is None else "; beside a title: users in common with the item"
    note = f"a line: {found.how}\nthe thinnest {lightest:.3g}, the widest {heaviest:.3g}{users}"
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8.5, color=MUTED, parse_math=False)
    return figure


def _drawn(found: Neighbourhood) -> list[tuple[int, int]]:
    """All edges of the item, and the heaviest of each neighbour."""
    count = len(found.titles)
    edges = {(0, other) for other in range(1, count)}
    for one in range(1, count):
        others = sorted(range(1, count), key=lambda other: -found.weights[one, other])[:BETWEEN]
        edges |= {(min(one, other), max(one, other)) for other in others if found.weights[one, other] > 0}
    return sorted(edges, reverse=True)


def _on_the_ring(number: int, count: int) -> tuple[float, float]:
    """Places from the upper right on, clockwise, none straight above or below the middle."""
    angle = pi / 2 - 2 * pi * (number + 0.5) / count
    return AROUND * cos(angle), sin(angle)


def _line(axes: Axes, start: tuple[float, float], end: tuple[float, float], width: float, *, from_item: bool) -> None:
    axes.plot(
        [start[0], end[0]],
        [start[1], end[1]],
        color=POSITIVE if from_item else RULE,
        linewidth=max(0.4, width),
        solid_capstyle="round",
        zorder=2 if from_item else 1,
    )


def _title(axes: Axes, title: str, users: str, place: tuple[float, float]) -> None:
    right = place[0] >= 0
    text = f"{title}  {users}" if right else f"{users}  {title}"
    axes.annotate(
        text.strip(),
        place,
        xytext=(9 if right else -9, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="center",
        fontsize=9,
        color=INK,
        parse_math=False,
        bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        zorder=5,
    )

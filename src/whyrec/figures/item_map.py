"""Items as points of a map, coloured and marked by group; the most important are named where there is room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from whyrec.errors import InvalidSetting
from whyrec.figures import INK, MARKS, MUTED, RULE, plain, short
from whyrec.item_places import OTHER, ItemPlaces

SMALLEST, LARGEST = 9.0, 70.0
"""Areas of points, in square points."""
SIDES = (
    ((6, 0), "left", "center"),
    ((-6, 0), "right", "center"),
    ((0, 6), "center", "bottom"),
    ((0, -6), "center", "top"),
)
"""Where a name may stand: right of its point, left, above, below."""


def item_map(places: ItemPlaces, *, named: Sequence[str] = (), most: int = 24) -> Figure:
    """All points, the rarest group on top; names of `named` titles first, then of the weightiest, `most` in all.

    A name that would cover another name or run out of the frame on every side of its point is left out. Distances mean
    likeness only as far as the two axes hold it, which the note below says.
    """
    if most < 0:
        raise InvalidSetting(f"most={most}: the number of names cannot be negative")
    figure = Figure(figsize=(9.6, 6.4), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    plain(axes, f"{len(places.titles):,} items; near each other where they are alike")
    _points(axes, places)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.margins(0.06)
    legend = figure.legend(loc="outside right upper", frameon=False, fontsize=9, labelcolor=INK, markerscale=1.0)
    for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        text.set_parse_math(False)
        if handle is not None:
            handle.set_sizes([50])  # type: ignore[attr-defined]
    figure.supxlabel(places.how, x=0.01, ha="left", fontsize=8.5, color=MUTED, parse_math=False)
    _names(figure, axes, places, named, most)
    return figure


def _points(axes: Axes, places: ItemPlaces) -> None:
    """One layer a group, the largest group below."""
    groups = np.array(places.groups)
    weights = np.sqrt(places.weights / max(places.weights.max(), 1e-30))
    sizes = SMALLEST + (LARGEST - SMALLEST) * weights**2
    coloured = [name for name, _ in Counter(places.groups).most_common() if name != OTHER]
    looks = {OTHER: (RULE, "o"), **dict(zip(coloured, MARKS, strict=False))}
    for layer, name in enumerate(one for one in (OTHER, *coloured) if one in set(places.groups)):
        there = groups == name
        colour, marker = looks[name]
        axes.scatter(
            places.xy[there, 0],
            places.xy[there, 1],
            s=sizes[there],
            color=colour,
            marker=marker,
            alpha=0.75,
            linewidth=0.3,
            edgecolor="white",
            label=short(name),
            zorder=2 + layer,
        )


def _names(figure: Figure, axes: Axes, places: ItemPlaces, named: Sequence[str], most: int) -> None:
    """Names one by one, each on the first side of its point where it covers no other."""
    first = [places.titles.index(one) for one in named if one in places.titles]
    order = [*first, *(row for row in np.argsort(-places.weights, kind="stable").tolist() if row not in first)]
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    frame, taken = axes.get_window_extent(renderer), list[Bbox]()
    for row in order:
        if len(taken) >= most:
            return
        for offset, across, along in SIDES:
            text = _name(axes, short(places.titles[row]), places.xy[row], offset, across, along)
            box = text.get_window_extent(renderer).padded(1.5)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()


def _name(axes: Axes, title: str, place: np.ndarray, offset: tuple[int, int], across: str, along: str) -> Annotation:
    return axes.annotate(
        title,
        (float(place[0]), float(place[1])),
        xytext=offset,
        textcoords="offset points",
        ha=across,
        va=along,
        fontsize=8,
        color=INK,
        parse_math=False,
        bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.7},
        zorder=20,
    )

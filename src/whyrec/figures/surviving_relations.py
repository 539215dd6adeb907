"""What survives when regions of a picture are replaced by noise: the score, and which relation the model still sees."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from whyrec.figures import MARKS, MUTED, beside, plain, short
from whyrec.relation_survival import ORDERS, RelationSurvival

EVERY = 8
"""About how many marks a line has."""


def surviving_relations(found: RelationSurvival) -> Figure:
    """Two panels by the share of regions replaced: the score, and how many pairs keep the relation in each order.

    The nearer the other lines to the random one, the less the maps say.
    """
    figure = Figure(figsize=(10.5, 3.6), facecolor="white", layout="constrained")
    left, middle = figure.subplots(1, 2)
    relation = short(found.relation.replace("_", " "))
    plain(left, f"score of {relation}, mean of {found.pairs} pairs")
    plain(middle, f"pairs where {relation} is the relation seen most")
    step = max(1, len(found.replaced) // EVERY)
    handles = []
    for order, (colour, mark) in zip(ORDERS, MARKS, strict=False):
        look = {"color": colour, "marker": mark, "markevery": step, "markersize": 5, "linewidth": 1.8}
        left.plot(100 * found.replaced, found.scores[order], **look)
        middle.plot(100 * found.replaced, 100 * found.survives[order][found.relation], **look)
        handles.append(Line2D([], [], color=colour, marker=mark, linewidth=1.8, label=order))
    left.axhline(0, color=MUTED, linewidth=0.8)
    middle.set_ylim(-3, 103)
    middle.set_ylabel("% of pairs", fontsize=9, color=MUTED)
    for axes in (left, middle):
        axes.set_xlabel(f"% of the regions replaced ({found.region} x {found.region} pixels, {found.side})")
    area = f"{found.between:+.2f}".replace("-", "−")
    beside(figure, handles, f"area between the first and the last order {area}; 0 for a map that says nothing")
    return figure

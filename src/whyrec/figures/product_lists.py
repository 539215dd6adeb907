"""What goes with a product: its picture, then the best others under each relation, as they are or with their maps."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from whyrec.errors import NotApplicable
from whyrec.figures import INK, MUTED, short
from whyrec.related_products import RelatedProducts
from whyrec.relief import end_of_scale, picture, relief, scale_beside

SIDE = 1.35
"""Inches of a picture."""


def product_lists(found: RelatedProducts, *, maps: bool = False) -> Figure:
    """A row for each relation: the product asked about, then its list, best first, with scores.

    With `maps` each pair shows why: the product asked about for the first of the list, then the others.
    """
    if not found.pictures:
        raise NotApplicable("this model was given features and no pictures, so there is nothing to draw")
    if maps and not found.maps:
        raise NotApplicable("nobody asked why; call recommend_related with explained=True")
    lines = {relation: lists.lines(0) for relation, lists in found.lists.items()}
    columns = 1 + max(map(len, lines.values()))
    size = (SIDE * columns + (2.6 if maps else 1.5), (SIDE + 0.3) * len(lines) + 0.8)
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    grid = figure.subplots(len(lines), columns, squeeze=False)
    end = end_of_scale(torch.cat([one.both.flatten() for one in found.maps.values()])) if maps else 1.0
    title = short(found.title)
    for row, (relation, listed) in enumerate(lines.items()):
        for axes in grid[row, 1 + len(listed) :]:
            axes.set_axis_off()
        if maps and listed:
            why = found.maps[relation]
            relief(grid[row, 0], why.pictures[0, 0], why.query[0], end, title if row == 0 else "")
        else:
            picture(grid[row, 0], found.pictures[found.query], title if row == 0 else "")
        words = short(relation.replace("_", " ")).replace(" ", "\n")
        grid[row, 0].set_ylabel(words, rotation=0, ha="right", va="center", fontsize=9.5, color=INK, labelpad=8)
        grid[row, 0].yaxis.label.set_parse_math(False)
        for place, line in enumerate(listed, start=1):
            shown = f"{line.rank}.  {line.score:+.2f}".replace("-", "−")
            if maps:
                relief(grid[row, place], found.pictures[line.item], found.maps[relation].item[place - 1], end, shown)
            else:
                picture(grid[row, place], found.pictures[line.item], shown)
    if maps:
        scale_beside(figure, end, list(grid.flat))
    figure.suptitle("What goes with this product, and in which sense", x=0.01, ha="left", fontsize=12, color=INK)
    note = "rank and score; above 0 the model says that they go together"
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8.5, color=MUTED)
    return figure

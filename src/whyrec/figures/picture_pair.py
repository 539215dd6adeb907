"""Why two products go together: both pictures, and below them what speaks for it and against, one column a relation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure

from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.figures import INK, MUTED, short
from whyrec.relation_maps import RelationMaps
from whyrec.relief import end_of_scale, picture, relief, scale_beside

SIDE = 1.75
"""Inches of a picture."""

SAID = {
    "match": "what both have in common that not all products have",
    "distance": "what sets them apart",
}


def picture_pair(found: Mapping[str, RelationMaps], *, pair: int = 0) -> Figure:
    """The query on top, the item below; the first column shows the pictures, each other one a relation's maps.

    Take what `compare_relations` gives, or `{relation: explain_pairs(...)}` for one. All maps share one scale.
    """
    if not found:
        raise NotApplicable("there are no maps to draw; call explain_pairs or compare_relations first")
    first = next(iter(found.values()))
    if not 0 <= pair < len(first):
        raise InvalidSetting(f"pair={pair}: there are {len(first)} pairs, counted from 0")
    columns = 1 + len(found)
    figure = Figure(figsize=(SIDE * columns + 1.5, 2 * SIDE + 1.2), facecolor="white", layout="constrained")
    grid = figure.subplots(2, columns, squeeze=False)
    amounts = torch.stack([maps.both[pair] for maps in found.values()])
    end = end_of_scale(amounts)
    for side in range(2):
        picture(grid[side, 0], first.pictures[pair, side], short(first.pairs[pair][side]))
        for column, (relation, maps) in enumerate(found.items(), start=1):
            name = short(relation.replace("_", " "))
            title = f"{name}\nscore {float(maps.score[pair]):+.2f}".replace("-", "−") if side == 0 else ""
            relief(grid[side, column], maps.pictures[pair, side], maps.both[pair, side], end, title)
    scale_beside(figure, end, list(grid[:, 1:].flat))
    figure.suptitle("Why do these two go together?", x=0.01, ha="left", fontsize=12, color=INK)
    figure.supxlabel(
        f"shown: {SAID[first.evidence]}; above 0 the model says that they go together",
        x=0.01,
        ha="left",
        fontsize=8.5,
        color=MUTED,
    )
    return figure

"""Which patch of one picture matches which of the other: lines between them, the thicker the more it brings."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Rectangle

from whyrec.errors import InvalidSetting
from whyrec.figures import INK, MUTED, NEGATIVE, POSITIVE, short
from whyrec.relation_maps import PatchPairs
from whyrec.relief import picture

THICKEST = 7.0
"""Points of the line of the strongest pair."""


def patch_lines(found: PatchPairs, *, pair: int = 0, most: int = 8) -> Figure:
    """Both pictures with the `most` pairs of patches that bring most to their match, for it or against.

    Lines for it are solid, those against dashed; the number stands at the strongest.
    """
    if not 0 <= pair < len(found.pairs) or most < 1:
        raise InvalidSetting(f"pair={pair}, most={most}: there are {len(found.pairs)} pairs, and at least 1 line")
    figure = Figure(figsize=(8.2, 4.2), facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2)
    for side, axes in enumerate((left, right)):
        picture(axes, found.pictures[pair, side], short(found.pairs[pair][side]))
    table = found.relevance[pair]
    across = table.shape[1]
    amounts = table.flatten(2).flatten(0, 1)
    strongest = amounts.abs().flatten().topk(min(most, amounts.numel())).indices.tolist()
    size = found.pictures.shape[-1] // across
    top = max(float(amounts.abs().max()), 1e-300)
    for number, place in enumerate(strongest):
        query, item = divmod(place, amounts.shape[1])
        _line(figure, (left, right), (query, item), (across, size), float(amounts[query, item]) / top)
        if number == 0:
            share = f"{float(amounts[query, item]):+.2f}".replace("-", "−")
    relation = short(found.relation.replace("_", " "))
    figure.suptitle(f"Which patches match: {relation}", x=0.01, ha="left", fontsize=12, color=INK, parse_math=False)
    total = f"{float(found.match[pair]):+.2f}".replace("-", "−")
    note = f"{len(strongest)} strongest pairs of patches; the thickest: {share} of the match {total}; dashed: against"
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8.5, color=MUTED)
    return figure


def _line(
    figure: Figure, sides: tuple[Axes, Axes], patches: tuple[int, int], grid: tuple[int, int], share: float
) -> None:
    """One pair: a frame around each patch and a line between their middles; `share` is of the strongest, signed."""
    across, size = grid
    colour = POSITIVE if share > 0 else NEGATIVE
    middles = []
    for axes, patch in zip(sides, patches, strict=True):
        down, along = divmod(patch, across)
        corner = (along * size - 0.5, down * size - 0.5)
        axes.add_patch(Rectangle(corner, size, size, fill=False, edgecolor=colour, linewidth=1.2))
        middles.append((corner[0] + size / 2, corner[1] + size / 2))
    line = ConnectionPatch(
        xyA=middles[0], xyB=middles[1], coordsA="data", coordsB="data", axesA=sides[0], axesB=sides[1]
    )
    width = 0.5 + (THICKEST - 0.5) * abs(share)
    line.set(color=colour, linewidth=width, alpha=0.55, linestyle="-" if share > 0 else "--")
    line.set_in_layout(False)
    figure.add_artist(line)

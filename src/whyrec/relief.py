"""Pictures under their relevance: grey where nothing speaks, blue what speaks for, orange what speaks against."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from whyrec import spectrum
from whyrec.spectrum import DIVERGING, hexadecimal

INK, MUTED, RULE = hexadecimal(spectrum.INK), "#59636e", "#d1d9e0"

BRIGHTEST = 99.5
"""Percent of all pixels that the scale spans: a few larger ones are clipped, or they would leave the rest pale."""

PALE = 0.45
"""How much of a picture's own light and dark shows below its relevance."""

COLOURS = LinearSegmentedColormap.from_list("relief", [tuple(one / 255 for one in stop) for stop in DIVERGING])


def end_of_scale(amounts: Tensor) -> float:
    """Where the colours of some maps end, on both sides of zero."""
    found = float(np.percentile(amounts.abs().numpy(), BRIGHTEST)) if amounts.numel() else 0.0
    return found or float(amounts.abs().max()) or 1.0


def picture(axes: Axes, pixels: Tensor, title: str = "") -> None:
    """A picture as it is, (3, height, width) uint8."""
    axes.imshow(pixels.permute(1, 2, 0).numpy(), interpolation="nearest")
    _bare(axes, title)


def relief(axes: Axes, pixels: Tensor, amounts: Tensor, end: float, title: str = "") -> None:
    """A picture, (3, height, width), in pale grey below the colours of its relevance, (height, width)."""
    grey = pixels.double().mean(0).numpy()[..., None] / 255
    ground = 1 - PALE + PALE * grey
    share = np.clip(amounts.numpy() / end, -1, 1)
    strength = np.abs(share)[..., None]
    over: NDArray[np.float64] = COLOURS(np.where(share > 0, 1.0, 0.0))[..., :3]
    axes.imshow(ground * (1 - strength) + over * strength, interpolation="nearest")
    _bare(axes, title)


def scale_beside(figure: Figure, end: float, axes: list[Axes]) -> None:
    """The legend of the colours: what they mean and where they are clipped."""
    bar = figure.colorbar(ScalarMappable(Normalize(-end, end), COLOURS), ax=axes, shrink=0.75, aspect=18, pad=0.02)
    bar.set_ticks([-end, 0, end], labels=[f"≤ −{end:.2g}\nagainst", "0", f"≥ {end:.2g}\nfor"])
    bar.ax.tick_params(labelsize=8.5, length=0, labelcolor=INK)
    bar.ax.set_facecolor("white")
    bar.outline.set_edgecolor(RULE)
    bar.ax.set_ylabel("relevance of a pixel, in units of the score", fontsize=8.5, color=MUTED)


def _bare(axes: Axes, title: str) -> None:
    axes.set_facecolor("white")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=9, color=INK, loc="left", pad=5, parse_math=False)
    for spine in axes.spines.values():
        spine.set_color(RULE)

"""Points whose label is decided by one coordinate or by two together: what attribution should find is known.

    A    four blobs, told apart by x1 alone or by x2 alone
    B    four blobs at the corners of a square, by neither alone: exclusive or
    C    half A, half B twice as far out, in the same two coordinates
    D    half A in x1 and x2, half B in x3 and x4, zeros elsewhere

The toy experiments of Afchar and Hennequin 2020, Making neural networks interpretable with attribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from whyrec.lattice import Lattice

Experiment = Literal["A", "B", "C", "D"]

NOISE = 0.25
"""Standard deviation of a blob in each coordinate."""

BEST: Mapping[Experiment, float] = {"A": 0.99766, "B": 0.99994, "C": 0.99883, "D": 0.99880}
"""Accuracy of the best possible decision, in closed form; of C but for where blobs of A and B overlap."""

_CROSS = ((-1.0, 0.0, -1, 0), (1.0, 0.0, 1, 0), (0.0, 1.0, 1, 1), (0.0, -1.0, -1, 1))
_CORNERS = ((-1.0, -1.0, -1, 2), (1.0, -1.0, 1, 2), (-1.0, 1.0, 1, 2), (1.0, 1.0, -1, 2))


@dataclass(frozen=True, slots=True)
class Points:
    """Points with their labels and the subset of coordinates that decides each."""

    x: Tensor  # (points, coordinates)
    label: Tensor  # (points,) -1 or 1
    truth: Tensor  # (points,) place in the subsets of `lattice_of`


def lattice_of(experiment: Experiment) -> Lattice:
    """The subsets of coordinates that experts see: {x1}, {x2}, and {x1, x2} or, in D, {x3, x4}.

    In D the third one counts as a parent of the others although it holds neither.
    """
    if experiment == "D":
        return Lattice(("x1", "x2", "x3", "x4"), (("x1",), ("x2",), ("x3", "x4")), below=((0, 2), (1, 2)))
    return Lattice(("x1", "x2"), (("x1",), ("x2",), ("x1", "x2")))


def points(experiment: Experiment, count: int, generator: torch.Generator) -> Points:
    """`count` points, the same number of each blob but for the last ones."""
    if experiment in ("A", "B"):
        return _blobs(_CROSS if experiment == "A" else _CORNERS, count, 1.0, generator)
    cross = _blobs(_CROSS, count // 2, 1.0, generator)
    corners = _blobs(_CORNERS, count - count // 2, 2.0 if experiment == "C" else 1.0, generator)
    parts = [cross.x, corners.x]
    if experiment == "D":
        parts = [torch.cat([cross.x, cross.x * 0], 1), torch.cat([corners.x * 0, corners.x], 1)]
    return Points(torch.cat(parts), torch.cat([cross.label, corners.label]), torch.cat([cross.truth, corners.truth]))


def _blobs(
    centres: tuple[tuple[float, float, int, int], ...], count: int, distance: float, generator: torch.Generator
) -> Points:
    which = torch.arange(count) % len(centres)
    table = torch.tensor(centres)[which]
    noise = NOISE * torch.randn(count, 2, generator=generator)
    return Points(distance * table[:, :2] + noise, table[:, 2], table[:, 3].long())

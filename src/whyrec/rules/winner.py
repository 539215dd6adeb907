"""Winner rule: the largest number of a pool's window takes all relevance of the window, the first where several are.

f = max_i x_i:  R_winner = R
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Slope


@dataclass(frozen=True)
class Winner:
    """For max pools."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        return Slope(output)

    def slowly(self, windows: Tensor, relevance: Tensor) -> Tensor:
        """The definition: windows (n, pools, window), relevance (n, pools)."""
        best = windows.argmax(-1, keepdim=True)
        return torch.zeros_like(windows).scatter(-1, best, relevance[..., None])

"""Detach rule: what an operation puts out is a gate; it scales other values and takes no relevance itself.

For sigmoid gates, reciprocals and the softmax of attention (Arras et al. 2019, signal-take-all; Ali et al. 2022,
XAI for transformers: better explanations through conservative propagation, CP-LRP). A gate may be multiplied; adding
it to an explained value is refused, because then it would have had something to say.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Slope


@dataclass(frozen=True)
class Detach:
    """For operations that put out factors."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        return Slope(None)

    def slowly(self, x: Tensor, relevance: Tensor) -> Tensor:
        """The definition."""
        return torch.zeros_like(x)

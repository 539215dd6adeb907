"""Taylor rule for softmax: relevance by a first-order expansion, whose constant term is a bias.

    s = softmax(x):  R_i = x_i (R_i - s_i sum_j R_j),   the rest stays with the bias

Achtibat et al. 2024, AttnLRP, proposition 3.1. The total at the inputs does not change when a constant is added to all
logits, and is not the total at the outputs: softmax keeps a part of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Slope


@dataclass(frozen=True)
class Taylor:
    """For softmax over one axis; masked logits (-inf) have no share."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        axis: int = call.operand(1, "dim")
        shares = output.detach()
        logits = call.operand(0, "input").detach()
        logits = torch.where(torch.isfinite(logits), logits, 0.0)
        moved = shares * (logits - (shares * logits).sum(axis, keepdim=True))
        return Slope(output, bias=shares - moved)

    def slowly(self, x: Tensor, relevance: Tensor) -> Tensor:
        """The definition, x (n, places): relevance of the logits."""
        shares = x.softmax(-1)
        return x * (relevance - shares * relevance.sum(-1, keepdim=True))

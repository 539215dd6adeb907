"""Values-only rule for attention: its weights are gates, and the values take all relevance (CP-LRP).

    O = softmax(Q K' / sqrt(d)) V:  R_V by the contributions to O,   R_Q = R_K = 0

Ali et al. 2022, XAI for transformers. Conserves exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from whyrec.calls import Call, Slope


@dataclass(frozen=True)
class ValuesOnly:
    """For scaled dot-product attention."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        value = call.operand(2, "value")
        if not call.is_live(value):
            return Slope(None)
        return Slope(call.again(lambda _place, operand: operand if operand is value else operand.detach()))

    def slowly(self, weights: Tensor, value: Tensor, relevance: Tensor) -> Tensor:
        """The definition: weights (n, queries, keys), value (n, keys, d), relevance (n, queries, d)."""
        contributions = weights[..., None] * value[:, None]  # (n, queries, keys, d)
        return (contributions / contributions.sum(2, keepdim=True) * relevance[:, :, None]).sum(1)

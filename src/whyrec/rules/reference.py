"""Reference rule: explains a product by how its constant factor differs from a reference, such as the mean item.

    f = p * q:  R_p = p (q - q') / (p q)  R,      and p q' / (p q) R stays with the reference

Why this item rather than the average one: relevance adds up to the score above that of the reference, which stands in
the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Slope
from whyrec.errors import NoRule


@dataclass(frozen=True)
class Reference:
    """For products of live values with a constant; products of several live values are shared equally."""

    reference: float | tuple[float, ...] = 0.0
    """What the constant factor is compared with, one number or one for each place of its last axis."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        tensors = [one for one in call.operands() if isinstance(one, Tensor) and one.is_floating_point()]
        constants = [one for one in tensors if not call.is_live(one)]
        if len(tensors) == 1:
            return Slope(output)
        if len(tensors) != 2 or len(constants) > 1:
            raise NoRule("the reference rule is for products of two factors; give the plan the share rule for others")
        if not constants:
            return Slope(output, gain=1 / 2)
        reference = torch.as_tensor(self.reference, dtype=output.dtype, device=output.device)
        if reference.ndim == 1 and reference.shape[0] != constants[0].shape[-1]:
            return Slope(output)  # a scale, not the factor that has a reference
        at_reference = reference.expand(constants[0].shape)
        with torch.no_grad():
            left = call.function(*(at_reference if one is constants[0] else one for one in call.args), **call.kwargs)
        slope = call.function(
            *(constants[0] - reference if one is constants[0] else one for one in call.args), **call.kwargs
        )
        return Slope(slope, reference=left)

    def slowly(self, p: Tensor, q: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
        """The definition for an element-wise product: relevance of p, and what stays with the reference."""
        reference = torch.as_tensor(self.reference, dtype=p.dtype)
        return p * (q - reference) / (p * q) * relevance, p * reference / (p * q) * relevance

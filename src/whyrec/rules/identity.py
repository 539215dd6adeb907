"""Identity rule: an activation hands on all relevance of each number to the number that it bends.

    f(x):  R_x = R,      as slope f(x) / x, and its limit f'(0) where x = 0

GELU and SiLU have the limit 1/2, tanh has 1. Only for activations with f(0) = 0: others (sigmoid, softplus) put out
something for nothing, and f(x) / x grows without bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Slope
from whyrec.errors import NoRule

TINY = 1e-15
"""Where the limit at zero is read off, in float64."""


@dataclass(frozen=True)
class Identity:
    """For element-wise activations."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        x: Tensor = call.operand(0, "input")
        at_zero = _put_out(call, 0.0)
        if at_zero != 0:
            raise NoRule(
                f"an activation that makes {at_zero:.3g} of zero has no rule, for nothing would get its relevance; "
                "explain the value before it (a logit, not a probability)"
            )
        fixed = x.detach()
        factor = torch.where(fixed == 0, _put_out(call, TINY) / TINY, output.detach() / fixed)
        return Slope(x, gain=factor)

    def slowly(self, x: Tensor, relevance: Tensor) -> Tensor:
        """The definition."""
        return relevance


def _put_out(call: Call, number: float) -> float:
    with torch.no_grad():
        return float(call.again(lambda _place, _operand: torch.full((), number, dtype=torch.float64)))

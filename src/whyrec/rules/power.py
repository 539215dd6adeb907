"""Power rule: a value raised to a constant power keeps all relevance, as a product of equal factors would.

    f(x) = x^n:  R_x = R,      as slope f'(x) / n (Euler's rule for homogeneous functions)

So x * x and x ** 2 are shared alike. A negative power is a reciprocal: a gate, which scales and takes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Slope
from whyrec.errors import NoRule

ROOTS = (torch.sqrt, Tensor.sqrt)
SQUARES = (torch.square, Tensor.square)


@dataclass(frozen=True)
class Power:
    """For squares, roots and constant powers."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        exponent = _exponent(call)
        if exponent < 0:
            return Slope(None)
        if exponent >= 1:
            return Slope(output, gain=1 / exponent)
        x: Tensor = call.operand(0, "input")
        fixed = x.detach()
        return Slope(x, gain=torch.where(fixed == 0, 0.0, output.detach() / fixed))  # a root is infinitely steep at 0

    def slowly(self, x: Tensor, relevance: Tensor) -> Tensor:
        """The definition."""
        return relevance


def _exponent(call: Call) -> float:
    if call.function in ROOTS:
        return 0.5
    if call.function in SQUARES:
        return 2.0
    exponent = call.operand(1, "exponent")
    if isinstance(exponent, Tensor) and (exponent.ndim or call.is_live(exponent)):
        raise NoRule("only a power with one constant exponent has a rule; write the step as a product")
    if not call.is_live(call.operand(0, "input")) or float(exponent) == 0:
        raise NoRule("an explained value in an exponent, or to the power of zero, has no rule")
    return float(exponent)

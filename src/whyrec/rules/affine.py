"""Affine rule: each live summand gets its own value's share, and constants that are added get theirs, as a bias.

    f = sum_i a_i + c:  R_i = a_i / f  R,   R_c = c / f  R

In the form input * gradient there is nothing to do for the live summands; what the constants take is measured as the
operation's result with every live operand at zero. Concatenation and choice (`where`) are sums in this sense.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Number

from torch import Tensor

from whyrec.relevance import Call, Slope


@dataclass(frozen=True)
class Affine:
    """For sums, differences, concatenation, stacking and `where`."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        tensors = [one for one in call.operands() if isinstance(one, Tensor)]
        adds_a_number = len(tensors) == 1 and any(isinstance(one, Number) for one in call.operands())
        if all(call.is_live(one) for one in tensors) and not adds_a_number:
            return Slope(output)
        return Slope(output, call.constants_share())

    def slowly(self, summands: list[Tensor], constant: Tensor, relevance: Tensor) -> tuple[list[Tensor], Tensor]:
        """The definition: shares of the live summands, and of the constant."""
        total = sum(summands, constant)
        return [summand / total * relevance for summand in summands], constant / total * relevance

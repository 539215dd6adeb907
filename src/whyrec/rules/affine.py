"""Affine rule: each live summand gets its own value's share, and constants that are added get theirs, as a bias.

    f = sum_i a_i + c:  R_i = a_i / f  R,   R_c = c / f  R

In the form input * gradient there is nothing to do for the live summands; what the constants take is measured as the
operation's result with every live operand at zero. Concatenation and choice (`where`) are sums in this sense.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Number

import torch
from torch import Tensor

from whyrec.calls import Call, Slope


@dataclass(frozen=True)
class Affine:
    """For sums, differences, concatenation, stacking and `where`."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        operands = call.operands()
        tensors = [one for one in operands if isinstance(one, Tensor)]
        adds_a_number = len(tensors) == 1 and any(isinstance(one, Number) for one in operands)
        if all(call.is_live(one) for one in tensors) and not adds_a_number:
            return Slope(output)
        share = call.constants_share()
        return Slope(output, torch.where(torch.isfinite(share), share, 0.0))  # masks of -inf are no biases

    def slowly(self, summands: list[Tensor], constant: Tensor, relevance: Tensor) -> tuple[list[Tensor], Tensor]:
        """The definition: shares of the live summands, and of the constant."""
        total = sum(summands, constant)
        return [summand / total * relevance for summand in summands], constant / total * relevance

"""Denominator rule: what a live value is divided by scales relevance but takes none of it.

    f = a / b:  R_a = R,  R_b = 0

Achtibat et al. 2024, AttnLRP, proposition 3.4, for the denominators of normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Slope, only
from whyrec.errors import NoRule


@dataclass(frozen=True)
class Denominator:
    """For quotients; the numerator must be live."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        places, operands = call.live_places(), call.operands()
        numerator = 1 if call.function is torch.Tensor.__rtruediv__ else 0
        if numerator not in places or not isinstance(operands[numerator], Tensor):
            raise NoRule(
                "a constant is divided by an explained value, which no rule shares; explain a score without it"
            )
        if call.kwargs.get("rounding_mode") is not None:
            raise NoRule(
                "a rounded quotient has no slope for relevance to flow back through; explain a score without it"
            )
        if len(places) == 1:
            return Slope(output)
        return Slope(call.again(only(numerator)))

    def slowly(self, a: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
        """The definition."""
        return relevance, torch.zeros_like(relevance)

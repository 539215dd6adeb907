"""Gate rule, signal-take-all: one factor of a product is the signal and gets everything; gates scale it and get none.

    f = signal * gate:  R_signal = R,  R_gate = 0

Arras et al. 2019, Explaining and interpreting LSTMs. Sigmoids and softmax are gates in every plan without this rule:
it is for models whose gates are other operations, with the signal always on the same side of the product.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.calls import Call, Slope, only


@dataclass(frozen=True)
class Gate:
    """For products of live values."""

    signal: int = 0
    """Which of the live factors is the signal, in the order in which they are written; -1 is the last."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        places = call.live_places()
        bias = call.constants_share() if call.function is F.bilinear else None
        if len(places) == 1:
            return Slope(output, bias)
        return Slope(call.again(only(places[self.signal])), bias)

    def slowly(self, a: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
        """The definition for an element-wise product of two live factors."""
        shares = [torch.zeros_like(relevance), torch.zeros_like(relevance)]
        shares[self.signal] = relevance
        return shares[0], shares[1]

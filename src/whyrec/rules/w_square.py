"""W-squared rule: for a first layer whose inputs may be any numbers; shares by the squares of the weights alone.

    R_j = sum_k  w_jk^2 / (sum_i w_ik^2)  R_k

Montavon et al. 2017, deep Taylor decomposition. Inputs that are zero get relevance too, so it is not for sparse inputs
such as a history or a one-hot column.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Slope
from whyrec.layer import Layer, spread_by


@dataclass(frozen=True)
class WSquare:
    """For a layer with weights that reads explained inputs themselves; the bias takes nothing."""

    epsilon: float = 0.0
    """Added to the denominator, which is never negative."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        layer = Layer.of(call)
        return spread_by(call, layer, layer.weight.square(), output.detach(), self.epsilon)

    def slowly(self, x: Tensor, w: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The definition, one weight at a time, as for the epsilon rule."""
        whole = w.square().sum(1, keepdim=True) + self.epsilon
        inputs = relevance @ torch.where(whole == 0, 0.0, w.square() / whole)
        return inputs, torch.zeros_like(x[:, 0]), relevance.sum(1) - inputs.sum(1)

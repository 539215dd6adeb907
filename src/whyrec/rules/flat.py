"""Flat rule: for a first layer; every input that a unit can see gets the same share, whatever its value or weight.

    R_j = sum_k  1 / (number of inputs of k)  R_k

Lapuschkin et al. 2019, Unmasking Clever Hans predictors. Gives smooth pictures; says where, not what.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Slope
from whyrec.layer import Layer, spread_by


@dataclass(frozen=True)
class Flat:
    """For a layer with weights that reads explained inputs themselves; the bias takes nothing."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        layer = Layer.of(call)
        return spread_by(call, layer, torch.ones_like(layer.weight), output.detach(), epsilon=0.0)

    def slowly(self, x: Tensor, w: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The definition, as for the epsilon rule."""
        inputs = relevance @ torch.full_like(w, 1 / w.shape[1])
        return inputs, torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0])

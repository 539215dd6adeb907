"""Batch norm rule: outside of training it is a constant map of each channel, one with the layer that it stands behind.

    y = g (x - mean) / sqrt(variance + eps) + beta

Straight behind a layer with weights the two are one layer, with weights W g / sqrt(...), and the rule of layers is
asked about that one. Elsewhere it is linear, and what it shifts by is a bias; rules that look at signs look through it
(see `layer`), so that a batch norm in front of a layer is one with it too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from whyrec.calls import Call, Slope
from whyrec.layer import Layer, batch_norm_map, behind_channels
from whyrec.operations import FAMILY, TRANSPOSED, Family
from whyrec.slopes import combined


@dataclass(frozen=True)
class BatchNorm:
    """For batch norm with running statistics."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        scale, shift = batch_norm_map(call)
        x: Tensor = call.operand(0, "input")
        behind = call.origins.maker(x)
        if behind is None or not _is_one_layer(behind, x):
            return Slope(combined((x, behind_channels(scale, x))), behind_channels(shift, x))
        layer = Layer.of(behind)
        weight = layer.weight * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
        bias = shift if layer.bias is None else shift + layer.bias * scale
        fused = replace(behind, args=(layer.x, weight, bias), kwargs=layer.rest)
        return call.plan[Family.WEIGHTS](fused, layer.run(layer.x, weight, bias))

    def slowly(self, x: Tensor, scale: Tensor, shift: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
        """The definition away from layers, x (n, channel): relevance of x and of the bias (n,)."""
        share = relevance / (x * scale + shift)
        return x * scale * share, (shift * share).sum(1)


def _is_one_layer(behind: Call, x: Tensor) -> bool:
    """Layers whose channels are the second axis, as they are for batch norm; transposed ones keep their own rule."""
    if FAMILY[behind.function] is not Family.WEIGHTS or behind.function in TRANSPOSED:
        return False
    return x.ndim == 2 or behind.function is not torch.nn.functional.linear

"""Epsilon rule: relevance follows contributions x_j w_jk, and a little of it is swallowed where they nearly cancel.

    R_j = sum_k  x_j w_jk / (z_k + epsilon sgn(z_k))  R_k,      z_k = sum_j x_j w_jk + b_k,   sgn(0) = 1

Bach et al. 2015, On pixel-wise explanations; epsilon = 0 is LRP-0. Of unit k the bias takes b_k / (z_k + ...) R_k and
the stabiliser epsilon / (|z_k| + epsilon) R_k.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Slope
from whyrec.layer import Layer, pushed


@dataclass(frozen=True)
class Epsilon:
    """For linear maps with weights, inputs of any sign."""

    epsilon: float = 1e-6
    """Added to |z|: 0 is LRP-0, larger values hand on less of what nearly cancels, and all of it shrinks."""
    relative: bool = False
    """Whether epsilon is in units of the root mean square of z over what one row of the input puts out."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        layer = Layer.of(call)
        bias = layer.in_output(layer.bias)
        if self.epsilon == 0:
            return Slope(output, bias)
        z = output.detach()
        push = pushed(z, self.epsilon * layer.rows_rms(z) if self.relative else self.epsilon)
        whole = z + push
        return Slope(output, bias, push, gain=z / whole if not self.relative else torch.where(whole == 0, 0, z / whole))

    def slowly(self, x: Tensor, w: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The definition, one contribution at a time: x (n, in), w (out, in), b (out,), relevance (n, out).

        Returns relevance of the inputs (n, in), of the bias (n,) and of the stabiliser (n,).
        """
        contributions = x[:, None, :] * w  # (n, out, in)
        z = contributions.sum(-1) + b
        unit = z.square().mean(1, keepdim=True).sqrt() if self.relative else 1.0
        push = self.epsilon * unit * torch.where(z >= 0, 1.0, -1.0).to(z.dtype)
        share = torch.where(z + push == 0, 0.0, relevance / (z + push))
        inputs = (contributions * share[:, :, None]).sum(1)
        return inputs, (b * share).sum(1), (push * share).sum(1)

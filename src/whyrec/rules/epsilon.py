"""Epsilon rule: relevance follows contributions x_j w_jk, and a little of it is swallowed where they nearly cancel.

    R_j = sum_k  x_j w_jk / (z_k + epsilon sgn(z_k))  R_k,      z_k = sum_j x_j w_jk + b_k,   sgn(0) = 1

Bach et al. 2015, On pixel-wise explanations; epsilon = 0 is LRP-0. Of unit k the bias takes b_k / (z_k + ...) R_k and
the stabiliser epsilon / (|z_k| + epsilon) R_k.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.errors import NoRule
from whyrec.relevance import Call, Slope


@dataclass(frozen=True)
class Epsilon:
    """For linear maps with weights, inputs of any sign."""

    epsilon: float = 1e-6
    """Added to |z|: 0 is LRP-0, larger values leave fewer and stronger reasons."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        weight, bias = _weight(call), _bias(call)
        if call.is_live(weight) or call.is_live(bias):
            raise NoRule(
                "a linear map whose weights depend on the explained inputs is a product; write it as x @ weight + bias"
            )
        bias = _in_output(bias, weight)
        if self.epsilon == 0:
            return Slope(output, bias)
        z = output.detach()
        kept = z / (z + self.epsilon * torch.where(z >= 0, 1.0, -1.0).to(z.dtype))
        return Slope(output * kept, None if bias is None else bias * kept, z * (1 - kept))

    def slowly(self, x: Tensor, w: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The definition, one contribution at a time: x (n, in), w (out, in), b (out,), relevance (n, out).

        Returns relevance of the inputs (n, in), of the bias (n,) and of the stabiliser (n,).
        """
        contributions = x[:, None, :] * w  # (n, out, in)
        z = contributions.sum(-1) + b
        pushed = z + self.epsilon * torch.where(z >= 0, 1.0, -1.0).to(z.dtype)
        share = torch.where(pushed == 0, 0.0, relevance / pushed)
        inputs = (contributions * share[:, :, None]).sum(1)
        return inputs, (b * share).sum(1), ((pushed - z) * share).sum(1)


def _weight(call: Call) -> Tensor:
    weight: Tensor = call.args[1] if len(call.args) > 1 else call.kwargs["weight"]
    return weight


def _bias(call: Call) -> Tensor | None:
    return call.args[2] if len(call.args) > 2 else call.kwargs.get("bias")


def _in_output(bias: Tensor | None, weight: Tensor) -> Tensor | None:
    """The bias of a linear map or convolution, as it stands in the output."""
    if bias is None:
        return None
    trailing = weight.ndim - 2  # spatial axes of a convolution
    return bias.reshape(-1, *[1] * trailing)

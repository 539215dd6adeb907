"""Box rule, z^B: for a first layer whose inputs lie between known bounds, such as pixels or ratings.

    R_j = sum_k  (x_j w_jk - l_j w_jk+ - h_j w_jk-) / (sum_i ...)  R_k

Montavon et al. 2017, deep Taylor decomposition. The bias cancels, so all of the relevance arrives at the inputs, also
at those that are zero. With l = h = 0 it is LRP-0 without biases.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Slope
from whyrec.errors import InvalidSetting
from whyrec.layer import Layer, divided
from whyrec.slopes import combined


@dataclass(frozen=True)
class Box:
    """For a layer with weights that reads explained inputs themselves."""

    low: float | tuple[float, ...] = 0.0
    """The least that an input can be: one number, or one for each channel."""
    high: float | tuple[float, ...] = 1.0
    """The most that an input can be."""
    epsilon: float = 1e-6
    """Added to the denominator, which is never negative."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        layer = Layer.of(call)
        ones, x = layer.ones(call), layer.x.detach()
        low, high = layer.per_input_channel(self.low), layer.per_input_channel(self.high)
        if bool(((x < low) | (x > high)).any()):
            raise InvalidSetting(
                f"Box: inputs from {float(x.min()):.4g} to {float(x.max()):.4g} leave the box [{self.low}, "
                f"{self.high}]; give the least and the most that an input can be, after normalisation"
            )
        from_low = layer.run(low * ones, layer.weight.clamp(min=0))
        from_high = layer.run(high * ones, layer.weight.clamp(max=0))
        z, bias = output.detach(), layer.in_output(layer.bias)
        whole = z - from_low.detach() - from_high.detach() - (0 if bias is None else bias)
        share = divided(z, whole + self.epsilon)
        slope = combined((output, share), (from_low, -share), (from_high, -share))
        return Slope(slope, stabilizer=z - share * whole)

    def slowly(self, x: Tensor, w: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The definition, one contribution at a time, as for the epsilon rule."""
        low, high = torch.as_tensor(self.low, dtype=x.dtype), torch.as_tensor(self.high, dtype=x.dtype)
        contributions = x[:, None, :] * w - low * w.clamp(min=0) - high * w.clamp(max=0)
        whole = contributions.sum(-1, keepdim=True) + self.epsilon
        inputs = (torch.where(whole == 0, 0.0, contributions / whole) * relevance[:, :, None]).sum(1)
        return inputs, torch.zeros_like(x[:, 0]), relevance.sum(1) - inputs.sum(1)

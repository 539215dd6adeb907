"""Average rule: a max pool hands relevance back as an average pool would, to all numbers of a window by their size.

    f = max_i x_i:  R_i = x_i / sum_j x_j  R

Montavon et al. 2019, LRP: an overview. For windows without negative numbers, as behind a ReLU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.calls import Call, Slope
from whyrec.errors import NoRule
from whyrec.layer import divided, pushed
from whyrec.operations import Function
from whyrec.slopes import combined

AVERAGES: dict[Function, Function] = {
    torch.max_pool1d: F.avg_pool1d,
    torch.max_pool2d: F.avg_pool2d,
    torch.max_pool3d: F.avg_pool3d,
    F.max_pool1d: F.avg_pool1d,
    F.max_pool2d: F.avg_pool2d,
    F.max_pool3d: F.avg_pool3d,
    F.adaptive_max_pool1d: F.adaptive_avg_pool1d,
    F.adaptive_max_pool2d: F.adaptive_avg_pool2d,
    F.adaptive_max_pool3d: F.adaptive_avg_pool3d,
}
ADAPTIVE = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)


@dataclass(frozen=True)
class Average:
    """For max pools."""

    epsilon: float = 1e-6
    """Added to the size of the average."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        mean = _mean(call)
        fixed, top = mean.detach(), output.detach()
        share = divided(top, fixed + pushed(fixed, self.epsilon))
        return Slope(combined((mean, share)), stabilizer=top - share * fixed)

    def slowly(self, windows: Tensor, relevance: Tensor) -> Tensor:
        """The definition: windows (n, pools, window), relevance (n, pools)."""
        total = windows.sum(-1, keepdim=True)
        pushed_total = total + self.epsilon * windows.shape[-1] * torch.where(total >= 0, 1.0, -1.0).to(total.dtype)
        return torch.where(pushed_total == 0, 0.0, windows / pushed_total) * relevance[..., None]


def _mean(call: Call) -> Tensor:
    x, size, stride, padding, dilation, ceil_mode = (
        call.operand(place, name)
        for place, name in enumerate(("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"))
    )
    average = AVERAGES[call.function]
    if call.function in ADAPTIVE:
        adapted: Tensor = average(x, call.operand(1, "output_size"))
        return adapted
    if dilation not in (None, 1, (1,), (1, 1), (1, 1, 1)):
        raise NoRule("a max pool with dilation has no average beside it; give the plan the winner rule for pools")
    mean: Tensor = average(x, size, stride, padding or 0, bool(ceil_mode))
    return mean

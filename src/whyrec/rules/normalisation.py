"""Normalisation rule: the spread or length that values are divided by is a constant; centring and scaling are linear.

    LayerNorm:  y = w (x - mean(x)) / sigma + b:   relevance as if sigma were a constant, b is a bias

Achtibat et al. 2024, AttnLRP, proposition 3.4; Ali et al. 2022. Without it a layer norm hands on next to nothing: its
output does not change when the input grows in proportion, so input * gradient adds up to zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.calls import Call, Slope
from whyrec.errors import NoRule


@dataclass(frozen=True)
class Normalisation:
    """For layer norm, group norm, RMS norm and F.normalize."""

    holds_mean: bool = False
    """Whether the mean is taken as a constant too (Ali et al. 2022, for small transformers); its part is a bias."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        x: Tensor = call.operand(0, "input")
        if any(call.is_live(one) for one in call.operands() if one is not x):
            raise NoRule("a norm whose weights depend on the explained inputs has no rule; multiply and add after it")
        if call.function is F.normalize:
            return Slope(x / _length(call, x.detach()))
        if call.function is F.rms_norm:
            return Slope(x * _rms_factor(call, x.detach()))
        centred, factor, bias = (_groups if call.function is F.group_norm else _layers)(call, x)
        if not self.holds_mean:
            return Slope(centred * factor, bias)
        mean = (x - centred).detach() * factor
        return Slope(x * factor, -mean if bias is None else bias - mean)

    def slowly(self, x: Tensor, w: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
        """The definition for a layer norm, x (n, channel): relevance of x and of the bias (n,)."""
        channels = x.shape[1]
        scale = w / (x - x.mean(1, keepdim=True)).square().mean(1, keepdim=True).add(1e-5).sqrt()
        mean = torch.zeros(channels, channels, dtype=x.dtype) if self.holds_mean else 1 / channels
        centring = torch.eye(channels, dtype=x.dtype) - mean  # (out, in)
        contributions = scale[:, :, None] * centring * x[:, None, :]
        constant = b - scale * x.mean(1, keepdim=True) if self.holds_mean else b.expand_as(x)
        share = relevance / (contributions.sum(-1) + constant)
        return (contributions * share[:, :, None]).sum(1), (constant * share).sum(1)


def _length(call: Call, x: Tensor) -> Tensor:
    power, axis, eps = (call.operand(place, name) for place, name in enumerate(("p", "dim", "eps"), start=1))
    length: Tensor = torch.linalg.vector_norm(
        x, 2.0 if power is None else power, 1 if axis is None else axis, keepdim=True
    )
    return length.clamp(min=1e-12 if eps is None else eps)


def _rms_factor(call: Call, x: Tensor) -> Tensor:
    shape, weight, eps = (
        call.operand(place, name) for place, name in enumerate(("normalized_shape", "weight", "eps"), start=1)
    )
    axes = tuple(range(-len(shape), 0))
    factor: Tensor = (x.square().mean(axes, keepdim=True) + (torch.finfo(x.dtype).eps if eps is None else eps)).rsqrt()
    return factor if weight is None else factor * weight


def _layers(call: Call, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    shape, weight, bias, eps = (
        call.operand(place, name) for place, name in enumerate(("normalized_shape", "weight", "bias", "eps"), start=1)
    )
    axes = tuple(range(-len(shape), 0))
    centred = x - x.mean(axes, keepdim=True)
    factor = (centred.detach().square().mean(axes, keepdim=True) + (1e-5 if eps is None else eps)).rsqrt()
    return centred, factor if weight is None else factor * weight, bias


def _groups(call: Call, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    groups, weight, bias, eps = (
        call.operand(place, name) for place, name in enumerate(("num_groups", "weight", "bias", "eps"), start=1)
    )
    channels = (-1, *[1] * (x.ndim - 2))
    grouped = x.unflatten(1, (groups, -1))
    axes = tuple(range(2, grouped.ndim))
    centred = grouped - grouped.mean(axes, keepdim=True)
    factor = (centred.detach().square().mean(axes, keepdim=True) + (1e-5 if eps is None else eps)).rsqrt()
    factor = factor.expand(centred.shape).reshape(x.shape)
    factor = factor if weight is None else factor * weight.reshape(channels)
    return centred.reshape(x.shape), factor, None if bias is None else bias.reshape(channels)

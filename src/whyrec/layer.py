"""A layer with weights as rules see it: its input, weights and constants, and the same map with other ones.

Rules that treat positive and negative contributions apart need their sums for inputs of any sign. With A = |x||W| + |b|

    P = sum of (x w)+ and b+ = (z + A) / 2,      N = sum of (x w)- and b- = (z - A) / 2

so one product with |W| beside z = x W + b is enough, and where no input is negative one with W+ alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from whyrec.calls import Call, Part, Slope
from whyrec.errors import NoRule
from whyrec.operations import FAMILY, TRANSPOSED, Family, Function
from whyrec.slopes import combined

RESOLUTION = 1024
"""A side that holds less than this many rounding errors of all contributions is taken as empty."""


@dataclass(frozen=True)
class Layer:
    """One call of a linear map with weights."""

    function: Function
    x: Tensor
    weight: Tensor
    bias: Tensor | None  # (out,)
    rest: dict[str, Any]  # stride, padding and the like

    @classmethod
    def of(cls, call: Call) -> Layer:
        """The operands of a call; refuses weights that depend on the explained inputs."""
        x, weight, bias = call.operand(0, "input"), call.operand(1, "weight"), call.operand(2, "bias")
        if call.is_live(weight) or call.is_live(bias):
            raise NoRule(
                "a linear map whose weights depend on the explained inputs is a product; write it as x @ weight + bias"
            )
        names = _TRANSPOSED if call.function in TRANSPOSED else _STRAIGHT
        rest = dict(zip(names, call.args[3:], strict=False))
        rest.update({name: value for name, value in call.kwargs.items() if name not in {"input", "weight", "bias"}})
        return cls(call.function, x, weight, bias, rest)

    def ones(self, call: Call) -> Tensor:
        """The carrier beside the input, for relevance that is not proportional to it; refuses all but a first layer."""
        if not call.origins.is_rearranged_leaf(self.x):
            raise NoRule(
                "box, w-squared and flat are rules for a first layer, which reads the explained inputs themselves, at "
                "most in another order; give layers on computed values another rule (composites.ByLayer(first=...))"
            )
        return call.origins.ones_beside(self.x)

    def run(self, x: Tensor, weight: Tensor, constant: Tensor | None = None) -> Tensor:
        """The map with another input, other weights and another constant."""
        if constant is not None and constant.ndim > 1:
            return self.run(x, weight) + constant
        output: Tensor = self.function(x, weight, constant, **self.rest)
        return output

    @property
    def channel_axis(self) -> int:
        """Where the output has one place for each weight row: last in dense layers, after the samples in others."""
        return -1 if self.weight.ndim == 2 else 1 - self.weight.ndim

    def in_output(self, constant: Tensor | None) -> Tensor | None:
        """A constant of each output channel, shaped to broadcast to the output."""
        if constant is None or constant.ndim > 1:
            return constant
        return constant.reshape(-1, *[1] * (-1 - self.channel_axis))

    def per_input_channel(self, values: float | tuple[float, ...]) -> Tensor:
        """Numbers that broadcast to the input: one for all, or one for each channel."""
        given = torch.as_tensor(values, dtype=self.x.dtype, device=self.x.device)
        return given if given.ndim == 0 else given.reshape(-1, *[1] * (-1 - self.channel_axis))

    def rows_rms(self, z: Tensor) -> Tensor:
        """Root mean square of what the layer puts out for one row of its input, so that no other row matters."""
        axes = (-1,) if self.weight.ndim == 2 else tuple(range(self.channel_axis, 0))
        return z.square().mean(axes, keepdim=True).sqrt()


@dataclass(frozen=True)
class Signs:
    """The positive contributions of a layer, as something to hand relevance back through.

    `terms` are tensors whose sum, each times its factor, is P; each comes with the constant that stands in it.
    """

    layer: Layer
    z: Tensor  # the layer's output
    source: Layer  # the same layer on what it reads, without constants that a batch norm put into its input

    @classmethod
    def of(cls, call: Call, z: Tensor) -> Signs:
        """Look through a batch norm before the layer: what it shifts by is a constant, as a bias is."""
        layer = Layer.of(call)
        return cls(layer, z, _without_shift(layer, call))

    @cached_property
    def nothing_negative(self) -> bool:
        """Whether no input is negative, so that weights alone say which contributions are."""
        x = self.source.x
        return x.numel() == 0 or bool(x.detach().amin() >= 0)

    def magnitudes(self) -> tuple[Tensor, Tensor | None]:
        """A = |x||W| + |b|, and |b| as it stands in the output."""
        constant = None if self.source.bias is None else self.source.bias.abs()
        return self.source.run(self.source.x.abs(), self.source.weight.abs(), constant), self.layer.in_output(constant)

    def with_weights(self, change: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor | None]:
        """The layer with weights and constants put through a function, and that constant as it stands in the output."""
        constant = None if self.source.bias is None else change(self.source.bias)
        return self.source.run(self.source.x, change(self.source.weight), constant), self.layer.in_output(constant)

    @property
    def bias(self) -> Tensor | None:
        """The layer's own bias, as it stands in the output."""
        return self.layer.in_output(self.layer.bias)


def by_sign(call: Call, z: Tensor, alpha: float, beta: float, epsilon: float) -> Slope:
    """alpha of the relevance along positive contributions, -beta along negative ones, by their own shares.

    A unit with one side only gives that side everything: alpha would double its relevance, beta lose it.
    """
    signs, fixed = Signs.of(call, z), z.detach()
    weighted = signs.nothing_negative
    first, constant = signs.with_weights(lambda w: w.clamp(min=0)) if weighted else signs.magnitudes()
    positive = first.detach() if weighted else (fixed + first.detach()).mul_(0.5)
    negative = fixed - positive
    up, down = _per_side(fixed, positive, negative, alpha, beta, epsilon)
    lost = fixed - up * positive if down is None else fixed - up * positive - down * negative
    if down is None and weighted:
        return Slope(combined((first, up)), stabilizer=lost, parts=(Part(first, constant),))
    down = torch.zeros_like(up) if down is None else down
    if weighted:
        to_z, to_first = down, up - down
    else:
        to_z, to_first = (up + down).mul_(0.5), (up - down).mul_(0.5)
    parts = (Part(z, signs.bias), Part(first, constant))
    return Slope(combined((z, to_z), (first, to_first)), stabilizer=lost, parts=parts)


def _per_side(
    z: Tensor, positive: Tensor, negative: Tensor, alpha: float, beta: float, epsilon: float
) -> tuple[Tensor, Tensor | None]:
    """What relevance positive and negative contributions get, per unit; None for negative ones that get nothing."""
    noise = RESOLUTION * torch.finfo(z.dtype).eps
    if z.numel():
        least, most = torch.aminmax(positive / (positive - negative))  # the share of all contributions
        if noise < float(least) and float(most) < 1 - noise:
            up, down = z / (positive + epsilon), None if beta == 0 else z / (negative - epsilon) * -beta
            return up if alpha == 1 else up * alpha, down
    smallest = noise * (positive - negative)
    has_positive, has_negative = positive > smallest, negative < -smallest
    to_positive = torch.where(has_positive, torch.where(has_negative, alpha, 1.0), 0.0).to(z.dtype)
    to_negative = torch.where(has_negative, torch.where(has_positive, -beta, 1.0), 0.0).to(z.dtype)
    up = torch.where(has_positive, to_positive * z / (positive + epsilon), 0.0)
    return up, torch.where(has_negative, to_negative * z / (negative - epsilon), 0.0)


def spread_by(call: Call, layer: Layer, weight: Tensor, z: Tensor, epsilon: float) -> Slope:
    """Relevance by weights alone, none of them negative, whatever the inputs are; the bias takes nothing."""
    reached = layer.run(layer.ones(call), weight)
    whole = reached.detach()
    share = divided(z, whole + epsilon)
    return Slope(combined((reached, share)), stabilizer=z - share * whole)


def divided(z: Tensor, by: Tensor, *, may_be_zero: bool = True) -> Tensor:
    """z / by, and 0 where both are: a unit that puts out nothing hands nothing back."""
    return torch.where(by == 0, 0.0, z / by) if may_be_zero else z / by


def pushed(z: Tensor, epsilon: float | Tensor) -> Tensor:
    """What is added to z to push it away from zero: epsilon with the sign of z."""
    return torch.copysign(epsilon if isinstance(epsilon, Tensor) else z.new_full((), epsilon), z)


def batch_norm_map(call: Call) -> tuple[Tensor, Tensor]:
    """Scale and shift of each channel, (channel,), of a batch norm that is not in training."""
    x, mean, variance, weight, bias, training, _momentum, eps = (
        call.operand(place, name)
        for place, name in enumerate(
            ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
        )
    )
    if training or mean is None or variance is None:
        raise NoRule("batch norm by the statistics of the batch mixes users; call model.eval(), or keep running ones")
    if call.is_live(weight) or call.is_live(bias):
        raise NoRule("a batch norm whose weights depend on the explained inputs has no rule; multiply and add instead")
    scale = (variance + (1e-5 if eps is None else eps)).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return scale.to(x.dtype), shift.to(x.dtype)


def behind_channels(values: Tensor, x: Tensor) -> Tensor:
    """One number for each channel, the second axis of x, shaped to broadcast to it."""
    return values.reshape(-1, *[1] * (x.ndim - 2))


def _without_shift(layer: Layer, call: Call) -> Layer:
    norm = call.origins.maker(layer.x)
    if norm is None or FAMILY[norm.function] is not Family.BATCH_NORM:
        return layer
    scale, shift = batch_norm_map(norm)
    inside: Tensor = norm.operand(0, "input")
    shifts = behind_channels(shift, inside).expand(inside.shape[1:])[None]  # as one sample, so that padding counts
    constant = layer.run(shifts, layer.weight, layer.bias)
    constant = constant[0] if constant.ndim == 2 else constant
    return replace(layer, x=inside * behind_channels(scale, inside), bias=constant)


_STRAIGHT = ("stride", "padding", "dilation", "groups")
_TRANSPOSED = ("stride", "padding", "output_padding", "groups", "dilation")

"""Same value, different slope: how an operation keeps what it computes and hands back relevance instead of gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def with_slope(value: Tensor, slope: Tensor) -> Tensor:
    """The value of one tensor with the derivative of another; bit-identical to `value`, and costs no arithmetic.

    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> y = with_slope(x * x, 3 * x)
    >>> y.backward(); (y.item(), x.grad.item())
    (4.0, 3.0)
    """
    told: Tensor = _WithSlope.apply(value.detach(), slope)  # type: ignore[no-untyped-call]
    return told


def combined(*terms: tuple[Tensor, Tensor | float]) -> Tensor:
    """A slope: the sum of tensors of one shape, each times a constant coefficient. Its value means nothing."""
    tensors, coefficients = zip(*terms, strict=True)
    slope: Tensor = _Combined.apply(coefficients, *tensors)  # type: ignore[no-untyped-call]
    return slope


def where_it_falls(tensor: Tensor, depth: Tensor, coefficient: Callable[[], Tensor]) -> Tensor:
    """A slope that lets gradient through where depth is negative, times a coefficient that is only then worked out.

    Behind a ReLU there is none, and then nothing is followed further, which saves the backward pass.
    """
    slope: Tensor = _WhereItFalls.apply(tensor, depth, coefficient)  # type: ignore[no-untyped-call]
    return slope


def alias(tensor: Tensor) -> Tensor:
    """The same values under another identity, so that what flows back on this way can be told from other ways."""
    return with_slope(tensor, tensor)


class _WithSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, slope: Tensor) -> Tensor:
        return value.detach()  # not a view, so a layer that follows may still work in place

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, gradients[0]


class _Combined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, coefficients: tuple[Tensor | float, ...], *terms: Tensor) -> Tensor:
        ctx.coefficients = coefficients
        ctx.set_materialize_grads(False)
        return terms[0].detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if gradients[0] is None:  # where_it_falls stopped it
            return None, *(None for _ in ctx.coefficients)
        return None, *(_times(gradients[0], coefficient) for coefficient in ctx.coefficients)


class _WhereItFalls(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, depth: Tensor, coefficient: Callable[[], Tensor]) -> Tensor:
        ctx.depth, ctx.coefficient = depth, coefficient
        return tensor.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, None]:
        gradient = ctx.depth.sign().neg_().mul_(gradients[0])
        if not gradient.numel() or not any(bool(bound) for bound in torch.aminmax(gradient)):
            return None, None, None
        return gradient * ctx.coefficient(), None, None


def _times(gradient: Tensor, coefficient: Tensor | float) -> Tensor:
    return gradient if isinstance(coefficient, float) and coefficient == 1 else gradient * coefficient

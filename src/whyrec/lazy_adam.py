"""Adam that touches only the rows a batch used: what makes small batches over large tables fast.

Dense Adam walks through whole embedding tables at every step, although a batch of 256 rows uses a few hundred of them.
Here a table with sparse gradients (`nn.Embedding(..., sparse=True)`) moves only where it has a gradient: moments of
other rows stand still instead of fading, and their weight decay waits. This is the variant known as lazy Adam; it is
another algorithm than Adam, and says so. Used rows and dense parameters go through one call of PyTorch's fused AdamW.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from whyrec.recommender import SHARED_FROM

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class LazyAdam:
    """Adam over parameters whose gradients are sparse (embedding tables) or dense (all others)."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.parameters = list(parameters)
        self.means = [torch.zeros_like(one) for one in self.parameters]
        self.squares = [torch.zeros_like(one) for one in self.parameters]
        self.steps = [torch.zeros((), device=one.device) for one in self.parameters]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every dense parameter, and the rows that have a gradient, in one call of fused AdamW."""
        moving = [
            _Moving.of(parameter, mean, square, steps)
            for parameter, mean, square, steps in zip(
                self.parameters, self.means, self.squares, self.steps, strict=True
            )
            if parameter.grad is not None
        ]
        if not moving:
            return
        values, gradients, means, squares, steps, *_ = zip(*moving, strict=True)
        torch._foreach_add_(steps, 1)
        torch._fused_adamw_(  # what torch.optim.AdamW(fused=True) calls in the end
            values,
            gradients,
            means,
            squares,
            [],
            steps,
            lr=self.learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
        for one in moving:
            one.put_back()

    def state(self) -> dict[str, Tensor]:
        """All that has to be kept to go on to the same last bit. The tensors are live: copy them to keep them."""
        lists = {"mean": self.means, "square": self.squares, "steps": self.steps}
        return {f"{name}.{place}": tensor for name, tensors in lists.items() for place, tensor in enumerate(tensors)}

    def restore(self, kept: dict[str, Tensor]) -> None:
        """Go on from a kept state."""
        for name, tensor in self.state().items():
            tensor.copy_(kept[name])


class _Moving(NamedTuple):
    """What takes part in a step: a dense parameter as it stands, or copies of the rows of a table that were used."""

    values: Tensor
    gradient: Tensor
    mean: Tensor
    square: Tensor
    steps: Tensor
    rows: Tensor | None
    homes: tuple[Tensor, Tensor, Tensor]

    @classmethod
    def of(cls, parameter: Tensor, mean: Tensor, square: Tensor, steps: Tensor) -> _Moving:
        homes, gradient = (parameter, mean, square), cast(Tensor, parameter.grad)
        if not gradient.is_sparse:
            return cls(parameter, gradient, mean, square, steps, None, homes)
        rows, gradient = _rows(gradient)
        values, mean, square = (home.index_select(0, rows) for home in homes)
        return cls(values, gradient, mean, square, steps, rows, homes)

    def put_back(self) -> None:
        if self.rows is not None:
            for home, moved in zip(self.homes, (self.values, self.mean, self.square), strict=True):
                home.index_copy_(0, self.rows, moved)


def adam_of(model: nn.Module, *, learning_rate: float, weight_decay: float) -> LazyAdam:
    """The optimizer of a model: its sparse embedding tables lazily, the rest densely."""
    return LazyAdam(model.parameters(), learning_rate=learning_rate, weight_decay=weight_decay)


def _rows(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and values of a sparse gradient, every row once."""
    rows, values = gradient._indices()[0], gradient._values()
    if len(rows) >= SHARED_FROM and bool((rows[1:] > rows[:-1]).all()):
        return rows, values  # shared requests give rows that rise
    summed = gradient.coalesce()
    return summed._indices()[0], summed._values()

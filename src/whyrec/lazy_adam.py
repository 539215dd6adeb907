"""Adam that touches only the rows a batch used: what makes small batches over large tables fast.

Dense Adam walks through whole embedding tables at every step, although a batch of 256 rows uses a few hundred of them.
Here a table with sparse gradients (`nn.Embedding(..., sparse=True)`) moves only where it has a gradient. A row that was
not used for k steps then catches up with what Adam would have done meanwhile, in closed form: it coasts on, and its
moments fade.

    row -= rate * c * mean / (sqrt(square) + eps) * sum over j from 1 to k of q^j,     q = beta1 / sqrt(beta2)
    mean *= beta1^k,   square *= beta2^k

c is the bias correction of now, in place of that of each missed step. What differs from Adam: a row is used once before
it has caught up, weight decay waits until a row is used, and c. Without catching up (what is known as lazy Adam) rows
that are seldom used learn more slowly. Used rows and dense parameters go through one call of PyTorch's fused AdamW.
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
    """Adam over parameters: of a table with sparse gradients only the rows that are used move, of others all."""

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
        self.used = [one.new_zeros(one.shape[:1].numel(), dtype=torch.int64) for one in self.parameters]
        self.count = 0

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every dense parameter, and the rows that have a gradient, in one call of fused AdamW."""
        moving = [self._moving(place) for place, one in enumerate(self.parameters) if one.grad is not None]
        self.count += 1
        if not moving:
            return
        values, gradients, means, squares, *_ = zip(*moving, strict=True)
        now = torch.full((), float(self.count), device=values[0].device)
        torch._fused_adamw_(  # what torch.optim.AdamW(fused=True) calls in the end
            values,
            gradients,
            means,
            squares,
            [],
            [now] * len(moving),
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

    def _moving(self, place: int) -> _Moving:
        """A parameter as it takes part in a step: itself, or copies of the rows that were used, caught up."""
        homes = self.parameters[place], self.means[place], self.squares[place]
        gradient = cast(Tensor, homes[0].grad)
        if not gradient.is_sparse:
            return _Moving(homes[0], gradient, homes[1], homes[2], None, homes)
        rows, gradient = _rows(gradient)
        values, mean, square = (home.index_select(0, rows) for home in homes)
        if self.count:
            self._catch_up(values, mean, square, self.count - self.used[place].index_select(0, rows))
        self.used[place].index_fill_(0, rows, self.count + 1)
        return _Moving(values, gradient, mean, square, rows, homes)

    def _catch_up(self, values: Tensor, mean: Tensor, square: Tensor, missed: Tensor) -> None:
        """Let rows do what Adam would have done with them in the steps that they missed, (rows,)."""
        coasted, mean_left, square_left = _fading(missed, values).unsqueeze(-1).unbind(1)
        first, second = (1 - beta**self.count for beta in BETAS)
        scale = square.sqrt().add_(EPSILON * second**0.5)
        values.addcdiv_(mean * coasted, scale, value=-self.learning_rate * second**0.5 / first)
        mean.mul_(mean_left)
        square.mul_(square_left)

    def state(self) -> dict[str, Tensor]:
        """All that has to be kept to go on to the same last bit. The tensors are live: copy them to keep them."""
        lists = {"mean": self.means, "square": self.squares, "used": self.used}
        named = {f"{name}.{place}": tensor for name, tensors in lists.items() for place, tensor in enumerate(tensors)}
        return {**named, "count": torch.tensor(self.count)}

    def restore(self, kept: dict[str, Tensor]) -> None:
        """Go on from a kept state."""
        for name, tensor in self.state().items():
            tensor.copy_(kept[name])
        self.count = int(kept["count"])


class _Moving(NamedTuple):
    """What takes part in a step: a dense parameter as it stands, or copies of the rows of a table that were used."""

    values: Tensor
    gradient: Tensor
    mean: Tensor
    square: Tensor
    rows: Tensor | None
    homes: tuple[Tensor, Tensor, Tensor]

    def put_back(self) -> None:
        if self.rows is not None:
            for home, moved in zip(self.homes, (self.values, self.mean, self.square), strict=True):
                home.index_copy_(0, self.rows, moved)


def _rows(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and values of a sparse gradient, every row once."""
    rows, values = gradient._indices()[0], gradient._values()
    if len(rows) >= SHARED_FROM and bool((rows[1:] > rows[:-1]).all()):
        return rows, values  # shared requests give rows that rise
    summed = gradient.coalesce()
    return summed._indices()[0], summed._values()


def _fading(missed: Tensor, like: Tensor) -> Tensor:
    """For numbers of missed steps, (rows,): how far a row coasts, and what is left of its moments, (rows, 3)."""
    return _FADING.to(like).index_select(0, missed.clamp_(max=len(_FADING) - 1))


def _fading_table(longest: int) -> Tensor:
    missed = torch.arange(longest + 1, dtype=torch.float64)
    ratio = BETAS[0] / BETAS[1] ** 0.5
    coasted = ratio * (1 - ratio**missed) / (1 - ratio)
    return torch.stack([coasted, BETAS[0] ** missed, BETAS[1] ** missed], dim=1).float()


_FADING = _fading_table(20_000)
"""Beyond so many missed steps nothing is left of the mean, and e^-20 of the mean square."""

"""Adam that touches only the rows a batch used: what makes small batches over large tables fast.

Dense Adam walks through whole embedding tables at every step, although a batch of 256 rows uses a few hundred of them.
Here a table with sparse gradients (`nn.Embedding(..., sparse=True)`) moves only where it has a gradient: moments of
other rows stand still instead of fading, and their weight decay waits. This is the variant known as lazy Adam; it is
another algorithm than Adam, and says so. Everything with dense gradients goes through PyTorch's fused AdamW.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from whyrec.recommender import SHARED_FROM

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class LazyAdam:
    """Adam over parameters of both kinds: `tables` get sparse gradients, `dense` get dense ones."""

    def __init__(
        self,
        tables: Iterable[nn.Parameter],
        dense: Iterable[nn.Parameter],
        *,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.steps = 0
        self.tables = list(tables)
        self.moments = [table.new_zeros(len(table), 2, table.shape[1]) for table in self.tables]  # mean, mean square
        self.dense = list(dense)
        self.dense_moments = [[torch.zeros_like(one) for one in self.dense] for _ in range(2)]
        self.dense_steps = [torch.zeros((), device=one.device) for one in self.dense]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in (*self.tables, *self.dense):
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every dense parameter, and the rows that have a gradient."""
        self.steps += 1
        self._move_dense()
        for table, moments in zip(self.tables, self.moments, strict=True):
            if table.grad is not None:
                self._move(table, moments, *_rows(table.grad))

    def _move_dense(self) -> None:
        """One step of fused AdamW over everything that has a dense gradient."""
        gradients = [one.grad for one in self.dense]
        there = [place for place, gradient in enumerate(gradients) if gradient is not None]
        if not there:
            return
        means, squares = self.dense_moments
        adamw(
            [self.dense[place] for place in there],
            [gradient for gradient in gradients if gradient is not None],
            [means[place] for place in there],
            [squares[place] for place in there],
            [],
            [self.dense_steps[place] for place in there],
            fused=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            eps=EPSILON,
            maximize=False,
        )

    def _move(self, table: Tensor, moments: Tensor, rows: Tensor, gradient: Tensor) -> None:
        """One step of rows that are all different: rows (n,), gradient (n, width)."""
        own = moments.index_select(0, rows)
        mean, square = own.unbind(1)
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        moments.index_copy_(0, rows, own)
        scale = square.sqrt().div_((1 - BETAS[1] ** self.steps) ** 0.5).add_(EPSILON)
        if self.weight_decay:
            table.index_add_(0, rows, table.index_select(0, rows), alpha=-self.learning_rate * self.weight_decay)
        table.index_add_(0, rows, mean / scale, alpha=-self.learning_rate / (1 - BETAS[0] ** self.steps))

    def state(self) -> dict[str, Tensor]:
        """All that has to be kept to go on to the same last bit. The tensors are live: copy them to keep them."""
        means, squares = self.dense_moments
        lists = {"table": self.moments, "mean": means, "square": squares, "steps": self.dense_steps}
        named = {f"{name}.{place}": tensor for name, tensors in lists.items() for place, tensor in enumerate(tensors)}
        return {**named, "count": torch.tensor(self.steps)}

    def restore(self, kept: dict[str, Tensor]) -> None:
        """Go on from a kept state."""
        for name, tensor in self.state().items():
            tensor.copy_(kept[name])
        self.steps = int(kept["count"])


def adam_of(model: nn.Module, *, learning_rate: float, weight_decay: float) -> LazyAdam:
    """The optimizer of a model: its sparse embedding tables lazily, the rest densely."""
    tables = {module.weight for module in model.modules() if isinstance(module, nn.Embedding) and module.sparse}
    dense = [parameter for parameter in model.parameters() if parameter not in tables]
    lazy = [parameter for parameter in model.parameters() if parameter in tables]
    return LazyAdam(lazy, dense, learning_rate=learning_rate, weight_decay=weight_decay)


def _rows(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and values of a sparse gradient, every row once."""
    rows, values = gradient._indices()[0], gradient._values()
    if len(rows) >= SHARED_FROM and bool((rows[1:] > rows[:-1]).all()):
        return rows, values  # shared requests give rows that rise
    summed = gradient.coalesce()
    return summed._indices()[0], summed._values()

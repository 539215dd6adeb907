"""A network of dense layers, all of one width, that ends in one number: the one of NCFRegressor and ResidualHybrid.

    x -> [dense -> batch norm -> activation -> dropout] x depth -> dense -> one number

Batch norm (Ioffe and Szegedy 2015) and dropout (Srivastava et al. 2014) are left out unless asked for, and both are
still when a model is not in training. What dropout leaves out is drawn by whoever embeds: a score draws nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DROPOUT = "dropout"
"""The part that carries what dropout leaves out in a step of training."""

Activation = Literal["relu", "elu", "gelu", "silu", "tanh"]

ACTIVATIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


class Step(NamedTuple):
    """One line of a summary."""

    name: str
    wide: int
    narrow: int
    weights: int


class DenseNetwork(nn.Module):
    """Numbers of each pair of user and item in, one number out."""

    def __init__(
        self, inputs: int, *, width: int, depth: int, activation: Activation, batch_norm: bool, dropout: float
    ) -> None:
        super().__init__()
        self.width, self.depth, self.activation, self.dropout = width, depth, activation, dropout
        self.layers = nn.ModuleList(nn.Linear(inputs if place == 0 else width, width) for place in range(depth))
        self.norms = nn.ModuleList(_BatchNorm(width) for _ in range(depth)) if batch_norm else None
        self.output = nn.Linear(width, 1)

    def forward(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        """(users, items, inputs) -> (users, items); `kept`, (users, items, depth * width), is what `draw` gave."""
        flat = x.flatten(0, 1)  # one axis of pairs: batch norm wants channels second
        masks = None if kept is None else kept.flatten(0, 1).split(self.width, dim=-1)
        for place, layer in enumerate(self.layers):
            flat = layer(flat)
            flat = flat if self.norms is None else self.norms[place](flat)
            flat = ACTIVATIONS[self.activation](flat)
            flat = flat if masks is None else flat * masks[place]
        found: Tensor = self.output(flat).squeeze(-1).unflatten(0, x.shape[:2])
        return found

    def draw(self, users: int, items: int) -> Tensor | None:
        """What dropout multiplies each layer by in a step of training, as `forward` wants it; None where nothing."""
        if not (self.training and self.dropout):
            return None
        weight, keep = self.output.weight, 1 - self.dropout
        drawn = torch.rand(users, items, self.depth * self.width, device=weight.device) < keep
        return drawn.to(weight.dtype) / keep

    def steps(self) -> Iterator[Step]:
        """What a pair goes through, one line each."""
        for place, module in enumerate(self.layers):
            layer = cast(nn.Linear, module)
            yield Step("dense", layer.in_features, layer.out_features, weights_of(layer))
            if self.norms is not None:
                yield Step("batch norm", self.width, self.width, weights_of(self.norms[place]))
            yield Step(self.activation, self.width, self.width, 0)
            if self.dropout:
                yield Step(f"dropout {self.dropout:g}", self.width, self.width, 0)
        yield Step("dense, linear", self.output.in_features, 1, weights_of(self.output))


def weights_of(module: nn.Module) -> int:
    """How many numbers a module learns."""
    return sum(one.numel() for one in module.parameters())


class _BatchNorm(nn.BatchNorm1d):
    """Batch norm for which a batch of one pair, which has no spread, is taken by what was gathered so far."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)

"""A network of dense layers, all of one width, that ends in one number: the one of NCFRegressor and ResidualHybrid.

    x -> [dense -> batch norm -> activation -> dropout] x depth -> dense -> one number

Batch norm (Ioffe and Szegedy 2015) and dropout (Srivastava et al. 2014) are left out unless asked for, and both are
still when a model is not in training. What dropout leaves out is drawn by whoever embeds: a score draws nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.recommender import Inputs, Part, Request

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


class NetworkSettings(Protocol):
    """What the settings of a model with such a network say of it."""

    @property
    def width(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def activation(self) -> Activation: ...
    @property
    def batch_norm(self) -> bool: ...
    @property
    def dropout(self) -> float: ...


class Step(NamedTuple):
    """One line of a summary."""

    name: str
    wide: int
    narrow: int
    weights: int


class DenseNetwork(nn.Module):
    """Numbers of each pair of user and item in, one number out."""

    def __init__(self, inputs: int, asked: NetworkSettings) -> None:
        super().__init__()
        self.width, self.depth, self.activation, self.dropout = (
            asked.width,
            asked.depth,
            asked.activation,
            asked.dropout,
        )
        wide = (inputs, *[self.width] * (self.depth - 1))
        self.layers = nn.ModuleList(nn.Linear(one, self.width) for one in wide)
        self.norms = nn.ModuleList(_BatchNorm(self.width) for _ in wide) if asked.batch_norm else None
        self.output = nn.Linear(self.width, 1)

    def with_dropout(self, inputs: Inputs, request: Request) -> Inputs:
        """The inputs of a request; in a step of training with what dropout multiplies each layer by."""
        if not (self.training and self.dropout):
            return inputs
        weight, keep = self.output.weight, 1 - self.dropout
        pairs = len(request.users), request.items.shape[1]
        drawn = torch.rand(*pairs, self.depth * self.width, device=weight.device) < keep
        return {**inputs, DROPOUT: Part.of(drawn.to(weight.dtype) / keep)}

    def forward(self, x: Tensor, inputs: Inputs) -> Tensor:
        """(users, items, channel) -> (users, items); `inputs` are those that `with_dropout` gave."""
        flat = x.flatten(0, 1)  # one axis of pairs: batch norm wants channels second
        masks = inputs[DROPOUT].values.flatten(0, 1).split(self.width, dim=-1) if DROPOUT in inputs else None
        for place, layer in enumerate(self.layers):
            flat = layer(flat)
            flat = flat if self.norms is None else self.norms[place](flat)
            flat = ACTIVATIONS[self.activation](flat)
            flat = flat if masks is None else flat * masks[place]
        found: Tensor = self.output(flat).squeeze(-1).unflatten(0, x.shape[:2])
        return found

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

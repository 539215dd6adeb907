"""What a rule sees and what it answers: one operation on explained values, and how relevance flows back through it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.operations import DROPOUTS, REARRANGES, Family, Function


@dataclass(frozen=True, slots=True)
class Part:
    """A tensor that a slope is made of, and what is taken per unit of the gradient that arrives there."""

    tensor: Tensor
    bias: Tensor | None = None
    stabilizer: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Slope:
    """How relevance flows back through one operation.

    The gradient that arrives at the output is first multiplied by `gain`; the rest is per unit of that product. What is
    taken can also be said for each part of the slope, per unit of the gradient there.
    """

    slope: Tensor | None  # only its derivative is used; None makes the output a gate: it scales, and takes nothing
    bias: Tensor | None = None  # taken by biases and added constants; broadcasts to the output
    stabilizer: Tensor | None = None  # swallowed by the stabiliser of a rule
    reference: Tensor | None = None  # left with the reference of a rule that explains a difference
    gain: Tensor | float | None = None
    parts: tuple[Part, ...] = ()


class Rule(Protocol):
    """Frozen and stateless: says which slope an operation gets."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        """The slope, and what constants and stabilisers take."""


Plan = Mapping[Family, Rule]
"""Which rule stands for which family of operations."""


@dataclass
class Origins:
    """How live values were made, as far as rules ask: re-arrangements, layers with weights and batch norms.

    Rules for a first layer (box, w-squared, flat) give relevance that is not proportional to the input, even where the
    input is zero. They write it on a carrier, a tensor of ones that goes through the same re-arrangements as the input
    beside it: relevance is then `input * gradient`, plus the gradient at the carrier.
    """

    leaves: dict[int, Tensor] = field(default_factory=dict)
    carriers: dict[int, Tensor] = field(default_factory=dict)
    """By the identity of a leaf, its carrier; only of leaves for which a rule asked."""
    made: dict[int, tuple[Call, int]] = field(default_factory=dict)
    """By the identity of a value: the operation that made it, and which of its results it is."""

    def maker(self, value: Tensor) -> Call | None:
        """The operation that made a value, where it is of those kept here."""
        return self.made.get(id(value), (None, 0))[0]

    def is_rearranged_leaf(self, value: Tensor) -> bool:
        """Whether a value is explained inputs, perhaps in another order, and nothing else."""
        if id(value) in self.leaves:
            return True
        maker = self.maker(value)
        if maker is None or maker.function not in REARRANGES:
            return False
        numbers = [one for one in maker.operands() if isinstance(one, Tensor) and one.is_floating_point()]
        return all(self.is_rearranged_leaf(one) for one in numbers)

    def ones_beside(self, value: Tensor) -> Tensor:
        """The carrier of a re-arranged leaf: ones like it."""
        if id(value) in self.leaves:
            return self.carriers.setdefault(id(value), torch.ones_like(value, requires_grad=True))
        call, place = self.made[id(value)]
        carried = call.again(lambda _place, operand: self.ones_beside(operand))
        carrier: Tensor = carried if isinstance(carried, Tensor) else carried[place]
        return carrier


@dataclass(frozen=True, slots=True)
class Call:
    """One operation on live operands, as a rule sees it. Constants come detached."""

    function: Function
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    live: frozenset[int]  # identities of the operands that depend on the explained inputs
    plan: Plan = field(default_factory=dict)
    origins: Origins = field(default_factory=Origins)
    layer: int = 0
    """For layers with weights: which one this is, counted from the inputs. One that is used twice is one layer."""
    layers: int | None = None
    """How many layers with weights there are; None where nobody counted."""

    def is_live(self, operand: object) -> bool:
        """Whether an operand depends on the explained inputs."""
        return id(operand) in self.live

    def live_places(self) -> list[int]:
        """Where the live operands stand among all operands; one that stands twice counts twice."""
        return [place for place, operand in enumerate(self.operands()) if self.is_live(operand)]

    def operands(self) -> list[object]:
        """All operands in order, lists and keywords opened."""
        return list(opened((*self.args, *self.kwargs.values())))

    def operand(self, place: int, name: str) -> Any:
        """An argument by its place or its keyword; None where it was left out."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name)

    @property
    def draws_at_random(self) -> bool:
        """Whether this is a dropout that is switched on, by itself or inside attention."""
        if self.function is F.scaled_dot_product_attention:
            return bool(self.operand(4, "dropout_p"))
        return self.function in DROPOUTS and self.operand(2, "training") is not False and self.operand(1, "p") != 0

    def again(self, change: Callable[[int, Tensor], Tensor]) -> Any:
        """The operation's result with each live operand, by its place, put through `change`."""
        place = -1

        def changed(operand: Any) -> Any:
            nonlocal place
            if isinstance(operand, list | tuple):
                members = [changed(one) for one in operand]
                return members if isinstance(operand, list) else tuple(members)
            place += 1
            return change(place, operand) if isinstance(operand, Tensor) and self.is_live(operand) else operand

        args = [changed(operand) for operand in self.args]
        return self.function(*args, **{name: changed(operand) for name, operand in self.kwargs.items()})

    def constants_share(self) -> Tensor:
        """What the constants alone put out: the result with every live operand at zero."""
        with torch.no_grad():
            share: Tensor = self.again(lambda _place, operand: torch.zeros_like(operand))
        return share


def only(place: int) -> Callable[[int, Tensor], Tensor]:
    """A change for `Call.again` that lets gradient through one operand and holds all others fixed."""
    return lambda at, operand: operand if at == place else operand.detach()


def opened(values: Iterable[object]) -> Iterator[object]:
    """Values in order, those in lists and tuples one by one."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from opened(value)
        else:
            yield value

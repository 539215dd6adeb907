"""Relevance by slopes: run a plain PyTorch model once, and let one backward pass carry relevance, not gradients.

A rule is "same value, different slope": it leaves what an operation computes as it is and gives it another derivative,
so that relevance is `input * gradient`, summed over the channel. `Relevance` is a `TorchFunctionMode`: while it is
open, every operation on something that depends on the explained inputs is offered to the plan. Operations are known by
their function object, never by name; what depends on the inputs is tracked by identity from the leaves, so parameters
and unasked parts are constants whatever `requires_grad` says. Nothing global changes, and other threads see nothing.

    an operation with a rule      its value, with the rule's slope
    an operation without a rule   NoRule, with the way out
    a value made out of sight     Unseen (a custom autograd function, for example)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves, tree_map_only

from whyrec.errors import NoRule, Unseen
from whyrec.operations import FAMILY, IN_PLACE, Family

Function = Callable[..., Any]


def with_slope(value: Tensor, slope: Tensor) -> Tensor:
    """The value of one tensor with the derivative of another; bit-identical to `value`.

    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> y = with_slope(x * x, 3 * x)
    >>> y.backward(); (y.item(), x.grad.item())
    (4.0, 3.0)
    """
    return value.detach() + (slope - slope.detach())


@dataclass(frozen=True, slots=True)
class Call:
    """One operation on live operands, as a rule sees it. Constants come detached."""

    function: Function
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    live: frozenset[int]  # identities of the operands that depend on the explained inputs

    def is_live(self, operand: object) -> bool:
        """Whether an operand depends on the explained inputs."""
        return id(operand) in self.live

    def live_places(self) -> list[int]:
        """Where the live operands stand among all operands; one that stands twice counts twice."""
        return [place for place, operand in enumerate(self.operands()) if self.is_live(operand)]

    def operands(self) -> list[object]:
        """All operands in order, lists and keywords opened."""
        return tree_leaves((self.args, self.kwargs))

    def again(self, change: Callable[[int, Tensor], Tensor]) -> Any:
        """The operation's result with each live operand, by its place, put through `change`."""
        place = -1

        def changed(operand: object) -> object:
            nonlocal place
            place += 1
            return change(place, operand) if isinstance(operand, Tensor) and self.is_live(operand) else operand

        args, kwargs = tree_map_only(object, changed, (self.args, self.kwargs))
        return self.function(*args, **kwargs)

    def constants_share(self) -> Tensor:
        """What the constants alone put out: the result with every live operand at zero."""
        with torch.no_grad():
            share: Tensor = self.again(lambda _place, operand: torch.zeros_like(operand))
        return share


def only(place: int) -> Callable[[int, Tensor], Tensor]:
    """A change for `Call.again` that lets gradient through one operand and holds all others fixed."""
    return lambda at, operand: operand if at == place else operand.detach()


@dataclass(frozen=True, slots=True)
class Slope:
    """How relevance flows back through one operation, per unit of gradient that arrives at its output."""

    slope: Tensor  # only its derivative is used
    bias: Tensor | None = None  # taken by biases and added constants; broadcasts to the output
    stabilizer: Tensor | None = None  # swallowed by the stabiliser of a rule


class Rule(Protocol):
    """Frozen and stateless: says which slope an operation gets."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        """The slope, and what constants and stabilisers take."""


Plan = Mapping[Family, Rule]


@dataclass
class Taken:
    """What constants and stabilisers took during one backward pass, (users,) or (users, items) float64."""

    shape: tuple[int, ...]  # (users,) for one place of the list, (users, items) for all of them
    bias: Tensor = field(init=False)
    stabilizer: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.bias = torch.zeros(self.shape, dtype=torch.float64)
        self.stabilizer = torch.zeros(self.shape, dtype=torch.float64)

    def settle(self) -> tuple[Tensor, Tensor]:
        """Bias and stabiliser shares since the last time, which starts anew."""
        settled = self.bias, self.stabilizer
        self.__post_init__()
        return settled

    def per_target(self, amount: Tensor) -> Tensor:
        """Sum everything but the leading users (and items); folded axes, users first, are understood."""
        amount = amount.detach().double()
        if amount.shape[: len(self.shape)] != self.shape:
            if amount.ndim == 0 or amount.shape[0] % math.prod(self.shape):
                raise NoRule(
                    f"a value of shape {tuple(amount.shape)} cannot be told apart by user: keep users (and items) the "
                    f"leading axes of every tensor, here {self.shape}, or fold them together, users first"
                )
            amount = amount.unflatten(0, (*self.shape, -1))
        return amount.flatten(start_dim=len(self.shape)).sum(-1) if amount.ndim > len(self.shape) else amount


class Relevance(TorchFunctionMode):
    """While open, every operation on something live gets its slope from the plan."""

    def __init__(self, plan: Plan, taken: Taken) -> None:
        super().__init__()
        self.plan = plan
        self.taken = taken
        self._live: dict[int, Tensor] = {}  # holding the tensors keeps their identities from being given anew
        self._known: dict[int, Tensor] = {}  # constants that were computed from something live

    def follow(self, leaf: Tensor) -> Tensor:
        """Make a tensor live: what depends on it will be explained."""
        self._live[id(leaf)] = leaf
        return leaf

    def is_live(self, value: object) -> bool:
        """Whether a value depends on what is followed."""
        return id(value) in self._live

    def __torch_function__(
        self, function: Function, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        family = FAMILY.get(function)
        if family is Family.METADATA:
            return function(*args, **kwargs)
        operands = [operand for operand in tree_leaves((args, kwargs)) if isinstance(operand, Tensor)]
        if not operands:
            return function(*args, **kwargs)  # torch.zeros() and the like; torch.no_grad() must keep its effect
        live = frozenset(id(operand) for operand in operands if self.is_live(operand))
        self._refuse_unseen(function, operands)
        if family is Family.READS and (live or any(id(operand) in self._known for operand in operands)):
            raise NoRule(
                f"'{resolve_name(function)}' reads an explained value into Python; "
                "a score must not branch on its inputs"
            )
        if not live:
            with torch.no_grad():
                return self._remember(function(*args, **kwargs), operands)
        if family is Family.CONSTANT or not (torch.is_grad_enabled() or _changes_in_place(function, kwargs)):
            return self._remember(_detached(function(*args, **kwargs)), operands)
        args, kwargs = tree_map_only(Tensor, lambda one: one if id(one) in live else one.detach(), (args, kwargs))
        call = Call(function, args, kwargs, live)
        self._refuse_unruled(call, family)
        return self._ruled(call, family)

    def _ruled(self, call: Call, family: Family | None) -> Any:
        output = call.function(*call.args, **call.kwargs)
        if family is Family.PASSES or family is None:
            for tensor in _tensors(output):
                if tensor.requires_grad:  # c.expand_as(live) is a constant
                    self.follow(tensor)
            return output
        found = self.plan[family](call, output)
        result = output if found.slope is output else with_slope(output, found.slope)
        self._measure(result, found)
        return self.follow(result)

    def _remember(self, output: Any, operands: list[Tensor]) -> Any:
        """Keep in mind which constants tell something about the explained inputs."""
        if any(self.is_live(operand) or id(operand) in self._known for operand in operands):
            for leaf in tree_leaves(output):
                if isinstance(leaf, Tensor):
                    self._known[id(leaf)] = leaf
        return output

    def _measure(self, result: Tensor, found: Slope) -> None:
        """When gradient arrives at `result`, book what constants and the stabiliser take of it."""
        if found.bias is not None:
            bias = torch.where(torch.isfinite(found.bias), found.bias, 0.0)  # masks of -inf are no biases

            def book_bias(gradient: Tensor) -> None:
                self.taken.bias += self.taken.per_target(gradient * bias)

            result.register_hook(book_bias)
        if found.stabilizer is not None:
            stabilizer = found.stabilizer

            def book_stabilizer(gradient: Tensor) -> None:
                self.taken.stabilizer += self.taken.per_target(gradient * stabilizer)

            result.register_hook(book_stabilizer)

    def _refuse_unseen(self, function: Function, operands: list[Tensor]) -> None:
        for operand in operands:
            if not self.is_live(operand) and (operand.grad_fn is not None or is_functorch_wrapped_tensor(operand)):
                maker = "torch.func" if operand.grad_fn is None else type(operand.grad_fn).__name__
                raise Unseen(
                    f"'{resolve_name(function)}' was given a tensor of shape {tuple(operand.shape)} made by {maker}, "
                    "which no rule could see; write that step with ordinary PyTorch operations instead of torch.func "
                    "or a custom autograd function, and compute nothing outside score()"
                )

    def _refuse_unruled(self, call: Call, family: Family | None) -> None:
        name = resolve_name(call.function) or str(call.function)
        if family is Family.WRITES:
            raise NoRule(f"'{name}' writes where no rule can follow; use torch.cat, torch.stack or torch.where")
        if family is None or (family is not Family.PASSES and family not in self.plan):
            shape = next(tuple(one.shape) for one in call.operands() if isinstance(one, Tensor) and call.is_live(one))
            raise NoRule(
                f"no relevance rule for '{name}' on a tensor of shape {shape}; write the step with operations that "
                "have one (docs/how-to/add-a-model.md lists them), or give the plan a rule for it"
            )
        if _changes_in_place(call.function, call.kwargs) and not _may_change_in_place(call, family):
            raise NoRule(f"'{name}' changes a tensor in place, which hides it from the rules; assign a new one instead")


def _changes_in_place(function: Function, kwargs: Mapping[str, Any]) -> bool:
    return function in IN_PLACE or kwargs.get("out") is not None


def _may_change_in_place(call: Call, family: Family | None) -> bool:
    """relu_ and += may, on an explained value; a constant added to a view would be booked where no gradient passes."""
    if family is Family.SUMS:
        return call.kwargs.get("out") is None and call.is_live(call.args[0]) and call.args[0]._base is None
    return family is Family.PASSES and call.kwargs.get("out") is None and call.is_live(call.args[0])


def _detached(output: Any) -> Any:
    return tree_map_only(Tensor, lambda tensor: tensor.detach(), output)


def _tensors(output: Any) -> Iterator[Tensor]:
    """The floating-point tensors of an operation's result; indices and masks are constants."""
    for leaf in tree_leaves(output):
        if isinstance(leaf, Tensor) and leaf.is_floating_point():
            yield leaf

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
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.overrides import TorchFunctionMode, resolve_name

from whyrec.calls import Call, Origins, Plan, Slope, opened
from whyrec.errors import NoRule, Unseen
from whyrec.operations import FAMILY, IN_PLACE, REARRANGES, Family, Function
from whyrec.slopes import with_slope

REMEMBERED = frozenset({Family.WEIGHTS, Family.BATCH_NORM})
"""Families whose results keep their call, for rules that look at what came before."""


@dataclass
class Taken:
    """What others than the inputs took during one backward pass, each (users,) or (users, items) float64."""

    shape: tuple[int, ...]  # (users,) for one place of the list, (users, items) for all of them
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    bias: Tensor = field(init=False)
    stabilizer: Tensor = field(init=False)
    reference: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.bias, self.stabilizer, self.reference = torch.zeros(
            3, *self.shape, dtype=torch.float64, device=self.device
        )

    def settle(self) -> tuple[Tensor, Tensor, Tensor]:
        """Shares of bias, stabiliser and reference since the last time, which starts anew."""
        settled = self.bias, self.stabilizer, self.reference
        self.__post_init__()
        return settled

    def per_target(self, gradient: Tensor, amount: Tensor) -> Tensor:
        """gradient * amount, summed over all but the leading users (and items), which may be folded, users first."""
        kept = len(self.shape)
        folded = gradient.shape[:kept] != self.shape
        if folded and (gradient.ndim == 0 or gradient.shape[0] % math.prod(self.shape)):
            raise NoRule(
                f"a value of shape {tuple(gradient.shape)} cannot be told apart by user: keep users (and items) the "
                f"leading axes of every tensor, here {self.shape}, or fold them together, users first"
            )
        if _is_of_channels(amount, gradient, 1 if folded else kept):
            spent = _over_channels(gradient, amount)
        else:
            spent = gradient * amount
        if folded:
            spent = spent.unflatten(0, (*self.shape, -1))
        if spent.ndim > kept:
            precise = torch.float32 if spent.dtype in (torch.float16, torch.bfloat16) else None
            spent = spent.flatten(kept).sum(-1, dtype=precise)
        return spent.double()


class Relevance(TorchFunctionMode):
    """While open, every operation on something live gets its slope from the plan."""

    def __init__(self, plan: Plan, taken: Taken, *, layers: int | None = None) -> None:
        super().__init__()
        self.plan = plan
        self.taken = taken
        self.layers = layers  # how many layers with weights there are, where a rule has to know
        self.origins = Origins()
        self._live: dict[int, Tensor] = {}  # holding the tensors keeps their identities from being given anew
        self._known: dict[int, Tensor] = {}  # constants that were computed from something live
        self._gates: set[int] = set()  # those of them that a rule made a factor
        self._weights: dict[tuple[int, torch.Size], int] = {}  # layers met, by where their weights lie
        self._stance: Any = None

    def __enter__(self) -> Self:
        if "torch._dynamo" in sys.modules:  # a compiled model runs as it is written, where rules can see it
            self._stance = torch.compiler.set_stance("force_eager")
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        if self._stance is not None:
            self._stance.__exit__(kind, error, trace)
            self._stance = None

    def follow(self, leaf: Tensor) -> Tensor:
        """Make a tensor live: what depends on it will be explained."""
        self._live[id(leaf)] = self.origins.leaves[id(leaf)] = leaf
        return leaf

    def is_live(self, value: object) -> bool:
        """Whether a value depends on what is followed."""
        return id(value) in self._live

    @property
    def layers_met(self) -> int:
        """How many different layers with weights have been met."""
        return len(self._weights)

    def carriers(self, leaves: Iterable[Tensor]) -> list[Tensor | None]:
        """For each leaf, the carrier of relevance that is not proportional to it, where a rule asked for one."""
        return [self.origins.carriers.get(id(leaf)) for leaf in leaves]

    def __torch_function__(
        self, function: Function, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        family = FAMILY.get(function)
        if family is Family.METADATA:
            return function(*args, **kwargs)
        operands = [one for one in opened((*args, *kwargs.values())) if isinstance(one, Tensor)]
        if not operands:
            return function(*args, **kwargs)  # torch.zeros() and the like; torch.no_grad() must keep its effect
        live = frozenset([id(one) for one in operands if id(one) in self._live])
        self._refuse_unseen(function, operands)
        if family is Family.READS and (live or any(id(one) in self._known for one in operands)):
            raise NoRule(
                f"'{resolve_name(function)}' reads an explained value into Python; "
                "a score must not branch on its inputs"
            )
        if not live:
            with torch.no_grad():
                return self._remember(function(*args, **kwargs), operands, family)
        if family is Family.CONSTANT or not (torch.is_grad_enabled() or _changes_in_place(function, kwargs)):
            return self._remember(_mapped(function(*args, **kwargs), Tensor.detach), operands, family)

        def detached(one: Tensor) -> Tensor:
            return one.detach() if one.requires_grad and id(one) not in live else one

        call = Call(
            function,
            tuple(_mapped(one, detached) for one in args),
            {name: _mapped(one, detached) for name, one in kwargs.items()},
            live,
            self.plan,
            self.origins,
            self._layer_of(operands[1]) if family is Family.WEIGHTS and len(operands) > 1 else 0,
            self.layers,
        )
        self._refuse_unruled(call, family, operands)
        return self._ruled(call, family)

    def _ruled(self, call: Call, family: Family | None) -> Any:
        output = call.function(*call.args, **call.kwargs)
        if family is Family.PASSES or family is None:
            return self._passed(call, output)
        if not isinstance(output, Tensor):
            raise NoRule(f"'{resolve_name(call.function)}' returned several results where a rule follows one")
        found = self.plan[family](call, output)
        if found.slope is None:
            gate = output.detach()
            self._known[id(gate)] = gate
            self._gates.add(id(gate))
            return gate
        keeps = found.slope is output and not output._is_view()  # a view that is written to later loses its hooks
        result = output if keeps else with_slope(output, found.slope)
        self._measure(result, found)
        for part in found.parts:
            self._measure(part.tensor, Slope(None, part.bias, part.stabilizer))
        self._live[id(result)] = result
        if family in REMEMBERED or call.function in REARRANGES:
            self.origins.made[id(result)] = call, 0
        return result

    def _passed(self, call: Call, output: Any) -> Any:
        rearranged, given = call.function in REARRANGES, {id(one) for one in call.operands()}
        for place, tensor in enumerate(opened((output,))):
            if isinstance(tensor, Tensor) and tensor.requires_grad:  # c.expand_as(live) is a constant
                self._live[id(tensor)] = tensor
                if rearranged and id(tensor) not in given:  # dropout at rest hands on what it was given
                    self.origins.made[id(tensor)] = call, place
        return output

    def _remember(self, output: Any, operands: list[Tensor], family: Family | None) -> Any:
        """Keep in mind which constants tell something about the explained inputs, and which of them are gates."""
        if not self._known and not any(id(one) in self._live for one in operands):
            return output
        told = any(id(one) in self._live or id(one) in self._known for one in operands)
        gates = family is not Family.CONSTANT and any(id(one) in self._gates for one in operands)
        for tensor in opened((output,)):
            if told and isinstance(tensor, Tensor):
                self._known[id(tensor)] = tensor
                if gates and tensor.is_floating_point():
                    self._gates.add(id(tensor))
        return output

    def _measure(self, result: Tensor, found: Slope) -> None:
        """When gradient arrives at `result`, scale it, and book what constants, stabiliser and reference take of it."""
        gain, bias, stabilizer, reference = found.gain, found.bias, found.stabilizer, found.reference
        if gain is None and bias is None and stabilizer is None and reference is None:
            return
        taken = self.taken

        def book(gradient: Tensor | None) -> Tensor | None:
            if gradient is None:
                return None
            passed = gradient if gain is None else gradient * gain
            if bias is not None:
                taken.bias.add_(taken.per_target(passed, bias))
            if stabilizer is not None:
                taken.stabilizer.add_(taken.per_target(passed, stabilizer))
            if reference is not None:
                taken.reference.add_(taken.per_target(passed, reference))
            return passed

        result.register_hook(book)

    def _layer_of(self, weight: Tensor) -> int:
        return self._weights.setdefault((weight.data_ptr(), weight.shape), len(self._weights))

    def _refuse_unseen(self, function: Function, operands: list[Tensor]) -> None:
        for operand in operands:
            if id(operand) not in self._live and (operand.grad_fn is not None or is_functorch_wrapped_tensor(operand)):
                maker = "torch.func" if operand.grad_fn is None else type(operand.grad_fn).__name__
                raise Unseen(
                    f"'{resolve_name(function)}' was given a tensor of shape {tuple(operand.shape)} made by {maker}, "
                    "which no rule could see; write that step with ordinary PyTorch operations instead of torch.func "
                    "or a custom autograd function, and compute nothing outside score()"
                )

    def _refuse_unruled(self, call: Call, family: Family | None, operands: list[Tensor]) -> None:
        if family is Family.WRITES:
            raise NoRule(
                f"'{resolve_name(call.function)}' writes where no rule can follow; use torch.cat, torch.stack or "
                "torch.where"
            )
        if family is None or (family is not Family.PASSES and family not in self.plan):
            shape = next(tuple(one.shape) for one in operands if id(one) in call.live)
            raise NoRule(
                f"no relevance rule for '{resolve_name(call.function) or call.function}' on a tensor of shape {shape}; "
                "write the step with operations that have one (docs/how-to/add-a-model.md lists them), or give the "
                "plan a rule for it"
            )
        if _changes_in_place(call.function, call.kwargs) and not _may_change_in_place(call, family):
            raise NoRule(
                f"'{resolve_name(call.function)}' changes a tensor in place, which hides it from the rules; assign a "
                "new one instead, and build activations with inplace=False"
            )
        if family is Family.SUMS and any(id(one) in self._gates for one in operands):
            raise NoRule(
                "a gate (the result of a sigmoid, softmax or reciprocal) is added to an explained value, where its "
                "share would be lost; multiply by it, explain the logit before it, or give the plan another rule"
            )
        if call.draws_at_random:
            raise NoRule(
                f"'{resolve_name(call.function)}' draws at random while explaining; pass training=self.training (to "
                "attention dropout_p=0.0), and call model.eval()"
            )


def _changes_in_place(function: Function, kwargs: Mapping[str, Any]) -> bool:
    return function in IN_PLACE or kwargs.get("out") is not None or kwargs.get("inplace") is True


def _may_change_in_place(call: Call, family: Family | None) -> bool:
    """relu_ and += may, on an explained value; a constant added to a view would be booked where no gradient passes."""
    if family is Family.SUMS:
        return call.kwargs.get("out") is None and call.is_live(call.args[0]) and call.args[0]._base is None
    return family is Family.PASSES and call.kwargs.get("out") is None and call.is_live(call.args[0])


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A value with every tensor in it changed, those in lists and tuples one by one."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, list | tuple) and any(isinstance(one, Tensor | list | tuple) for one in value):
        members = [_mapped(one, change) for one in value]
        return members if isinstance(value, list) else tuple(members)
    return value


def _is_of_channels(amount: Tensor, gradient: Tensor, kept: int) -> bool:
    """Whether an amount is one number for each channel, so that a matrix product can sum it up."""
    return (
        0 < amount.ndim <= gradient.ndim - kept
        and amount.numel() == amount.shape[0] == gradient.shape[-amount.ndim]
        and gradient.is_floating_point()
    )


def _over_channels(gradient: Tensor, amount: Tensor) -> Tensor:
    if amount.ndim > 1:
        gradient = gradient.flatten(1 - amount.ndim).sum(-1)
    precise = torch.promote_types(gradient.dtype, torch.float32)
    return gradient.to(precise) @ amount.reshape(-1).to(precise)

"""Differences from a reference: run a model once, with beside each value what it would be at the reference.

DeepLIFT's multipliers (Shrikumar, Greenside and Kundaje 2017, the rescale rule) are slopes that carry a difference
exactly: an operation's inputs differ from the reference by d_i, its output by the sum of m_i d_i. `Differences` is a
`TorchFunctionMode` that gives each operation these slopes, so that one backward pass yields the multipliers of a whole
model. Every operation is computed twice, at the inputs and at the reference, with no assumption about axes.

    linear, and constants that are added    the plain gradient
    bends: one number in, one out           m = (f(x) - f(x')) / (x - x'), the gradient where the two are the same
    a * b, and all products of two          m_a = (b + b') / 2, m_b = (a + a') / 2
    a / b                                   the product of a and 1 / b, which bends
    softmax                                 exponentials, which bend, divided by their sum

The bends are DeepLIFT's; halving products is the Shapley value of the two factors, and makes them add up. Anything else
raises `NoRule`: normalisation written out with these operations is followed, `layer_norm` as one operation is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves, tree_map_only

from whyrec.calls import Call
from whyrec.errors import NoRule, Unseen
from whyrec.operations import DROPOUTS, FAMILY, IN_PLACE, REARRANGES, Family, Function
from whyrec.slopes import combined, with_slope


def _named(names: str) -> set[Function]:
    """Functions and methods of PyTorch of these names, as many of both as this version has."""
    return {getattr(home, name) for home in (torch, Tensor, F) for name in names.split() if hasattr(home, name)}


LINEAR = (
    REARRANGES
    | DROPOUTS
    | _named("sum mean neg __neg__ positive cumsum triu tril where masked_fill embedding batch_norm pad")
    | _named("avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d")
)
"""Operations whose plain gradient carries differences, as long as what they choose by stays the same."""

BENDS = {
    function for function, family in FAMILY.items() if family in (Family.ACTIVATIONS, Family.POWERS, Family.GATES)
} | _named("relu leaky_relu prelu abs __abs__ exp log log2 log10 softplus logsigmoid cos sinh cosh")
"""Operations that make one number of one number."""


class Differences(TorchFunctionMode):
    """While open, every operation on something that has a reference gets the slope that carries differences."""

    def __init__(self) -> None:
        super().__init__()
        self._pairs: dict[int, tuple[Tensor, Tensor]] = {}  # holds the tensors, so that identities are not given anew
        self._sloped_here: set[int] = set()  # those of them that passed gradient when they were made
        self._renewed: dict[int, Tensor] = {}  # what stands in for a tensor that was changed in place

    def follow(self, value: Tensor, reference: Tensor) -> Tensor:
        """Make known what a tensor would be at the reference."""
        self._pairs[id(value)] = value, reference.detach()
        if value.requires_grad:
            self._sloped_here.add(id(value))
        return value

    def reference(self, value: Any) -> Any:
        """What a value is at the reference; of a constant, the value itself."""
        return self._pairs[id(value)][1] if id(value) in self._pairs else value

    def __torch_function__(
        self, function: Function, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        args, kwargs = tree_map_only(Tensor, lambda one: self._renewed.get(id(one), one), (args, kwargs or {}))
        family = FAMILY.get(function)
        operands = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        if family is Family.METADATA or not operands:
            return function(*args, **kwargs)
        self._refuse_unseen(function, operands)
        known = [one for one in operands if id(one) in self._pairs]
        if not known:
            with torch.no_grad():
                return function(*args, **kwargs)
        if kwargs.get("inplace") and function in BENDS:
            return self._in_place(function, args, kwargs)
        self._refuse_side_effects(function, family, kwargs)
        with torch.no_grad():
            args0, kwargs0 = tree_map_only(Tensor, self.reference, (args, kwargs))
            before = function(*args0, **kwargs0)
        if family is Family.CONSTANT or not (torch.is_grad_enabled() and any(one.requires_grad for one in known)):
            return self._paired(tree_map_only(Tensor, lambda one: one.detach(), function(*args, **kwargs)), before)
        return self._sloped(function, args, kwargs, before)

    def _sloped(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], before: Any) -> Any:
        live = frozenset(id(one) for one in tree_leaves((args, kwargs)) if id(one) in self._pairs and one.requires_grad)
        args, kwargs = tree_map_only(Tensor, lambda one: one if id(one) in live else self._fixed(one), (args, kwargs))
        call = Call(function, args, kwargs, live)
        if call.draws_at_random or (function is F.batch_norm and call.operand(5, "training")):
            raise NoRule(_no_rule(call, "call model.eval(), and pass training=self.training"))
        output = function(*args, **kwargs)
        family = FAMILY.get(function)
        if function in BENDS:
            output = with_slope(output, self._secant(call, output, before))
        elif family in (Family.WEIGHTS, Family.PRODUCTS):
            output = self._product(call, output)
        elif family is Family.QUOTIENTS:
            output = self._quotient(call, output)
        elif family is Family.SOFTMAX:
            output = with_slope(output, self._softmax(call))
        elif family is not Family.SUMS and function not in LINEAR:
            raise NoRule(_no_rule(call, "write the step with operations that have one, or choose IntegratedGradients"))
        return self._paired(output, before)

    def _in_place(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """A bend that writes over its operand, as `nn.ReLU(inplace=True)`: made anew, and taken for the operand."""
        changed: Any = args[0]
        memory = changed.untyped_storage().data_ptr()
        if sum(one.untyped_storage().data_ptr() == memory for one, _ in self._pairs.values()) > 1:  # seen elsewhere too
            self._refuse_side_effects(function, None, kwargs)
        output: Tensor = self.__torch_function__(function, (), args, {**kwargs, "inplace": False})
        self._renewed[id(changed)] = output
        return output

    def _paired(self, output: Any, before: Any) -> Any:
        for value, reference in zip(tree_leaves(output), tree_leaves(before), strict=True):
            if isinstance(value, Tensor):
                self.follow(value, reference)
        return output

    def _secant(self, call: Call, output: Tensor, before: Tensor) -> Tensor:
        places = call.live_places()
        x: Any = call.operands()[places[0]]
        if len(places) != 1 or x.shape != output.shape:
            raise NoRule(_no_rule(call, "bend one value at a time, and by constants only"))

        def gradient() -> Tensor:
            at: Tensor = x.detach().requires_grad_()
            with torch.enable_grad():
                found: Tensor = torch.autograd.grad(call.again(lambda _place, _operand: at).sum(), at)[0]
            return found

        slope = _multiplier(x.detach(), self.reference(x), output.detach(), before, gradient)
        return combined((x, slope))

    def _product(self, call: Call, output: Tensor) -> Tensor:
        """Each factor with the other half way; a linear map of constant weights is a product with one live factor."""
        places = call.live_places()
        if len(places) == 1:
            return output
        if len(places) > 2:
            raise NoRule(_no_rule(call, "multiply two values at a time"))
        terms = [self._with_others_half_way(call, place) for place in places]
        return with_slope(output, combined(*((term, 1.0) for term in terms)))

    def _with_others_half_way(self, call: Call, place: int) -> Tensor:
        term: Tensor = call.again(
            lambda at, operand: operand if at == place else (operand.detach() + self.reference(operand)) / 2
        )
        return term

    def _quotient(self, call: Call, output: Tensor) -> Tensor:
        if call.kwargs.get("rounding_mode") is not None:
            raise NoRule(_no_rule(call, "a rounded quotient carries no difference; explain a score without it"))
        a, b = call.operands()[:2]
        if call.function is Tensor.__rtruediv__:
            a, b = b, a
        if not isinstance(b, Tensor) or not call.is_live(b):
            return output
        b0, middle = self.reference(b), (_detached(a) + self.reference(a)) / 2
        inverse = (1 / b.detach() + 1 / b0) / 2
        slope = -b * (middle / (b.detach() * b0))
        return with_slope(output, slope + a * inverse if call.is_live(a) else slope)

    def _softmax(self, call: Call) -> Tensor:
        x, axis = call.operand(0, "input"), call.operand(1, "dim")
        if axis is None:
            raise NoRule(_no_rule(call, "say along which axis, dim="))
        top = torch.maximum(x.detach(), self.reference(x)).amax(axis, keepdim=True)
        here, there = (torch.exp(one - top) for one in (x.detach(), self.reference(x)))
        bent = combined((x, _multiplier(x.detach(), self.reference(x), here, there, lambda: here)))
        total, total0 = (one.sum(axis, keepdim=True) for one in (here, there))
        share = (here + there) / 2 / (total * total0)
        return combined((bent, (1 / total + 1 / total0) / 2), (bent.sum(axis, keepdim=True).expand_as(bent), -share))

    def _fixed(self, constant: Tensor) -> Tensor:
        """A constant operand; refuses one that was cut off from the gradient and is another at the reference."""
        if not torch.equal(constant, self.reference(constant)):
            raise NoRule(
                f"a value of shape {tuple(constant.shape)} depends on the explained inputs and passes no gradient "
                "(detached, a choice of places, or a condition), so its difference from the reference cannot be shared "
                "out; explain a score without that step, or choose another method, for example LeaveOneOut"
            )
        return constant.detach()

    def _refuse_unseen(self, function: Function, operands: list[Tensor]) -> None:
        for one in operands:
            if one.grad_fn is not None and id(one) not in self._sloped_here:
                raise Unseen(
                    f"'{resolve_name(function)}' was given a tensor of shape {tuple(one.shape)} made by "
                    f"{type(one.grad_fn).__name__}, whose reference nobody saw; write that step with ordinary PyTorch "
                    "operations, and compute nothing outside score()"
                )

    def _refuse_side_effects(self, function: Function, family: Family | None, kwargs: dict[str, Any]) -> None:
        if family is Family.READS:
            raise NoRule(
                f"'{resolve_name(function)}' reads an explained value into Python; "
                "a score must not branch on its inputs"
            )
        writes = function in IN_PLACE or kwargs.get("inplace") or kwargs.get("out") is not None
        if writes or family is Family.WRITES:
            raise NoRule(
                f"'{resolve_name(function)}' changes a tensor in place, which hides its difference from the reference; "
                "assign a new one, for example nn.ReLU(inplace=False)"
            )


def _multiplier(x: Tensor, x0: Tensor, y: Tensor, y0: Tensor, gradient: Callable[[], Tensor]) -> Tensor:
    """(y - y') / (x - x'), and the gradient where that would divide rounding errors by one another."""
    way = x - x0
    largest = torch.stack([one.abs() for one in (x, x0, y, y0)]).amax(0)
    far = way.abs() > torch.finfo(x.dtype).eps ** (2 / 3) * largest
    slope = (y - y0) / way if bool(far.all()) else torch.where(far, (y - y0) / way, gradient())
    return torch.where(slope.isfinite(), slope, 0.0)  # log, sqrt and masks at their ends, where nothing moves


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _no_rule(call: Call, way_out: str) -> str:
    name = resolve_name(call.function) or str(call.function)
    shape = next(tuple(one.shape) for one in call.operands() if isinstance(one, Tensor) and call.is_live(one))
    return f"no relevance rule for '{name}' on a tensor of shape {shape} in differences from a reference; {way_out}"

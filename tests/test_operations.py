"""The table of operations: PyTorch offers every entry, each stands in one family, and every operator is there."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._ops import OpOverloadPacket
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode, get_overridable_functions, resolve_name

from whyrec.operations import _MEMBERS, FAMILY, IN_PLACE, Family, Function


class Listening(TorchFunctionMode):
    """Notes which function objects arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Function] = []

    def __torch_function__(
        self, function: Function, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.heard.append(function)
        return function(*args, **(kwargs or {}))


def heard(call: Callable[[], object]) -> list[Function]:
    """The function objects that arrive when `call` runs."""
    listening = Listening()
    with listening:
        call()
    return listening.heard


def getter(name: str) -> Function:
    """What arrives where a tensor's attribute is read."""
    found: Function = getattr(Tensor, name).__get__
    return found


OFFERED = {function for functions in get_overridable_functions().values() for function in functions}

X = torch.ones(2, 2)

ARRIVE: tuple[Callable[[], object], ...] = (
    lambda: X.stride(),
    lambda: torch.result_type(X, X),
    lambda: X.new_zeros(1),
    lambda: X.new_ones(1),
    lambda: X.new_empty(1),
    lambda: X.new_full((1,), 2.0),
    lambda: torch.rand_like(X),
    lambda: torch.randn_like(X),
    lambda: X.unflatten(0, (1, 2)),
    lambda: torch.relu_(X.clone()),
    lambda: F.leaky_relu_(X.clone()),
    lambda: torch.tanh_(X.clone()),
    lambda: F.hardsigmoid(X),
    lambda: F.hardswish(X),
)
"""Operations that PyTorch lists as not to be overridden by classes, and that a mode sees all the same."""


def test_every_operation_is_one_that_a_mode_can_see() -> None:
    seen = OFFERED | {function for call in ARRIVE for function in heard(call)}
    assert [resolve_name(function) or function for function in FAMILY if function not in seen] == []


def test_no_operation_stands_in_two_families() -> None:
    families = Counter(function for functions in _MEMBERS.values() for function in set(functions))
    assert [resolve_name(function) for function, count in families.items() if count > 1] == []
    assert set(FAMILY) == set(families)
    assert set(_MEMBERS) == set(Family)


def test_nothing_is_told_apart_by_name() -> None:
    getters = [function for function in FAMILY if getattr(function, "__name__", "") == "__get__"]
    assert len(getters) > 10
    assert FAMILY[getter("shape")] is Family.METADATA
    assert FAMILY[getter("T")] is Family.PASSES
    assert FAMILY[getter("data")] is Family.CONSTANT


Y = torch.full((2, 2), 3.0)

OPERATORS: dict[str, tuple[Callable[[], object], Family]] = {
    "x + y": (lambda: X + Y, Family.SUMS),
    "x + 1": (lambda: X + 1, Family.SUMS),
    "1 + x": (lambda: 1 + X, Family.SUMS),
    "x += y": (lambda: operator.iadd(X.clone(), Y), Family.SUMS),
    "x - y": (lambda: X - Y, Family.SUMS),
    "1 - x": (lambda: 1 - X, Family.SUMS),
    "x -= y": (lambda: operator.isub(X.clone(), Y), Family.SUMS),
    "x * y": (lambda: X * Y, Family.PRODUCTS),
    "2 * x": (lambda: 2 * X, Family.PRODUCTS),
    "x *= y": (lambda: operator.imul(X.clone(), Y), Family.PRODUCTS),
    "x / y": (lambda: X / Y, Family.QUOTIENTS),
    "1 / x": (lambda: 1 / X, Family.QUOTIENTS),
    "x /= y": (lambda: operator.itruediv(X.clone(), Y), Family.QUOTIENTS),
    "x @ y": (lambda: X @ Y, Family.PRODUCTS),
    "x @= y": (lambda: operator.imatmul(X.clone(), Y), Family.PRODUCTS),
    "y.__rmatmul__(x)": (lambda: Y.__rmatmul__(X), Family.PRODUCTS),
    "-x": (lambda: -X, Family.PASSES),
    "+x": (lambda: +X, Family.PASSES),
    "x[0]": (lambda: X[0], Family.PASSES),
    "x > y": (lambda: X > Y, Family.CONSTANT),
    "x <= 1": (lambda: X <= 1, Family.CONSTANT),
    "x == y": (lambda: X == Y, Family.CONSTANT),
    "torch.add": (lambda: torch.add(X, Y), Family.SUMS),
    "torch.sub": (lambda: torch.sub(X, Y), Family.SUMS),
    "torch.rsub": (lambda: torch.rsub(X, Y), Family.SUMS),
    "torch.mul": (lambda: torch.mul(X, Y), Family.PRODUCTS),
    "torch.div": (lambda: torch.div(X, Y), Family.QUOTIENTS),
    "torch.matmul": (lambda: torch.matmul(X, Y), Family.PRODUCTS),
    "torch.einsum": (lambda: torch.einsum("ij,jk->ik", X, Y), Family.PRODUCTS),
    "torch.cat": (lambda: torch.cat([X, Y]), Family.SUMS),
    "torch.nn.Linear": (lambda: torch.nn.Linear(2, 2)(X), Family.WEIGHTS),
    "torch.nn.Conv1d": (lambda: torch.nn.Conv1d(2, 2, 1)(X), Family.WEIGHTS),
    "torch.nn.ReLU": (lambda: torch.nn.ReLU()(X), Family.PASSES),
    "torch.nn.GELU": (lambda: torch.nn.GELU()(X), Family.ACTIVATIONS),
    "torch.nn.SiLU": (lambda: torch.nn.SiLU()(X), Family.ACTIVATIONS),
    "torch.nn.Tanh": (lambda: torch.nn.Tanh()(X), Family.ACTIVATIONS),
    "torch.nn.Sigmoid": (lambda: torch.nn.Sigmoid()(X), Family.GATES),
    "torch.nn.Softmax": (lambda: torch.nn.Softmax(-1)(X), Family.SOFTMAX),
    "torch.nn.MaxPool1d": (lambda: torch.nn.MaxPool1d(2)(X), Family.POOLS),
    "x ** 2": (lambda: X**2, Family.POWERS),
    "torch.square": (lambda: torch.square(X), Family.POWERS),
    "layer norm": (lambda: F.layer_norm(X, (2,)), Family.NORMS),
    "batch norm": (lambda: F.batch_norm(X, X[0], X[1]), Family.BATCH_NORM),
    "attention": (lambda: F.scaled_dot_product_attention(X, X, X), Family.ATTENTION),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_every_form_of_an_operator_has_its_family(name: str) -> None:
    call, family = OPERATORS[name]
    arrived = [function for function in heard(call) if FAMILY.get(function) is not Family.METADATA]
    assert FAMILY.get(arrived[-1]) is family, [resolve_name(function) for function in arrived]


@pytest.mark.parametrize("form", ["{}", "r{}", "i{}"])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "matmul"])
def test_special_methods_have_the_family_of_their_operator(name: str, form: str) -> None:
    method = getattr(Tensor, f"__{form.format(name)}__", None)
    if method is None:
        assert (name, form) == ("matmul", "i{}")  # `x @= y` is spelled with __matmul__, as Python does by itself
        return
    expected = {"add": Family.SUMS, "sub": Family.SUMS, "truediv": Family.QUOTIENTS}.get(name, Family.PRODUCTS)
    assert FAMILY[method] is expected


def schemas(function: Function) -> list[Any]:
    """What PyTorch's own table says an operation does with its arguments."""
    name = (resolve_name(function) or "").rpartition(".")[2]
    name = {"__iadd__": "add_", "__isub__": "sub_", "__imul__": "mul_", "__itruediv__": "div_"}.get(name, name)
    packet = getattr(torch.ops.aten, name, None)
    if not isinstance(packet, OpOverloadPacket):
        return []
    return [getattr(packet, overload)._schema for overload in packet.overloads()]


def writes_to_its_first(function: Function) -> bool | None:
    """Whether every form of an operation changes its first operand; None where PyTorch's table does not say."""
    marks = [
        bool(one.arguments and one.arguments[0].alias_info and one.arguments[0].alias_info.is_write)
        for one in schemas(function)
    ]
    return all(marks) if marks else None


def test_operations_that_change_their_first_operand_are_known_as_such() -> None:
    told = {function: writes_to_its_first(function) for function in FAMILY}
    for function, writes in told.items():
        if writes is not None:
            assert (function in IN_PLACE) == writes, resolve_name(function)
    assert sum(writes is True for writes in told.values()) > 12
    assert set(FAMILY) >= IN_PLACE
    for name in ("__iadd__", "__isub__", "__imul__", "__itruediv__"):
        assert getattr(Tensor, name) in IN_PLACE
    for name in ("__add__", "__radd__", "__setitem__", "__len__", "add"):
        assert getattr(Tensor, name) not in IN_PLACE


def test_what_cannot_be_followed_has_no_family() -> None:
    for function in (Tensor.exp, torch.exp, Tensor.__rpow__, F.log_softmax, F.softplus, torch.maximum, Tensor.map_):
        assert function not in FAMILY

"""Relevance by slopes: each way in which a plain PyTorch score could mislead the rules is followed rightly, or refused.

Most promises are told by twins: an odd way of writing a step, and a plain way that it has to agree with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from einops import einsum, rearrange, reduce, repeat
from tests.worlds import expect_twins, follow, in_place, noise, wired, with_random_weights
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.errors import NoRule, Unseen
from whyrec.explainers.lrp import LRP
from whyrec.relevance import Relevance, Taken
from whyrec.slopes import with_slope

Function = Callable[[Tensor, Tensor], Tensor]

X, Y = noise(3, 4), noise(3, 4, seed=1)  # (users, factor): both live wherever a function takes them
W, B = noise(5, 4, seed=2), noise(5, seed=3)
GATE = noise(4, seed=4)
HALF: Any = np.float32(0.5)
PARAMETER = nn.Parameter(noise(3, 4, seed=5))


def tower(*, inplace: bool = False) -> nn.Sequential:
    """A small network with biases; the same weights at each call."""
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=inplace), nn.Linear(6, 5)).double()
    return with_random_weights(net)


TOWER, COPY, IN_PLACE = tower(), tower(), tower(inplace=True)
BILINEAR = nn.Bilinear(4, 4, 5).double()


# The trick itself


def test_a_slope_changes_the_derivative_and_no_bit_of_the_value() -> None:
    x = noise(1000, dtype=torch.float32).requires_grad_()
    value = x * x
    told = with_slope(value, 3.5 * x - 100)
    assert told.equal(value)
    assert torch.autograd.grad(told.sum(), x)[0].eq(3.5).all()


SCORES: dict[str, Function] = {
    "linear": lambda x, y: F.linear(x, W.to(x.dtype), B.to(x.dtype)),
    "two linears": lambda x, y: F.linear(F.linear(x, W.to(x.dtype)), W.T.to(x.dtype)) + 0.3 * y,
    "network": lambda x, y: F.relu(F.linear(x, W.to(x.dtype), B.to(x.dtype))).sum(-1),
    "product": lambda x, y: F.linear(x * y, W.to(x.dtype)),
    "quotient": lambda x, y: x / (y.abs() + 1),
    "outer product": lambda x, y: torch.einsum("ud,ue->ude", x, y),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("epsilon", [0.0, 1e-6, 0.5])
@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_values_under_the_rules_are_the_same_to_the_last_bit(
    score: Function, epsilon: float, dtype: torch.dtype
) -> None:
    x, y = X.to(dtype), Y.to(dtype)
    assert follow(score, x, y, epsilon=epsilon).value.equal(score(x, y))


# What is live is what depends on the explained inputs, and nothing else


TWINS: dict[str, tuple[Function, Function]] = {
    "a parameter is a gate, not a factor": (lambda x, y: PARAMETER * y, lambda x, y: y * PARAMETER.detach()),
    "a part nobody asked about is a constant": (lambda x, y: x * X, lambda x, y: x @ torch.eye(4).double() * X),
    "a constant shaped like a live value": (lambda x, y: x * GATE.expand_as(x), lambda x, y: x * GATE),
    "a parameter shaped like a live value": (
        lambda x, y: x * PARAMETER.expand_as(x),
        lambda x, y: x * PARAMETER.detach(),
    ),
    "a constant viewed like a live value": (
        lambda x, y: x * Y.reshape(4, 3).view_as(x),
        lambda x, y: x * Y.reshape(3, 4),
    ),
    "a constant of a live value's type": (lambda x, y: x * GATE.int().type_as(x), lambda x, y: x * GATE.int().double()),
    "a constant moved to a live value": (lambda x, y: x * GATE.int().to(x), lambda x, y: x * GATE.int().double()),
    "an added constant shaped like a live value": (lambda x, y: x + GATE.expand_as(x), lambda x, y: x + GATE),
    "detached values": (lambda x, y: x * x.detach(), lambda x, y: x * X),
    "values computed under no_grad": (lambda x, y: y + without_gradient(x), lambda x, y: y + 2 * X),
    "a mask made of live values": (lambda x, y: x * (y > 0) + y, lambda x, y: x * (Y > 0) + y),
    "a value that stands twice": (lambda x, y: y * y + x, lambda x, y: y * Y + x),
    "a shared tower": (lambda x, y: TOWER(x) + TOWER(y), lambda x, y: TOWER(x) + COPY(y)),
    "a shared tower, multiplied": (lambda x, y: TOWER(x) * TOWER(y), lambda x, y: TOWER(x) * COPY(y)),
}


def without_gradient(x: Tensor) -> Tensor:
    with torch.no_grad():
        return 2 * x


@pytest.mark.parametrize("name", TWINS)
def test_constants_and_live_values_are_told_apart(name: str) -> None:
    expect_twins(*TWINS[name], X, Y)


def test_a_parameter_gate_leaves_everything_to_the_gated_value() -> None:
    followed = follow(lambda y: PARAMETER * y, Y)
    torch.testing.assert_close(followed.relevance[0], (PARAMETER * Y).detach(), rtol=1e-12, atol=0)
    assert PARAMETER.requires_grad
    assert PARAMETER.grad is None


def test_a_square_is_a_product_of_two_and_gets_its_value_once() -> None:
    followed = follow(lambda y: y * y, Y)
    torch.testing.assert_close(followed.relevance[0], Y * Y, rtol=1e-12, atol=0)


def test_a_product_of_three_gives_each_factor_a_third() -> None:
    followed = follow(lambda x, y: torch.einsum("ud,ud,ud->ud", x, y, x), X, Y)
    torch.testing.assert_close(followed.relevance[0], 2 / 3 * X * Y * X, rtol=1e-12, atol=0)
    torch.testing.assert_close(followed.relevance[1], 1 / 3 * X * Y * X, rtol=1e-12, atol=0)


def test_a_score_that_ignores_one_part_gives_it_nothing() -> None:
    answer = LRP()(wired(lambda parts: parts["p"].sum((2, 3)), {name: noise(2, 3, 4, 1) for name in "pq"}))
    assert not answer.relevance["q"].any()
    torch.testing.assert_close(answer.ledger.inputs, answer.ledger.target, rtol=1e-12, atol=0)


def test_a_score_without_a_trace_of_the_inputs_is_refused() -> None:
    with pytest.raises(Unseen, match="no rule followed"):
        LRP()(wired(lambda parts: parts["p"].detach().sum((2, 3)), {"p": noise(2, 3, 4, 1)}))


# Every way of writing a step is one step


def added_in_place(x: Tensor, y: Tensor | float) -> Tensor:
    x = x * 1.0
    x += y
    return x


SPELLINGS: dict[str, tuple[Function, Function]] = {
    "1 - x": (lambda x, y: 1 - x, lambda x, y: torch.sub(torch.ones(3, 4).double(), x)),
    "x - 1": (lambda x, y: x - 1, lambda x, y: torch.add(x, torch.full((3, 4), -1.0).double())),
    "x / 2": (lambda x, y: x / 2, lambda x, y: x * 0.5),
    "x / tensor": (lambda x, y: x / GATE, lambda x, y: x * (1 / GATE)),
    "-x": (lambda x, y: -x, lambda x, y: x * -1.0),
    "x @ w": (lambda x, y: x @ W.T, lambda x, y: torch.einsum("ud,fd->uf", x, W)),
    "w @ x": (lambda x, y: (W[:4] @ x.T).T, lambda x, y: torch.einsum("ud,fd->uf", x, W[:4])),
    "x @ y": (lambda x, y: (x[:, None] @ y[:, :, None])[:, 0, 0], lambda x, y: (x * y).sum(-1)),
    "bmm": (lambda x, y: torch.bmm(x[:, None], y[:, :, None])[:, 0, 0], lambda x, y: (x * y).sum(-1)),
    "einsum": (lambda x, y: torch.einsum("ud,ud->u", x, y), lambda x, y: (x * y).sum(-1)),
    "einsum with a constant": (lambda x, y: torch.einsum("ud,d->u", x, GATE), lambda x, y: (x * GATE).sum(-1)),
    "einops einsum": (lambda x, y: einsum(x, y, "u d, u d -> u"), lambda x, y: (x * y).sum(-1)),
    "x += y": (lambda x, y: added_in_place(x, y), lambda x, y: x + y),
    "x += 0.5": (lambda x, y: added_in_place(x, 0.5), lambda x, y: x + 0.5),
    "x.add_(y)": (lambda x, y: in_place(lambda h: h.add_(y, alpha=2), x), lambda x, y: x + 2 * y),
    "x.sub_(1)": (lambda x, y: in_place(lambda h: h.sub_(1.0), x), lambda x, y: x - 1.0),
    "x.relu_()": (lambda x, y: in_place(lambda h: h.relu_(), x), lambda x, y: F.relu(x)),
    "nn.ReLU(inplace=True)": (lambda x, y: IN_PLACE(x), lambda x, y: TOWER(x)),
    "nn.ReLU(inplace=True) on a list": (lambda x, y: IN_PLACE(x[:, None]), lambda x, y: TOWER(x[:, None])),
    "sum()": (lambda x, y: in_sum(x, y), lambda x, y: x + y),
    "a NumPy number": (lambda x, y: x + HALF, lambda x, y: x + 0.5),
    "views": (
        lambda x, y: x.unbind(1)[2] * x[:, 0] + y.T.mT[:, 1],
        lambda x, y: columns(x, 2) * columns(x, 0) + columns(y, 1),
    ),
    "iteration": (lambda x, y: torch.stack([row * 2 for row in x]), lambda x, y: x * 2),
    "metadata": (
        lambda x, y: x.reshape(len(x), x.shape[1] * x.size(-1) // x.shape[-1]) if x.ndim == 2 else y,
        lambda x, y: x * 1.0,
    ),
    "rearrange": (lambda x, y: rearrange(x, "u (a b) -> u b a", a=2), lambda x, y: x.reshape(3, 2, 2).transpose(1, 2)),
    "reduce to a sum": (lambda x, y: reduce(x * y, "u d -> u", "sum"), lambda x, y: (x * y).sum(1)),
    "reduce to a mean": (lambda x, y: reduce(x * y, "u d -> u", "mean"), lambda x, y: (x * y).sum(1) / 4),
    "repeat": (lambda x, y: repeat(x, "u d -> u d k", k=3), lambda x, y: torch.stack([x, x, x], dim=-1)),
    "folding": (lambda x, y: TOWER(rearrange(x, "u (a b) -> (u a) b", a=1)), lambda x, y: TOWER(x)),
    "padding with a number": (
        lambda x, y: F.pad(x, (1, 0), value=2.0),
        lambda x, y: torch.cat([torch.full((3, 1), 2.0), x], 1),
    ),
    "where": (lambda x, y: torch.where(X > 0, x, 0.25), lambda x, y: x * (X > 0) + 0.25 * (X <= 0)),
    "masked_fill": (lambda x, y: x.masked_fill(X > 0, 0.25), lambda x, y: x * (X <= 0) + 0.25 * (X > 0)),
    "a bilinear layer": (
        lambda x, y: BILINEAR(x, y),
        lambda x, y: torch.einsum("ud,kde,ue->uk", x, BILINEAR.weight, y) + BILINEAR.bias,
    ),
}


def in_sum(*summands: Tensor) -> Tensor:
    total = sum(summands)  # which starts from the number 0
    assert isinstance(total, Tensor)
    return total


def columns(x: Tensor, column: int) -> Tensor:
    return (x * F.one_hot(torch.tensor(column), 4)).sum(1)


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_of_a_step_shares_alike(name: str) -> None:
    expect_twins(*SPELLINGS[name], X, Y)


def test_products_of_live_values_are_halved_however_they_are_written() -> None:
    for way in (torch.mul, torch.multiply, lambda x, y: x * y, lambda x, y: torch.einsum("ud,ud->ud", x, y)):
        for relevance in follow(way, X, Y).relevance:
            torch.testing.assert_close(relevance, X * Y / 2, rtol=1e-12, atol=0)


def test_a_denominator_scales_relevance_and_takes_none() -> None:
    followed = follow(lambda x, y: x / y, X, Y)
    torch.testing.assert_close(followed.relevance[0], X / Y, rtol=1e-12, atol=0)
    assert not followed.relevance[1].any()


# Constants that are added


@pytest.mark.parametrize("change", [lambda y: y - 0.5, lambda y: y + torch.tensor(-0.5), lambda y: -(0.5 - y)])
def test_an_added_constant_is_a_bias_though_no_tensor_is_called_so(change: Callable[[Tensor], Tensor]) -> None:
    followed = follow(change, Y)
    torch.testing.assert_close(followed.relevance[0], Y, rtol=1e-12, atol=0)
    torch.testing.assert_close(followed.bias, torch.full((3,), -2.0).double(), rtol=1e-12, atol=0)


def test_a_part_that_is_added_but_not_asked_about_is_booked_as_bias() -> None:
    question = wired(
        lambda parts: (parts["p"] + parts["q"]).sum((2, 3)),
        {"p": noise(2, 1, 4, 1), "q": noise(2, 3, 4, 1, seed=1)},
        parts=("p",),
    )
    ledger = LRP(0)(question).ledger
    torch.testing.assert_close(ledger.bias, question.inputs["q"].values.sum((2, 3)), rtol=1e-12, atol=0)
    torch.testing.assert_close(ledger.inputs + ledger.bias, ledger.target, rtol=1e-12, atol=1e-14)


def test_masks_of_minus_infinity_are_no_biases() -> None:
    hidden = X > 0.3
    followed = follow(lambda x: F.relu((x - 0.1).masked_fill(hidden, -torch.inf)), X)
    assert followed.gap <= 1e-12
    for amount in (*followed.relevance, followed.bias):
        assert amount.isfinite().all()
    assert not followed.relevance[0][hidden].any()


def test_folded_users_get_their_own_biases() -> None:
    x = noise(3, 2, 4)
    folded = follow(lambda x: TOWER(x.flatten(0, 1)).unflatten(0, (3, 2)), x, epsilon=0.1)
    plain = follow(TOWER, x, epsilon=0.1)
    torch.testing.assert_close(folded.bias, plain.bias, rtol=1e-12, atol=0)
    torch.testing.assert_close(folded.stabilizer, plain.stabilizer, rtol=1e-12, atol=0)


def test_biases_that_cannot_be_told_apart_by_user_are_refused() -> None:
    with pytest.raises(NoRule, match="cannot be told apart by user"):
        follow(lambda x: (x.T + 0.5).T, X)


# Nothing global changes


def test_another_thread_takes_plain_gradients_meanwhile() -> None:
    found: list[Tensor] = []

    def elsewhere() -> None:
        x = X.clone().requires_grad_()
        found.extend(torch.autograd.grad((x * x).sin().sum(), x))

    with Relevance(LRP().rules, Taken((3,))) as mode:
        leaf = mode.follow(X.clone().requires_grad_())
        before = leaf * leaf
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        after = leaf * leaf
    torch.testing.assert_close(found[0], 2 * X * torch.cos(X * X), rtol=1e-12, atol=0)
    assert torch.autograd.grad(before.sum(), leaf)[0].equal(torch.autograd.grad(after.sum(), leaf)[0])


def test_plain_gradients_are_back_when_the_rules_are_closed() -> None:
    with Relevance(LRP().rules, Taken((3,))) as mode:
        leaf = mode.follow(X.clone().requires_grad_())
        under_rules = leaf * leaf
    plain = leaf * leaf
    assert torch.autograd.grad(under_rules.sum(), leaf)[0].equal(X)
    assert torch.autograd.grad(plain.sum(), leaf)[0].equal(2 * X)

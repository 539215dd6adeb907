"""Every rule in rules/ keeps the promises of its kind; a new one is found and held to them unasked.

Each rule is driven by the real mode through one operation, and compared with what its `slowly` says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.worlds import Followed, follow, noise
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from whyrec import kinds
from whyrec.operations import Family
from whyrec.relevance import Rule
from whyrec.rules.affine import Affine
from whyrec.rules.denominator import Denominator
from whyrec.rules.epsilon import Epsilon
from whyrec.rules.share import Share

Shares = tuple[list[Tensor], Tensor, Tensor]
"""Relevance of each leaf, like it; of biases, (users,); of the stabiliser, (users,)."""

ROWS = 6
NOTHING = torch.zeros(ROWS, dtype=torch.float64)


@dataclass(frozen=True)
class Case:
    """One operation under one rule, and the definition's word on it."""

    rule: Rule
    family: Family
    operation: Callable[..., Tensor]
    leaves: tuple[Tensor, ...]
    slowly: Callable[[Any, Tensor], Shares]  # (rule, relevance of the output) -> shares

    def follow(self) -> Followed:
        """The operation under the rule, its output standing for any amount of relevance."""
        return follow(self.operation, *self.leaves, plan={self.family: self.rule}, seed=self.seed)

    @property
    def seed(self) -> Tensor:
        return noise(*self.operation(*self.leaves).shape, seed=8)

    @property
    def arriving(self) -> Tensor:
        """Relevance that arrives at the output."""
        return self.operation(*self.leaves) * self.seed


X, Y = noise(ROWS, 4), noise(ROWS, 4, seed=1)
X[0], X[1, 2] = 0.0, 0.0
SHIFTED = X + 2
W, B = noise(3, 4, seed=2), noise(3, seed=3)
NO_BIAS = torch.zeros(3, dtype=torch.float64)
HIDDEN = noise(ROWS, 4, seed=4) > 0


def linear(rule: Rule, *, bias: bool) -> Case:
    def slowly(rule: Epsilon, relevance: Tensor) -> Shares:
        inputs, taken, swallowed = rule.slowly(X, W, B if bias else NO_BIAS, relevance)
        return [inputs], taken, swallowed

    return Case(rule, Family.WEIGHTS, lambda x: F.linear(x, W, B if bias else None), (X,), slowly)


def convolution(rule: Rule) -> Case:
    """Two filters of width 2 on a row of four numbers: three windows, each a linear map of its own."""
    filters, bias = noise(2, 1, 2, seed=5), noise(2, seed=6)

    def slowly(rule: Epsilon, relevance: Tensor) -> Shares:
        inputs, taken, swallowed = torch.zeros_like(X), NOTHING.clone(), NOTHING.clone()
        for at in range(3):
            shares = rule.slowly(X[:, at : at + 2], filters[:, 0], bias, relevance[:, :, at])
            inputs[:, at : at + 2] += shares[0]
            taken += shares[1]
            swallowed += shares[2]
        return [inputs], taken, swallowed

    return Case(rule, Family.WEIGHTS, lambda x: F.conv1d(x[:, None], filters, bias), (X,), slowly)


def product(rule: Share, relevance: Tensor) -> Shares:
    return [*rule.slowly(X, Y, relevance)], NOTHING, NOTHING


def scaled(rule: Share, relevance: Tensor) -> Shares:
    return [relevance], NOTHING, NOTHING


def matrix_product(rule: Share, relevance: Tensor) -> Shares:
    """Of each contribution x_i y_j to an outer product, both factors get the rule's share."""
    left, right = rule.slowly(X[:, :, None].expand(-1, -1, 4), Y[:, None, :].expand(-1, 4, -1), relevance)
    return [left.sum(2), right.sum(1)], NOTHING, NOTHING


def dot_product(rule: Share, relevance: Tensor) -> Shares:
    contributions = SHIFTED * Y
    portions = contributions / contributions.sum(1, keepdim=True) * relevance[:, None]
    return [*rule.slowly(SHIFTED, Y, portions)], NOTHING, NOTHING


def total(rule: Affine, relevance: Tensor) -> Shares:
    inputs, constant = rule.slowly([X, -2 * Y], torch.full_like(X, 0.5), relevance)
    return inputs, constant.sum(1), NOTHING


def joined(rule: Affine, relevance: Tensor) -> Shares:
    """A concatenation is a sum of pieces padded with zeros."""
    gap = torch.zeros(ROWS, 4, dtype=torch.float64)
    summands = [torch.cat([X, gap, gap], 1), torch.cat([gap, gap, Y], 1)]
    (x, y), constant = rule.slowly(summands, torch.cat([gap, torch.full_like(gap, 0.5), gap], 1), relevance)
    return [x[:, :4].nan_to_num(), y[:, 8:]], constant.nansum(1), NOTHING


def chosen(rule: Affine, relevance: Tensor) -> Shares:
    (x,), constant = rule.slowly([X * HIDDEN], torch.full_like(X, 0.5) * ~HIDDEN, relevance)
    return [x.nan_to_num()], constant.nansum(1), NOTHING


def quotient(rule: Denominator, relevance: Tensor) -> Shares:
    return [*rule.slowly(X, Y, relevance)], NOTHING, NOTHING


def normalised(rule: Denominator, relevance: Tensor) -> Shares:
    return [rule.slowly(X, Y, relevance)[0], torch.zeros(ROWS, 1, dtype=torch.float64)], NOTHING, NOTHING


CASES: dict[str, list[Case]] = {
    "epsilon": [
        *(linear(Epsilon(epsilon), bias=bias) for epsilon in (0.0, 1e-6, 0.5) for bias in (False, True)),
        *(convolution(Epsilon(epsilon)) for epsilon in (0.0, 1e-6, 0.5)),
    ],
    "share": [
        Case(Share(), Family.PRODUCTS, torch.mul, (X, Y), product),
        Case(Share(), Family.PRODUCTS, lambda x: x * Y, (X,), scaled),
        Case(Share(), Family.PRODUCTS, lambda x, y: x[:, :, None] @ y[:, None, :], (X, Y), matrix_product),
        Case(Share(), Family.PRODUCTS, lambda x, y: torch.einsum("ud,ue->ude", x, y), (X, Y), matrix_product),
        Case(Share(), Family.PRODUCTS, lambda x, y: torch.einsum("ud,ud->u", x, y), (SHIFTED, Y), dot_product),
    ],
    "affine": [
        Case(Affine(), Family.SUMS, lambda x, y: torch.sub(x, y, alpha=2) + 0.5, (X, Y), total),
        Case(Affine(), Family.SUMS, lambda x, y: torch.cat([x, torch.full_like(X, 0.5), y], 1), (X, Y), joined),
        Case(Affine(), Family.SUMS, lambda x: torch.where(HIDDEN, x, 0.5), (X,), chosen),
        Case(Affine(), Family.SUMS, lambda x: x.masked_fill(~HIDDEN, 0.5), (X,), chosen),
    ],
    "denominator": [
        Case(Denominator(), Family.QUOTIENTS, torch.div, (X, Y), quotient),
        Case(Denominator(), Family.QUOTIENTS, lambda x: x / Y, (X,), scaled),
        Case(Denominator(), Family.QUOTIENTS, lambda x, y: x / y, (X, Y[:, :1]), normalised),
    ],
}
"""Every rule by its file's name, with all operations that it stands for."""

ALL = [
    pytest.param(case, id=f"{name} {number}") for name, cases in CASES.items() for number, case in enumerate(cases, 1)
]


@pytest.mark.parametrize("name", kinds.names("rules"))
def test_every_rule_has_a_case(name: str) -> None:
    assert CASES.get(name), (
        f"rules/{name}.py has no case here: add CASES[{name!r}] to {__name__}, one Case for each kind of operation it "
        "stands for, whose slowly() calls the rule's own definition"
    )
    for case in CASES[name]:
        assert kinds.name_of(case.rule) == name


@pytest.mark.parametrize("name", kinds.names("rules"))
def test_a_rule_is_a_frozen_record_with_a_definition(name: str) -> None:
    rule_type = kinds.load("rules", name)
    rule = rule_type()
    assert rule_type.__dataclass_params__.frozen
    assert callable(rule_type.slowly)
    assert rule == rule_type()
    assert hash(rule) == hash(rule_type())
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule.anything = 1


@pytest.mark.parametrize("case", ALL)
def test_a_rule_is_what_its_definition_says(case: Case) -> None:
    followed = case.follow()
    inputs, bias, stabilizer = case.slowly(case.rule, case.arriving)
    for found, expected in zip(followed.relevance, inputs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(followed.bias, bias, rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(followed.stabilizer, stabilizer, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("case", ALL)
def test_a_rule_does_not_change_a_bit_of_the_value(case: Case) -> None:
    assert case.follow().value.equal(case.operation(*case.leaves))


@pytest.mark.parametrize("case", ALL)
def test_relevance_bias_and_stabiliser_are_the_output(case: Case) -> None:
    assert case.follow().gap <= 1e-12


@pytest.mark.parametrize("case", ALL)
def test_a_rule_keeps_nothing_between_calls(case: Case) -> None:
    before = dict(vars(case.rule))
    first, second = case.follow(), case.follow()
    assert vars(case.rule) == before
    for one, other in zip(first.relevance, second.relevance, strict=True):
        assert one.equal(other)
    assert first.bias.equal(second.bias)
    assert first.stabilizer.equal(second.stabilizer)


@pytest.mark.parametrize("case", ALL)
def test_inputs_of_zero_break_no_rule(case: Case) -> None:
    if case.family is Family.QUOTIENTS:
        leaves = (torch.zeros_like(case.leaves[0]), *case.leaves[1:])
    else:
        leaves = tuple(torch.zeros_like(leaf) for leaf in case.leaves)
    zeroed = dataclasses.replace(case, leaves=leaves).follow()
    for found in zeroed.relevance:
        assert not found.any()
    assert zeroed.gap <= 1e-12

"""Every rule in rules/ keeps the promises of its kind; a new one is found and held to them unasked.

Each rule is driven by the real mode through one operation, and compared with what its `slowly` says.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.worlds import Followed, follow, noise
from torch import Tensor
from torch.nn import functional as F

from whyrec import kinds
from whyrec.calls import Rule
from whyrec.operations import Family
from whyrec.rules.affine import Affine
from whyrec.rules.alpha_beta import AlphaBeta
from whyrec.rules.average import Average
from whyrec.rules.batch_norm import BatchNorm
from whyrec.rules.box import Box
from whyrec.rules.denominator import Denominator
from whyrec.rules.detach import Detach
from whyrec.rules.epsilon import Epsilon
from whyrec.rules.flat import Flat
from whyrec.rules.gamma import Gamma
from whyrec.rules.gate import Gate
from whyrec.rules.identity import Identity
from whyrec.rules.normalisation import Normalisation
from whyrec.rules.power import Power
from whyrec.rules.query_key_value import QueryKeyValue
from whyrec.rules.reference import Reference
from whyrec.rules.share import Share
from whyrec.rules.taylor import Taylor
from whyrec.rules.values_only import ValuesOnly
from whyrec.rules.w_square import WSquare
from whyrec.rules.winner import Winner
from whyrec.rules.z_plus import ZPlus

Operation = Callable[..., Tensor]
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

    beside: dict[Family, Rule] = dataclasses.field(default_factory=dict)  # rules of what else the operation needs
    zero_is_silent: bool = True  # whether inputs of zero get nothing

    def follow(self) -> Followed:
        """The operation under the rule, its output standing for any amount of relevance."""
        return follow(self.operation, *self.leaves, plan={**self.beside, self.family: self.rule}, seed=self.seed)

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
POSITIVE = X.abs() + 0.1
SCALES, SHIFTS, MEAN, VARIANCE = noise(4, seed=5), noise(4, seed=6), noise(4, seed=7), noise(4, seed=9).square()
Q, K, V = noise(ROWS, 3, 4, seed=10), noise(ROWS, 5, 4, seed=11), noise(ROWS, 5, 2, seed=12)
AVERAGE_ITEM = tuple(SCALES.tolist())
GATES: dict[Family, Rule] = {Family.PRODUCTS: Share(), Family.SUMS: Affine()}


def linear(rule: Rule, *, bias: bool, x: Tensor = X, zero_is_silent: bool = True) -> Case:
    def slowly(rule: Any, relevance: Tensor) -> Shares:
        inputs, taken, swallowed = rule.slowly(x, W, B if bias else NO_BIAS, relevance)
        return [inputs], taken, swallowed

    operation = functools.partial(F.linear, weight=W, bias=B if bias else None)
    return Case(rule, Family.WEIGHTS, operation, (x,), slowly, zero_is_silent=zero_is_silent)


def convolution(rule: Rule, *, zero_is_silent: bool = True) -> Case:
    """Two filters of width 2 on a row of four numbers: three windows, each a linear map of its own."""
    filters, bias = noise(2, 1, 2, seed=5), noise(2, seed=6)

    def slowly(rule: Any, relevance: Tensor) -> Shares:
        inputs, taken, swallowed = torch.zeros_like(X), NOTHING.clone(), NOTHING.clone()
        for at in range(3):
            shares = rule.slowly(X[:, at : at + 2], filters[:, 0], bias, relevance[:, :, at])
            inputs[:, at : at + 2] += shares[0]
            taken += shares[1]
            swallowed += shares[2]
        return [inputs], taken, swallowed

    def operation(x: Tensor) -> Tensor:
        return F.conv1d(x[:, None], filters, bias)

    return Case(rule, Family.WEIGHTS, operation, (X,), slowly, zero_is_silent=zero_is_silent)


def layers(*rules: Rule, zero_is_silent: bool = True) -> list[Case]:
    """A rule for layers on inputs of any sign and on positive ones, with and without biases, and as a convolution."""
    return [
        case
        for rule in rules
        for case in (
            linear(rule, bias=True, zero_is_silent=zero_is_silent),
            linear(rule, bias=False, zero_is_silent=zero_is_silent),
            linear(rule, bias=True, x=X.abs(), zero_is_silent=zero_is_silent),
            convolution(rule, zero_is_silent=zero_is_silent),
        )
    ]


def one_by_one(rule: Identity | Power, relevance: Tensor) -> Shares:
    return [rule.slowly(X, relevance)], NOTHING, NOTHING


def gated(rule: Detach | Power, relevance: Tensor) -> Shares:
    """The gate takes nothing, whatever it is made of; all is left to the value that it scales."""
    return [relevance, Detach().slowly(Y, relevance)], NOTHING, NOTHING


def compared(rule: Reference, relevance: Tensor) -> Shares:
    """What stays with the reference is neither bias nor stabiliser, so the inputs alone are compared."""
    return [rule.slowly(POSITIVE, Y, relevance)[0]], NOTHING, NOTHING


def shared(rule: Reference, relevance: Tensor) -> Shares:
    return product(Share(), relevance)


def softmax(rule: Taylor, relevance: Tensor) -> Shares:
    inputs = rule.slowly(X, relevance)
    return [inputs], (relevance - inputs).sum(1), NOTHING


def layer_normed(x: Tensor) -> Tensor:
    return F.layer_norm(x, (4,), SCALES, SHIFTS)


def layer_norm(rule: Normalisation, relevance: Tensor) -> Shares:
    inputs, bias = rule.slowly(SHIFTED, SCALES, SHIFTS, relevance)
    return [inputs], bias, NOTHING


def batch_normed(x: Tensor) -> Tensor:
    return F.batch_norm(x, MEAN, VARIANCE, SCALES, SHIFTS)


def batch_norm(rule: BatchNorm, relevance: Tensor) -> Shares:
    scale = SCALES / (VARIANCE + 1e-5).sqrt()
    inputs, bias = rule.slowly(X, scale, SHIFTS - MEAN * scale, relevance)
    return [inputs], bias, NOTHING


def pooled(x: Tensor) -> Tensor:
    return F.max_pool1d(x, 2)


def pool(rule: Winner | Average, relevance: Tensor) -> Shares:
    inputs = rule.slowly(POSITIVE.unflatten(1, (2, 2)), relevance).flatten(1)
    return [inputs], NOTHING, relevance.sum(1) - inputs.sum(1)


def attention_values(rule: ValuesOnly, relevance: Tensor) -> Shares:
    weights = (Q @ K.mT / 2).softmax(-1)
    return [torch.zeros_like(Q), torch.zeros_like(K), rule.slowly(weights, V, relevance)], NOTHING, NOTHING


def attention(rule: QueryKeyValue, relevance: Tensor) -> Shares:
    found = [*rule.slowly(Q, K, V, relevance)]
    kept = relevance.flatten(1).sum(1) - torch.stack([one.flatten(1).sum(1) for one in found]).sum(0)
    return found, kept, NOTHING


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
        *(linear(Epsilon(epsilon, relative=True), bias=True) for epsilon in (1e-6, 0.25)),
    ],
    "gamma": layers(Gamma(), Gamma(0.0), Gamma(10.0, epsilon=0.5), Gamma(0.25, epsilon=0.0)),
    "alpha_beta": layers(AlphaBeta(), AlphaBeta(1.0, 0.0), AlphaBeta(1.5, 0.5, epsilon=0.1), AlphaBeta(epsilon=0.0)),
    "z_plus": layers(ZPlus(), ZPlus(0.1), ZPlus(0.0)),
    "box": layers(Box(-4.0, 4.0), Box(-5.0, 4.5, epsilon=0.1), zero_is_silent=False),
    "w_square": layers(WSquare(), WSquare(0.1), zero_is_silent=False),
    "flat": layers(Flat(), zero_is_silent=False),
    "gate": [
        Case(Gate(), Family.PRODUCTS, torch.mul, (X, Y), product),
        Case(Gate(1), Family.PRODUCTS, torch.mul, (X, Y), product),
        Case(Gate(), Family.PRODUCTS, lambda x: x * Y, (X,), scaled),
    ],
    "identity": [
        Case(Identity(), Family.ACTIVATIONS, function, (X,), one_by_one)
        for function in (F.gelu, F.silu, torch.tanh, F.elu, F.hardswish, F.mish, lambda x: x.clamp(-1, 0.5))
    ],
    "power": [
        Case(Power(), Family.POWERS, torch.square, (X,), one_by_one),
        Case(Power(), Family.POWERS, lambda x: x**3, (X,), one_by_one),
        Case(Power(), Family.POWERS, torch.sqrt, (X.abs(),), one_by_one),
        Case(Power(), Family.POWERS, lambda x: x.pow(0.3), (X.abs(),), one_by_one),
        Case(Power(), Family.POWERS, lambda x, y: x * (y + 5) ** -0.5, (X, Y), gated, GATES),
    ],
    "detach": [
        Case(Detach(), Family.GATES, lambda x, y: x * y.sigmoid(), (X, Y), gated, GATES),
        Case(Detach(), Family.SOFTMAX, lambda x, y: x * (1 - y.softmax(-1)), (X, Y), gated, GATES),
    ],
    "reference": [
        Case(Reference(AVERAGE_ITEM), Family.PRODUCTS, lambda x: x * Y, (POSITIVE,), compared),
        Case(Reference(AVERAGE_ITEM), Family.PRODUCTS, lambda x: torch.mul(Y, x), (POSITIVE,), compared),
        Case(Reference(0.5), Family.PRODUCTS, lambda x: x * Y, (POSITIVE,), compared),
        Case(Reference(0.5), Family.PRODUCTS, torch.mul, (X, Y), shared),
    ],
    "taylor": [Case(Taylor(), Family.SOFTMAX, lambda x: x.softmax(-1), (X,), softmax)],
    "normalisation": [
        Case(Normalisation(), Family.NORMS, layer_normed, (SHIFTED,), layer_norm),
        Case(Normalisation(holds_mean=True), Family.NORMS, layer_normed, (SHIFTED,), layer_norm),
    ],
    "batch_norm": [Case(BatchNorm(), Family.BATCH_NORM, batch_normed, (X,), batch_norm)],
    "winner": [Case(Winner(), Family.POOLS, pooled, (POSITIVE,), pool)],
    "average": [
        Case(Average(), Family.POOLS, pooled, (POSITIVE,), pool),
        Case(Average(0.1), Family.POOLS, pooled, (POSITIVE,), pool),
    ],
    "values_only": [
        Case(ValuesOnly(), Family.ATTENTION, F.scaled_dot_product_attention, (Q, K, V), attention_values),
    ],
    "query_key_value": [
        Case(QueryKeyValue(), Family.ATTENTION, F.scaled_dot_product_attention, (Q, K, V), attention),
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
        assert found.isfinite().all()
        assert not (case.zero_is_silent and found.any())
    assert zeroed.gap <= 1e-12

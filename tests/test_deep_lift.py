"""What DeepLIFT promises: multipliers of the rescale rule, an account that closes, and a word where it cannot."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from tests.worlds import Values, attention_pooling, built, in_place, network, noise, request, wired
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec import differences
from whyrec.errors import NoRule, NotApplicable, Unseen
from whyrec.explainers.deep_lift import DeepLIFT
from whyrec.explainers.integrated_gradients import IntegratedGradients
from whyrec.question import Question, ask
from whyrec.targets import Contrast, Margin

X = {"p": noise(4, 3, 5, 2), "q": noise(4, 1, 5, 2, seed=1)}
BASELINES = {"p": noise(5, 2, seed=2), "q": noise(2, seed=3)}


def between(score: Callable[[Values], Tensor], values: Values = X, baselines: Values = BASELINES) -> Question:
    question = wired(score, values)
    inputs = {name: dataclasses.replace(part, baseline=baselines[name]) for name, part in question.inputs.items()}
    return dataclasses.replace(question, inputs=inputs)


def expect_closed(question: Question) -> None:
    answer = DeepLIFT()(question)
    assert answer.complete
    assert answer.ledger.relative_gap(answer.relevance).max() <= 1e-12
    start = {
        name: torch.where(part.present[..., None], part.baseline, part.values) for name, part in question.inputs.items()
    }
    at_start = {
        name: dataclasses.replace(part, values=start[name].expand_as(part.values)) if name in question.parts else part
        for name, part in question.inputs.items()
    }
    torch.testing.assert_close(answer.ledger.reference, question.value(at_start).detach(), rtol=1e-12, atol=1e-12)


def test_a_bend_gets_the_slope_of_its_chord() -> None:
    """From relu(2a - b) = relu(-2) = 0 at the reference to relu(5) = 5: 5 up over a way of 7."""
    values = {"a": torch.tensor([3.0]).reshape(1, 1, 1, 1), "b": torch.tensor([1.0]).reshape(1, 1, 1, 1)}
    zeros = {"a": torch.tensor(-1.0), "b": torch.tensor(0.0)}
    question = between(lambda p: F.relu(2 * p["a"] - p["b"]).sum((2, 3)), values, zeros)
    answer = DeepLIFT()(question)
    torch.testing.assert_close(answer.relevance["a"].flatten(), torch.tensor([4 * 2 * 5 / 7]).double())
    torch.testing.assert_close(answer.relevance["b"].flatten(), torch.tensor([-5 / 7]).double())
    assert answer.ledger.reference.item() == 0.0


def test_a_bend_that_does_not_move_passes_its_gradient() -> None:
    values = {"a": torch.ones(1, 1, 1, 1).double(), "b": torch.ones(1, 1, 1, 1).double()}
    zeros = {"a": torch.tensor(0.0).double(), "b": torch.tensor(0.0).double()}
    question = between(lambda p: torch.sigmoid(p["a"] - p["b"] + 1).sum((2, 3)), values, zeros)
    slope = torch.sigmoid(torch.tensor(1.0).double()) * torch.sigmoid(torch.tensor(-1.0).double())
    relevance = DeepLIFT()(question).relevance
    torch.testing.assert_close(relevance["a"].flatten()[0], slope)
    torch.testing.assert_close(relevance["b"].flatten()[0], -slope)


def test_each_factor_of_a_product_gets_its_way_times_the_other_half_way() -> None:
    question = between(lambda p: (p["p"] * p["q"]).sum((2, 3)))
    relevance = DeepLIFT()(question).relevance
    p, q, p0, q0 = X["p"], X["q"], BASELINES["p"], BASELINES["q"]
    torch.testing.assert_close(relevance["p"], ((p - p0) * (q + q0) / 2).sum(-1))
    torch.testing.assert_close(relevance["q"], ((q - q0) * (p + p0) / 2).sum(-1))
    expect_closed(question)


def test_a_network_of_one_hidden_layer_is_explained_as_by_integrated_gradients() -> None:
    net = network(20, 6, 1)
    question = between(lambda p: net(torch.cat([p["p"], p["q"].expand_as(p["p"])], -1).flatten(2)).squeeze(-1))
    exact, stepped = DeepLIFT()(question), IntegratedGradients(4000)(question)
    for name, relevance in exact.relevance.items():
        torch.testing.assert_close(relevance, stepped.relevance[name], rtol=0, atol=2e-3)


def test_it_is_the_deep_lift_of_captum() -> None:
    captum = pytest.importorskip("captum.attr")
    net = network(10, 8, 6, 1)
    question = between(lambda p: net(p["p"].flatten(2)).squeeze(-1), {"p": X["p"]}, {"p": BASELINES["p"]})
    rows, start = X["p"].reshape(12, 10).clone().requires_grad_(), BASELINES["p"].reshape(1, 10)
    with pytest.warns(UserWarning, match="hooks"):
        theirs = captum.DeepLift(net).attribute(rows, baselines=start).detach()
    ours = DeepLIFT()(question).relevance["p"]
    torch.testing.assert_close(ours, theirs.reshape(4, 3, 5, 2).sum(-1), rtol=1e-10, atol=1e-12)


STEPS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "quotient": lambda p, q: p / (q.square() + 1),
    "number over a value": lambda p, q: 3 / (p.square() + 1) + q,
    "normalised by hand": lambda p, q: p / p.square().sum(-1, keepdim=True).sqrt() * q,
    "softmax": lambda p, q: torch.softmax(p * 3, -2) * q,
    "softmax of what a mask leaves": lambda p, q: (
        torch.softmax(p.masked_fill(torch.tensor([[True], [False], [False], [True], [False]]), -torch.inf), -2) * q
    ),
    "softmax as a method": lambda p, q: p.softmax(dim=-1) * q,
    "matmul": lambda p, q: (p @ q.transpose(-1, -2)).tanh(),
    "einsum": lambda p, q: torch.einsum("uijc,uikc->uijk", p, q.expand(-1, 3, -1, -1)).sigmoid(),
    "square twice": lambda p, q: p * p + q * q * q,
    "users moved aside": lambda p, q: (p.transpose(0, 2).relu() * 2 + 1).square().transpose(0, 2) + q,
    "choice by a constant": lambda p, q: torch.where(torch.tensor([True, False]), p.square(), q),
    "batch norm": lambda p, q: (
        F.batch_norm(p.flatten(0, 1), torch.ones(5).double(), torch.full((5,), 2.0).double()).reshape(p.shape).relu()
        * q
    ),
    "relu in place": lambda p, q: nn.ReLU(inplace=True)(p * 1) * q,
}


@pytest.mark.parametrize("step", STEPS)
def test_the_account_closes_after(step: str) -> None:
    expect_closed(between(lambda parts: STEPS[step](parts["p"], parts["q"]).sum((2, 3))))


BENT = [
    *(torch.relu, torch.tanh, torch.sigmoid, torch.exp, torch.abs, torch.square, torch.erf, torch.sin),
    *(F.gelu, F.silu, F.elu, F.softplus, F.leaky_relu, F.mish, F.hardswish, F.selu, F.logsigmoid),
    *(Tensor.tanh, Tensor.sigmoid, Tensor.abs),
    lambda x: (x * x + 1).sqrt(),
    lambda x: (x * x + 1).log(),
    lambda x: (x * x + 1).rsqrt(),
    lambda x: (x * x + 1).reciprocal(),
    lambda x: x**3,
    lambda x: x.clamp(-0.5, 0.7),
]


@pytest.mark.parametrize("bend", BENT, ids=lambda one: one.__name__)
def test_every_function_of_one_number_adds_up(bend: Callable[[Tensor], Tensor]) -> None:
    expect_closed(between(lambda parts: bend(parts["p"] + parts["q"]).sum((2, 3))))


@pytest.mark.parametrize("name", ["gmf", "neumf", "mlp", "mf"])
def test_models_of_the_library_add_up_from_the_score_of_the_reference(name: str) -> None:
    model = built(name)
    expect_closed(ask(model, request(model), parts=("history", "item")))


def test_attention_written_out_adds_up() -> None:
    expect_closed(attention_pooling())
    expect_closed(attention_pooling(parts=("history", "item")))


def test_a_contrast_adds_up() -> None:
    model = built("neumf")
    answer = DeepLIFT()(ask(model, request(model), target=Contrast("rye")))
    assert answer.ledger.relative_gap(answer.relevance).max() <= 1e-12


def test_a_background_is_the_mean_of_users() -> None:
    question = wired(lambda p: (p["p"] * 2).sum((2, 3)).exp(), {"p": noise(4, 1, 3, 1)})
    mean = question.inputs["p"].values.mean(0)
    meant = dataclasses.replace(question.inputs["p"], baseline=mean)
    one, other = DeepLIFT(background=4)(question), DeepLIFT()(dataclasses.replace(question, inputs={"p": meant}))
    torch.testing.assert_close(one.relevance["p"], other.relevance["p"])
    torch.testing.assert_close(one.ledger.reference, other.ledger.reference)


def test_a_score_of_products_of_constants_is_plain_pytorch() -> None:
    """The score is bit-identical, and nothing of the mode is left behind."""
    model = built("neumf")
    question = ask(model, request(model), parts=("history", "item"))
    with torch.no_grad():
        assert DeepLIFT()(question).ledger.target.equal(question.value(question.inputs).double())


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return 2 * gradients[0]


REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], type[Exception], str]] = {
    "layer norm": (lambda x: F.layer_norm(x, [2]), NoRule, "no relevance rule for 'torch.nn.functional.layer_norm'"),
    "largest": (lambda x: x.amax(-1), NoRule, "no relevance rule for 'torch.Tensor.amax'"),
    "attention": (lambda x: F.scaled_dot_product_attention(x, x, x), NoRule, "scaled_dot_product_attention"),
    "detached length": (lambda x: x / x.sum().detach(), NoRule, "passes no gradient"),
    "condition": (lambda x: torch.where(x > 0, x, 2 * x), NoRule, "passes no gradient"),
    "no gradient inside": (lambda x: x * without_gradient(x), NoRule, "passes no gradient"),
    "read": (lambda x: x * float(x.sum()), NoRule, "reads an explained value into Python"),
    "in place": (lambda x: in_place(lambda y: y.mul_(2), x), NoRule, "changes a tensor in place"),
    "in place, seen elsewhere": (
        lambda x: in_place(lambda y: (y.reshape(-1), F.relu(y, inplace=True)), x),
        NoRule,
        "changes a tensor in place",
    ),
    "a function of its own": (lambda x: Doubled.apply(x) + x, Unseen, "whose reference nobody saw"),
    "three at once": (lambda x: torch.einsum("uijc,uijc,uijc->uijc", x, x, x), NoRule, "multiply two values at a time"),
    "bent by a value": (lambda x: torch.pow(x.exp(), x), NoRule, "bend one value at a time"),
    "dropout switched on": (lambda x: F.dropout(x), NoRule, "for 'torch.nn.functional.dropout'"),
    "batch norm of the batch": (
        lambda x: F.batch_norm(x.flatten(2), None, None, training=True),
        NoRule,
        "for 'torch.nn.functional.batch_norm'",
    ),
    "rounded quotient": (lambda x: torch.div(x, x + 9, rounding_mode="floor"), NoRule, "a rounded quotient"),
}


def without_gradient(x: Tensor) -> Tensor:
    with torch.no_grad():
        return x * 2


@pytest.mark.parametrize("step", REFUSED)
def test_what_cannot_be_shared_out_is_refused(step: str) -> None:
    function, kind, said = REFUSED[step]
    with pytest.raises(kind, match=said):
        DeepLIFT()(between(lambda parts: function(parts["p"]).flatten(2).sum(2), {"p": X["p"]}, {"p": BASELINES["p"]}))


def test_a_margin_whose_rival_changes_is_refused() -> None:
    model = built("neumf")
    with pytest.raises(NoRule, match="a choice of places"):
        DeepLIFT()(ask(model, request(model, [0, 1, 2]), target=Margin(k=1)))


def test_a_reference_without_a_score_is_refused() -> None:
    question = wired(lambda p: p["p"].abs().log().sum((2, 3)), {"p": X["p"]})
    with pytest.raises(NotApplicable, match="not finite where every asked unit is at its reference"):
        DeepLIFT()(question)


def test_no_linear_operation_bends() -> None:
    assert not differences.LINEAR & differences.BENDS

"""Acceptance facts of layer-wise relevance propagation: what must come out exactly, against truth worked out slowly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from tests.worlds import (
    Gated,
    Hybrid,
    Network,
    Residual,
    TwoTowers,
    built,
    follow,
    network,
    noise,
    pair,
    request,
    side_by_side,
    wired,
    without_biases,
)
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.attribution import Attribution
from whyrec.backward import Leaves, input_times_gradient, open_leaves, with_values
from whyrec.explainers.gradient import GradientTimesInput
from whyrec.explainers.lrp import LRP
from whyrec.question import Question, ask
from whyrec.relevance import Relevance, Taken

EPSILONS = [0.0, 1e-6, 0.1, 0.5]
FACTOR_MODELS = [("mf", "id"), ("mf", "history"), ("neumf", "id"), ("neumf", "history")]


def gap(attribution: Attribution) -> float:
    return float(attribution.ledger.relative_gap(attribution.relevance).max())


# Fact 1


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("score", [Network(bias=True), Hybrid(bias=True)], ids=["mlp", "hybrid"])
def test_what_inputs_biases_and_stabiliser_take_is_the_score(score: nn.Module, epsilon: float) -> None:
    answer = LRP(epsilon)(pair(score))
    assert gap(answer) <= 1e-12
    assert (answer.ledger.bias != 0).all()
    assert (answer.ledger.stabilizer != 0).all() == (epsilon > 0)


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_account_closes_for_any_seed_on_any_output(epsilon: float) -> None:
    net = network(5, 6, 4)
    assert follow(net, noise(7, 5), epsilon=epsilon, seed=noise(7, 4, seed=1)).gap <= 1e-12


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_account_closes_in_single_precision(epsilon: float) -> None:
    net = network(16, 12, 8, 1).float()
    assert follow(net, noise(500, 16, dtype=torch.float32), epsilon=epsilon).gap <= 1e-5


def lrp_by_hand(
    net: nn.Sequential, x: list[float], relevance: list[float], epsilon: float
) -> tuple[list[float], float, float]:
    """The definition, one contribution at a time, for one input: relevance of inputs, biases and stabiliser."""
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    heights, arrived = [x], list(x)
    for layer in layers:
        w, b = layer.weight.tolist(), layer.bias.tolist()
        z = [b[k] + sum(arrived[j] * w[k][j] for j in range(len(arrived))) for k in range(len(b))]
        arrived = [max(one, 0.0) for one in z]
        heights += [z, arrived]
    biases = swallowed = 0.0
    for number, layer in reversed(list(enumerate(layers))):
        below, z = heights[2 * number], heights[2 * number + 1]
        w, b = layer.weight.tolist(), layer.bias.tolist()
        handed = [0.0] * len(below)
        for k, (total, asked) in enumerate(zip(z, relevance, strict=True)):
            pushed = total + (epsilon if total >= 0 else -epsilon)
            for j in range(len(below)):
                handed[j] += below[j] * w[k][j] / pushed * asked
            biases += b[k] / pushed * asked
            swallowed += (pushed - total) / pushed * asked
        relevance = handed
    return relevance, biases, swallowed


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_relevance_of_a_network_is_what_the_definition_says(epsilon: float) -> None:
    net, x, seed = network(5, 7, 6, 3), noise(9, 5), noise(9, 3, seed=1)
    x[0] = 0.0
    fast = follow(net, x, epsilon=epsilon, seed=seed)
    for row in range(len(x)):
        arriving = (fast.value * seed)[row].tolist()
        inputs, bias, stabilizer = lrp_by_hand(net, x[row].tolist(), arriving, epsilon)
        torch.testing.assert_close(
            fast.relevance[0][row], torch.tensor(inputs, dtype=torch.float64), rtol=1e-9, atol=1e-10
        )
        assert float(fast.bias[row]) == pytest.approx(bias, rel=1e-9, abs=1e-10)
        assert float(fast.stabilizer[row]) == pytest.approx(stabilizer, rel=1e-9, abs=1e-10)


# Fact 2


@pytest.mark.parametrize("net", [Gated(), Network(bias=False), Hybrid(bias=False), TwoTowers(), Residual()])
def test_without_biases_all_of_the_score_goes_to_the_inputs(net: nn.Module) -> None:
    ledger = LRP(0)(pair(net)).ledger
    torch.testing.assert_close(ledger.inputs, ledger.target, rtol=1e-10, atol=0)


@pytest.mark.parametrize(("name", "user"), FACTOR_MODELS)
def test_without_biases_all_of_a_recommenders_score_goes_to_user_and_item(name: str, user: str) -> None:
    model = without_biases(built(name, values={"user": user, "factors": 4}))
    question = ask(model, request(model), parts=("history" if user == "history" else "user", "item"))
    ledger = LRP(0)(question).ledger
    torch.testing.assert_close(ledger.inputs, ledger.target, rtol=1e-10, atol=1e-14)


# Fact 3


def test_a_product_is_split_half_and_half() -> None:
    score = Gated()
    question = pair(score)
    relevance = LRP(0)(question).relevance
    p, q = side_by_side({name: part.values for name, part in question.inputs.items()})
    half = score.h.weight[0].detach() * p * q / 2
    for name in ("p", "q"):
        torch.testing.assert_close(relevance[name], half, rtol=1e-12, atol=0)


@pytest.mark.parametrize("user", ["user", "history"])
def test_user_and_item_of_a_factorisation_get_equal_totals_when_both_are_asked(user: str) -> None:
    model = built("mf", values={"user": "id" if user == "user" else user, "factors": 4})
    question = ask(model, request(model), parts=(user, "item"))
    relevance = LRP(0)(question).relevance
    u, i = (question.inputs[name].values.sum(-1 if name != "history" else 2) for name in (user, "item"))
    torch.testing.assert_close(relevance["item"], u * i / 2, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(relevance[user].sum(-1), relevance["item"].sum(-1), rtol=1e-12, atol=1e-14)


def test_a_constant_item_leaves_everything_to_the_user() -> None:
    question = dataclasses.replace(pair(Gated()), parts=("p",))
    both = LRP(0)(pair(Gated())).relevance["p"]
    torch.testing.assert_close(LRP(0)(question).relevance["p"], 2 * both, rtol=1e-12, atol=0)


# Facts 4 and 5


def test_lrp_zero_on_a_relu_network_is_gradient_times_input() -> None:
    question = pair(Network(bias=True))
    answer, plain = LRP(0)(question), GradientTimesInput()(question)
    for name in ("p", "q"):
        torch.testing.assert_close(answer.relevance[name], plain.relevance[name], rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(plain.ledger.gap, answer.ledger.bias, rtol=1e-12, atol=1e-13)


def test_biases_take_bias_times_gradient() -> None:
    net, x = network(5, 6, 4, 1), noise(8, 5)
    taken = follow(net, x).bias
    for row in range(len(x)):
        biases = [layer.bias for layer in net if isinstance(layer, nn.Linear)]
        slopes = torch.autograd.grad(net(x[row]).sum(), biases)
        expected = sum(float((bias.detach() * slope).sum()) for bias, slope in zip(biases, slopes, strict=True))
        assert float(taken[row]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("epsilon", [1e-6, 0.1, 0.5])
def test_a_unit_loses_epsilon_over_its_height_plus_epsilon(epsilon: float) -> None:
    layer, x = network(5, 6), noise(8, 5)
    for unit in range(6):
        seed = torch.zeros(8, 6, dtype=torch.float64)
        seed[:, unit] = noise(8, seed=unit)
        followed = follow(layer, x, epsilon=epsilon, seed=seed)
        z = followed.value[:, unit]
        leak = z * seed[:, unit] * epsilon / (z.abs() + epsilon)
        torch.testing.assert_close(followed.stabilizer, leak, rtol=1e-8, atol=1e-15)


def test_what_the_stabiliser_swallows_in_single_precision_grows_with_epsilon() -> None:
    net = nn.Sequential()
    for wide, narrow in ((64, 32), (32, 16), (16, 8), (8, 1)):
        net.extend([nn.Linear(wide, narrow, bias=False), nn.ReLU()])
    with torch.no_grad():
        for number, weight in enumerate(net.parameters()):
            weight.copy_(noise(*weight.shape, seed=number) / weight.shape[1] ** 0.5)

    def missing(epsilon: float) -> float:
        followed = follow(net[:-1], noise(4096, 64, seed=9, dtype=torch.float32), epsilon=epsilon)
        value = followed.value[:, 0]
        return float((value - followed.inputs).abs().median() / value.abs().mean())

    assert missing(0) < 1e-6
    assert 3e-6 < missing(1e-6) < 3e-5
    assert 3e-3 < missing(1e-3) < 3e-2


# Fact 13


TABLE = noise(3, 4, 6, seed=3)

OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky relu": lambda x: F.leaky_relu(x, 0.1),
    "add": lambda x: x[:, :2] + x[:, 2:],
    "residual add": lambda x: x + F.relu(x),
    "concat": lambda x: torch.cat([x[:, 1:], x], dim=1),
    "stack": lambda x: torch.stack([x, x * 2], dim=1),
    "average pool": lambda x: F.avg_pool1d(x, 3, stride=2),
    "mean": lambda x: x.mean(dim=(1, 2)),
    "reshape": lambda x: x.reshape(len(x), 2, -1).permute(0, 2, 1),
    "embedding sum": lambda x: torch.stack([F.embedding(torch.tensor([0, 3, 3]), row).sum(0) for row in x]),
    "gather": lambda x: x.gather(2, torch.tensor([5, 0, 0]).expand(*x.shape[:2], 3)),
    "weighted history": lambda x: (x * TABLE[0, :, :1]).sum(1),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_one_operation_hands_all_relevance_on(name: str) -> None:
    followed = follow(OPERATIONS[name], TABLE, seed=noise(*OPERATIONS[name](TABLE).shape, seed=4))
    target = (followed.value * followed.seed).reshape(len(TABLE), -1).sum(1)
    torch.testing.assert_close(followed.inputs, target, rtol=1e-12, atol=1e-13)
    assert not followed.bias.any()
    assert not followed.stabilizer.any()


def test_a_residual_sum_is_shared_by_value_not_counted_twice() -> None:
    x = noise(4, 5)
    followed = follow(lambda x: x + F.relu(x), x)
    torch.testing.assert_close(followed.relevance[0], x + F.relu(x), rtol=1e-12, atol=0)


# Fact 20


def backwards(question: Question, seed: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """LRP of a seeded score: relevance, and what biases and the stabiliser took."""
    leaves: Leaves = open_leaves(question)
    taken = Taken((question.shape[0],))
    with Relevance(LRP(0.1).rules, taken) as mode:
        for leaf in leaves.values():
            mode.follow(leaf)
        target = question.value(with_values(question.inputs, leaves))
    places: list[tuple[Tensor, ...]] = []
    found = input_times_gradient(question, leaves, seed * target, lambda _place: places.append(taken.settle()))
    bias, stabilizer, _ = (torch.stack(column, dim=1) for column in zip(*places, strict=True))
    return found, bias, stabilizer


def test_relevance_is_linear_in_its_seed() -> None:
    question = pair(Hybrid(bias=True))
    first, second = noise(4, 3, seed=5), noise(4, 3, seed=6)
    (one, *one_taken), (two, *two_taken), (both, *both_taken) = (
        backwards(question, seed) for seed in (first, second, 0.7 * first - 1.3 * second)
    )
    for name in ("p", "q"):
        torch.testing.assert_close(both[name], 0.7 * one[name] - 1.3 * two[name], rtol=1e-10, atol=1e-13)
    for whole, a, b in zip(both_taken, one_taken, two_taken, strict=True):
        torch.testing.assert_close(whole, 0.7 * a - 1.3 * b, rtol=1e-10, atol=1e-13)


# Fact 21


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_an_explanation_does_not_depend_on_who_else_is_explained(epsilon: float) -> None:
    together = LRP(epsilon)(pair(Hybrid(bias=True)))
    question = pair(Hybrid(bias=True))
    for user in range(4):
        for place in range(3):
            values = {
                name: part.values[user : user + 1, place if part.values.shape[1] > 1 else 0][:, None]
                for name, part in question.inputs.items()
            }
            alone = LRP(epsilon)(wired(Hybrid(bias=True), values))
            for name, found in alone.relevance.items():
                torch.testing.assert_close(found[0, 0], together.relevance[name][user, place], rtol=1e-12, atol=1e-13)
            for field in ("target", "bias", "stabilizer"):
                whole, single = getattr(together.ledger, field), getattr(alone.ledger, field)
                torch.testing.assert_close(single[0, 0], whole[user, place], rtol=1e-12, atol=1e-13)


# Fact 27


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("bias", [False, True])
def test_inputs_of_zero_get_zero_and_nothing_breaks(bias: bool, epsilon: float) -> None:
    question = wired(Hybrid(bias=bias), {name: torch.zeros(2, 3, 3, 1, dtype=torch.float64) for name in "pq"})
    answer = LRP(epsilon)(question)
    assert all(not relevance.any() for relevance in answer.relevance.values())
    assert gap(answer) <= 1e-12


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_dead_layers_hand_nothing_down(epsilon: float) -> None:
    net = network(5, 6, 4)
    with torch.no_grad():
        next(net.children()).get_parameter("bias").fill_(-100.0)
    followed = follow(net, noise(4, 5), epsilon=epsilon)
    assert not followed.relevance[0].any()
    assert followed.gap <= 1e-12


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_one_dead_unit_gets_nothing(epsilon: float) -> None:
    layer = network(5, 3)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter[1] = 0.0
    seed = torch.tensor([0.0, 1.0, 0.0]).double().repeat(4, 1)
    followed = follow(layer, noise(4, 5), epsilon=epsilon, seed=seed)
    for amount in (followed.relevance[0], followed.bias, followed.stabilizer):
        assert (amount == 0).all()


def test_features_that_never_change_stay_finite() -> None:
    for epsilon in EPSILONS:
        answer = LRP(epsilon)(wired(Hybrid(bias=True), {name: torch.ones(4, 3, 3, 1).double() for name in "pq"}))
        assert gap(answer) <= 1e-12
        assert all(relevance.isfinite().all() for relevance in answer.relevance.values())

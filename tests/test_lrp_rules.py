"""Acceptance facts of rules for layers: exact values, conservation, and first layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.worlds import follow, network, noise, with_random_weights, without_biases
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.calls import Plan, Rule
from whyrec.composites import ByLayer, plan_with
from whyrec.errors import InvalidSetting, NoRule
from whyrec.rules.alpha_beta import AlphaBeta
from whyrec.rules.box import Box
from whyrec.rules.epsilon import Epsilon
from whyrec.rules.flat import Flat
from whyrec.rules.gamma import Gamma
from whyrec.rules.w_square import WSquare
from whyrec.rules.z_plus import ZPlus

EVERYWHERE: dict[str, Rule] = {
    "epsilon": Epsilon(0.1),
    "relative epsilon": Epsilon(0.25, relative=True),
    "gamma": Gamma(0.25),
    "alpha-beta": AlphaBeta(),
    "z-plus": ZPlus(),
}
FIRST: dict[str, Rule] = {"box": Box(-4.0, 4.0), "w-squared": WSquare(), "flat": Flat()}
PLANS: dict[str, Plan] = {
    **{name: plan_with(rule) for name, rule in EVERYWHERE.items()},
    **{name: plan_with(ByLayer(Epsilon(), first=rule)) for name, rule in FIRST.items()},
}
every_plan = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)


def line(weights: list[list[float]], biases: list[float] | None = None) -> Callable[[Tensor], Tensor]:
    w = torch.tensor(weights).double()
    b = None if biases is None else torch.tensor(biases).double()
    return lambda x: F.linear(x, w, b)


def numbers(*values: float) -> Tensor:
    return torch.tensor([values]).double()


# Facts 1 and 21: accounts, and each user for himself


@every_plan
def test_inputs_biases_and_stabilisers_are_the_output(plan: Plan) -> None:
    assert follow(network(5, 8, 6, 4), noise(7, 5, seed=9), plan=plan, seed=noise(7, 4, seed=1)).gap <= 1e-12


@every_plan
def test_no_sample_depends_on_the_others(plan: Plan) -> None:
    net, x = network(5, 8, 6, 4), noise(7, 5, seed=9)
    together = follow(net, x, plan=plan)
    for row in range(7):
        alone = follow(net, x[row : row + 1], plan=plan)
        torch.testing.assert_close(alone.relevance[0][0], together.relevance[0][row], rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(alone.stabilizer[0], together.stabilizer[row], rtol=1e-12, atol=1e-13)


# Facts 6, 7, 9 and 10: exact values


def test_alpha_beta_on_a_unit_with_a_negative_bias() -> None:
    unit, x = line([[1, -1]], [-1]), numbers(1, 1)
    one = follow(unit, x, plan=plan_with(ZPlus(0.0)))
    assert one.value.item() == -1
    assert one.relevance[0].tolist() == [[-1, 0]]
    two = follow(unit, x, plan=plan_with(AlphaBeta(2, 1, 0.0)))
    assert two.relevance[0].tolist() == [[-2, 0.5]]
    assert two.bias.tolist() == [0.5]
    assert two.gap == 0


def test_a_network_without_biases_and_one_sign_shares_in_proportion() -> None:
    def net(x: Tensor) -> Tensor:
        return line([[3, 3, 3]])(F.relu(line([[2, 2, 2]] * 3)(x)))

    for plan in (plan_with(Epsilon(0.0)), plan_with(Gamma(0.25, 0.0)), plan_with(ZPlus(0.0))):
        for times in (1, 3):
            found = follow(net, times * numbers(1, 2, 3), plan=plan).relevance[0]
            torch.testing.assert_close(found, times * numbers(18, 36, 54), rtol=1e-14, atol=0)


def test_gamma_goes_from_epsilon_to_positive_contributions_only() -> None:
    layer, x = network(40, 20, seed=1), noise(30, 40, seed=9).abs()
    seed = (layer(x) > 0).double().detach()

    def of(rule: Rule) -> Tensor:
        return follow(layer, x, plan=plan_with(rule), seed=seed).relevance[0]

    limit = of(ZPlus(0.0))
    for gamma, bound in ((10.0, 5e-2), (1e3, 5e-4), (1e6, 1e-6)):
        assert float((of(Gamma(gamma, 0.0)) - limit).norm() / limit.norm()) < bound
    torch.testing.assert_close(of(Gamma(0.0, 1e-6)), of(Epsilon(1e-6)), rtol=1e-10, atol=1e-13)


def test_larger_gamma_leaves_less_against() -> None:
    layer, x = network(40, 20), noise(30, 40, seed=9).abs()
    seed = (layer(x) > 0).double().detach()
    against = [
        float(follow(layer, x, plan=plan_with(Gamma(gamma)), seed=seed).relevance[0].clamp(max=0).sum())
        for gamma in (0.0, 0.25, 1.0, 10.0)
    ]
    assert against == sorted(against)


@pytest.mark.parametrize("rule", [AlphaBeta(2, 1, 0.0), ZPlus(0.0)])
@pytest.mark.parametrize("x", [numbers(1, 2), numbers(-1, -2), numbers(0, 0)])
def test_a_unit_with_contributions_of_one_sign_neither_doubles_nor_loses_relevance(rule: Rule, x: Tensor) -> None:
    followed = follow(line([[1, 3]]), x, plan=plan_with(rule))
    torch.testing.assert_close(followed.relevance[0], x * numbers(1, 3), rtol=1e-12, atol=0)


@pytest.mark.parametrize("rule", EVERYWHERE.values(), ids=EVERYWHERE)
def test_signs_are_found_for_inputs_of_any_sign(rule: Rule) -> None:
    """Inputs and weights with both signs turned make the same contributions, so they get the same relevance."""
    w, x = noise(6, 9), noise(5, 9, seed=1)
    one = follow(lambda x: F.linear(x, w), x, plan=plan_with(rule))
    other = follow(lambda x: F.linear(x, -w), -x, plan=plan_with(rule))
    torch.testing.assert_close(one.relevance[0], other.relevance[0], rtol=1e-12, atol=1e-14)


# Facts 11 and 12: first layers


@pytest.mark.parametrize("rule", FIRST.values(), ids=FIRST)
@pytest.mark.parametrize("layer", ["dense", "convolution"])
def test_rules_for_a_first_layer_hand_everything_to_inputs_though_there_are_biases(rule: Rule, layer: str) -> None:
    net: nn.Module = network(6, 5) if layer == "dense" else with_random_weights(nn.Conv2d(2, 3, 3, padding=1).double())
    x = noise(4, 6, seed=9) if layer == "dense" else noise(4, 2, 5, 5, seed=9)
    followed = follow(net, x, plan=plan_with(rule), seed=noise(*net(x).shape, seed=1))
    target = (followed.value * followed.seed).flatten(1).sum(1)
    torch.testing.assert_close(followed.inputs, target, rtol=1e-5 if isinstance(rule, Box) else 1e-12, atol=1e-12)
    assert not followed.bias.any()


def test_a_box_of_no_size_is_lrp_zero_without_biases() -> None:
    net = without_biases(network(6, 5))
    x = torch.zeros(2, 6).double()
    boxed = follow(net, x, plan=plan_with(Box(0.0, 0.0)))
    assert boxed.relevance[0].equal(follow(net, x, epsilon=0.0).relevance[0])


@pytest.mark.parametrize("name", [*EVERYWHERE, *FIRST])
def test_an_input_of_zero_gets_relevance_from_rules_for_a_first_layer_only(name: str) -> None:
    x = noise(4, 6, seed=9)
    x[:, 2] = 0.0
    found = follow(network(6, 5, 3), x, plan=PLANS[name]).relevance[0][:, 2]
    assert bool(found.any()) == (name in FIRST)


REARRANGED: dict[str, Callable[[Tensor], Tensor]] = {
    "flatten": lambda x: x.flatten(1),
    "permute": lambda x: x.permute(0, 2, 1).reshape(4, 6),
    "index": lambda x: x[:, 1],
    "split and join": lambda x: torch.cat(x.chunk(2, dim=1), dim=2)[:, 0],
    "stack": lambda x: torch.stack([x[:, 0], x[:, 1]], dim=1).flatten(1),
}


@pytest.mark.parametrize("way", REARRANGED)
@pytest.mark.parametrize("rule", FIRST.values(), ids=FIRST)
def test_inputs_may_be_rearranged_on_their_way_to_the_first_layer(rule: Rule, way: str) -> None:
    x = noise(4, 2, 3, seed=9)
    reach = REARRANGED[way]
    w = noise(5, reach(x).shape[1], seed=3)
    plain = follow(lambda x: F.linear(x, w), reach(x), plan=plan_with(rule)).relevance[0]
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(reach(leaf), leaf, plain)
    moved = follow(lambda x: F.linear(reach(x), w), x, plan=plan_with(rule)).relevance[0]
    torch.testing.assert_close(moved, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rule", FIRST.values(), ids=FIRST)
def test_a_rule_for_a_first_layer_refuses_computed_values(rule: Rule) -> None:
    for score in (
        lambda x: F.linear(F.relu(x), noise(2, 6)),
        lambda x: F.linear(x * 2, noise(2, 6)),
        lambda x: F.linear(torch.cat([x, x + 1], 1), noise(2, 12)),
        lambda x: F.linear(torch.cat([x, torch.ones(4, 6)], 1), noise(2, 12)),
    ):
        with pytest.raises(NoRule, match="first layer"):
            follow(score, noise(4, 6), plan=plan_with(rule))


def test_a_box_that_inputs_leave_is_refused() -> None:
    with pytest.raises(InvalidSetting, match=r"inputs from .* leave the box \[0.0, 1.0\]"):
        follow(network(6, 5), noise(4, 6), plan=plan_with(Box()))


def test_a_box_may_have_bounds_for_each_colour() -> None:
    convolution = with_random_weights(nn.Conv2d(3, 4, 3).double())
    x = noise(2, 3, 5, 5).clamp(-2, 2)
    one = follow(convolution, x, plan=plan_with(Box(-2.0, 2.0)))
    each = follow(convolution, x, plan=plan_with(Box((-2.0,) * 3, (2.0,) * 3)))
    assert one.relevance[0].equal(each.relevance[0])
    other = follow(convolution, x, plan=plan_with(Box((-2.0, -3.0, -2.0), (2.0,) * 3)))
    assert not one.relevance[0].equal(other.relevance[0])


@pytest.mark.parametrize("rule", EVERYWHERE.values(), ids=EVERYWHERE)
def test_a_layer_may_be_written_to_in_place(rule: Rule) -> None:
    """What a rule learned of a layer's output must not change with it, nor may what it books get lost."""
    layer, last, x = network(5, 6), network(6, 3, seed=1), noise(4, 2, 5, seed=9)
    for change, plain in ((lambda z: z.relu_(), F.relu), (lambda z: z.add_(2.0), lambda z: z + 2.0)):
        for leaf in (x, x.abs()):
            one = follow(lambda x, change=change: last(change(layer(x))), leaf, plan=plan_with(rule))
            other = follow(lambda x, plain=plain: last(plain(layer(x))), leaf, plan=plan_with(rule))
            torch.testing.assert_close(one.relevance[0], other.relevance[0], rtol=1e-12, atol=1e-13)
            torch.testing.assert_close(one.bias, other.bias, rtol=1e-12, atol=1e-13)
            assert one.gap <= 1e-12


@every_plan
def test_nothing_to_explain_breaks_nothing(plan: Plan) -> None:
    followed = follow(network(5, 8, 6, 4), noise(3, 0, 5), plan=plan)
    assert followed.relevance[0].shape == (3, 0, 5)
    assert not followed.bias.any()

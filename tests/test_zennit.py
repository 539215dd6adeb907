"""Rules for layers agree with zennit's, layer by layer and in whole networks; skipped where zennit is not installed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.worlds import follow, noise, with_random_weights
from torch import Tensor, nn

from whyrec.calls import Rule
from whyrec.composites import ByLayer, plan_with
from whyrec.rules.alpha_beta import AlphaBeta
from whyrec.rules.box import Box
from whyrec.rules.epsilon import Epsilon
from whyrec.rules.flat import Flat
from whyrec.rules.gamma import Gamma
from whyrec.rules.w_square import WSquare
from whyrec.rules.z_plus import ZPlus

zennit = pytest.importorskip("zennit.rules")

Theirs = Callable[[], Any]

EVERYWHERE: dict[str, tuple[Rule, Theirs]] = {
    "epsilon": (Epsilon(1e-6), lambda: zennit.Epsilon(1e-6)),
    "epsilon .5": (Epsilon(0.5), lambda: zennit.Epsilon(0.5)),
    "gamma": (Gamma(0.25), lambda: zennit.Gamma(0.25, 1e-6)),
    "gamma 10": (Gamma(10.0, 0.1), lambda: zennit.Gamma(10.0, 0.1)),
    "alpha 2 beta 1": (AlphaBeta(2.0, 1.0), lambda: zennit.AlphaBeta(2.0, 1.0, 1e-6)),
    "z-plus": (ZPlus(), lambda: zennit.ZPlus(1e-6)),
}
LOW, HIGH = -4.0, 4.5
FIRST: dict[str, tuple[Rule, Theirs]] = {
    "box": (Box(LOW, HIGH), lambda: zennit.ZBox(torch.tensor(LOW).double(), torch.tensor(HIGH).double(), 1e-6)),
    "w-squared": (WSquare(1e-6), lambda: zennit.WSquare(1e-6, zero_params="bias")),
    "flat": (Flat(), lambda: zennit.Flat(1e-12)),
}
LAYERS: dict[str, tuple[nn.Module, Tensor]] = {
    "linear": (nn.Linear(20, 8), noise(6, 20)),
    "linear, no bias": (nn.Linear(20, 8, bias=False), noise(6, 20)),
    "linear, positive inputs": (nn.Linear(20, 8), noise(6, 20).abs()),
    "convolution": (nn.Conv2d(3, 4, 3, padding=1), noise(2, 3, 6, 6)),
    "strided convolution": (nn.Conv2d(4, 6, 3, stride=2, dilation=2, groups=2), noise(2, 4, 9, 9)),
    "convolution, positive inputs": (nn.Conv1d(3, 4, 3, padding=2), noise(2, 3, 7).abs()),
    "transposed convolution": (nn.ConvTranspose2d(3, 4, 3, stride=2), noise(2, 3, 4, 4)),
}


def theirs(net: nn.Module, rules: dict[nn.Module, Any], x: Tensor, seed: Tensor) -> Tensor:
    """zennit's relevance of the inputs for relevance `output * seed`."""
    handles = [handle for module, rule in rules.items() for handle in [rule.register(module)]]
    try:
        x = x.clone().requires_grad_()
        output = net(x)
        found: Tensor = torch.autograd.grad(output, x, output.detach() * seed)[0]
    finally:
        for handle in handles:
            handle.remove()
    return found


def has_both_signs(layer: nn.Module, x: Tensor) -> Tensor:
    """Which units have contributions of both signs; of others zennit's alpha-beta makes or loses relevance."""
    z, absolute = layer(x), copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in absolute.parameters():
            parameter.abs_()
    return (absolute(x.abs()) - z.abs() > 1e-9).detach()


def expect_agreement(ours: Tensor, other: Tensor, tolerance: float = 1e-12) -> None:
    assert float((ours - other).abs().max() / other.abs().max()) <= tolerance


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("rule", [*EVERYWHERE, *FIRST])
def test_a_rule_on_a_layer_agrees(rule: str, layer: str) -> None:
    (ours, made), (module, x) = {**EVERYWHERE, **FIRST}[rule], LAYERS[layer]
    module = with_random_weights(module.double())
    seed = noise(*module(x).shape, seed=3) * has_both_signs(module, x)
    followed = follow(module, x, plan=plan_with(ours), seed=seed)
    expect_agreement(
        followed.relevance[0], theirs(module, {module: made()}, x, seed), 1e-11 if rule == "flat" else 1e-12
    )


@pytest.mark.parametrize("rule", EVERYWHERE)
def test_a_rule_in_a_network_agrees(rule: str) -> None:
    ours, made = EVERYWHERE[rule]
    net = with_random_weights(
        nn.Sequential(nn.Linear(60, 50), nn.ReLU(), nn.Linear(50, 40), nn.ReLU(), nn.Linear(40, 3)).double()
    )
    x, seed = noise(5, 60, seed=7), noise(5, 3, seed=1)  # so wide that every unit has both signs
    rules = {module: made() if isinstance(module, nn.Linear) else zennit.Pass() for module in net}
    expect_agreement(follow(net, x, plan=plan_with(ours), seed=seed).relevance[0], theirs(net, rules, x, seed), 1e-10)


def test_a_composite_on_a_convolutional_network_agrees() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(8 * 16, 5),
    )  # fmt: skip
    net = with_random_weights(net.double())
    x, seed = noise(3, 3, 8, 8), noise(3, 5, seed=1)
    plan = plan_with(ByLayer(Gamma(0.25), first=Box(LOW, HIGH), dense=Epsilon()))
    box, gamma = FIRST["box"][1](), EVERYWHERE["gamma"][1]()
    rules = {net[0]: box, net[1]: zennit.Pass(), net[2]: gamma, net[3]: zennit.Pass(), net[6]: zennit.Epsilon(1e-6)}
    expect_agreement(follow(net, x, plan=plan, seed=seed).relevance[0], theirs(net, rules, x, seed), 1e-10)

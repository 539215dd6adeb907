"""What the settings of LRP do to a trained network: epsilon leaves fewer reasons, gamma less against; half precision.

Acceptance facts 33 and 35 of layer-wise relevance propagation are here too.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch
from tests.worlds import follow, network, noise
from torch import Tensor, nn

from whyrec.calls import Plan
from whyrec.composites import COMPOSITES, plan_with
from whyrec.rules.epsilon import Epsilon
from whyrec.rules.gamma import Gamma
from whyrec.rules.z_plus import ZPlus

INPUTS = noise(300, 24, seed=5)


@cache
def trained() -> nn.Sequential:
    """A network that has learned a rule of four of its 24 inputs; two of them speak against."""
    net, x = network(24, 32, 16, 1), INPUTS
    told = 2 * x[:, 0] + x[:, 1].relu() - x[:, 2] * (x[:, 3] > 0) - x[:, 4].relu()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.3)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=1e-3)
    for _ in range(300):
        optimiser.zero_grad()
        (net(x)[:, 0] - told).square().mean().backward()
        optimiser.step()
    return net.eval().requires_grad_(False)


def relevance(plan: Plan, net: nn.Module | None = None) -> Tensor:
    return follow(net or trained(), INPUTS, plan=plan, layers=3).relevance[0]


def reasons_that_count(found: Tensor) -> float:
    """How many inputs bring more than 2 % of the score, either way; mean over samples."""
    scores = trained()(INPUTS)[:, :1].abs()
    return float((found.abs() > 0.02 * scores).sum(1).double().mean())


def effective_reasons(found: Tensor) -> float:
    """Participation number of |R|, mean over samples: n where n inputs share equally, 1 where one has all."""
    sizes = found.abs()
    return float((sizes.sum(1).square() / sizes.square().sum(1).clamp(min=1e-30)).mean())


def test_larger_epsilon_leaves_fewer_reasons_that_count_and_no_sharper_ranking_of_them() -> None:
    """What epsilon swallows it takes from all inputs of a unit: sizes shrink, their proportions hardly change."""
    found = [relevance(plan_with(Epsilon(epsilon))) for epsilon in (0.0, 0.1, 0.5, 2.0)]
    counts = [reasons_that_count(one) for one in found]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < 0.9 * counts[0]
    effective = [effective_reasons(one) for one in found]
    assert max(effective) < 1.1 * min(effective)


def test_larger_gamma_leaves_less_against_and_bounds_the_strongest_reason() -> None:
    scores = trained()(INPUTS)[:, 0]
    for_it = scores > scores.median()
    against, strongest = [], []
    for gamma in (0.0, 0.25, 1.0, 10.0):
        found = relevance(plan_with(Gamma(gamma)))[for_it]
        against.append(float(found.clamp(max=0).sum() / found.abs().sum()))
        strongest.append(float((found.abs().amax(1) / scores[for_it]).max()))
    assert against == sorted(against)
    assert against[-1] > 0.5 * against[0]
    assert strongest[-1] < strongest[0]
    assert strongest[-1] <= 1.5


@pytest.mark.parametrize("name", ["embedding", "gamma"])
def test_other_weights_above_make_another_explanation(name: str) -> None:
    found = relevance(COMPOSITES[name])
    shuffled = network(24, 32, 16, 1)
    shuffled.load_state_dict(trained().state_dict())
    with torch.no_grad():
        for layer in (shuffled[2], shuffled[4]):
            for parameter in layer.parameters():
                parameter.copy_(noise(*parameter.shape, seed=8) * parameter.std(correction=0))
    other = relevance(COMPOSITES[name], shuffled)
    assert float(torch.cosine_similarity(found, other, dim=1).abs().mean()) < 0.9


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 0.01), (torch.bfloat16, 0.06)])
def test_sums_hold_in_half_precision(dtype: torch.dtype, bound: float) -> None:
    net = network(64, 32, 16, 8, 1).to(dtype)
    followed = follow(net, noise(500, 64, seed=9).to(dtype), plan=plan_with(Epsilon(1e-3)))
    spent = followed.inputs.float() if followed.inputs.dtype == dtype else followed.inputs
    inputs = torch.stack([one.float().flatten(1).sum(1) for one in followed.relevance]).sum(0)
    missing = followed.value[:, 0].float() - inputs - followed.bias.float() - followed.stabilizer.float()
    assert spent.isfinite().all()
    assert all(one.isfinite().all() for one in followed.relevance)
    scale = followed.value.float().abs().mean() + followed.bias.abs().mean()
    assert float(missing.abs().quantile(0.99) / scale) < bound


@pytest.mark.parametrize("rule", [Epsilon(0.0), Epsilon(1e-6), Gamma(), ZPlus()])
def test_zeros_dead_layers_and_constants_stay_finite(rule: Epsilon | Gamma | ZPlus) -> None:
    net = network(5, 6, 4)
    for x in (torch.zeros(3, 5).double(), torch.ones(3, 5).double()):
        followed = follow(net, x, plan=plan_with(rule))
        assert followed.relevance[0].isfinite().all()
        assert followed.gap <= 1e-12
    with torch.no_grad():
        net[0].bias.fill_(-100.0)
    assert not follow(net, noise(3, 5), plan=plan_with(rule)).relevance[0].any()

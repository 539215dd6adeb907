"""Acceptance facts of what lies between layers: batch norm, distances, norms, attention, activations, gates, pools."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.worlds import follow, network, noise, wired, with_random_weights
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.calls import Plan, Rule
from whyrec.composites import COMPOSITES, plan_with
from whyrec.distances import personal_distance, strongest_features, weighted_distance
from whyrec.errors import InvalidSetting, NoRule
from whyrec.explainers.gradient import GradientTimesInput
from whyrec.explainers.lrp import LRP
from whyrec.operations import Family
from whyrec.rules.alpha_beta import AlphaBeta
from whyrec.rules.average import Average
from whyrec.rules.epsilon import Epsilon
from whyrec.rules.gamma import Gamma
from whyrec.rules.normalisation import Normalisation
from whyrec.rules.query_key_value import QueryKeyValue
from whyrec.rules.reference import Reference
from whyrec.rules.taylor import Taylor
from whyrec.rules.z_plus import ZPlus

EVERYWHERE: dict[str, Rule] = {
    "epsilon": Epsilon(0.1),
    "relative epsilon": Epsilon(0.25, relative=True),
    "gamma": Gamma(0.25),
    "alpha-beta": AlphaBeta(),
    "z-plus": ZPlus(),
}


# Fact 14: batch norm


class Normed(nn.Module):
    """Batch norm behind a layer, or in front of one."""

    def __init__(self, first: nn.Module, norm: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.first, self.norm, self.last = first, norm, last
        for module in self.modules():
            with_random_weights(module.double())
        with torch.no_grad():
            norm.get_buffer("running_var").copy_(noise(len(norm.get_buffer("running_var")), seed=2).square() + 0.1)

    def behind(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(F.relu(self.norm(self.first(x))))
        return found

    def in_front(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.norm(F.relu(self.first(x))))
        return found

    def fused(self) -> tuple[nn.Module, nn.Module]:
        """The first layer with the norm behind it in its weights, and the last one with the norm before it."""
        norm = self.norm
        scale = norm.get_parameter("weight") / (norm.get_buffer("running_var") + 1e-5).sqrt()
        shift = norm.get_parameter("bias") - norm.get_buffer("running_mean") * scale
        first, last = (type(one)(*SIZES[type(one)]).double().eval() for one in (self.first, self.last))
        with torch.no_grad():
            tall = (-1, *[1] * (self.first.weight.ndim - 1))
            first.weight.copy_(self.first.weight * scale.reshape(tall))
            first.bias.copy_(self.first.bias * scale + shift)
            last.weight.copy_(self.last.weight * scale.reshape(1, *tall[:-1]))
            across = self.last.weight * shift.reshape(1, *tall[:-1])
            last.bias.copy_(self.last.bias + across.flatten(1).sum(1))
        return first, last


SIZES: dict[type, tuple[int, ...]] = {nn.Linear: (6, 6), nn.Conv2d: (3, 3, 2)}
NORMED = {
    "dense": (Normed(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 6)), noise(5, 6, seed=9)),
    "convolution": (
        Normed(nn.Conv2d(3, 3, 2), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 2)),
        noise(3, 3, 6, 6, seed=9),
    ),
}


@pytest.mark.parametrize("rule", EVERYWHERE.values(), ids=EVERYWHERE)
@pytest.mark.parametrize("kind", NORMED)
def test_a_batch_norm_is_one_with_the_layer_before_it(kind: str, rule: Rule) -> None:
    net, x = NORMED[kind]
    first, _ = net.fused()
    seed = noise(*net.behind(x).shape, seed=1)
    apart = follow(net.behind, x, plan=plan_with(rule), seed=seed)
    fused = follow(lambda x: net.last(F.relu(first(x))), x, plan=plan_with(rule), seed=seed)
    torch.testing.assert_close(apart.value, fused.value, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(apart.relevance[0], fused.relevance[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(apart.bias, fused.bias, rtol=1e-9, atol=1e-11)
    assert apart.gap <= 1e-12


@pytest.mark.parametrize("rule", EVERYWHERE.values(), ids=EVERYWHERE)
@pytest.mark.parametrize("kind", NORMED)
def test_a_batch_norm_is_one_with_the_layer_behind_it(kind: str, rule: Rule) -> None:
    net, x = NORMED[kind]
    _, last = net.fused()
    seed = noise(*net.in_front(x).shape, seed=1)
    apart = follow(net.in_front, x, plan=plan_with(rule), seed=seed)
    fused = follow(lambda x: last(F.relu(net.first(x))), x, plan=plan_with(rule), seed=seed)
    torch.testing.assert_close(apart.value, fused.value, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(apart.relevance[0], fused.relevance[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(apart.bias, fused.bias, rtol=1e-9, atol=1e-11)
    assert apart.gap <= 1e-12


def test_batch_norm_by_the_statistics_of_the_batch_is_refused() -> None:
    with pytest.raises(NoRule, match="mixes users"):
        follow(lambda x: F.batch_norm(x, None, None, training=True), noise(4, 3))


# Facts 15 and 16: distances


A, C, WEIGHTS = noise(5, 6), noise(5, 6, seed=1), noise(6, seed=2).square()
PROJECTION, PERSONAL = noise(6, 3, seed=3), noise(5, 3, seed=4).square()

DISTANCES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], tuple[Tensor, Tensor]]] = {
    "squares": (lambda a, b: ((a - b) ** 2).sum(1), weighted_distance(A, C)),
    "products": (lambda a, b: ((a - b) * (a - b) * WEIGHTS).sum(1), weighted_distance(A, C, WEIGHTS)),
    "weighted squares": (lambda a, b: F.linear((a - b).square(), WEIGHTS[None]), weighted_distance(A, C, WEIGHTS)),
    "personal": (
        lambda a, b: (PERSONAL * ((a - b) @ PROJECTION).pow(2)).sum(1),
        personal_distance(A, C, PROJECTION, PERSONAL),
    ),
}


@pytest.mark.parametrize("name", DISTANCES)
def test_a_distance_is_shared_by_what_makes_it(name: str) -> None:
    distance, closed = DISTANCES[name]
    followed = follow(distance, A, C)
    value = followed.value.reshape(-1)
    for ours, expected in zip(followed.relevance, closed, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(closed[0].sum(1) + closed[1].sum(1), value, rtol=1e-12, atol=1e-13)
    with torch.enable_grad():
        leaves = [A.clone().requires_grad_(), C.clone().requires_grad_()]
        slopes = torch.autograd.grad(distance(*leaves).sum(), leaves)
    for ours, leaf, slope in zip(followed.relevance, leaves, slopes, strict=True):
        torch.testing.assert_close(ours, (leaf * slope / 2).detach(), rtol=1e-12, atol=1e-13)


def test_a_score_that_falls_with_distance_leaves_the_threshold_to_the_bias() -> None:
    followed = follow(lambda a, b: 1.5 - (WEIGHTS * (a - b) ** 2).sum(1), A, C)
    torch.testing.assert_close(followed.bias, torch.full((5,), 1.5).double(), rtol=1e-12, atol=0)
    assert followed.gap <= 1e-12


def test_swapping_two_things_swaps_their_relevance_and_a_thing_is_no_distance_from_itself() -> None:
    tower = network(6, 5, 4)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return (tower(a) - tower(b)).square().sum(1)

    there, back = follow(distance, A, C), follow(distance, C, A)
    torch.testing.assert_close(there.relevance[0], back.relevance[1], rtol=1e-12, atol=1e-14)
    for relevance in follow(distance, A, A.clone()).relevance:
        assert float(relevance.abs().max()) < 1e-14


def test_two_images_in_one_batch_are_two_separate_passes() -> None:
    tower = network(6, 5, 4)

    def together(a: Tensor, b: Tensor) -> Tensor:
        features = tower(torch.stack([a, b], dim=1).flatten(0, 1)).unflatten(0, (-1, 2))
        return (features[:, 0] - features[:, 1]).square().sum(1)

    one = follow(together, A, C, epsilon=0.1)
    two = follow(lambda a, b: (tower(a) - tower(b)).square().sum(1), A, C, epsilon=0.1)
    for ours, expected in zip(one.relevance, two.relevance, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(one.bias, two.bias, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_relevance_of_the_strongest_features_is_what_they_retain(k: int) -> None:
    def score(a: Tensor, b: Tensor) -> Tensor:
        return (WEIGHTS * (a - b) ** 2).topk(k, dim=1).values.sum(1)

    followed = follow(score, A, C)
    contributions = WEIGHTS * (A - C) ** 2
    strongest = strongest_features(contributions, k)
    torch.testing.assert_close(followed.inputs, (contributions * strongest.kept).sum(1), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(strongest.retained, followed.value / contributions.sum(1), rtol=1e-12, atol=0)


def test_more_features_retain_more_and_all_of_them_everything() -> None:
    retained = torch.stack([strongest_features(noise(9, 12), k).retained for k in range(1, 13)])
    assert (retained.diff(dim=0) >= 0).all()
    assert retained[0].gt(0).all()
    torch.testing.assert_close(retained[-1], torch.ones(9).double())
    with pytest.raises(InvalidSetting, match="from 1 to 12"):
        strongest_features(noise(9, 12), 13)


# Facts 22, 24 and 25: norms and attention


def test_a_layer_norm_hands_relevance_on_only_with_its_rule() -> None:
    net = nn.Sequential(nn.Linear(6, 8, bias=False), nn.LayerNorm(8, bias=False), nn.Linear(8, 1, bias=False))
    net = with_random_weights(net.double())
    question = wired(lambda parts: net(parts["p"].flatten(2)).squeeze(-1), {"p": noise(4, 3, 6, 1, seed=9)})
    plain, ruled = GradientTimesInput()(question).ledger, LRP(0.0)(question).ledger
    assert (plain.inputs.abs() < 1e-4 * plain.target.abs()).all()
    torch.testing.assert_close(ruled.inputs, ruled.target, rtol=1e-12, atol=1e-13)


NORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "layer": lambda x: F.layer_norm(x, (6,), noise(6, seed=3), noise(6, seed=4)),
    "layer over two axes": lambda x: F.layer_norm(x.unflatten(1, (2, 3)), (2, 3)),
    "root mean square": lambda x: F.rms_norm(x, (6,), noise(6, seed=3)),
    "root mean square by hand": lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6),
    "group": lambda x: F.group_norm(x[:, :, None], 2, noise(6, seed=3), noise(6, seed=4)),
    "length": lambda x: F.normalize(x),
    "length by hand": lambda x: x / x.norm(dim=1, keepdim=True),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms_conserve(name: str) -> None:
    norm, x = NORMS[name], noise(4, 6, seed=9)
    assert follow(norm, x, seed=noise(*norm(x).shape, seed=1)).gap <= 1e-12


def test_a_norm_may_hold_its_mean_as_well() -> None:
    plan = plan_with(Epsilon(0.0), {Family.NORMS: Normalisation(holds_mean=True)})
    followed = follow(NORMS["layer"], noise(4, 6, seed=9), plan=plan, seed=noise(4, 6, seed=1))
    assert followed.gap <= 1e-12
    assert (followed.bias != follow(NORMS["layer"], noise(4, 6, seed=9), seed=noise(4, 6, seed=1)).bias).all()


ATTNLRP = COMPOSITES["attnlrp"]


def test_what_softmax_hands_on_does_not_change_with_a_constant_added_to_all_logits() -> None:
    x, seed = noise(4, 6, seed=9), noise(4, 6, seed=1)
    plan = plan_with(Epsilon(0.0), {Family.SOFTMAX: Taylor()})
    one, other = (follow(lambda x: x.softmax(-1), x + shift, plan=plan, seed=seed) for shift in (0.0, 2.0))
    torch.testing.assert_close(one.inputs, other.inputs, rtol=1e-10, atol=1e-13)
    target = (one.value * seed).sum(1)
    assert ((one.inputs - target).abs() > 1e-3 * target.abs()).all()
    assert one.gap <= 1e-12


def test_masked_logits_get_nothing() -> None:
    hidden = noise(4, 6, seed=3) > 0.5
    plan = plan_with(Epsilon(0.0), {Family.SOFTMAX: Taylor()})
    followed = follow(lambda x: x.masked_fill(hidden, -torch.inf).softmax(-1), noise(4, 6), plan=plan, seed=noise(4, 6))
    assert not followed.relevance[0][hidden].any()
    assert followed.gap <= 1e-12


def masks() -> dict[str, dict[str, object]]:
    seen = noise(3, 5, seed=3) > -0.5
    seen[:, 0] = True
    return {
        "all": {},
        "mask": {"attn_mask": seen},
        "added mask": {"attn_mask": torch.where(seen, 0.3, -torch.inf).double()},
        "scaled": {"scale": 0.3},
    }


@pytest.mark.parametrize("how", masks())
@pytest.mark.parametrize("plan", [COMPOSITES["transformer"], ATTNLRP], ids=["CP-LRP", "AttnLRP"])
def test_attention_closes_its_account(plan: Plan, how: str) -> None:
    q, k, v = noise(4, 2, 3, 6), noise(4, 2, 5, 6, seed=1), noise(4, 2, 5, 6, seed=2)
    followed = follow(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **masks()[how]),
        q, k, v, plan=plan, seed=noise(4, 2, 3, 6, seed=3),
    )  # fmt: skip
    assert followed.gap <= 1e-12
    assert followed.relevance[2].any()
    assert bool(followed.relevance[0].any()) == (plan is ATTNLRP)


def test_causal_attention_closes_its_account() -> None:
    x = noise(4, 1, 5, 6)
    followed = follow(lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), x, plan=ATTNLRP)
    assert followed.gap <= 1e-12


@pytest.mark.parametrize("plan", [COMPOSITES["transformer"], ATTNLRP], ids=["CP-LRP", "AttnLRP"])
def test_attention_as_one_operation_is_attention_in_steps(plan: Plan) -> None:
    q, k, v, seed = noise(4, 3, 6), noise(4, 5, 6, seed=1), noise(4, 5, 2, seed=2), noise(4, 3, 2, seed=3)

    def in_steps(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.mT / 6**0.5).softmax(-1) @ v

    one = follow(F.scaled_dot_product_attention, q, k, v, plan=plan, seed=seed)
    other = follow(in_steps, q, k, v, plan=plan, seed=seed)
    for ours, expected in zip(one.relevance, other.relevance, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(one.bias, other.bias, rtol=1e-10, atol=1e-13)


def test_with_attnlrp_values_get_half_of_what_attention_puts_out() -> None:
    plan = plan_with(Epsilon(0.0), {Family.ATTENTION: QueryKeyValue()})
    q, k, v = noise(4, 3, 6), noise(4, 5, 6, seed=1), noise(4, 5, 2, seed=2)
    followed = follow(F.scaled_dot_product_attention, q, k, v, plan=plan, seed=noise(4, 3, 2, seed=3))
    half = (followed.value * followed.seed).flatten(1).sum(1) / 2
    torch.testing.assert_close(followed.relevance[2].flatten(1).sum(1), half, rtol=1e-12, atol=1e-13)


def test_attention_with_dropout_is_refused() -> None:
    for plan in (COMPOSITES["transformer"], ATTNLRP):
        with pytest.raises(NoRule, match="draws at random"):
            follow(lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5), noise(4, 3, 6), plan=plan)


# Fact 26: activations at zero


@pytest.mark.parametrize(("function", "limit"), [(F.gelu, 0.5), (F.silu, 0.5), (torch.tanh, 1.0), (F.mish, 0.6)])
def test_an_activation_has_its_limit_at_zero(function: Callable[[Tensor], Tensor], limit: float) -> None:
    w = noise(1, 2)
    for z in (0.0, 1e-12, -1e-12):
        x = torch.tensor([[w[0, 1].item(), -w[0, 0].item() + z / w[0, 1].item()]]).double()  # x W is z
        leaf = follow(lambda x: function(F.linear(x, w)), x)
        torch.testing.assert_close(leaf.relevance[0], limit * x * w, rtol=1e-8, atol=1e-12)


def test_an_activation_that_makes_something_of_nothing_is_refused() -> None:
    with pytest.raises(NoRule, match="no relevance rule"):
        follow(F.softplus, noise(3, 4))
    with pytest.raises(NoRule, match=r"makes 0\.5 of zero"):
        follow(lambda x: x.clamp(min=0.5), noise(3, 4))


# Gates, pools and references


def test_a_gate_that_is_added_is_refused() -> None:
    for score in (lambda x: x + x.sigmoid(), lambda x: torch.cat([x, 1 - x.softmax(-1)], 1)):
        with pytest.raises(NoRule, match="gate"):
            follow(score, noise(3, 4))


def test_a_gate_scales_and_takes_nothing() -> None:
    x, y = noise(3, 4), noise(3, 4, seed=1)
    followed = follow(lambda x, y: x * y.sigmoid(), x, y)
    torch.testing.assert_close(followed.relevance[0], x * y.sigmoid(), rtol=1e-12, atol=0)
    assert not followed.relevance[1].any()


def test_a_max_pool_hands_on_to_the_winner_or_as_an_average() -> None:
    x = torch.tensor([[1.0, 3, 0, 4]]).double()
    pool = lambda x: F.max_pool1d(x, 2)  # noqa: E731
    assert follow(pool, x).relevance[0].tolist() == [[0, 3, 0, 4]]
    averaged = follow(pool, x, plan=plan_with(Epsilon(0.0), {Family.POOLS: Average(0.0)}))
    torch.testing.assert_close(averaged.relevance[0], torch.tensor([[0.75, 2.25, 0, 4]]).double(), rtol=1e-12, atol=0)
    two = follow(lambda x: F.max_pool2d(x, 2, stride=1, padding=1), noise(2, 1, 4, 4).abs())
    assert two.gap <= 1e-12


def test_a_reference_says_why_this_and_not_the_average() -> None:
    p, items = noise(5, 1, 4), noise(1, 7, 4, seed=1)
    mean = items.mean((0, 1))
    plan = plan_with(Epsilon(0.0), {Family.PRODUCTS: Reference(tuple(mean.tolist()))})
    followed = follow(lambda p: (p * items).sum(-1), p, plan=plan)
    torch.testing.assert_close(followed.relevance[0], (p * (items - mean)).sum(1, keepdim=True), rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(followed.reference, 7 * (p * mean).sum((1, 2)), rtol=1e-12, atol=1e-13)
    question = wired(
        lambda parts: (parts["p"] * parts["q"]).sum((2, 3)),
        {"p": p[..., None], "q": items[..., None].repeat(5, 1, 1, 1)},
        parts=("p",),
    )
    ledger = LRP(plan=plan_with(Epsilon(0.0), {Family.PRODUCTS: Reference(0.5)}))(question).ledger
    torch.testing.assert_close(ledger.reference, (p * 0.5).sum(-1).expand(5, 7), rtol=1e-12, atol=1e-13)
    assert float(ledger.gap.abs().max()) < 1e-12


def test_relevance_of_embedding_bags_goes_to_the_rows_they_sum() -> None:
    bags, table = torch.tensor([[0, 1], [2, 3], [4, 5]]), noise(6, 4)
    for mode in ("sum", "mean"):
        followed = follow(lambda rows, mode=mode: F.embedding_bag(bags, rows, mode=mode), table)
        expected = table if mode == "sum" else table / 2
        torch.testing.assert_close(followed.relevance[0], expected, rtol=1e-12, atol=0)

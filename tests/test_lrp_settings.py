"""What a user can choose: LRP by one word, composites, rules by the place of a layer; wrong use says so."""

from __future__ import annotations

import pytest
import torch
from tests.worlds import follow, network, noise, pair, wired, with_random_weights
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.composites import COMPOSITES, ByLayer, plan_with
from whyrec.errors import InvalidSetting, NoRule
from whyrec.explainers.lrp import LRP
from whyrec.operations import Family
from whyrec.rules.alpha_beta import AlphaBeta
from whyrec.rules.epsilon import Epsilon
from whyrec.rules.flat import Flat
from whyrec.rules.gamma import Gamma
from whyrec.rules.z_plus import ZPlus

# The user's interface


def test_a_plain_user_chooses_with_one_word() -> None:
    layers = {
        LRP(): Epsilon(1e-6),
        LRP(0.1): Epsilon(0.1),
        LRP(gamma=0.25): Gamma(0.25, 1e-6),
        LRP(alpha=2, beta=1): AlphaBeta(2, 1, 1e-6),
        LRP(rule="z_plus"): ZPlus(1e-6),
        LRP(rule="gamma", epsilon=0.1): Gamma(0.25, 0.1),
        LRP(rule=Epsilon(0.25, relative=True)): Epsilon(0.25, relative=True),
        LRP(rule="flat"): ByLayer(Epsilon(1e-6), first=Flat()),
        LRP(composite="image"): COMPOSITES["image"][Family.WEIGHTS],
    }
    for explainer, rule in layers.items():
        assert explainer.rules[Family.WEIGHTS] == rule
    plan = plan_with(ZPlus())
    assert LRP(plan=plan).rules is plan


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epsilon": -1.0}, "epsilon=-1.0"),
        ({"gamma": -0.1}, "gamma=-0.1"),
        ({"gamma": float("inf")}, "gamma=inf"),
        ({"alpha": 2.0}, "come together"),
        ({"alpha": 2.0, "beta": 0.5}, "alpha - beta must be 1"),
        ({"gamma": 0.25, "composite": "image"}, "gamma and composite each choose"),
        ({"composite": "images"}, "no composite called 'images'"),
        ({"rule": "share"}, "'share' is no rule for layers"),
        ({"composite": "image", "epsilon": 0.1}, "epsilon has no meaning beside this composite"),
        ({"plan": COMPOSITES["image"], "epsilon": 0.1}, "epsilon has no meaning beside this plan"),
        ({"rule": ZPlus(), "epsilon": 0.1}, "epsilon has no meaning beside this rule"),
    ],
)
def test_settings_that_contradict_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        LRP(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("composite", [name for name in COMPOSITES if not name.startswith("image")])
def test_every_composite_explains_a_recommender(composite: str) -> None:
    net = network(6, 8, 4, 1)
    question = pair(lambda parts: net(torch.cat([v.expand(4, 3, 3, 1) for v in parts.values()], 2).flatten(2))[..., 0])
    answer = LRP(composite=composite)(question)
    assert float(answer.ledger.relative_gap(answer.relevance).max()) <= 1e-12


@pytest.mark.parametrize("composite", ["image", "image_plus"])
def test_every_image_composite_explains_a_picture(composite: str) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5), nn.ReLU(), nn.Linear(5, 1),
    )  # fmt: skip
    net = with_random_weights(net.double())
    net[1].running_var.abs_()
    pictures = noise(2, 2, 8, 8, 3).clamp(-1.8, 2.2)

    def score(parts: dict[str, Tensor]) -> Tensor:
        return net(parts["p"].flatten(0, 1).permute(0, 3, 1, 2)).reshape(2, 2)

    answer = LRP(composite=composite)(wired(score, {"p": pictures}))
    assert answer.relevance["p"].shape == (2, 2, 8, 8)
    assert float(answer.ledger.relative_gap(answer.relevance).max()) <= 1e-12


# Rules by the place of a layer


def test_rules_go_by_the_place_of_a_layer() -> None:
    met: list[tuple[str, int]] = []

    class Noted(Epsilon):
        def __init__(self, name: str) -> None:
            super().__init__(0.0)
            object.__setattr__(self, "name", name)

        def __call__(self, call, output):  # type: ignore[no-untyped-def]
            met.append((self.name, call.layer))  # type: ignore[attr-defined]
            return super().__call__(call, output)

    rule = ByLayer(Noted("body"), first=Noted("first"), top=Noted("top"), top_layers=2)
    shared = network(6, 6)

    def score(parts: dict[str, Tensor]) -> Tensor:
        x = shared(F.relu(shared(parts["p"].flatten(2))))
        return DEEP(x).squeeze(-1)

    LRP(plan=plan_with(rule))(wired(score, {"p": noise(3, 2, 6, 1)}))
    assert met == [("first", 0), ("body", 0), ("body", 1), ("top", 2), ("top", 3)]


DEEP = network(6, 5, 4, 1, seed=3)


def test_a_rule_for_the_last_layers_without_their_number_is_refused() -> None:
    with pytest.raises(NoRule, match="how many there are"):
        follow(network(6, 5), noise(3, 6), plan=COMPOSITES["gamma"])
    assert follow(network(6, 5), noise(3, 6), plan=COMPOSITES["gamma"], layers=1).gap <= 1e-12


def test_dropout_that_is_switched_on_by_hand_is_refused() -> None:
    with pytest.raises(NoRule, match=r"training=self\.training"):
        follow(lambda x: F.dropout(x), noise(3, 4))
    assert follow(lambda x: F.dropout(x, training=False), noise(3, 4)).gap <= 1e-12


def test_an_activation_in_place_is_refused() -> None:
    with pytest.raises(NoRule, match="inplace=False"):
        follow(lambda x: F.silu(x * 1.0, inplace=True), noise(3, 4))

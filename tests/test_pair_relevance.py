"""BiLRP: relevance of pairs adds up to the similarity, its sums are single passes, and kept rows explain pairs.

Acceptance facts 17 to 20 of layer-wise relevance propagation.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.worlds import built, network, noise, request
from torch import Tensor

from whyrec.calls import Plan
from whyrec.composites import COMPOSITES, plan_with
from whyrec.errors import InvalidSetting, Unseen
from whyrec.pair_relevance import bilrp, bilrp_totals, feature_relevance
from whyrec.question import ask
from whyrec.relevance import Relevance, Taken
from whyrec.rules.box import Box
from whyrec.rules.epsilon import Epsilon
from whyrec.rules.gamma import Gamma

LRP_0, GAMMA = plan_with(Epsilon(0.0)), plan_with(Gamma(0.25, 0.0))
TOWER, OTHER, BIASED = network(6, 8, 4, bias=False), network(10, 7, 4, bias=False, seed=1), network(6, 8, 4)
X, Y, Z = noise(3, 3, 2, seed=4), noise(3, 5, 2, seed=5), noise(3, 3, 2, seed=6)  # (pairs, unit, channel)


def of(net: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda values: net(values.flatten(1))


@pytest.mark.parametrize("plan", [LRP_0, GAMMA], ids=["epsilon", "gamma"])
def test_pairs_add_up_to_the_similarity(plan: Plan) -> None:
    found = bilrp(of(TOWER), X, of(OTHER), Y, plan=plan)
    assert found.relevance.shape == (3, 3, 5)
    torch.testing.assert_close(found.similarity, (of(TOWER)(X) * of(OTHER)(Y)).sum(1).detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(found.relevance.sum((1, 2)), found.similarity, rtol=1e-10, atol=1e-13)
    assert float(found.elsewhere.abs().max()) < 1e-12


def test_pairs_are_products_of_single_explanations() -> None:
    left, right = feature_relevance(of(TOWER), X, plan=LRP_0), feature_relevance(of(OTHER), Y, plan=LRP_0)
    slow = torch.zeros(3, 3, 5, dtype=torch.float64)
    for feature in range(4):
        slow += left[:, feature, :, None] * right[:, feature, None, :]
    found = bilrp(of(TOWER), X, of(OTHER), Y, plan=LRP_0)
    torch.testing.assert_close(found.relevance, slow, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("plan", [LRP_0, GAMMA], ids=["epsilon", "gamma"])
def test_sums_over_the_other_side_are_one_pass_each(plan: Plan) -> None:
    pairs = bilrp(of(TOWER), X, of(OTHER), Y, plan=plan).relevance
    first, second = bilrp_totals(of(TOWER), X, of(OTHER), Y, plan=plan)
    torch.testing.assert_close(pairs.sum(2), first, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(pairs.sum(1), second, rtol=1e-10, atol=1e-13)


def test_one_thing_with_itself_is_symmetric() -> None:
    pairs = bilrp(of(TOWER), X, of(TOWER), X, plan=LRP_0).relevance
    torch.testing.assert_close(pairs, pairs.mT, rtol=1e-12, atol=1e-14)


def test_swapping_the_two_swaps_the_pairs() -> None:
    there, back = (bilrp(of(TOWER), one, of(TOWER), other).relevance for one, other in ((X, Z), (Z, X)))
    torch.testing.assert_close(there, back.mT, rtol=1e-12, atol=1e-14)


def test_biases_are_said_to_lie_elsewhere() -> None:
    found = bilrp(of(BIASED), X, of(TOWER), Z)
    assert (found.elsewhere.abs() > 1e-3).all()


def test_a_pair_does_not_depend_on_other_pairs() -> None:
    together = bilrp(of(TOWER), X, of(OTHER), Y).relevance
    for row in range(3):
        alone = bilrp(of(TOWER), X[row : row + 1], of(OTHER), Y[row : row + 1]).relevance
        torch.testing.assert_close(alone[0], together[row], rtol=1e-12, atol=1e-14)


def test_one_forward_and_k_backward_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"forward": 0, "backward": 0}
    plain = torch.autograd.grad

    def counted(*args: object, **kwargs: object) -> object:
        counts["backward"] += 1
        return plain(*args, **kwargs)  # type: ignore[arg-type]

    def tower(values: Tensor) -> Tensor:
        counts["forward"] += 1
        return of(TOWER)(values)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    feature_relevance(tower, X)
    assert counts == {"forward": 1, "backward": 4}


def test_rows_that_are_kept_explain_any_pair() -> None:
    plan, weights = plan_with(Epsilon(0.1)), noise(3, 4, seed=7)
    rows = feature_relevance(of(BIASED), X, plan=plan)
    leaf = X.clone().requires_grad_()
    with Relevance(plan, Taken((3,))) as mode:
        output = of(BIASED)(mode.follow(leaf))
    (gradient,) = torch.autograd.grad(output, leaf, weights)
    direct = (leaf * gradient).sum(-1).detach()
    torch.testing.assert_close(torch.einsum("nk,nku->nu", weights, rows), direct, rtol=1e-10, atol=1e-13)


def test_past_items_and_factors_of_the_recommended_one_make_the_score() -> None:
    model = built("mf", values={"user": "history", "factors": 4})
    question = ask(model, request(model, [0, 2]), parts=("history", "item"))
    history = question.inputs["history"].values[:, 0]  # (users, length, factor)
    item = question.inputs["item"].values[:, 0].reshape(2, -1, 1)
    found = bilrp(lambda values: values.sum(1), history, lambda values: values[..., 0], item)
    score = (history.sum(1) * item[..., 0]).sum(1)
    torch.testing.assert_close(found.relevance.sum((1, 2)), score, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(found.relevance, history * item.mT, rtol=1e-10, atol=1e-14)


def test_a_first_layer_rule_reaches_inputs_of_zero() -> None:
    blank = torch.zeros_like(X)
    plan = COMPOSITES["image_plus"]
    assert (feature_relevance(of(BIASED), blank, plan=plan) != 0).any()
    boxed = feature_relevance(of(network(6, 4)), blank, plan=plan_with(Box(-1.0, 1.0)))
    torch.testing.assert_close(boxed.sum(2), of(network(6, 4))(blank).detach(), rtol=1e-5, atol=0)


def test_wrong_branches_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="needs the same of both"):
        bilrp(of(TOWER), X, lambda values: values.flatten(1), Y)
    with pytest.raises(InvalidSetting, match="gives \\(pairs, features\\)"):
        bilrp(lambda values: values * 2, X, of(OTHER), Y)
    with pytest.raises(Unseen, match="no rule followed"):
        bilrp(lambda values: values.detach().flatten(1), X, of(OTHER), Y)
    with pytest.raises(InvalidSetting, match="last layers"):
        bilrp(of(TOWER), X, of(OTHER), Y, plan=COMPOSITES["gamma"])

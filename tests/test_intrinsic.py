"""A model that is a sum has terms of its own, and every honest method finds them; a network has none and says so."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tests.worlds import built, noise, request, wired

import whyrec as wr
from whyrec.errors import NotApplicable
from whyrec.explanation import Explainer
from whyrec.question import ask
from whyrec.targets import Contrast, Margin, Target

SUMS = ("ease", "gmf", "item_knn", "mf")
NETWORKS = ("mlp", "neumf")
OTHERS = (wr.LeaveOneOut(), wr.LRP(epsilon=0), wr.IntegratedGradients(steps=3), wr.GradientTimesInput())


@pytest.mark.parametrize("method", OTHERS, ids=repr)
@pytest.mark.parametrize("target", [None, Contrast("oat")], ids=repr)
@pytest.mark.parametrize("name", SUMS)
def test_where_a_score_is_a_sum_all_methods_find_its_terms(name: str, target: Target | None, method: Explainer) -> None:
    model = built(name)
    question = ask(model, request(model), target=target)
    terms = wr.Intrinsic()(question).relevance["history"]
    assert terms.abs().max() > 0.01
    torch.testing.assert_close(method(question).relevance["history"], terms, rtol=0, atol=1e-11)


def test_the_terms_of_ease_are_its_weights() -> None:
    model = built("ease")
    question = ask(model, request(model, [0]))
    weights = model.get_buffer("weights")[question.request.history[0][None, :], question.request.items[0][:, None]]
    torch.testing.assert_close(wr.Intrinsic()(question).relevance["history"][0], weights, rtol=0, atol=0)


@pytest.mark.parametrize("name", SUMS)
def test_terms_and_what_is_there_without_a_past_make_the_score(name: str) -> None:
    model = built(name)
    answer = wr.Intrinsic()(ask(model, request(model)))
    assert answer.complete
    assert answer.ledger.relative_gap(answer.relevance).max() <= 1e-12
    scores = model.score(model.embed(dataclasses.replace(request(model), history=torch.full((6, 1), -1))))
    torch.testing.assert_close(answer.ledger.reference, scores.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_no_terms_of_its_own(name: str, dtype: torch.dtype) -> None:
    model = built(name, dtype=dtype)
    with pytest.raises(NotApplicable, match="is no sum of what each unit of history brings"):
        wr.Intrinsic()(ask(model, request(model)))


def test_two_sides_of_a_product_have_no_terms() -> None:
    model = built("mf")
    with pytest.raises(NotApplicable, match="of history, item brings"):
        wr.Intrinsic()(ask(model, request(model), parts=("history", "item")))


def test_the_end_of_a_list_moves_so_a_margin_is_no_sum() -> None:
    model = built("ease")
    with pytest.raises(NotApplicable, match="'margin@1' of EASE is no sum"):
        wr.Intrinsic()(ask(model, request(model, [0, 1, 3]), target=Margin(k=1, among=7)))


@pytest.mark.parametrize("strength", [0.02, 1.0])
def test_a_pair_of_units_that_works_together_only_is_noticed(strength: float) -> None:
    def score(parts: dict[str, torch.Tensor]) -> torch.Tensor:
        x = parts["p"][..., 0]
        return x.sum(2) + strength * x[..., 2] * x[..., 5]

    with pytest.raises(NotApplicable):
        wr.Intrinsic()(wired(score, {"p": noise(4, 1, 8, 1)}))


def test_units_are_measured_from_their_baselines() -> None:
    question = wired(lambda parts: parts["p"].sum((2, 3)), {"p": noise(3, 1, 4, 2)})
    part = dataclasses.replace(question.inputs["p"], baseline=torch.tensor(0.5, dtype=torch.float64))
    answer = wr.Intrinsic()(dataclasses.replace(question, inputs={"p": part}))
    torch.testing.assert_close(answer.relevance["p"], (part.values - 0.5).sum(3), rtol=0, atol=1e-12)
    torch.testing.assert_close(answer.ledger.reference, torch.full((3, 1), 4.0, dtype=torch.float64))

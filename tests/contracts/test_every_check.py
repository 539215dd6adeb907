"""Every check in faithfulness/ keeps the promises of its kind; a new one is found and held to them unasked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

import whyrec as wr
from whyrec import kinds
from whyrec.attribution import Attribution
from whyrec.coalitions import Players
from whyrec.explainers.lrp import LRP
from whyrec.explainers.occlusion import LeaveOneOut
from whyrec.explainers.random import Random
from whyrec.orders import at_random, by_relevance, greedy
from whyrec.question import Question, ask
from whyrec.recommender import Recommender

K = 4
SPLIT = wr.leave_last_out(wr.planted(users=120, items=60))


SHORT_LISTS = {"necessity": {"length": 1}, "enough": {"length": 1}}
"""In a catalogue of 60 items nearly everything stays in a list of ten."""


def check_of_orders(name: str) -> Callable[[Players, Tensor, int], Tensor]:
    return partial(kinds.load("faithfulness", name), **SHORT_LISTS.get(name, {}))


def judging(subject: str) -> list[str]:
    return [name for name in kinds.names("faithfulness") if subject == kinds.module("faithfulness", name).JUDGES]


def question() -> Question:
    model: Recommender = wr.fit(wr.MF(factors=16), SPLIT, wr.Training(epochs=30))
    return ask(model, wr.recommend(model, k=1).request(), dtype=torch.float64)


QUESTION = question()
PLAYERS = Players(QUESTION)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def changed(attribution: Attribution, change: Callable[[Tensor], Tensor]) -> Attribution:
    return dataclasses.replace(
        attribution, relevance={name: change(part) for name, part in attribution.relevance.items()}
    )


def test_every_check_says_what_it_judges() -> None:
    for name in kinds.names("faithfulness"):
        assert kinds.module("faithfulness", name).JUDGES in ("order", "relevance", "explainer", "attribution"), name


@pytest.mark.parametrize("name", judging("order"))
def test_a_check_of_orders_puts_the_best_above_random_above_the_reverse(name: str) -> None:
    check = check_of_orders(name)
    exact = LRP(0)(QUESTION)
    best, worst = (by_relevance(PLAYERS, changed(exact, turn), generator()) for turn in (lambda x: x, lambda x: -x))
    values = [float(check(PLAYERS, ranks, K).mean()) for ranks in (best, at_random(PLAYERS, 40, generator()), worst)]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[1] > values[2]


@pytest.mark.parametrize("name", kinds.names("faithfulness"))
def test_a_check_keeps_the_laws_of_all_checks(name: str) -> None:
    found = wr.self_test([name])
    assert found.holds, str(found)


@pytest.mark.parametrize("name", judging("order"))
def test_no_order_beats_greedy_on_an_affine_model(name: str) -> None:
    if name not in ("deletion", "sufficiency"):
        pytest.skip("greedy search is the ceiling of deletion and sufficiency only")
    check = kinds.load("faithfulness", name)
    ceiling = check(PLAYERS, greedy(PLAYERS, K, remove=name == "deletion"), K)
    assert (check(PLAYERS, at_random(PLAYERS, 40, generator()), K) <= ceiling + 1e-9).all()


@pytest.mark.parametrize("name", judging("relevance"))
def test_a_check_of_relevance_is_highest_for_the_truth_and_lowest_for_its_opposite(name: str) -> None:
    check, exact = kinds.load("faithfulness", name), LRP(0)(QUESTION)
    joined = PLAYERS.join(exact.relevance)
    chance = PLAYERS.join(Random()(QUESTION).relevance)
    values = [float(check(PLAYERS, relevance).nanmean()) for relevance in (joined, chance, -joined)]
    assert values[0] == pytest.approx(1, abs=1e-9)
    assert values[0] > values[1] > values[2]


@pytest.mark.parametrize("name", judging("explainer"))
def test_a_check_of_explainers_stays_in_its_range_and_leaves_the_model_alone(name: str) -> None:
    check, before = kinds.load("faithfulness", name), {k: v.clone() for k, v in QUESTION.model.state_dict().items()}
    lowest = {"randomised_weights": -1.0, "other_item": -1.0, "stability": 0.0, "other_seed": 0.0}
    assert name in lowest, f"say which values {name} can take: add it to this test"
    for explainer in (LRP(), LeaveOneOut(), Random()):
        values = check(explainer, QUESTION, explainer(QUESTION))
        assert values.shape == QUESTION.shape
        assert ((values >= lowest[name]) & (values <= 1)).all()
    assert all(torch.equal(before[k], v) for k, v in QUESTION.model.state_dict().items())


def test_an_explanation_that_never_looks_at_the_model_does_not_notice_other_weights() -> None:
    check = kinds.load("faithfulness", "randomised_weights")
    assert (check(Random(), QUESTION, Random()(QUESTION)) == 1).all()
    assert abs(float(check(LRP(), QUESTION, LRP()(QUESTION)).mean())) < 0.2


def test_an_explanation_that_depends_on_one_item_alone_is_as_stable_as_can_be() -> None:
    def constant(asked: Question) -> Attribution:
        history = asked.request.history
        exact = LRP()(asked)
        return changed(
            exact, lambda part: (history[:, None, :] + 1.0).double().expand(part.shape) * exact.present["history"]
        )

    check = kinds.load("faithfulness", "stability")
    assert (check(constant, QUESTION, constant(QUESTION)) == 1).all()
    assert float(check(Random(), QUESTION, Random()(QUESTION)).mean()) < 0.6


@pytest.mark.parametrize("name", judging("attribution"))
def test_a_check_of_accounts_sees_what_is_missing(name: str) -> None:
    check, exact = kinds.load("faithfulness", name), LRP()(QUESTION)
    assert float(check(exact).max()) < 1e-12
    ledger: Any = dataclasses.replace(exact.ledger, inputs=exact.ledger.inputs + 0.5 * exact.ledger.target)
    assert float(check(dataclasses.replace(exact, ledger=ledger)).max()) > 0.05

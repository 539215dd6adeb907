"""What controls promise: numbers of the data, never of the model, and a clear no where they have nothing to say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.worlds import built, noise, request, wired

import whyrec as wr
from whyrec.errors import NotApplicable
from whyrec.explanation import Explainer
from whyrec.faithfulness.randomised_weights import randomised_weights
from whyrec.question import Question, ask
from whyrec.report_card import ReportCard

CONTROLS: tuple[Explainer, ...] = (wr.ByPopularity(), wr.ByCosine())
every_control = pytest.mark.parametrize("control", CONTROLS)


def asked(model: str = "mf") -> Question:
    recommender = built(model)
    return ask(recommender, request(recommender))


def past(question: Question) -> list[tuple[int, int, int, int, int]]:
    """Every user, place of the list, place in the history, past item and recommended item."""
    history = question.request.history
    return [
        (row, place, unit, int(history[row, unit]), int(question.request.items[row, place]))
        for row, place, unit in question.present("history").nonzero().tolist()
    ]


@pytest.mark.parametrize("model", ["mf", "ease"])
def test_popularity_is_the_training_count_of_the_past_item_whatever_is_recommended(model: str) -> None:
    question = asked(model)
    assert question.train is not None
    taken = question.train.items.tolist()
    relevance = wr.ByPopularity()(question).relevance["history"]
    for row, place, unit, item, _ in past(question):
        assert relevance[row, place, unit] == taken.count(item)
    assert torch.equal(relevance, relevance[:, :1].expand_as(relevance))


@pytest.mark.parametrize("model", ["mf", "ease"])
def test_cosine_is_how_often_past_and_recommended_item_go_together(model: str) -> None:
    question = asked(model)
    assert question.train is not None
    users, items = question.train.users, question.train.items
    takers = [set(users[items == item].tolist()) for item in range(question.train.item_count)]
    relevance = wr.ByCosine()(question).relevance["history"]
    for row, place, unit, item, wanted in past(question):
        one, other = takers[item], takers[wanted]
        expected = len(one & other) / np.sqrt(len(one) * len(other)) if one and other else 0.0
        assert relevance[row, place, unit].item() == pytest.approx(expected, abs=1e-15)
    assert relevance.unique().numel() > 4


@every_control
def test_a_control_says_the_same_of_a_model_that_learned_something_else(control: Explainer) -> None:
    question = asked()
    answer = control(question)
    other = built("mf", seed=1)
    again = control(ask(other, request(other)))
    assert torch.equal(answer.relevance["history"], again.relevance["history"])
    assert not answer.ledger.target.equal(again.ledger.target)
    similar = randomised_weights(control, question, answer)
    assert set(similar[similar.isfinite()].round(decimals=12).tolist()) <= {0.0, 1.0}  # 0 where all units tie
    assert (similar == 1).sum() >= 8


@every_control
def test_a_control_promises_no_sum(control: Explainer) -> None:
    assert not control(asked()).complete


@every_control
def test_a_control_refuses_parts_that_are_not_past_items(control: Explainer) -> None:
    model = built("mf")
    both = ask(model, request(model), parts=("history", "item"))
    with pytest.raises(NotApplicable, match="a unit of 'item' of MF is a factor; ask for parts of past items"):
        control(both)
    columns = replace(wired(lambda parts: parts["p"].sum((2, 3)), {"p": noise(3, 2, 4, 2)}), train=model.known)
    with pytest.raises(NotApplicable, match="a unit of 'p' of Wired is a column"):
        control(columns)


@every_control
def test_a_control_refuses_a_model_without_its_data(control: Explainer) -> None:
    with pytest.raises(NotApplicable, match="save and load the model with its data"):
        control(replace(asked(), train=None))


@pytest.fixture(scope="module")
def card() -> ReportCard:
    split = wr.leave_last_out(wr.planted(users=300, items=60))
    model = wr.fit(wr.MF(factors=16), split, wr.Training(epochs=15))
    return wr.verify(model, wr.recommend(model), [wr.LRP(), *CONTROLS], settings=wr.Verification(users=60))


@pytest.mark.parametrize("method", ["popularity", "cosine"])
def test_a_report_card_does_not_call_a_control_faithful(card: ReportCard, method: str) -> None:
    found = card.row(method)
    assert found.verdict == "not better than random"
    assert found.randomisation.value == pytest.approx(1.0)
    assert "it says much the same of a model with shuffled weights" in found.because
    best = card.row("lrp").deletion.normalised
    assert best is not None
    assert found.deletion.normalised is not None
    assert found.deletion.normalised.high < best.low

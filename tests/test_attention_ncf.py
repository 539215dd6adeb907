"""AttentionNCF: weights that can be read, that sum to what they promise, and that training moves."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch import Tensor

import whyrec as wr
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.models.attention_ncf import AttentionNCF
from whyrec.question import ask
from whyrec.recommender import Request
from whyrec.split import Split
from whyrec.vectors import UserSource

TRAINING = wr.Training(epochs=12, batch_size=256, learning_rate=0.02)


@cache
def split() -> Split:
    return wr.leave_last_out(wr.planted(users=150, items=60))


@cache
def trained(user: UserSource, exponent: float = 0.5) -> AttentionNCF:
    history = wr.History(limit=30, exponent=exponent)
    model = AttentionNCF(factors=8, depth=2, tokens=4, user=user, history=history, init_std=0.3)
    wr.fit(model, split(), TRAINING)
    return model


def asked(model: AttentionNCF) -> Request:
    rows = torch.arange(6)
    history = model.seen_by(rows)
    if history.shape[1]:
        history[5] = -1  # somebody without a past
    return Request(rows, torch.tensor([[3, 9, 27, 50]]), history)


def weights(model: AttentionNCF) -> dict[str, Tensor]:
    return dict(model.attention(model.embed(asked(model))))


@pytest.mark.parametrize("user", ["id", "history"])
def test_tokens_look_with_weights_that_sum_to_one_and_differ_after_training(user: UserSource) -> None:
    found = weights(trained(user))
    sides = {"user", "item"} & set(found)
    for side in sides:
        assert found[side].shape == (6, 4, 4)
        torch.testing.assert_close(found[side].sum(-1), torch.ones(6, 4))
    assert found["item"][0].std(0).max() > 0.01
    fresh = AttentionNCF(factors=8, depth=2, tokens=4, user=user, init_std=1e-3)
    fresh.build(split().dataset.users, split().dataset.items)
    untrained = fresh.attention(fresh.embed(asked(fresh)))["item"]
    assert untrained.std() < found["item"].std() / 5


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_past_items_are_weighed_by_the_smoothed_softmax(exponent: float) -> None:
    model = trained("history", exponent)
    inputs = model.embed(asked(model))
    past, item = inputs["history"].values[:, 0], inputs["item"].values.flatten(2)[0]
    found = weights(model)["history"]
    for user in range(6):
        for place in range(4):
            there = inputs["history"].present[user, 0].nonzero()[:, 0].tolist()
            fit = {j: float((model.look(item[place]) @ past[user, j]).detach()) / math.sqrt(model.width) for j in there}
            below = (1 + sum(math.exp(one) for one in fit.values())) ** exponent
            for j in range(past.shape[1]):
                expected = math.exp(fit[j]) / below if j in fit else 0.0
                assert float(found[user, place, j]) == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_past_items_weigh_differently_for_each_item() -> None:
    found = weights(trained("history"))["history"]
    assert not found[5].any()
    shares = found[:5] / found[:5].sum(-1, keepdim=True)
    assert (shares[:, 0] - shares[:, 2]).abs().max() > 0.005


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_relevance_goes_through_the_values_and_the_ledger_closes(exponent: float) -> None:
    model = trained("history", exponent)
    question = ask(model, asked(model), dtype=torch.float64)
    for method in (wr.LRP(), wr.DeepLIFT()):
        answer = method(question)
        assert answer.ledger.relative_gap(answer.relevance).max() < 1e-12


def test_where_it_looks_is_an_explanation_that_can_be_judged() -> None:
    model = trained("history")
    settings = wr.Verification(k=3, users=30, resamples=200, floor=5)
    card = wr.verify(
        model, wr.recommend(model, k=5), [wr.AttentionWeights(), wr.LRP(), wr.LeaveOneOut()], settings=settings
    )
    assert [row.method for row in card.rows] == ["attention_weights", "lrp", "occlusion"]
    assert card.row("occlusion").deletion.normalised is not None
    assert card.row("attention_weights").completeness_gap is None


def test_tokens_of_ids_are_factors_that_nobody_can_remove() -> None:
    model = trained("id")
    assert model.unit_title("user", 2, user=0, item=0) == "user token 3"
    with pytest.raises(NotApplicable):
        wr.verify(model, wr.recommend(model, k=5), [wr.LRP()])


def test_tokens_have_to_divide_the_vectors() -> None:
    with pytest.raises(InvalidSetting, match=r"tokens=5 does not divide vectors of 24 numbers, factors \* 2"):
        AttentionNCF(factors=8, depth=2, tokens=5).build(split().dataset.users, split().dataset.items)


def test_without_the_residual_only_what_tokens_gather_is_read() -> None:
    model = AttentionNCF(factors=4, depth=1, tokens=2, user="id", residual=False)
    model.build(split().dataset.users, split().dataset.items)
    with torch.no_grad():
        for head in (model.user_head, model.item_head):
            for one in (head.value.weight, head.value.bias):
                one.zero_()
    scores = model.score(model.embed(asked(model)))
    torch.testing.assert_close(scores, scores[:1, :1].expand_as(scores))

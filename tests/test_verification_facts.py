"""Acceptance facts of verification: what is known exactly must come out exactly."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

import whyrec as wr
from whyrec import coalitions
from whyrec.coalitions import Players
from whyrec.errors import NotExplainableByMasking
from whyrec.explainers.gradient import GradientTimesInput
from whyrec.explainers.lrp import LRP
from whyrec.explainers.occlusion import LeaveOneOut
from whyrec.faithfulness.correlation import correlation
from whyrec.faithfulness.deletion import deletion
from whyrec.faithfulness.monotonicity import monotonicity
from whyrec.faithfulness.srg import srg
from whyrec.faithfulness.sufficiency import sufficiency
from whyrec.orders import at_random, by_relevance, greedy
from whyrec.question import Question, ask
from whyrec.recommender import Part, Recommender, Request, keep_only

SPLIT = wr.leave_last_out(wr.planted(users=80, items=60))


def trained(model: Recommender, epochs: int = 3) -> Recommender:
    return wr.fit(model, SPLIT, wr.Training(epochs=epochs))


def asked(model: Recommender, users: int = 24, items: int = 1, **options: object) -> Question:
    lists = wr.recommend(model, k=items)
    first = dataclasses.replace(lists, **{name: getattr(lists, name)[:users] for name in FIELDS})
    return ask(model, first.request(), **options)


FIELDS = ("user_rows", "item_rows", "scores", "history")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("model", [wr.MF(factors=8), wr.EASE(regularisation=20)], ids=["mf", "ease"])
def test_affine_models_leave_methods_nothing_to_disagree_about(model: Recommender) -> None:
    question = asked(trained(model), dtype=torch.float64)
    lrp, gradient, left_out = (
        method(question).relevance["history"] for method in (LRP(0), GradientTimesInput(), LeaveOneOut())
    )
    scale = left_out.abs().max()
    assert (lrp - left_out).abs().max() <= 1e-12 * scale
    assert (lrp - gradient).abs().max() <= 1e-12 * scale


@pytest.mark.parametrize("k", range(1, 11))
def test_on_an_affine_model_the_top_k_is_the_best_set_to_delete(k: int) -> None:
    question = asked(trained(wr.MF(factors=8)), dtype=torch.float64)
    players = Players(question)
    own = deletion(players, by_relevance(players, LRP(0)(question), generator()), k).mean()
    floor = deletion(players, at_random(players, 20, generator()), k).mean()
    ceiling = deletion(players, greedy(players, k, remove=True), k).mean()
    assert float((own - floor) / (ceiling - floor)) == pytest.approx(1, abs=1e-9)


def test_random_orders_enclose_no_area() -> None:
    question = asked(trained(wr.NeuMF(factors=8)), users=60, dtype=torch.float64)
    players = Players(question)
    areas = srg(players, at_random(players, 100, generator()), 20).mean(2)  # (orders, users)
    means = areas.mean(1)
    standard_error = means.std() / len(means) ** 0.5
    assert abs(float(means.mean())) < 4 * float(standard_error)
    assert float(standard_error) < 0.05 * float(srg(players, greedy(players, 5, remove=True), 20).abs().mean())


def test_the_reversed_order_encloses_the_opposite_area() -> None:
    question = asked(trained(wr.NeuMF(factors=8)), dtype=torch.float64)
    players = Players(question)
    relevance = LRP()(question)
    reversed_relevance = dataclasses.replace(relevance, relevance={"history": -relevance.relevance["history"]})
    forward = srg(players, by_relevance(players, relevance, generator()), 20)
    backward = srg(players, by_relevance(players, reversed_relevance, generator()), 20)
    assert torch.equal(forward.mean(0), -backward.mean(0))


@pytest.mark.parametrize("floats", [1, 10, 64 * 40, 1 << 23])
def test_checks_do_not_depend_on_the_size_of_a_block(floats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    question = asked(trained(wr.NeuMF(factors=8)), users=10, dtype=torch.float64)

    def measured() -> list[Tensor]:
        players = Players(question)
        ranks = at_random(players, 7, generator())
        relevance = players.join(LRP()(question).relevance)
        orders = [check(players, ranks, 3) for check in (deletion, sufficiency, srg, monotonicity)]
        return [*orders, correlation(players, relevance), players.single_drops()]

    whole = measured()
    monkeypatch.setattr(coalitions, "BLOCK_FLOATS", floats)
    for one, other in zip(whole, measured(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12, equal_nan=True)


def test_checks_of_a_user_do_not_depend_on_other_users() -> None:
    model = trained(wr.NeuMF(factors=8))
    together, alone = asked(model, users=10, dtype=torch.float64), asked(model, users=1, dtype=torch.float64)
    found = [
        correlation(players, players.join(LRP()(players.question).relevance))
        for players in map(Players, (together, alone))
    ]
    torch.testing.assert_close(found[0][:1], found[1], rtol=0, atol=1e-12)


def test_a_right_attribution_of_a_linear_model_is_perfect() -> None:
    question = asked(trained(wr.EASE(regularisation=20)), dtype=torch.float64)
    players, exact = Players(question), LRP(0)(question)
    assert correlation(players, players.join(exact.relevance)).min() > 1 - 1e-9
    assert (monotonicity(players, by_relevance(players, exact, generator())) == 1).all()


def test_a_random_attribution_of_a_linear_model_is_not() -> None:
    question = asked(trained(wr.EASE(regularisation=20)), users=60, dtype=torch.float64)
    players, chance = Players(question), wr.Random()(question)
    assert abs(float(correlation(players, players.join(chance.relevance)).mean())) < 0.2
    assert abs(float(monotonicity(players, by_relevance(players, chance, generator())).mean()) - 0.5) < 0.1


def test_a_one_hot_column_is_never_half_removed() -> None:
    one_hot = torch.eye(4, dtype=torch.float64)[torch.tensor([[2], [0], [3]])]  # (users, items, channel): no unit axis
    age = Part.of(torch.rand(3, 1, 1, dtype=torch.float64))
    inputs = {"occupation": Part.of(one_hot), "age": age}
    for bits in range(4):
        keep = {"occupation": torch.tensor(bool(bits & 1)), "age": torch.tensor(bool(bits & 2))}
        kept = keep_only(inputs, keep)["occupation"].values.sum(-1)
        assert (kept == float(bits & 1)).all()


def test_models_that_know_users_by_id_only_say_that_removal_cannot_judge_them() -> None:
    model = trained(wr.MF(factors=4, user="id"))
    with pytest.raises(NotExplainableByMasking, match="user='history'"):
        wr.verify(model, wr.recommend(model), [LRP()])
    popular = wr.fit(wr.Popularity(), SPLIT)
    with pytest.raises(NotExplainableByMasking, match="depends on nothing about the user"):
        wr.explain(popular, wr.recommend(popular))


def test_random_relevance_is_found_to_be_no_better_than_random_and_lrp_is_not() -> None:
    model = trained(wr.MF(factors=16), epochs=40)
    card = wr.verify(model, wr.recommend(model), [LRP(), wr.Random()])
    assert card.row("lrp").verdict == "faithful"
    assert card.row("random").verdict == "not better than random"
    assert card.row("random").randomisation.value == 1.0  # it never looks at the model


def test_a_model_that_ignores_its_history_leaves_nothing_to_find() -> None:
    model = trained(wr.MF(factors=4))
    with torch.no_grad():
        model.user_table.weight.zero_()
    card = wr.verify(model, wr.recommend(model), [LRP(), wr.Random()])
    assert {row.verdict for row in card.rows} == {"undecided"}


def test_every_method_is_judged_on_the_same_users_and_the_same_floor() -> None:
    model = trained(wr.MF(factors=8))
    lists = wr.recommend(model)
    alone = wr.verify(model, lists, [LRP()]).rows[0]
    in_company = wr.verify(model, lists, [wr.Random(), LeaveOneOut(), LRP()]).row("lrp")
    assert dataclasses.replace(alone, cost_ms=0) == dataclasses.replace(in_company, cost_ms=0)


def test_the_request_of_a_list_scores_as_the_list_says() -> None:
    model = trained(wr.NeuMF(factors=8))
    lists = wr.recommend(model, k=5)
    request: Request = lists.request()
    with torch.no_grad():
        torch.testing.assert_close(model.score(model.embed(request)), lists.scores, rtol=0, atol=1e-5)

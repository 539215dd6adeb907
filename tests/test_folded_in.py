"""A model of user ids can be asked about somebody new: a vector is solved for, and all that is trained stays."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from tests.worlds import built, split
from torch import Tensor
from torch.nn import functional as F

import whyrec as wr
from whyrec.errors import InvalidSetting, NoRule, NotApplicable
from whyrec.folded_in import FoldedIn
from whyrec.interactions import Interactions
from whyrec.recommender import Recommender, Request
from whyrec.spearman import spearman

BY_ID = {"user": "id", "factors": 3}


def trained(name: str = "mf", *, loss: str = "log", negatives: int = 4) -> Recommender:
    """A model of the pantry with random weights that says how it was trained."""
    model = built(name, values=BY_ID)
    model.trained_by = wr.Training(loss=loss, negatives=negatives)  # type: ignore[arg-type]
    return model


def asked(model: Recommender, *, compact: bool = False) -> Request:
    users = torch.arange(6)
    return Request(users, torch.arange(8)[None], model.seen_by(users), compact=compact)


def loss_of(model: FoldedIn, user: Tensor, past: list[int]) -> Tensor:
    """The definition, item by item."""
    scores = [model.vectors[item] @ user + model.offsets[item] for item in range(len(model.items))]
    spent = model.settings.negatives * len(past) / len(scores)
    prior = (model.precision * (user - model.mean) ** 2).sum() / 2
    return prior + sum(F.softplus(-scores[j]) for j in past) + spent * sum(F.softplus(score) for score in scores)


@pytest.mark.parametrize("negatives", [1, 4])
@pytest.mark.parametrize("name", ["mf", "gmf"])
def test_the_vector_is_where_the_loss_has_its_minimum(name: str, negatives: int) -> None:
    model = wr.fold_in(trained(name, negatives=negatives))
    history = model.embed(asked(model))["history"]
    for row, user in enumerate(model._user(history)[:, 0]):
        past = [item for item in asked(model).history[row].tolist() if item >= 0]
        slope = torch.func.grad(lambda at, past=past: loss_of(model, at, past))(user.detach())
        assert slope.abs().max() < 1e-9


@pytest.mark.parametrize("name", ["mf", "gmf"])
def test_a_trained_users_own_vector_gives_the_trained_models_scores(name: str) -> None:
    model = trained(name)
    folded = wr.fold_in(model)
    own = model.embed(Request(torch.arange(6), torch.zeros(1, 1, dtype=torch.int64), torch.empty(6, 0)))["user"]
    with torch.no_grad():
        expected = model.score(model.embed(asked(model)))
    found = own.values[:, 0, :, 0] @ folded.vectors.T + folded.offsets
    torch.testing.assert_close(found.detach(), expected, rtol=0, atol=1e-12)


def test_somebody_without_a_past_is_the_average_user() -> None:
    model = trained()
    folded = wr.fold_in(model)
    people = model.get_parameter("user_table.weight")[:5].detach()  # the newcomer learned nothing
    torch.testing.assert_close(folded.mean, people.mean(0))
    torch.testing.assert_close(folded.precision, 1 / people.var(0, correction=0))
    lists = wr.recommend(folded, history=[], k=8)
    expected = folded.vectors @ people.mean(0) + folded.offsets
    torch.testing.assert_close(lists.scores[0], expected[lists.item_rows[0]])


def test_all_ways_to_score_agree() -> None:
    folded = wr.fold_in(trained())
    with torch.no_grad():
        plain = folded.score(folded.embed(asked(folded)))
        compact = folded.score(folded.embed(asked(folded, compact=True)))
        ranked = folded.rank_scores(asked(folded, compact=True))
        each = asked(folded)
        spread = folded.rank_scores(Request(each.users, each.items.repeat(6, 1), each.history))
        alone = torch.cat([folded.rank_scores(one(folded, user)) for user in range(6)])
    for other in (compact, ranked, spread, alone):
        torch.testing.assert_close(other, plain, rtol=0, atol=1e-10)


def one(model: Recommender, user: int) -> Request:
    rows = torch.tensor([user])
    return Request(rows, torch.arange(8)[None], model.seen_by(rows))


def test_removing_a_past_item_is_solving_without_it() -> None:
    folded = wr.fold_in(trained())
    lists = wr.recommend(folded, history=["egg", "tea", "jam"], k=2)
    why = wr.explain(folded, lists, wr.LeaveOneOut())
    without = wr.recommend(folded, history=["egg", "jam"], k=8, exclude_seen=False)
    place = without.item_rows[0].tolist().index(int(lists.item_rows[0, 0]))
    drop = lists.scores[0, 0] - without.scores[0, place]
    torch.testing.assert_close(why.attribution.relevance["history"][0, 0, 1], drop, rtol=0, atol=1e-9)
    best = lists.lines(0)[0]
    assert wr.counterfactual(folded, None, best.item, history=["egg", "tea", "jam"], k=1).item.rank == 1
    with pytest.raises(NoRule, match="solve"):
        wr.explain(folded, lists, wr.LRP())


@cache
def planted_world() -> tuple[Recommender, Recommender]:
    data = wr.leave_last_out(wr.planted(users=150, items=60))
    model = wr.fit(wr.MF(factors=8, user="id"), data, wr.Training(epochs=30, learning_rate=2e-2))
    return model, wr.fold_in(model)


def test_a_trained_user_folded_in_again_gets_nearly_the_same_order() -> None:
    model, folded = planted_world()
    rows = torch.arange(150)
    request = Request(rows, torch.arange(60)[None], folded.seen_by(rows))
    with torch.no_grad():
        found, expected = folded.rank_scores(request), model.score(model.embed(request))
    agree = spearman(found.double(), expected.double(), torch.ones_like(found, dtype=torch.bool))
    assert agree.mean() > 0.85
    assert agree.min() > 0.4


def test_the_trained_model_stays_as_it_is_and_is_not_shared() -> None:
    model, folded = planted_world()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wr.recommend(folded, history=[folded.items.id(3)], k=2)
    folded.vectors.add_(1.0)
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())
    folded.vectors.sub_(1.0)


def test_what_cannot_be_folded_in_says_so() -> None:
    with pytest.raises(NotApplicable, match="not affine in the user's vector"):
        wr.fold_in(trained("neumf"))
    with pytest.raises(NotApplicable, match="no vector of each user to solve; use it as it is"):
        wr.fold_in(built("mf"))
    with pytest.raises(NotApplicable, match="not trained by it"):
        wr.fold_in(trained(loss="bpr"))
    with pytest.raises(NotApplicable, match=r"call whyrec\.fold_in\(model\), or train it"):
        wr.recommend(trained(), history=["egg"])
    with pytest.raises(InvalidSetting, match="factors"):
        FoldedIn()


def test_a_folded_model_is_not_saved_by_itself(tmp_path: object) -> None:
    with pytest.raises(NotApplicable):
        wr.save(wr.fold_in(trained()), f"{tmp_path}/model")


def test_users_without_events_do_not_count_as_trained() -> None:
    model = trained()
    data = split()
    some = data.train.where(data.train.users < 2)
    model.known = Interactions(some.users, some.items, user_count=6, item_count=8)
    people = model.get_parameter("user_table.weight")[:2].detach()
    torch.testing.assert_close(wr.fold_in(model).mean, people.mean(0))

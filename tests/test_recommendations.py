"""What lists promise: the best unseen items in order, the same for a user and for somebody new with the same past."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from whyrec.datasets import planted
from whyrec.errors import InvalidSetting, NotApplicable, NotFitted, UnknownId
from whyrec.models.ease import EASE
from whyrec.models.mf import MF
from whyrec.models.popularity import Popularity
from whyrec.recommendations import NEW_USER, list_of, recommend
from whyrec.recommender import Recommender, Request, scores_of
from whyrec.split import leave_last_out
from whyrec.train import fit
from whyrec.training import Training
from whyrec.vectors import History


@pytest.fixture(scope="module")
def ease() -> Recommender:
    return fit(EASE(), leave_last_out(planted.load(users=60, items=60)))


@pytest.fixture(scope="module")
def forgetful() -> Recommender:
    """A model that looks at the last five items only, though it knows longer histories."""
    split = leave_last_out(planted.load(users=60, items=60))
    return fit(MF(factors=4, history=History(limit=5)), split, Training(epochs=2))


def past(model: Recommender, user: int) -> list[int]:
    known = model.require_known()
    return [int(item) for item in known.histories(np.array([user]), known.item_count)[0] if item >= 0]


@torch.no_grad()
def slow_scores(model: Recommender, user: int) -> list[float]:
    """One item at a time."""
    seen = model.seen_by(torch.tensor([user]))
    one = [Request(torch.tensor([user]), torch.tensor([[item]]), seen) for item in range(len(model.items))]
    return [float(model.score(model.embed(request))) for request in one]


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_a_list_holds_the_best_items_in_order(ease: Recommender, forgetful: Recommender, exclude_seen: bool) -> None:
    for model in (ease, forgetful):
        lists = recommend(model, users=model.users.vocabulary.ids([7, 3]), k=6, exclude_seen=exclude_seen)
        for row, user in enumerate([7, 3]):
            scores = slow_scores(model, user)
            left = set(range(len(scores))) - (set(past(model, user)) if exclude_seen else set())
            expected = sorted((scores[item] for item in left), reverse=True)[:6]
            items = lists.item_rows[row].tolist()
            assert set(items) <= left
            assert len(set(items)) == 6
            assert lists.scores[row].tolist() == pytest.approx(expected, abs=1e-5)
            assert lists.scores[row].tolist() == pytest.approx([scores[item] for item in items], abs=1e-5)


def test_lines_name_user_rank_item_title_and_score(ease: Recommender) -> None:
    user = ease.users.id(4)
    lists = recommend(ease, users=[user], k=3)
    lines = lists.lines(0)
    assert [line.rank for line in lines] == [1, 2, 3]
    assert {line.user for line in lines} == {user}
    for line, row, score in zip(lines, lists.item_rows[0].tolist(), lists.scores[0].tolist(), strict=True):
        assert (line.item, line.title, line.score) == (ease.items.id(row), ease.items.title(row), score)
    assert all(line.title in str(lists) for line in lines)


def test_everybody_gets_a_list_where_no_users_are_named(ease: Recommender) -> None:
    lists = recommend(ease, k=2)
    assert len(lists) == 60
    assert [lists.user(row) for row in range(60)] == ease.users.vocabulary.ids()
    assert str(lists).endswith("... and 55 more users")


def test_a_list_is_shorter_only_where_fewer_items_are_left(ease: Recommender) -> None:
    lists = recommend(ease, users=ease.users.vocabulary.ids([0, 1]), k=100)
    for row, user in enumerate([0, 1]):
        left = 60 - len(set(past(ease, user)))
        assert lists.present[row].sum() == left == len(lists.lines(row))
        assert (lists.item_rows[row, left:] == -1).all()
        assert (lists.scores[row, left:] == -torch.inf).all()


def test_the_best_of_a_list_are_its_first_places(ease: Recommender) -> None:
    lists = recommend(ease, k=8)
    fewer = recommend(ease, k=3)
    assert torch.equal(lists.best(3).item_rows, fewer.item_rows)
    assert torch.equal(lists.best(3).scores, fewer.scores)


def test_somebody_new_gets_the_list_of_a_user_with_the_same_past(ease: Recommender, forgetful: Recommender) -> None:
    for model in (ease, forgetful):
        known = recommend(model, users=[model.users.id(9)], k=5)
        new = recommend(model, history=model.items.vocabulary.ids(past(model, 9)), k=5)
        assert new.user(0) == NEW_USER
        assert new.user_rows.tolist() == [-1]
        assert torch.equal(new.item_rows, known.item_rows)
        torch.testing.assert_close(new.scores, known.scores)


@pytest.mark.parametrize("new", [True, False], ids=["somebody new", "a known user"])
def test_a_list_scored_again_has_the_same_scores(ease: Recommender, forgetful: Recommender, new: bool) -> None:
    for model in (ease, forgetful):
        seen = model.items.vocabulary.ids(past(model, 9))
        lists = recommend(model, history=seen) if new else recommend(model, users=[model.users.id(9)])
        with torch.no_grad():
            again = scores_of(model, lists.request())
        torch.testing.assert_close(again, lists.scores, rtol=0, atol=1e-5)


def test_somebody_without_a_past_gets_a_list(forgetful: Recommender) -> None:
    assert len(recommend(forgetful, history=[], k=4).lines(0)) == 4


def test_a_list_of_one_wanted_item_has_the_score_that_ranking_gives(ease: Recommender, forgetful: Recommender) -> None:
    for model in (ease, forgetful):
        user = model.users.id(9)
        line = recommend(model, users=[user]).lines(0)[2]
        wanted = list_of(model, user, line.item)
        assert (wanted.user(0), wanted.lines(0)[0].item) == (user, line.item)
        assert wanted.lines(0)[0].score == pytest.approx(line.score, abs=1e-5)
        new = recommend(model, history=model.items.vocabulary.ids(past(model, 9))).lines(0)[2]
        wanted = list_of(model, None, new.item, model.items.vocabulary.ids(past(model, 9)))
        assert wanted.user(0) == NEW_USER
        assert wanted.lines(0)[0].score == pytest.approx(new.score, abs=1e-5)


def test_an_item_is_taken_out_of_the_past_that_is_to_explain_it(ease: Recommender) -> None:
    seen = past(ease, 2)
    wanted = list_of(ease, ease.users.id(2), ease.items.id(seen[1]))
    assert sorted(wanted.history[0].tolist()) == sorted(set(seen) - {seen[1]})


def test_a_model_that_knows_users_by_id_only_says_so_to_somebody_new() -> None:
    split = leave_last_out(planted.load(users=60, items=60))
    model = fit(MF(factors=2, user="id"), split, Training(epochs=1))
    with pytest.raises(NotApplicable, match=r"this MF knows users by id only.*user='history'"):
        recommend(model, history=model.items.vocabulary.ids([1]))
    assert len(recommend(model, users=[model.users.id(0)], k=3).lines(0)) == 3


def test_popularity_gives_somebody_new_what_most_people_took() -> None:
    model = fit(Popularity(), leave_last_out(planted.load(users=60, items=60)))
    counts = model.state_dict()["counts"]
    assert recommend(model, history=[], k=5).scores[0].tolist() == counts.topk(5).values.tolist()


def test_unknown_users_and_items_are_named(ease: Recommender) -> None:
    with pytest.raises(UnknownId, match="user 'nobody' is not among the 60 known users"):
        recommend(ease, users=["nobody"])
    with pytest.raises(UnknownId, match="item 'nothing' is not among the 60 known items"):
        recommend(ease, history=["nothing"])
    with pytest.raises(UnknownId, match="item 'nothing'"):
        list_of(ease, ease.users.id(0), "nothing")


def test_questions_that_make_no_sense_are_refused(ease: Recommender) -> None:
    with pytest.raises(InvalidSetting, match="k=0: a list has at least one place"):
        recommend(ease, k=0)
    with pytest.raises(InvalidSetting, match=r"users=\[\] names nobody"):
        recommend(ease, users=[])
    with pytest.raises(InvalidSetting, match="takes users or a history, not both"):
        recommend(ease, users=[ease.users.id(0)], history=[])
    with pytest.raises(InvalidSetting, match="an explanation needs a user or a history"):
        list_of(ease, None, ease.items.id(0))
    with pytest.raises(NotFitted, match="this EASE has no weights yet"):
        recommend(EASE(), history=[])


def test_a_model_saved_without_its_data_asks_for_a_history() -> None:
    model = fit(EASE(), leave_last_out(planted.load(users=60, items=60)))
    model.known = None
    with pytest.raises(NotFitted, match="pass a history"):
        recommend(model, users=[model.users.id(0)])
    assert len(recommend(model, history=[model.items.id(0)], k=2).lines(0)) == 2


def test_recommending_leaves_the_model_as_it_was(forgetful: Recommender) -> None:
    before = {name: tensor.clone() for name, tensor in forgetful.state_dict().items()}
    state = torch.get_rng_state()
    lists = [
        recommend(forgetful, k=3),
        recommend(forgetful, history=[]),
        list_of(forgetful, forgetful.users.id(0), forgetful.items.id(0)),
    ]
    assert not any(found.scores.requires_grad for found in lists)
    assert not forgetful.training
    assert all(torch.equal(before[name], tensor) for name, tensor in forgetful.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)

"""What another past promises: the model run on it, and lists that differ by nothing else. And which items are alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import whyrec as wr
from whyrec.errors import InvalidSetting, NotExplainableByMasking, NotFitted, UnknownId
from whyrec.recommender import Recommender

SPLIT = wr.leave_last_out(wr.planted(users=80, items=60))


@pytest.fixture(scope="module")
def model() -> Recommender:
    return wr.fit(wr.EASE(), SPLIT)


def past_of(model: Recommender, user: str) -> list[object]:
    rows = model.require_known().items_of(model.users.vocabulary.rows([user]))[1]
    return list(model.items.vocabulary.ids(rows))


def test_another_past_gives_the_list_of_somebody_with_that_past(model: Recommender) -> None:
    past, new = past_of(model, "u0004"), ["i0055", "i0056"]
    new = [one for one in new if one not in past]
    changed = wr.what_if(model, "u0004", remove=past[:3], add=new, k=6)
    out = {*past, *new}
    everything = wr.recommend(model, history=[*past[3:], *new], k=60, exclude_seen=False).lines(0)
    expected = [(one.item, one.score) for one in everything if one.item not in out][:6]
    assert [one.item for one in changed.after.lines(0)] == [item for item, _ in expected]
    assert changed.after.scores[0].tolist() == pytest.approx([score for _, score in expected], abs=1e-5)
    before = [one.item for one in changed.before.lines(0)]
    assert changed.left == [one for one in before if one not in [item for item, _ in expected]]
    assert len(changed.left) == len(changed.entered)
    assert [model.items.id(row) for row in changed.after.history[0].tolist()] == [*past[3:], *new]


def test_only_the_most_recent_items_are_looked_at_and_all_that_was_seen_is_left_out() -> None:
    short = wr.fit(wr.MF(factors=4, history=wr.History(limit=4)), SPLIT, wr.Training(epochs=2))
    past = past_of(short, "u0004")
    changed = wr.what_if(short, "u0004", remove=past[-1:], k=60)
    assert [short.items.id(row) for row in changed.after.history[0].tolist()] == past[-5:-1]
    assert not {one.item for one in (*changed.before.lines(0), *changed.after.lines(0))} & set(past)


def test_a_user_s_own_row_stays_theirs() -> None:
    """A model that also has a vector for each user is asked about that user, with another past."""
    both = wr.fit(wr.BiasedMF(factors=4, implicit=True), SPLIT, wr.Training(epochs=2))
    past = past_of(both, "u0004")
    changed = wr.what_if(both, "u0004", remove=past[:1], k=3)
    assert changed.after.user_rows.tolist() == both.users.vocabulary.rows(["u0004"]).tolist()
    stranger = wr.what_if(both, None, history=past, remove=past[:1], k=3)
    assert stranger.after.user_rows.tolist() == [-1]
    assert not torch.equal(changed.after.scores, stranger.after.scores)


def test_a_past_can_end_up_empty(model: Recommender) -> None:
    changed = wr.what_if(model, None, history=["i0001"], remove=["i0001"], k=3)
    assert changed.after.history.shape == (1, 0)
    assert torch.isfinite(changed.after.scores).all()


def test_what_changes_nothing_or_cannot_be_changed_is_refused(model: Recommender) -> None:
    for wrong, words in (
        ({}, "nothing is removed"),
        ({"remove": ["i0009"]}, "'i0009' is not in the past"),
        ({"add": ["i0001"]}, "'i0001' is in the past already"),
        ({"add": ["i0009", "i0009"]}, "'i0009' is in the past already"),
        ({"add": ["i0009"], "k": 0}, "k=0"),
    ):
        with pytest.raises(InvalidSetting, match=words):
            wr.what_if(model, None, history=["i0001"], **wrong)
    by_id = wr.fit(wr.MF(factors=4, user="id"), SPLIT, wr.Training(epochs=1))
    with pytest.raises(NotExplainableByMasking, match="does not depend on past items"):
        wr.what_if(by_id, "u0004", remove=["i0001"])


def test_items_are_alike_by_their_vectors_or_by_who_took_them(model: Recommender) -> None:
    factors = wr.fit(wr.MF(factors=8), SPLIT, wr.Training(epochs=5))
    found = wr.similar(factors, "i0007", k=4)
    row = int(factors.items.vocabulary.rows(["i0007"])[0])
    vectors = factors.item_table.weight.detach().double()  # type: ignore[union-attr, operator]
    cosine = (vectors @ vectors[row]) / vectors.norm(dim=1) / vectors[row].norm()
    cosine[row] = -2
    assert found.by == "item vectors"
    assert [one.similarity for one in found.lines] == pytest.approx(cosine.topk(4).values.tolist(), abs=1e-5)

    taken = np.zeros((80, 60))
    known = model.require_known()
    taken[known.users, known.items] = 1
    both = taken.T @ taken
    slow = both[row] / np.sqrt(both[row, row] * np.diag(both).clip(1))
    slow[row] = 0
    found = wr.similar(model, "i0007", k=4)
    assert found.by == "users in common"
    assert [one.similarity for one in found.lines] == pytest.approx(np.sort(slow)[::-1][:4].tolist())


def test_a_model_s_own_word_for_what_is_alike_is_taken() -> None:
    class OfItsOwn(wr.EASE):
        def similar(self, item: object, k: int = 10) -> list[object]:
            return [(item, k)]

    own = wr.fit(OfItsOwn(), SPLIT)
    assert (wr.similar(own, "i0007", k=2).by, wr.similar(own, "i0007", k=2).lines) == ("model", (("i0007", 2),))


def test_likeness_to_nothing_known_is_refused(model: Recommender) -> None:
    with pytest.raises(UnknownId, match="'zz'"):
        wr.similar(model, "zz")
    with pytest.raises(InvalidSetting, match="k=0"):
        wr.similar(model, "i0007", k=0)
    known, model.known = model.known, None
    with pytest.raises(NotFitted):
        wr.similar(model, "i0007")
    model.known = known

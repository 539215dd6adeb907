"""What a list without profiling promises: nothing about its user goes into it, whatever that is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import whyrec as wr
from whyrec.errors import NotApplicable, NotFitted
from whyrec.interactions import Interactions

MODEL = wr.fit(wr.EASE(), wr.leave_last_out(wr.planted(users=40, items=50)))
USER = "u0007"
ROW = int(MODEL.users.vocabulary.rows([USER])[0])


@pytest.fixture(autouse=True)
def as_found() -> object:
    known = MODEL.known
    yield
    MODEL.known = known


def with_past(events: Interactions, items: list[int]) -> Interactions:
    """The same events of everybody else, and these of the user, in the middle of the log."""
    others = events.where(events.users != ROW)
    half = len(others) // 2
    own = Interactions(
        np.full(len(items), ROW), np.array(items, dtype=np.int64), user_count=events.user_count, item_count=50
    )
    first, second = (
        replace(others.where(place), values=None, times=None) for place in (slice(half), slice(half, None))
    )
    return first.together_with(own).together_with(second)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 49), max_size=60))
def test_no_change_of_a_users_data_changes_their_list(items: list[int]) -> None:
    known = MODEL.require_known()
    before = wr.recommend(MODEL, [USER], k=50, non_profiling=True)
    MODEL.known = with_past(known, items)
    after = wr.recommend(MODEL, [USER], k=50, non_profiling=True)
    MODEL.known = known
    assert torch.equal(before.item_rows, after.item_rows)
    assert torch.equal(before.scores, after.scores)
    assert after.history.shape == (1, 0)


def test_the_list_is_what_all_others_took_most_often() -> None:
    known = MODEL.require_known()
    counts = known.where(known.users != ROW).item_counts
    lists = wr.recommend(MODEL, [USER], k=50, non_profiling=True)
    assert lists.scores[0].tolist() == sorted(counts.tolist(), reverse=True)
    assert counts[lists.item_rows[0].numpy()].tolist() == lists.scores[0].tolist()


def test_somebody_new_gets_the_same_whatever_they_name() -> None:
    one, other = (wr.recommend(MODEL, history=past, k=50, non_profiling=True) for past in ([], ["i0003", "i0004"]))
    assert torch.equal(one.item_rows, other.item_rows)
    assert torch.equal(one.scores, other.scores)


def test_everybody_gets_a_list_where_no_users_are_named() -> None:
    lists = wr.recommend(MODEL, k=3, non_profiling=True)
    assert len(lists) == 40
    alone = wr.recommend(MODEL, [USER], k=3, non_profiling=True)
    assert torch.equal(lists.item_rows[ROW], alone.item_rows[0])


def test_a_model_is_not_said_to_be_the_reason_of_such_a_list() -> None:
    lists = wr.recommend(MODEL, [USER], k=3, non_profiling=True)
    assert not lists.profiled
    with pytest.raises(NotApplicable, match="made without the model"):
        wr.explain(MODEL, lists.best(1))


def test_a_model_without_its_data_has_nothing_to_count() -> None:
    MODEL.known = None
    with pytest.raises(NotFitted, match="saved without its data"):
        wr.recommend(MODEL, history=["i0003"], non_profiling=True)

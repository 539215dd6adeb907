"""What events and vocabularies promise: no field is lost, the past is in order, an unknown id is named."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyrec.errors import UnknownId
from whyrec.interactions import Interactions, Vocabulary

lawful = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@st.composite
def logs(draw: st.DrawFn) -> Interactions:
    """A few events; some logs have ties in time, no times, no values, no events, or users without events."""
    users, items, n = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.integers(0, 20))

    def numbers(most: int) -> list[int]:
        return draw(st.lists(st.integers(0, most), min_size=n, max_size=n))

    return Interactions(
        np.array(numbers(users - 1), dtype=np.int64),
        np.array(numbers(items - 1), dtype=np.int64),
        np.array(numbers(5), dtype=np.float32) if draw(st.booleans()) else None,
        np.array(numbers(4), dtype=np.int64) if draw(st.booleans()) else None,
        user_count=users,
        item_count=items,
    )


def slow_past(events: Interactions, user: int) -> list[int]:
    """Positions of one user's events, oldest first, by the definition."""
    mine = [place for place in range(len(events)) if events.users[place] == user]
    times = events.times if events.times is not None else np.arange(len(events))
    return sorted(mine, key=lambda place: (int(times[place]), place))


@lawful
@given(logs(), st.data())
def test_where_carries_every_field(events: Interactions, data: st.DataObject) -> None:
    n = len(events)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
    for keep in (mask, np.flatnonzero(mask)[::-1]):
        kept = events.where(keep)
        for field in fields(Interactions):
            before, after = getattr(events, field.name), getattr(kept, field.name)
            if isinstance(before, np.ndarray):
                np.testing.assert_array_equal(after, before[keep])
            else:
                assert after == before


@lawful
@given(logs(), st.data())
def test_items_of_users_are_all_of_theirs_one_user_after_the_other(events: Interactions, data: st.DataObject) -> None:
    users = data.draw(st.lists(st.integers(0, events.user_count - 1), max_size=6))
    for asked in (users, sorted(users), list(range(events.user_count))):
        places, items = events.items_of(np.array(asked, dtype=np.int64))
        pairs = [(row, int(events.items[at])) for row, user in enumerate(asked) for at in slow_past(events, user)]
        assert list(zip(places.tolist(), items.tolist(), strict=True)) == pairs


@lawful
@given(logs(), st.integers(0, 8))
def test_histories_are_the_most_recent_items_oldest_first(events: Interactions, length: int) -> None:
    users = np.arange(events.user_count)[::-1]
    found = events.histories(users, length)
    pasts = [[int(events.items[place]) for place in slow_past(events, user)] for user in users]
    expected = [past[len(past) - min(len(past), length) :] for past in pasts]
    width = max(map(len, expected))
    assert found.tolist() == [past + [-1] * (width - len(past)) for past in expected]


@lawful
@given(logs())
def test_age_rank_counts_the_later_events_of_the_same_user(events: Interactions) -> None:
    ranks = events.age_rank()
    for user in range(events.user_count):
        past = slow_past(events, user)
        assert [ranks[place] for place in past] == list(reversed(range(len(past))))


@lawful
@given(logs())
def test_counts_are_per_user_and_per_item(events: Interactions) -> None:
    assert events.user_counts.tolist() == [(events.users == user).sum() for user in range(events.user_count)]
    assert events.item_counts.tolist() == [(events.items == item).sum() for item in range(events.item_count)]


@lawful
@given(logs())
def test_together_the_events_of_one_log_stand_before_the_other_s(events: Interactions) -> None:
    odd = events.users % 2 == 1
    joined = events.where(odd).together_with(events.where(~odd))
    order = np.concatenate([np.flatnonzero(odd), np.flatnonzero(~odd)])
    for field in fields(Interactions):
        np.testing.assert_array_equal(getattr(joined, field.name), getattr(events.where(order), field.name))


def test_a_field_that_one_log_lacks_is_dropped() -> None:
    timed = Interactions(np.array([0]), np.array([1]), times=np.array([9]), user_count=1, item_count=2)
    untimed = Interactions(np.array([0]), np.array([0]), user_count=1, item_count=2)
    assert timed.together_with(untimed).times is None
    assert len(timed.together_with(untimed)) == 2


@lawful
@given(st.lists(st.one_of(st.text(), st.integers()), unique_by=str))
def test_ids_come_back_as_they_were_given(ids: list[str | int]) -> None:
    vocabulary = Vocabulary(ids, kind="item")
    assert vocabulary.ids(vocabulary.rows(ids)) == vocabulary.ids() == ids
    assert list(map(type, vocabulary.ids())) == list(map(type, ids))
    assert vocabulary.rows([str(name) for name in ids]).tolist() == list(range(len(ids)))
    assert all(name in vocabulary for name in ids)


def test_an_unknown_id_is_named_with_the_nearest_known_ones() -> None:
    vocabulary = Vocabulary(["tt0111161", "tt0068646", "nm0000151"], kind="item")
    with pytest.raises(UnknownId) as caught:
        vocabulary.rows(["tt0068646", "tt0111116"])
    message = str(caught.value)
    assert message.startswith("item 'tt0111116' is not among the 3 known items; the nearest known are 'tt0111161'")
    assert "nm0000151" not in message
    assert caught.value.__cause__ is None


def test_an_id_unlike_any_known_one_gets_no_far_fetched_hint() -> None:
    with pytest.raises(UnknownId, match=r"^user 'zoe' is not among the 1 known users$"):
        Vocabulary([17], kind="user").rows(["zoe"])


@pytest.mark.parametrize("ids", [["a", "b", "a"], [42, "42"]])
def test_an_id_stands_once(ids: list[str | int]) -> None:
    with pytest.raises(ValueError, match="the same user id stands twice"):
        Vocabulary(ids, kind="user")


def test_vocabularies_are_equal_when_their_ids_and_order_are() -> None:
    assert Vocabulary([1, 2], kind="item") == Vocabulary(["1", "2"], kind="item")
    assert hash(Vocabulary([1, 2], kind="item")) == hash(Vocabulary(["1", "2"], kind="item"))
    assert Vocabulary([1, 2], kind="item") != Vocabulary([2, 1], kind="item")

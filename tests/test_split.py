"""What a split promises: every event in one part, the last ones held out, and nothing of the test in training."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from whyrec.dataset import Catalog, Dataset
from whyrec.errors import BadInput
from whyrec.interactions import Interactions, Rows, Vocabulary
from whyrec.split import Split, given, leave_last_out, one_per_user

lawful = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def dataset(users: list[int], times: list[int] | None = None, *, user_count: int = 5) -> Dataset:
    """Events whose `values` number them, so that each can be told from all others."""
    n, item_count = len(users), 4
    events = Interactions(
        np.array(users, dtype=np.int64),
        np.arange(n, dtype=np.int64) % item_count,
        np.arange(n, dtype=np.float32),
        None if times is None else np.array(times, dtype=np.int64),
        user_count=user_count,
        item_count=item_count,
    )
    people, things = Vocabulary(range(user_count), kind="user"), Vocabulary(range(item_count), kind="item")
    return Dataset("log", events, Catalog(people), Catalog(things))


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """At least one user has three events, so that something can be held out."""
    users = [0, 0, 0, *draw(st.lists(st.integers(0, 4), max_size=20))]
    times = st.lists(st.integers(0, 6), min_size=len(users), max_size=len(users))
    return dataset(draw(st.permutations(users)), draw(st.none() | times))


def numbers(events: Interactions) -> list[int]:
    assert events.values is not None
    return [int(number) for number in events.values]


@lawful
@given_any(datasets(), st.booleans())
def test_no_event_is_in_two_parts_and_none_is_lost(data: Dataset, validation: bool) -> None:
    split = leave_last_out(data, validation=validation)
    found = numbers(split.train) + numbers(split.validation) + numbers(split.test)
    assert sorted(found) == list(range(len(data.interactions)))


@lawful
@given_any(datasets(), st.booleans())
def test_the_last_event_is_the_test_and_the_one_before_it_the_validation(data: Dataset, validation: bool) -> None:
    events, held_out = data.interactions, 2 if validation else 1
    test, chosen = set(), set()
    for user in range(events.user_count):
        mine = [place for place in range(len(events)) if events.users[place] == user]
        times = events.times if events.times is not None else np.arange(len(events))
        mine.sort(key=lambda place: (int(times[place]), place))
        if len(mine) > held_out:
            test.add(mine[-1])
            chosen |= {mine[-2]} if validation else set()
    split = leave_last_out(data, validation=validation)
    assert set(numbers(split.test)) == test
    assert set(numbers(split.validation)) == chosen


def test_users_with_few_events_stay_in_train_whole_and_are_counted() -> None:
    split = leave_last_out(dataset([0, 0, 0, 1, 1, 2], user_count=3))
    assert numbers(split.train) == [0, 3, 4, 5]
    assert split.how.endswith("; 2 users with at most 2 interactions stay in train")


def test_how_says_what_stood_for_the_order_of_events() -> None:
    assert "by time;" in leave_last_out(dataset([0, 0, 0], [5, 9, 7])).how
    assert "by file order (there is no time column);" in leave_last_out(dataset([0, 0, 0])).how


def test_data_with_nothing_to_hold_out_are_refused() -> None:
    with pytest.raises(BadInput, match="log: no user has more than 2 interactions"):
        leave_last_out(dataset([0, 0, 1, 1]))
    with pytest.raises(BadInput, match="no user has more than 1 interactions"):
        leave_last_out(dataset([0, 1]), validation=False)


def test_what_training_sees_has_no_test_part() -> None:
    split = leave_last_out(dataset([0, 0, 0, 1, 1, 1, 1]))
    seen = split.for_training()
    with pytest.raises(AttributeError):
        seen.test  # type: ignore[attr-defined]  # noqa: B018
    reachable = [number for field in fields(seen) for number in _numbers_in(getattr(seen, field.name))]
    assert sorted(reachable + numbers(split.test)) == list(range(7))


def _numbers_in(value: object) -> list[int]:
    return numbers(value) if isinstance(value, Interactions) else []


def test_train_and_validation_together_are_what_is_known() -> None:
    split = leave_last_out(dataset([0, 0, 0, 1, 1, 1, 1]))
    assert sorted(numbers(split.known) + numbers(split.test)) == list(range(7))


def published(**options: object) -> tuple[Dataset, Split, Rows]:
    data = dataset([0, 0, 0, 1, 2, 2])
    test = Interactions(np.array([0, 2]), np.array([3, 2]), user_count=5, item_count=4)
    candidates = np.array([[0, 1], [-1, -1], [1, 3], [-1, -1], [-1, -1]])
    return data, given(data, test=test, candidates=candidates, **options), candidates  # type: ignore[arg-type]


def test_a_given_split_keeps_its_test_part_and_its_candidates() -> None:
    _, split, candidates = published()
    assert (split.test.users.tolist(), split.test.items.tolist()) == ([0, 2], [3, 2])
    assert split.candidates is candidates


def test_a_given_split_takes_one_training_event_of_each_user_that_has_two_for_validation() -> None:
    data, split, _ = published()
    assert sorted(numbers(split.train) + numbers(split.validation)) == list(range(len(data.interactions)))
    assert split.validation.users.tolist() == [0, 2]
    assert "one random training interaction per user for validation (seed 0)" in split.how
    assert numbers(published()[1].validation) == numbers(split.validation)
    drawn = {tuple(numbers(published(seed=seed)[1].validation)) for seed in range(20)}
    assert len(drawn) > 1


def test_a_given_validation_part_is_taken_as_it_is() -> None:
    mine = Interactions(np.array([1]), np.array([0]), user_count=5, item_count=4)
    data, split, _ = published(validation=mine)
    assert split.validation is mine
    assert split.train is data.interactions


def test_each_event_of_a_user_is_equally_likely_to_be_put_aside() -> None:
    events, draws = dataset([0, 1, 0, 0, 1, 0]).interactions, 2000
    generator = np.random.default_rng(0)
    share = np.mean([one_per_user(events, generator) for _ in range(draws)], axis=0)
    expected = np.array([1 / 4, 1 / 2, 1 / 4, 1 / 4, 1 / 2, 1 / 4])
    assert (np.abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / draws)).all()

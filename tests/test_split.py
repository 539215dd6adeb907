"""What a split promises: every event in one part, the last ones held out, and nothing of the test in training."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from whyrec.dataset import Catalog, Dataset
from whyrec.errors import BadInput, InvalidSetting
from whyrec.interactions import Interactions, Rows, Vocabulary
from whyrec.split import Split, by_ratio, by_time, given, k_fold, leave_last_out, one_per_user, unseen_in_train

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
    with_a_stranger = leave_last_out(dataset([0, 0, 0, 1, 1, 2], user_count=4))  # whom only a table of users knows
    assert with_a_stranger.how == split.how


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


shares = st.tuples(st.floats(0.05, 0.6), st.floats(0, 0.39))


@lawful
@given_any(datasets(), shares, st.booleans(), st.integers(0, 3))
def test_random_parts_share_out_all_events(
    data: Dataset, wanted: tuple[float, float], per_user: bool, seed: int
) -> None:
    test, validation = wanted
    try:
        split = by_ratio(data, test=test, validation=validation, per_user=per_user, seed=seed)
    except BadInput:
        counts = data.interactions.user_counts if per_user else np.array([len(data.interactions)])
        assert (np.minimum(np.rint(counts * test), np.maximum(counts - 1, 0)) == 0).all()
        return
    found = numbers(split.train) + numbers(split.validation) + numbers(split.test)
    assert sorted(found) == list(range(len(data.interactions)))
    whole = data.interactions.user_counts if per_user else np.array([len(data.interactions)])
    for part, share in ((split.test, test), (split.validation, validation)):
        size = part.user_counts if per_user else np.array([len(part)])
        assert (size <= np.rint(whole * share)).all()
        assert (size[whole >= 5] >= np.rint(whole * share)[whole >= 5] - 1).all()
    left = split.train.user_counts if per_user else np.array([len(split.train)])
    assert ((left > 0) == (whole > 0)).all()


def test_random_parts_are_drawn_by_their_seed_only() -> None:
    data = dataset([0] * 10 + [1] * 10)
    for per_user in (True, False):
        drawn = [tuple(numbers(by_ratio(data, per_user=per_user, seed=seed).test)) for seed in (0, 0, 1, 2, 3)]
        assert drawn[0] == drawn[1]
        assert len(set(drawn)) > 2


def test_each_event_is_equally_likely_to_be_in_a_random_part() -> None:
    data, draws = dataset([0, 1, 0, 0, 1, 0, 0, 1, 1, 1]), 600
    for per_user in (True, False):
        times = np.zeros(10)
        for seed in range(draws):
            times[numbers(by_ratio(data, test=0.4, validation=0, per_user=per_user, seed=seed).test)] += 1
        assert (np.abs(times / draws - 0.4) < 4 * np.sqrt(0.4 * 0.6 / draws)).all()


def test_how_counts_test_events_of_whom_train_does_not_have() -> None:
    split = by_ratio(dataset([0, 0, 0, 0, 0, 1, 2, 3, 4]), test=0.5, validation=0, per_user=False)
    unseen = int(unseen_in_train(split, split.test).sum())
    assert unseen > 0
    assert split.how == (
        "random 50% of all events for test, 0% for validation (seed 0); "
        f"{unseen} test events are of users or items that are not in train"
    )


@lawful
@given_any(datasets(), shares)
def test_a_cut_in_time_puts_later_events_into_later_parts_only(data: Dataset, wanted: tuple[float, float]) -> None:
    test, validation = wanted
    times = data.interactions.times
    different = 0 if times is None else len(np.unique(times))
    try:
        split = by_time(data, test=test, validation=validation, keep_unseen=True)
    except BadInput:
        assert different < (3 if validation else 2)
        return
    parts = [part.times for part in (split.train, split.validation, split.test) if len(part)]
    assert len(parts) == (3 if validation else 2)
    for earlier, later in pairwise(parts):
        assert earlier is not None
        assert later is not None
        assert earlier.max() < later.min()
    found = numbers(split.train) + numbers(split.validation) + numbers(split.test)
    assert sorted(found) == list(range(len(data.interactions)))


@lawful
@given_any(datasets())
def test_a_cut_in_time_leaves_out_what_train_does_not_know_and_counts_it(data: Dataset) -> None:
    try:
        split = by_time(data)
    except BadInput:
        return
    everything = by_time(data, keep_unseen=True)
    assert numbers(split.train) == numbers(everything.train)
    people, things = set(split.train.users.tolist()), set(split.train.items.tolist())
    left = 0
    for part, whole in ((split.validation, everything.validation), (split.test, everything.test)):
        met = zip(whole.users.tolist(), whole.items.tolist(), numbers(whole), strict=True)
        kept = [number for user, item, number in met if user in people and item in things]
        assert numbers(part) == kept
        left += len(whole) - len(kept)
    told = f"{left} later events of users or items that are not in train are left out"
    assert (told in split.how) == (left > 0)


def test_a_cut_in_time_is_the_nearest_to_the_wanted_shares_and_says_when() -> None:
    hour = 3600
    data = dataset([0, 1] * 10, [hour * number for number in range(20)], user_count=2)
    split = by_time(data, test=0.2, validation=0.1)
    assert numbers(split.test) == [16, 17, 18, 19]
    assert numbers(split.validation) == [14, 15]
    assert split.how == "by time: test from 1970-01-01 16:00:00 on, validation from 1970-01-01 14:00:00 on"
    assert numbers(by_time(data, test=0.2, validation=0).train) == list(range(16))
    together = by_time(dataset([0, 1] * 3, [1, 1, 1, 1, 9, 9], user_count=2), test=0.5, validation=0)
    assert numbers(together.test) == [4, 5]  # equal times stay together


def test_what_cannot_be_cut_in_time_is_refused_with_the_way_out() -> None:
    with pytest.raises(BadInput, match=r"log: there are no times to cut at; .* by_ratio\(\)"):
        by_time(dataset([0, 0, 0]))
    with pytest.raises(BadInput, match="log: 2 different times do not make 3 parts"):
        by_time(dataset([0, 0, 0], [5, 5, 6]))
    with pytest.raises(
        BadInput, match=r"all test events are of users or items that are not in train; pass keep_unseen"
    ):
        by_time(dataset([0, 0, 1], [1, 2, 3]), test=0.3, validation=0.3)


@lawful
@given_any(datasets(), st.integers(2, 5), st.floats(0, 0.9), st.integers(0, 3))
def test_each_event_is_in_the_test_part_of_exactly_one_fold(
    data: Dataset, folds: int, validation: float, seed: int
) -> None:
    folds = min(folds, len(data.interactions))
    splits = k_fold(data, folds=folds, validation=validation, seed=seed)
    assert len(splits) == folds
    tested = [number for split in splits for number in numbers(split.test)]
    assert sorted(tested) == list(range(len(data.interactions)))
    sizes = [len(split.test) for split in splits]
    assert max(sizes) - min(sizes) <= 1
    for number, split in enumerate(splits):
        found = numbers(split.train) + numbers(split.validation) + numbers(split.test)
        assert sorted(found) == list(range(len(data.interactions)))
        assert len(split.train) > 0
        rest = len(split.train) + len(split.validation)
        assert len(split.validation) == min(round(rest * validation), rest - 1)
        assert split.how.startswith(f"fold {number + 1} of {folds}, ")
        assert f"(seed {seed})" in split.how


def test_folds_are_drawn_by_their_seed_only() -> None:
    data = dataset([0] * 20)
    drawn = [tuple(tuple(numbers(split.test)) for split in k_fold(data, seed=seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("test", "validation"), [(0, 0.1), (1, 0), (-0.1, 0.1), (0.2, -0.1), (0.5, 0.5), (0.2, 1), (float("nan"), 0)]
)
def test_shares_that_leave_nothing_are_refused(test: float, validation: float) -> None:
    for split in (by_ratio, by_time):
        with pytest.raises(InvalidSetting, match="cannot be taken: they are shares of the events"):
            split(dataset([0, 0, 0], [1, 2, 3]), test=test, validation=validation)


def test_folds_that_cannot_be_made_are_refused() -> None:
    for folds in (0, 1, 4):
        with pytest.raises(InvalidSetting, match=f"folds={folds} cannot be taken: take 2 to 3, the events of log"):
            k_fold(dataset([0, 0, 0]), folds=folds)
    with pytest.raises(InvalidSetting, match="validation=1 cannot be taken"):
        k_fold(dataset([0, 0, 0]), folds=2, validation=1)
    with pytest.raises(BadInput, match="log: 20% of each user's events are none"):
        by_ratio(dataset([0, 1, 2]))

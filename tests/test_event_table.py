"""A split that becomes a table comes back event by event: parts, order, fields, and what no part holds."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from tests.worlds import dataset

from whyrec.checkpoint import load, load_split, save
from whyrec.event_table import PARTS, UNUSED, _places, columns_of_split, part_of, whole_of
from whyrec.interactions import Interactions
from whyrec.models.popularity import Popularity
from whyrec.split import Split, by_ratio, by_time, given, k_fold, leave_last_out
from whyrec.tables import read_parquet, write_parquet
from whyrec.train import fit

DATA = dataset()
EVENTS = DATA.interactions
BARE = replace(EVENTS, times=None)
RATED = replace(EVENTS, values=np.where(np.arange(len(EVENTS)) % 5, 3.0, np.nan).astype(np.float32))


def published(events: Interactions, test: Interactions, validation: Interactions | None = None) -> Split:
    """A test part that the data set does not hold, as published splits come."""
    return given(replace(DATA, interactions=events), test=test, validation=validation, seed=1)


MIXED = replace(EVENTS, times=np.arange(len(EVENTS)) * 7 % len(EVENTS))
LAST = EVENTS.age_rank() == 0
TWICE = replace(DATA, interactions=EVENTS.where(np.repeat(np.arange(len(EVENTS)), 2)))
SPLITS = {
    "leave-last-out": lambda: leave_last_out(DATA),
    "by ratio": lambda: by_ratio(replace(DATA, interactions=RATED), seed=3),
    "by time, some events left out": lambda: by_time(replace(DATA, interactions=MIXED), test=0.3, validation=0.3),
    "a fold of events that stand twice": lambda: k_fold(TWICE, folds=3)[1],
    "given": lambda: published(EVENTS.where(~LAST), EVENTS.where(LAST)),
    "given, train without times": lambda: published(BARE.where(~LAST), EVENTS.where(LAST)),
    "given, test without ratings": lambda: published(RATED.where(~LAST), EVENTS.where(LAST)),
    "given, validation from elsewhere": lambda: published(
        EVENTS.where(~LAST), EVENTS.where(LAST), BARE.where(EVENTS.age_rank() == 1)
    ),
}


@pytest.fixture(params=list(SPLITS), ids=list(SPLITS))
def split(request: pytest.FixtureRequest) -> Split:
    return SPLITS[request.param]()


def expect_same(one: Interactions, other: Interactions) -> None:
    for field in fields(Interactions):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
    assert one.fingerprint() == other.fingerprint()


def test_a_saved_split_has_the_fingerprint_of_the_split(split: Split, tmp_path: Path) -> None:
    model = fit(Popularity(), split)
    again = load_split(save(model, tmp_path / "model", split=split))
    assert again.dataset.fingerprint() == split.dataset.fingerprint()
    expect_same(again.dataset.interactions, split.dataset.interactions)
    for part in PARTS:
        expect_same(getattr(again, part), getattr(split, part))
    expect_same(load(tmp_path / "model").require_known(), split.known)


def test_a_cut_in_time_leaves_events_out_that_the_table_keeps() -> None:
    table = columns_of_split(SPLITS["by time, some events left out"]())
    assert (table["part"] == UNUSED).any()


def test_every_event_is_kept_once(split: Split) -> None:
    table = columns_of_split(split)
    places = table["place"][table["place"] >= 0]
    assert sorted(places) == list(range(len(split.dataset.interactions)))
    alone = table["place"] < 0
    assert len(places) + int(alone.sum()) == len(table["user"])


def test_a_table_from_before_places_were_kept_is_read_part_after_part(tmp_path: Path) -> None:
    split = leave_last_out(DATA)
    names = ("user", "item", "part", "time")
    write_parquet({name: columns_of_split(split)[name] for name in names}, tmp_path / "old.parquet")
    table, counts = read_parquet(tmp_path / "old.parquet"), (EVENTS.user_count, EVENTS.item_count)
    expect_same(whole_of(table, *counts), split.train.together_with(split.validation).together_with(split.test))
    for part in PARTS:
        expect_same(part_of(table, part, *counts), getattr(split, part))


@drawn(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 1)), max_size=12), st.randoms())
def test_an_event_of_a_part_stands_where_the_data_set_has_it(rows: list[tuple[int, int, int]], chance: object) -> None:
    """Against a search by hand: each place is given once, to the first that is alike."""
    users, items, times = (np.array([row[axis] for row in rows], dtype=np.int64) for axis in range(3))
    whole = Interactions(users, items, times=times, user_count=3, item_count=2)
    asked = [*rows, (0, 0, 0), (2, 1, 1)]
    chance.shuffle(asked)  # type: ignore[attr-defined]
    columns = (np.array([row[axis] for row in asked], dtype=np.int64) for axis in range(3))
    user, item, time = columns
    pieces = Interactions(user, item, times=time, user_count=3, item_count=2)
    middle = np.arange(len(asked)) < len(asked) // 2
    free, expected = list(rows), []
    for one in asked:
        expected.append(free.index(one) if one in free else -1)
        if one in free:
            free[free.index(one)] = (-1, -1, -1)
    assert _places(whole, [pieces.where(middle), pieces.where(~middle)]).tolist() == expected


def test_an_event_with_a_field_is_another_than_one_without() -> None:
    assert (_places(EVENTS, [BARE]) == -1).all()
    assert (_places(RATED, [EVENTS, RATED]) == [-1] * len(EVENTS) + list(range(len(EVENTS)))).all()

"""What drawn negatives promise: never a seen item, uniform over the rest, and from either look-up the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from whyrec.interactions import Interactions
from whyrec.negatives import Seen, distinct_uniform, uniform

lawful = settings(max_examples=60, deadline=None, derandomize=True, database=None)
USERS, ITEMS = 6, 20


def log(pairs: list[tuple[int, int]]) -> Interactions:
    users, items = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Interactions(users.copy(), items.copy(), user_count=USERS, item_count=ITEMS)


@pytest.fixture
def events() -> Interactions:
    """User 0 has seen nothing, user 5 all but three items, the others something between; some of it twice."""
    halves = [(user, item) for user in range(1, 5) for item in range(user, ITEMS, 2)]
    return log([*halves, *halves[:7], *((5, item) for item in range(3, ITEMS))])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slow_seen(events: Interactions) -> set[tuple[int, int]]:
    return set(zip(events.users.tolist(), events.items.tolist(), strict=True))


def shares(drawn: Tensor) -> Tensor:
    return torch.bincount(drawn.flatten(), minlength=ITEMS) / drawn.numel()


@lawful
@given(st.lists(st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1)), max_size=40))
def test_the_table_and_the_sorted_keys_agree_with_a_set_of_pairs(pairs: list[tuple[int, int]]) -> None:
    events, users = log(pairs), torch.arange(USERS)
    everything = torch.arange(ITEMS).expand(USERS, -1)
    expected = [[(user, item) in slow_seen(events) for item in range(ITEMS)] for user in range(USERS)]
    assert Seen(events).contains(users, everything).tolist() == expected
    assert Seen(events, table_bytes=0).contains(users, everything).tolist() == expected


def test_the_draw_is_the_same_from_the_table_and_from_the_sorted_keys(events: Interactions) -> None:
    users = torch.arange(5).repeat(50)
    by_table = uniform(users, 4, Seen(events), seeded())
    by_keys = uniform(users, 4, Seen(events, table_bytes=0), seeded())
    assert torch.equal(by_table, by_keys)
    assert not torch.equal(by_table, uniform(users, 4, Seen(events), seeded(1)))


def test_a_negative_is_never_an_item_the_user_has_seen(events: Interactions) -> None:
    users = torch.arange(5).repeat(400)
    drawn = uniform(users, 4, Seen(events), seeded())
    assert drawn.shape == (2000, 4)
    pairs = {(int(user), int(item)) for user, row in zip(users, drawn, strict=True) for item in row}
    assert not pairs & slow_seen(events)


@pytest.mark.parametrize("user", range(5))
def test_every_unseen_item_is_equally_likely(events: Interactions, user: int) -> None:
    draws = 20_000
    share = shares(uniform(torch.full((draws // 4,), user), 4, Seen(events), seeded(user)))
    unseen = [item for item in range(ITEMS) if (user, item) not in slow_seen(events)]
    expected = 1 / len(unseen)
    assert (share[unseen] - expected).abs().max() < 4 * (expected * (1 - expected) / draws) ** 0.5


def test_a_user_who_has_seen_everything_does_not_stop_the_draw() -> None:
    everything = log([(0, item) for item in range(ITEMS)])
    assert uniform(torch.zeros(3, dtype=torch.int64), 2, Seen(everything), seeded()).shape == (3, 2)


@pytest.mark.parametrize("count", [1, 5, ITEMS, ITEMS + 5])
def test_distinct_negatives_are_different_unseen_and_padded_only_where_too_few_are_unseen(
    events: Interactions, count: int
) -> None:
    users = np.array([5, 0, 3])
    drawn = distinct_uniform(users, count, Seen(events), seeded())
    assert drawn.shape == (3, count)
    for user, row in zip(users.tolist(), drawn.tolist(), strict=True):
        unseen = {item for item in range(ITEMS) if (user, item) not in slow_seen(events)}
        there = [item for item in row if item >= 0]
        assert len(set(there)) == len(there) == min(count, len(unseen))
        assert set(there) <= unseen
        assert set(row) - set(there) <= {-1}


def test_every_unseen_item_is_equally_likely_among_the_distinct_ones(events: Interactions) -> None:
    rows, count = 4000, 3
    drawn = distinct_uniform(np.full(rows, 2), count, Seen(events), seeded())
    unseen = [item for item in range(ITEMS) if (2, item) not in slow_seen(events)]
    expected = count / len(unseen)  # of rows that hold an item
    error = (expected * (1 - expected) / rows) ** 0.5
    assert (shares(drawn)[unseen] * count - expected).abs().max() < 4 * error


def test_many_users_are_drawn_for_in_blocks(events: Interactions) -> None:
    users = np.tile(np.arange(5), 3)
    drawn = distinct_uniform(users, 4, Seen(events), seeded(), block=2)
    assert drawn.shape == (15, 4)
    pairs = {(int(user), int(item)) for user, row in zip(users, drawn, strict=True) for item in row}
    assert not pairs & slow_seen(events)

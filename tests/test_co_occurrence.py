"""What goes together: the cosine of the definition, whatever the size of blocks and however often a pair is asked."""

from __future__ import annotations

import math

import numpy as np
import pytest

from whyrec import co_occurrence
from whyrec.co_occurrence import cosine
from whyrec.interactions import Interactions

PEOPLE, ITEMS = 150, 12  # more than two words of 64 users


@pytest.fixture(scope="module")
def events() -> Interactions:
    """Popular and rare items; item 0 is everybody's, nobody took item 11, and many took something twice."""
    generator = np.random.default_rng(0)
    users, items = generator.integers(0, PEOPLE, 900), (generator.random(900) ** 2 * (ITEMS - 1)).astype(np.int64)
    everybody = np.arange(PEOPLE)
    users, items = np.concatenate([users, everybody]), np.concatenate([items, 0 * everybody])
    return Interactions(users, items, user_count=PEOPLE, item_count=ITEMS)


def slow_cosine(events: Interactions, one: int, other: int) -> float:
    takers = [set(events.users[events.items == item].tolist()) for item in (one, other)]
    if not all(takers):
        return 0.0
    return len(takers[0] & takers[1]) / math.sqrt(len(takers[0]) * len(takers[1]))


@pytest.mark.parametrize("words", [1, 7, 1 << 20])
def test_it_is_the_cosine_of_the_sets_of_users(
    events: Interactions, words: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(co_occurrence, "BLOCK_WORDS", words)
    one, other = np.meshgrid(np.arange(ITEMS), np.arange(ITEMS))
    slow = [[slow_cosine(events, *pair) for pair in zip(*rows, strict=True)] for rows in zip(one, other, strict=True)]
    np.testing.assert_allclose(cosine(events, one, other), slow, rtol=0, atol=1e-15)


def test_a_pair_that_is_asked_again_gets_the_same_answer_at_every_place(events: Interactions) -> None:
    one, other = np.array([[3, 3, 5], [7, 3, 5]]), np.array([[5, 5, 3], [2, 5, 3]])
    found = cosine(events, one, other)
    assert found.shape == (2, 3)
    assert len({found[0, 0], found[0, 1], found[0, 2], found[1, 1], found[1, 2]}) == 1
    assert found[1, 0] == cosine(events, np.array([2]), np.array([7]))[0]


def test_an_item_is_like_itself_unless_nobody_took_it(events: Interactions) -> None:
    everything = np.arange(ITEMS)
    assert cosine(events, everything, everything).tolist() == [1.0] * (ITEMS - 1) + [0.0]


def test_no_pairs_have_no_cosines(events: Interactions) -> None:
    none = np.zeros((4, 0), dtype=np.int64)
    assert cosine(events, none, none).shape == (4, 0)

"""The law book for metrics. A new file in metrics/ adds values worked out by hand; the rest is checked unasked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from whyrec import kinds
from whyrec.interactions import Interactions
from whyrec.metrics import Lists

Ranked = Callable[[Tensor, int], Tensor]
Listed = Callable[[Lists], Tensor]
lawful = settings(max_examples=50, deadline=None, derandomize=True, database=None)

LOG = math.log2
NOTHING = float("nan")

USERS = [
    [3, 0, 0, 0, 0, 0],
    [6, 9, 0, 0, 0, 0],
    [1, 4, 0, 0, 0, 0],
    [2, 7, 8, 9, 10, 11],
]
CANDIDATES = [5, 9, 12, 11]
"""How many items were ranked for each of these users, held-out ones included."""

BY_HAND: Mapping[str, object] = {
    # of USERS, with k = 5
    "hit_rate": (1.0, 0.0, 1.0, 1.0),
    "ndcg": (
        0.5,  # 1 / log2(4)
        0.0,
        (1 + 1 / LOG(5)) / (1 + 1 / LOG(3)),
        (1 / LOG(3)) / (1 + 1 / LOG(3) + 1 / LOG(4) + 1 / LOG(5) + 1 / LOG(6)),
    ),
    "mrr": (1 / 3, 0.0, 1.0, 1 / 2),
    "recall": (1.0, 0.0, 1.0, 1 / 6),
    "precision": (1 / 5, 0.0, 2 / 5, 1 / 5),
    "map": (1 / 3, 0.0, (1 + 2 / 4) / 2, (1 / 2) / 5),
    "auc": (
        2 / 4,  # two of four others stand below it
        (2 + 0) / 14,  # seven others; five of them above the first, seven above the second
        (10 + 8) / 20,  # ten others; none above the first, two above the second
        4 / 30,  # five others; one above the first, all five above the rest
    ),
    # of LISTS; users who took the items: 4 2 1 1 0 0
    "coverage": 4 / 6,
    "gini": (-5 * 0 - 3 * 0 - 1 * 1 + 1 * 1 + 3 * 1 + 5 * 2) / (6 * 5),  # items are in 0 0 1 1 1 2 lists
    "novelty": (LOG(4 / 2) / 2 + LOG(4 / 1) / 2, LOG(4 / 1), LOG(4 / 1), NOTHING),  # of four users with a past
    "diversity": (1 - 1 / math.sqrt(2), 1.0, NOTHING, NOTHING),
    "popularity_bias": (((2 + 1) / 2, 4.0), ((1 + 0) / 2, (4 + 1) / 2), (1.0, (4 + 2 + 1) / 3), (NOTHING, NOTHING)),
}
"""What each metric says of these users, or of these lists."""

EVENTS = [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (4, 0), (4, 3), (4, 3)]
"""Who took what: nobody took items 4 and 5, user 3 took nothing, and user 4 took item 3 twice."""
KNOWN = Interactions(np.array(EVENTS)[:, 0], np.array(EVENTS)[:, 1], user_count=5, item_count=6)
LISTS = Lists(torch.tensor([[1, 2], [3, 4], [2, -1], [-1, -1]]), np.array([0, 4, 2, 3]), KNOWN)


def names(*looks_at: str) -> list[str]:
    return [name for name in kinds.names("metrics") if kinds.module("metrics", name).OF in looks_at]


RANKED, LISTED, PER_LIST = names("ranks"), names("lists"), ("novelty", "diversity", "popularity_bias")
BELOW_ONE = {"precision"}
"""Metrics of ranks that a perfect list cannot bring to 1 where fewer than k items are held out."""

MANY_RANKS = st.lists(st.sets(st.integers(1, 30), max_size=5).map(sorted), min_size=1, max_size=6)


def padded(rows: list[list[int]], width: int = 5) -> Tensor:
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])


def ranked(name: str) -> Ranked:
    """A metric of ranks and k; one of ranks and candidates gets 40 of these for every user."""
    metric = kinds.load("metrics", name)
    if name in RANKED:
        return metric  # type: ignore[no-any-return]
    return lambda ranks, _k: metric(ranks, torch.full((len(ranks),), 40))


every = pytest.mark.parametrize("name", kinds.names("metrics"))
every_ranked = pytest.mark.parametrize("name", names("ranks", "candidates"))
every_cut = pytest.mark.parametrize("name", RANKED)
every_listed = pytest.mark.parametrize("name", LISTED)


@every
def test_its_values_are_those_worked_out_by_hand(name: str) -> None:
    assert name in BY_HAND, f"add what {name} says of USERS or LISTS to BY_HAND in {__file__}, worked out by hand"
    metric = kinds.load("metrics", name)
    arguments = {
        "ranks": (torch.tensor(USERS), 5),
        "candidates": (torch.tensor(USERS), torch.tensor(CANDIDATES)),
        "lists": (LISTS,),
    }
    by_hand = torch.tensor(BY_HAND[name], dtype=torch.float64)
    found = metric(*arguments[kinds.module("metrics", name).OF])
    torch.testing.assert_close(found, by_hand, rtol=0, atol=1e-15, equal_nan=True)


@every
def test_it_has_the_name_that_papers_print_and_says_what_it_looks_at(name: str) -> None:
    labels = {one: kinds.module("metrics", one).LABEL for one in kinds.names("metrics")}
    assert isinstance(labels[name], str)
    assert labels[name].isalnum()
    assert list(labels.values()).count(labels[name]) == 1
    assert kinds.module("metrics", name).OF in ("ranks", "candidates", "lists")


@every_ranked
@lawful
@given(rows=MANY_RANKS, k=st.integers(1, 35))
def test_it_is_one_number_from_0_to_1_for_each_user(name: str, rows: list[list[int]], k: int) -> None:
    found = ranked(name)(padded(rows), k)
    assert found.shape == (len(rows),)
    assert found.dtype == torch.float64
    for row, value in zip(rows, found.tolist(), strict=True):
        assert (value >= 0 and value <= 1 + 1e-12) if row else math.isnan(value)


@every_ranked
@lawful
@given(rows=MANY_RANKS, k=st.integers(1, 35))
def test_neither_padding_nor_other_users_matter(name: str, rows: list[list[int]], k: int) -> None:
    metric = ranked(name)
    together = metric(padded(rows, width=8), k)
    alone = torch.cat([metric(padded([row]), k) for row in rows])
    torch.testing.assert_close(together, alone, equal_nan=True, rtol=0, atol=1e-15)


@every_ranked
def test_a_perfect_list_has_1(name: str) -> None:
    for held_out in range(1, 6):
        perfect = padded([list(range(1, held_out + 1))])
        best = held_out / 5 if name in BELOW_ONE else 1.0
        assert ranked(name)(perfect, 5).tolist() == pytest.approx([best], abs=1e-15)


@every_cut
def test_a_list_without_any_held_out_item_has_0(name: str) -> None:
    assert ranked(name)(torch.tensor([[6, 0], [6, 7], [1000, 1001]]), 5).tolist() == [0.0, 0.0, 0.0]


@every_ranked
def test_a_user_with_nothing_held_out_has_no_value(name: str) -> None:
    assert ranked(name)(torch.zeros(3, 2, dtype=torch.int64), 5).isnan().all()


@every_ranked
def test_with_one_held_out_item_a_longer_list_is_never_worse_and_a_better_rank_neither(name: str) -> None:
    ranks = torch.arange(1, 41)[:, None]
    by_length = torch.stack([ranked(name)(ranks, k) for k in range(1, 41)])  # (k, rank)
    if name in BELOW_ONE:
        by_length *= torch.arange(1, 41)[:, None]
    assert (by_length.diff(dim=0) >= 0).all()
    assert (by_length.diff(dim=1) <= 0).all()


@every_ranked
def test_ranks_are_not_changed(name: str) -> None:
    ranks = torch.tensor(USERS)
    ranked(name)(ranks, 5)
    assert ranks.tolist() == USERS


def test_with_one_held_out_item_metrics_of_hits_and_of_ranks_say_the_same() -> None:
    ranks = torch.arange(1, 41)[:, None]
    found = {name: ranked(name)(ranks, 10) for name in RANKED}
    assert found["recall"].equal(found["hit_rate"])
    assert (found["precision"] * 10).equal(found["hit_rate"])
    assert found["map"].equal(found["mrr"])


@lawful
@given(held_out=st.sets(st.integers(1, 12), min_size=1, max_size=11))
def test_auc_is_the_share_of_pairs_in_the_right_order(held_out: set[int]) -> None:
    others = set(range(1, 13)) - held_out
    right = np.mean([mine < other for mine, other in itertools.product(held_out, others)])
    found = kinds.load("metrics", "auc")(padded([sorted(held_out)], width=12), torch.tensor([12]))
    assert found.item() == pytest.approx(right, abs=1e-15)


def test_auc_of_a_user_for_whom_nothing_else_was_ranked_has_no_value() -> None:
    assert kinds.load("metrics", "auc")(torch.tensor([[1, 2]]), torch.tensor([2])).isnan().all()


def test_average_precision_is_the_mean_precision_at_the_places_of_held_out_items() -> None:
    row = torch.tensor([[2, 3, 7, 9, 14]])
    precision, found = ranked("precision"), ranked("map")
    assert found(row, 10).item() == pytest.approx(sum(precision(row, rank).item() for rank in (2, 3, 7, 9)) / 5)
    assert found(torch.tensor([[14, 9, 7, 3, 2]]), 10).equal(found(row, 10))


def listed(name: str, lists: Lists) -> Tensor:
    found: Tensor = kinds.load("metrics", name)(lists)
    assert found.dtype is torch.float64
    return found


@every_listed
def test_a_metric_of_lists_looks_at_each_list_or_at_all_of_them_together(name: str) -> None:
    found = listed(name, LISTS)
    if found.ndim == 0:
        assert 0 <= found.item() <= 1
        return
    assert name in PER_LIST, f"add {name} to PER_LIST in {__file__}: it has one value, or two, for each list"
    assert found.shape in ((4,), (4, 2))
    for row in range(4):
        alone = Lists(LISTS.items[row : row + 1], LISTS.users[row : row + 1], KNOWN)
        torch.testing.assert_close(listed(name, alone)[0], found[row], rtol=0, atol=1e-15, equal_nan=True)


@every_listed
def test_the_order_of_users_and_of_places_and_padding_do_not_matter(name: str) -> None:
    found = listed(name, LISTS)
    order = torch.tensor([2, 0, 3, 1])
    moved = Lists(F.pad(LISTS.items[order].flip(1), (1, 1), value=-1), LISTS.users[order.numpy()], KNOWN)
    expected = found if found.ndim == 0 else found[order]
    torch.testing.assert_close(listed(name, moved), expected, rtol=0, atol=1e-15, equal_nan=True)


@every_listed
def test_lists_without_any_item_have_no_value(name: str) -> None:
    found = listed(name, replace(LISTS, items=torch.full((4, 2), -1)))
    assert (found if found.ndim < 2 else found[:, 0]).isnan().all()


@every_listed
def test_an_event_that_stands_twice_counts_once(name: str) -> None:
    pairs = np.unique(np.array(EVENTS), axis=0)
    once = Interactions(pairs[:, 0], pairs[:, 1], user_count=5, item_count=6)
    torch.testing.assert_close(listed(name, replace(LISTS, known=once)), listed(name, LISTS), equal_nan=True)


@every_listed
def test_lists_and_events_are_not_changed(name: str) -> None:
    before = LISTS.items.tolist(), LISTS.users.tolist(), KNOWN.users.tolist(), KNOWN.items.tolist()
    listed(name, LISTS)
    assert (LISTS.items.tolist(), LISTS.users.tolist(), KNOWN.users.tolist(), KNOWN.items.tolist()) == before


def everybody_gets(rows: list[list[int]]) -> Lists:
    return Lists(torch.tensor(rows), np.arange(len(rows)), KNOWN)


def test_gini_is_0_where_all_items_are_recommended_equally_and_near_1_where_one_is() -> None:
    assert listed("gini", everybody_gets([[0, 1], [2, 3], [4, 5]])).item() == 0.0
    assert listed("gini", everybody_gets([[2], [2], [2]])).item() == pytest.approx(1 - 1 / 6, abs=1e-15)


@lawful
@given(rows=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True), min_size=1, max_size=5))
def test_gini_is_the_mean_absolute_difference_over_twice_the_mean(rows: list[list[int]]) -> None:
    lists = everybody_gets([[*row, *[-1] * (3 - len(row))] for row in rows])
    counts = np.bincount([item for row in rows for item in row], minlength=6)
    slow = np.abs(counts[:, None] - counts[None]).mean() / (2 * counts.mean())
    assert listed("gini", lists).item() == pytest.approx(slow, abs=1e-14)


def test_novelty_is_0_for_what_everybody_took_and_finite_for_what_nobody_did() -> None:
    found = listed("novelty", everybody_gets([[0], [4]]))
    assert found.tolist() == [0.0, LOG(4)]


def test_diversity_of_two_items_with_the_same_users_is_0() -> None:
    twins = Interactions(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), user_count=2, item_count=2)
    found = listed("diversity", Lists(torch.tensor([[0, 1]]), np.array([0]), twins))
    assert found.item() == pytest.approx(0.0, abs=1e-15)

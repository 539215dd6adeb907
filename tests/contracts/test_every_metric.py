"""The law book for metrics. A new file in metrics/ adds values worked out by hand; the rest is checked unasked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from whyrec import kinds

Metric = Callable[[Tensor, int], Tensor]
lawful = settings(max_examples=50, deadline=None, derandomize=True, database=None)

BY_HAND: Mapping[str, tuple[float, ...]] = {
    "hit_rate": (1.0, 0.0, 1.0, 1.0),
    "ndcg": (
        0.5,  # 1 / log2(4)
        0.0,
        (1 + 1 / math.log2(5)) / (1 + 1 / math.log2(3)),
        (1 / math.log2(3)) / (1 + 1 / math.log2(3) + 1 / math.log2(4) + 1 / math.log2(5) + 1 / math.log2(6)),
    ),
}
"""What each metric says of these four users with k = 5."""
USERS = [
    [3, 0, 0, 0, 0, 0],
    [6, 9, 0, 0, 0, 0],
    [1, 4, 0, 0, 0, 0],
    [2, 7, 8, 9, 10, 11],
]

MANY_RANKS = st.lists(st.sets(st.integers(1, 30), max_size=5).map(sorted), min_size=1, max_size=6)


def padded(rows: list[list[int]], width: int = 5) -> Tensor:
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])


@pytest.fixture(params=kinds.names("metrics"))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def metric(name: str) -> Metric:
    found: Metric = kinds.load("metrics", name)
    return found


def test_its_values_are_those_worked_out_by_hand(name: str, metric: Metric) -> None:
    assert name in BY_HAND, f"add what {name} says of USERS to BY_HAND in {__file__}, worked out by hand"
    by_hand = torch.tensor(BY_HAND[name], dtype=torch.float64)
    torch.testing.assert_close(metric(torch.tensor(USERS), 5), by_hand, rtol=0, atol=1e-15)


def test_it_has_the_name_that_papers_print(name: str) -> None:
    labels = {one: kinds.module("metrics", one).LABEL for one in kinds.names("metrics")}
    assert isinstance(labels[name], str)
    assert labels[name]
    assert list(labels.values()).count(labels[name]) == 1


@pytest.mark.parametrize("name", kinds.names("metrics"))
@lawful
@given(rows=MANY_RANKS, k=st.integers(1, 35))
def test_it_is_one_number_from_0_to_1_for_each_user(name: str, rows: list[list[int]], k: int) -> None:
    found = kinds.load("metrics", name)(padded(rows), k)
    assert found.shape == (len(rows),)
    assert found.dtype == torch.float64
    for row, value in zip(rows, found.tolist(), strict=True):
        assert (value >= 0 and value <= 1 + 1e-12) if row else math.isnan(value)


@pytest.mark.parametrize("name", kinds.names("metrics"))
@lawful
@given(rows=MANY_RANKS, k=st.integers(1, 35))
def test_neither_padding_nor_other_users_matter(name: str, rows: list[list[int]], k: int) -> None:
    metric = kinds.load("metrics", name)
    together = metric(padded(rows, width=8), k)
    alone = torch.cat([metric(padded([row]), k) for row in rows])
    torch.testing.assert_close(together, alone, equal_nan=True, rtol=0, atol=1e-15)


def test_a_perfect_list_has_1(metric: Metric) -> None:
    for held_out in range(1, 6):
        perfect = padded([list(range(1, held_out + 1))])
        assert metric(perfect, 5).tolist() == pytest.approx([1.0], abs=1e-15)


def test_a_list_without_any_held_out_item_has_0(metric: Metric) -> None:
    assert metric(torch.tensor([[6, 0], [6, 7], [1000, 1001]]), 5).tolist() == [0.0, 0.0, 0.0]


def test_a_user_with_nothing_held_out_has_no_value(metric: Metric) -> None:
    assert metric(torch.zeros(3, 2, dtype=torch.int64), 5).isnan().all()


def test_with_one_held_out_item_a_longer_list_is_never_worse_and_a_better_rank_neither(metric: Metric) -> None:
    ranks = torch.arange(1, 41)[:, None]
    by_length = torch.stack([metric(ranks, k) for k in range(1, 41)])  # (k, rank)
    assert (by_length.diff(dim=0) >= 0).all()
    assert (by_length.diff(dim=1) <= 0).all()


def test_ranks_are_not_changed(metric: Metric) -> None:
    ranks = torch.tensor(USERS)
    metric(ranks, 5)
    assert ranks.tolist() == USERS

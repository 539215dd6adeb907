"""What ranks promise: the definition, however large the blocks; no tie in favour of a held-out item."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import whyrec as wr
from whyrec.dataset import Catalog
from whyrec.errors import InvalidSetting, NotFitted, WhyrecError
from whyrec.interactions import Interactions, Vocabulary
from whyrec.ranking import (
    Memory,
    Ranks,
    best_in_catalogue,
    best_items,
    catalogue_scores,
    in_bytes,
    rank_among,
    rank_in_catalogue,
)
from whyrec.recommender import Part, Recommender, Request
from whyrec.settings import settings as record

lawful = settings(max_examples=60, deadline=None, derandomize=True, database=None)
USERS, ITEMS = 4, 7


class Dictated(Recommender):
    """A model that says what it is told: one score for each user and item."""

    @record
    class Settings:
        """It has none."""

    table: Tensor

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("table", torch.zeros(user_count, item_count))

    def embed(self, request: Request) -> Mapping[str, Part]:
        items = request.items.expand(len(request.users), -1)
        return {"dictated": Part.of(self.table[request.users[:, None], items].unsqueeze(-1))}

    def score(self, inputs: Mapping[str, Part]) -> Tensor:
        return inputs["dictated"].values.sum(-1)


Told = TypeVar("Told", bound=Dictated)


def dictated(table: Tensor, model: Told) -> Told:
    users, items = Vocabulary(range(len(table)), kind="user"), Vocabulary(range(table.shape[1]), kind="item")
    model.build(Catalog(users), Catalog(items))
    model.table.copy_(table)
    return model


def log(pairs: list[tuple[int, int]]) -> Interactions:
    users, items = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Interactions(users.copy(), items.copy(), user_count=USERS, item_count=ITEMS)


def slow_ranks(scores: list[float], held_out: set[int], rivals: set[int]) -> list[int]:
    """The best held-out item first: one more than the rivals that score as much or more and the held-out before it."""
    own = sorted((scores[item] for item in held_out), reverse=True)
    return [1 + place + sum(scores[rival] >= score for rival in rivals) for place, score in enumerate(own)]


def as_lists(ranks: Ranks) -> list[list[int]]:
    return [[rank for rank in row if rank > 0] for row in ranks.ranks.tolist()]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Tensor, Interactions, Interactions, Tensor]:
    """Scores with many ties; what each user knows; what is held out, other than that; some negatives."""
    scores = draw(st.lists(st.integers(-2, 2), min_size=USERS * ITEMS, max_size=USERS * ITEMS))
    roles = draw(st.lists(st.sampled_from("khn-"), min_size=USERS * ITEMS, max_size=USERS * ITEMS))
    roles[0] = "h"
    pairs = [(user, item) for user in range(USERS) for item in range(ITEMS)]
    known = log([pair for pair, role in zip(pairs, roles, strict=True) if role == "k"])
    held_out = log([pair for pair, role in zip(pairs, roles, strict=True) if role == "h"])
    negatives = torch.tensor([item if role == "n" else -1 for (_, item), role in zip(pairs, roles, strict=True)])
    table = torch.tensor(scores, dtype=torch.float32)
    return table.view(USERS, ITEMS), known, held_out, negatives.view(USERS, ITEMS)


def _of(events: Interactions, user: int) -> set[int]:
    return set(events.items[events.users == user].tolist())


@lawful
@given(worlds())
def test_ranks_in_the_catalogue_are_those_of_the_definition(
    world: tuple[Tensor, Interactions, Interactions, Tensor],
) -> None:
    table, known, held_out, _ = world
    ranks = rank_in_catalogue(dictated(table, Dictated()), known, held_out)
    assert ranks.users.tolist() == sorted(set(held_out.users.tolist()))
    rivals = [set(range(ITEMS)) - _of(known, user) - _of(held_out, user) for user in ranks.users]
    wanted = [_of(held_out, user) for user in ranks.users]
    pairs = zip(ranks.users, wanted, rivals, strict=True)
    assert as_lists(ranks) == [slow_ranks(table[user].tolist(), mine, others) for user, mine, others in pairs]
    assert ranks.candidates.tolist() == [len(mine | others) for mine, others in zip(wanted, rivals, strict=True)]


@lawful
@given(worlds())
def test_ranks_among_negatives_are_those_of_the_definition(
    world: tuple[Tensor, Interactions, Interactions, Tensor],
) -> None:
    table, known, held_out, negatives = world
    ranks = rank_among(dictated(table, Dictated()), known, held_out, negatives)
    rivals = [set(negatives[user].tolist()) - {-1} for user in ranks.users]
    wanted = [_of(held_out, user) for user in ranks.users]
    pairs = zip(ranks.users, wanted, rivals, strict=True)
    assert as_lists(ranks) == [slow_ranks(table[user].tolist(), mine, others) for user, mine, others in pairs]
    assert ranks.candidates.tolist() == [len(mine | others) for mine, others in zip(wanted, rivals, strict=True)]


def test_a_model_that_cannot_tell_items_apart_puts_the_held_out_items_last() -> None:
    model, known, held_out = (
        dictated(torch.zeros(USERS, ITEMS), Dictated()),
        log([(0, 1), (0, 2)]),
        log([(0, 0), (1, 0), (1, 3)]),
    )
    negatives = torch.tensor([[3, 4, 5, 6]] * USERS)
    assert as_lists(rank_in_catalogue(model, known, held_out)) == [[5], [6, 7]]
    assert as_lists(rank_among(model, known, held_out, negatives)) == [[5], [4, 5]]


def test_a_known_item_takes_no_place_above_a_held_out_one() -> None:
    table = torch.tensor([[9.0, 8.0, 7.0, 1.0, 0.0, 0.0, 0.0]] * USERS)
    ranks = rank_in_catalogue(dictated(table, Dictated()), log([(0, 0), (0, 1)]), log([(0, 3)]))
    assert as_lists(ranks) == [[2]]
    assert ranks.candidates.tolist() == [5]


def test_a_negative_that_is_the_held_out_item_collapses_with_it() -> None:
    table = torch.tensor([[1.0, 3.0, 2.0, 0.0, 0.0, 0.0, 0.0]] * USERS)
    ranks = rank_among(dictated(table, Dictated()), log([]), log([(0, 1)]), torch.tensor([[1, 2, 0]] * USERS))
    assert as_lists(ranks) == [[1]]
    assert ranks.candidates.tolist() == [3]


def test_a_negative_that_is_named_twice_counts_once() -> None:
    table = torch.tensor([[1.0, 3.0, 2.0, 0.0, 0.0, 0.0, 0.0]] * USERS)
    ranks = rank_among(dictated(table, Dictated()), log([]), log([(0, 0)]), torch.tensor([[2, 1, 2, 2]] * USERS))
    assert as_lists(ranks) == [[3]]
    assert ranks.candidates.tolist() == [3]


class Spied(Dictated):
    """Dictated, and it remembers how many users it was asked about at a time."""

    def embed(self, request: Request) -> Mapping[str, Part]:
        self.asked = [*getattr(self, "asked", []), len(request.users)]
        return super().embed(request)


def spied() -> Spied:
    table = torch.randint(3, (USERS, ITEMS), generator=torch.Generator().manual_seed(0)).float()
    return dictated(table, Spied())


KNOWN, HELD_OUT = log([(0, 1), (2, 4), (3, 0)]), log([(0, 0), (1, 5), (1, 6), (2, 2), (3, 3)])
NEGATIVES = torch.tensor([[2, 3], [0, -1], [0, 1], [5, 6]])


def ranked(model: Recommender, max_memory: Memory) -> list[Tensor]:
    """All that ranking says of four users, in every way of ranking."""
    users = np.arange(USERS)
    full = rank_in_catalogue(model, KNOWN, HELD_OUT, max_memory=max_memory)
    sampled = rank_among(model, KNOWN, HELD_OUT, NEGATIVES, max_memory=max_memory)
    lists = [
        best_in_catalogue(model, users, KNOWN, 3, exclude_seen=exclude_seen, max_memory=max_memory)
        for exclude_seen in (True, False)
    ]
    return [full.ranks, full.candidates, sampled.ranks, sampled.candidates, *chain(*lists)]


@pytest.mark.parametrize("users", [1, 2, 3, 4])
def test_blocks_of_any_size_give_the_same_ranks_and_lists(users: int) -> None:
    each = ITEMS * 4  # bytes of one user's scores
    for whole, in_blocks in zip(ranked(spied(), None), ranked(spied(), users * each + 3), strict=True):
        assert torch.equal(whole, in_blocks)


@pytest.mark.parametrize(("users", "blocks"), [(1, [1, 1, 1, 1]), (2, [2, 2]), (3, [3, 1]), (4, [4]), (9, [4])])
def test_no_block_takes_more_memory_than_it_may(users: int, blocks: list[int]) -> None:
    model = spied()
    list(catalogue_scores(model, np.arange(USERS), KNOWN, max_memory=users * ITEMS * 4))
    assert model.asked == blocks
    double = spied().double()  # a number takes twice as much
    list(catalogue_scores(double, np.arange(USERS), KNOWN, max_memory=users * ITEMS * 8))
    assert double.asked == blocks


def test_what_is_done_once_a_block_counts_once() -> None:
    model = spied()
    model.floats_to_rank = lambda: (100, ITEMS)  # type: ignore[method-assign]
    list(catalogue_scores(model, np.arange(USERS), KNOWN, max_memory=400 + 2 * ITEMS * 4))
    assert model.asked == [2, 2]


@pytest.mark.parametrize(
    ("written", "expected"),
    [(4096, 4096), ("4096", 4096), ("1KB", 1000), ("1 KiB", 1024), ("256mb", 256_000_000), ("1.5GiB", 1_610_612_736)],
)
def test_memory_is_read_as_people_write_it(written: str | int, expected: int) -> None:
    assert in_bytes(written) == expected


@pytest.mark.parametrize("nonsense", ["", "MB", "much", "-1", -1, "1e9", "1 TB of it", "12 34", True, float("nan")])
def test_what_is_no_amount_of_memory_is_refused(nonsense: Any) -> None:
    with pytest.raises(InvalidSetting, match=r"is no amount of memory; write bytes, or a text such as '256MB'"):
        ranked(spied(), nonsense)


@pytest.mark.parametrize("little", [0, ITEMS * 4 - 1, "27 B"])
def test_memory_that_is_too_little_for_one_user_is_refused(little: str | int) -> None:
    with pytest.raises(InvalidSetting, match=rf"too little: .* Spied takes {ITEMS * 4} bytes; give at least that"):
        ranked(spied(), little)


def test_max_memory_reaches_the_blocks_of_lists_and_evaluations() -> None:
    split = wr.leave_last_out(wr.planted(users=60, items=50))
    model = wr.fit(wr.MF(factors=4, user="id"), split, wr.Training(epochs=1))
    asked: list[int] = []
    scores = model.rank_scores  # type: ignore[operator]
    object.__setattr__(model, "rank_scores", lambda one: asked.append(len(one.users)) or scores(one))
    little = (50 * 4 + 10 * 50) * 4
    few, many = (wr.recommend(model, max_memory=most) for most in (little, None))
    assert asked == [10] * 6 + [60]
    assert torch.equal(few.item_rows, many.item_rows)
    for protocol in ("full", "sampled"):
        terms: dict[str, Any] = {"protocol": protocol, "metrics": ("ndcg", "coverage"), "baselines": ()}
        whole = wr.evaluate(model, split, **terms)
        asked.clear()
        assert str(wr.evaluate(model, split, **terms, max_memory="3 KB")) == str(whole)
        assert sum(asked) == 2 * len(whole.ranks.users)  # once for ranks, once for lists
        assert max(asked) < 20
    for refused in (lambda: wr.recommend(model, max_memory="900 B"), lambda: wr.evaluate(model, split, max_memory=1)):
        with pytest.raises(InvalidSetting, match="too little"):
            refused()


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_no_finite_number_is_an_error(broken: float) -> None:
    table = torch.zeros(USERS, ITEMS)
    table[1, 2] = broken
    with pytest.raises(WhyrecError, match="Dictated gave a score that is not a finite number"):
        rank_in_catalogue(dictated(table, Dictated()), log([]), log([(1, 0)]))
    with pytest.raises(WhyrecError, match="Dictated gave a score that is not a finite number"):
        rank_among(dictated(table, Dictated()), log([]), log([(1, 0)]), torch.full((USERS, 1), 2))


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_no_list_holds_a_score_that_is_no_number(broken: float) -> None:
    table = torch.zeros(USERS, ITEMS)
    table[1, 2] = broken
    model, users = dictated(table, Dictated()), np.arange(USERS)
    with pytest.raises(WhyrecError, match="Dictated gave a score that is not a finite number"):
        best_in_catalogue(model, users, log([]), 1)
    assert best_in_catalogue(model, users, log([(1, 2)]), 1)[0].tolist() != []  # nobody is given that one


def test_an_item_that_scores_as_low_as_can_be_is_left_out() -> None:
    table = torch.zeros(1, ITEMS).index_fill(1, torch.tensor([0, 3]), -torch.inf)
    items, scores = best_in_catalogue(dictated(table, Dictated()), np.array([0]), log([(0, 1)]), ITEMS)
    assert sorted(items[0].tolist()) == [-1, -1, -1, 2, 4, 5, 6]
    assert (scores[0] == -torch.inf).tolist() == (items[0] == -1).tolist()


def test_a_model_without_weights_says_what_to_do() -> None:
    with pytest.raises(NotFitted, match=r"this Dictated has no weights yet: call whyrec\.fit"):
        next(catalogue_scores(Dictated(), np.arange(1), None))


@lawful
@given(worlds(), st.integers(1, ITEMS + 2))
def test_the_best_items_are_the_highest_unseen_ones(
    world: tuple[Tensor, Interactions, Interactions, Tensor], k: int
) -> None:
    table, known, _, _ = world
    before = table.clone()
    items, scores = best_items(table, torch.from_numpy(known.histories(np.arange(USERS), ITEMS)), k)
    assert torch.equal(table, before)
    for user in range(USERS):
        left = [item for item in range(ITEMS) if item not in _of(known, user)]
        expected = sorted((table[user, item].item() for item in left), reverse=True)[:k]
        there = items[user] >= 0
        assert scores[user][there].tolist() == expected
        assert table[user, items[user][there]].tolist() == expected
        assert len(set(items[user][there].tolist())) == len(expected)
        assert set(items[user][there].tolist()) <= set(left)
        assert (scores[user][~there] == -torch.inf).all()


@lawful
@given(worlds(), st.integers(1, ITEMS + 2))
def test_lists_from_blocks_are_the_best_items_of_all_scores(
    world: tuple[Tensor, Interactions, Interactions, Tensor], k: int
) -> None:
    table, known, _, _ = world
    users = np.array([3, 0, 2])
    model = dictated(table, Dictated())
    found = best_in_catalogue(model, users, known, k, max_memory=2 * ITEMS * 4)
    expected = best_items(table[users], torch.from_numpy(known.histories(users, ITEMS)), k)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    assert torch.equal(model.table, table)

"""What ranks promise: the definition, however large the blocks; no tie in favour of a held-out item."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from whyrec import ranking
from whyrec.dataset import Catalog
from whyrec.errors import NotFitted, WhyrecError
from whyrec.interactions import Interactions, Vocabulary
from whyrec.ranking import Ranks, best_items, catalogue_scores, rank_among, rank_in_catalogue
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


def dictated(table: Tensor) -> Dictated:
    users, items = Vocabulary(range(len(table)), kind="user"), Vocabulary(range(table.shape[1]), kind="item")
    model = Dictated().build(Catalog(users), Catalog(items))
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
    ranks = rank_in_catalogue(dictated(table), known, held_out)
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
    ranks = rank_among(dictated(table), known, held_out, negatives)
    rivals = [set(negatives[user].tolist()) - {-1} for user in ranks.users]
    wanted = [_of(held_out, user) for user in ranks.users]
    pairs = zip(ranks.users, wanted, rivals, strict=True)
    assert as_lists(ranks) == [slow_ranks(table[user].tolist(), mine, others) for user, mine, others in pairs]
    assert ranks.candidates.tolist() == [len(mine | others) for mine, others in zip(wanted, rivals, strict=True)]


def test_a_model_that_cannot_tell_items_apart_puts_the_held_out_items_last() -> None:
    model, known, held_out = dictated(torch.zeros(USERS, ITEMS)), log([(0, 1), (0, 2)]), log([(0, 0), (1, 0), (1, 3)])
    negatives = torch.tensor([[3, 4, 5, 6]] * USERS)
    assert as_lists(rank_in_catalogue(model, known, held_out)) == [[5], [6, 7]]
    assert as_lists(rank_among(model, known, held_out, negatives)) == [[5], [4, 5]]


def test_a_known_item_takes_no_place_above_a_held_out_one() -> None:
    table = torch.tensor([[9.0, 8.0, 7.0, 1.0, 0.0, 0.0, 0.0]] * USERS)
    ranks = rank_in_catalogue(dictated(table), log([(0, 0), (0, 1)]), log([(0, 3)]))
    assert as_lists(ranks) == [[2]]
    assert ranks.candidates.tolist() == [5]


def test_a_negative_that_is_the_held_out_item_collapses_with_it() -> None:
    table = torch.tensor([[1.0, 3.0, 2.0, 0.0, 0.0, 0.0, 0.0]] * USERS)
    ranks = rank_among(dictated(table), log([]), log([(0, 1)]), torch.tensor([[1, 2, 0]] * USERS))
    assert as_lists(ranks) == [[1]]
    assert ranks.candidates.tolist() == [3]


def test_a_negative_that_is_named_twice_counts_once() -> None:
    table = torch.tensor([[1.0, 3.0, 2.0, 0.0, 0.0, 0.0, 0.0]] * USERS)
    ranks = rank_among(dictated(table), log([]), log([(0, 0)]), torch.tensor([[2, 1, 2, 2]] * USERS))
    assert as_lists(ranks) == [[3]]
    assert ranks.candidates.tolist() == [3]


@pytest.mark.parametrize("floats", [1, 2 * ITEMS, 3 * ITEMS])
def test_blocks_of_any_size_give_the_same_ranks(floats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    model = dictated(torch.randint(3, (USERS, ITEMS), generator=generator).float())
    known, held_out = log([(0, 1), (2, 4), (3, 0)]), log([(0, 0), (1, 5), (1, 6), (2, 2), (3, 3)])
    negatives = torch.tensor([[2, 3], [0, -1], [0, 1], [5, 6]])
    whole = [rank_in_catalogue(model, known, held_out), rank_among(model, known, held_out, negatives)]
    monkeypatch.setattr(ranking, "BLOCK_FLOATS", floats)
    assert len(list(catalogue_scores(model, np.arange(USERS), known))) == -(-USERS // max(1, floats // ITEMS))
    in_blocks = [rank_in_catalogue(model, known, held_out), rank_among(model, known, held_out, negatives)]
    for one, other in zip(whole, in_blocks, strict=True):
        assert one.users.tolist() == other.users.tolist()
        assert torch.equal(one.ranks, other.ranks)
        assert torch.equal(one.candidates, other.candidates)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_no_finite_number_is_an_error(broken: float) -> None:
    table = torch.zeros(USERS, ITEMS)
    table[1, 2] = broken
    with pytest.raises(WhyrecError, match="Dictated gave a score that is not a finite number"):
        rank_in_catalogue(dictated(table), log([]), log([(1, 0)]))
    with pytest.raises(WhyrecError, match="Dictated gave a score that is not a finite number"):
        rank_among(dictated(table), log([]), log([(1, 0)]), torch.full((USERS, 1), 2))


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

"""Ranks without some past items: the candidate set is fixed, removed items never come back, ties count half."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import whyrec as wr
from whyrec import kinds
from whyrec.coalitions import Players
from whyrec.dataset import Catalog
from whyrec.errors import NotApplicable
from whyrec.faithfulness.enough import enough
from whyrec.faithfulness.necessity import necessity
from whyrec.interactions import Interactions, Vocabulary
from whyrec.orders import at_random, by_relevance
from whyrec.question import Question, ask
from whyrec.rank_game import RankGame, greedy_by_rank
from whyrec.recommender import Recommender, Request

SPLIT = wr.leave_last_out(wr.planted(users=60, items=50))


def linear(weights: list[list[float]], past: list[int]) -> Question:
    """One user with these past items of an item-to-item model; its best unseen item is asked about."""
    count = len(weights)
    model = wr.EASE().build(Catalog(Vocabulary(["ada"], kind="user")), Catalog(Vocabulary(range(count), kind="item")))
    model.weights.copy_(torch.tensor(weights))
    rows = np.array(past)
    model.known = Interactions(np.zeros_like(rows), rows, times=np.arange(len(rows)), user_count=1, item_count=count)
    return ask(model, wr.recommend(model, k=1).request())


def test_ranks_by_hand() -> None:
    #              to: 0    1    2    3    4
    question = linear(
        [
            [0.0, 9.0, 3.0, 2.0, 0.0],
            [9.0, 0.0, 0.0, 0.5, 1.0],
            [0.0] * 5,
            [0.0] * 5,
            [0.0] * 5,
        ],
        past=[0, 1],
    )
    players = Players(question)
    assert question.request.items.tolist() == [[2]]  # 3 + 0 against 2 + 0.5 and 0 + 1
    order = [int(item) for item in question.request.history[0]]
    keep = torch.tensor([[place in kept for place in order] for kept in ({0, 1}, {0}, {1}, set())])[:, None, None, :]
    # only 0: 3 > 2 > 0; only 1: behind items 3 and 4; nothing: level with two rivals
    assert RankGame(players).rank(keep).flatten().tolist() == [1.0, 1.0, 3.0, 2.0]


@pytest.mark.parametrize("name", ["ease", "mf", "neumf", "item_knn", "ials"])
def test_with_everything_in_sight_the_best_item_is_first_and_scores_are_those_of_the_game(name: str) -> None:
    model: Recommender = wr.fit(kinds.load("models", name)(), SPLIT, wr.Training(epochs=2), progress=False)
    lists = wr.recommend(model, k=3)
    players = Players(ask(model, lists.request()))
    ranks = RankGame(players).rank(players.present[None])[0]
    assert torch.equal(ranks.round(), torch.tensor([[1.0, 2.0, 3.0]]).expand(len(lists), 3).double())


@pytest.mark.parametrize("size", [1, 7])
def test_ranks_are_the_definition_user_by_user(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = wr.fit(wr.MF(factors=8), SPLIT, wr.Training(epochs=3), progress=False)
    question = ask(model, wr.recommend(model, k=2).request())
    players = Players(question)
    keep = players.random_sets(torch.full((3, 1, 1), 4), "test")
    monkeypatch.setattr("whyrec.rank_game.block_size", lambda _model, _floats: size)
    assert torch.equal(RankGame(players).rank(keep), _slowly(question, keep))


def _slowly(question: Question, keep: torch.Tensor) -> torch.Tensor:
    request, model = question.request, question.model
    known = [set(row[row >= 0].tolist()) for row in torch.from_numpy(_everything(question))]
    found = torch.zeros(keep.shape[:3], dtype=torch.float64)
    with torch.no_grad():
        for where in np.ndindex(*keep.shape[:3]):
            _, user, place = where
            item = int(request.items[user, place])
            rivals = [i for i in range(len(model.items)) if i == item or i not in known[user]]
            asked = Request(
                request.users[user : user + 1],
                torch.tensor([rivals]),
                request.history[user : user + 1],
                ~keep[where][None],
            )
            scores = model.score(model.embed(asked))[0]
            own = scores[rivals.index(item)]
            found[where] = 1 + (scores > own).sum() + 0.5 * ((scores == own).sum() - 1)
    return found


def _everything(question: Question) -> np.ndarray:
    assert question.train is not None
    return question.train.histories(question.request.users.numpy(), question.train.item_count)


def test_necessity_and_enough_by_hand() -> None:
    """Item 4 is there because of past item 0 alone; past item 1 brings its rivals."""
    weights = [[0.0] * 5 for _ in range(5)]
    weights[0][4], weights[1][2], weights[1][3] = 5.0, 1.0, 2.0
    players = Players(linear(weights, past=[0, 1]))
    first = torch.tensor([[[[0 if int(item) == 0 else 1 for item in players.question.request.history[0]]]]])
    assert necessity(players, first, 1, length=2).item() == 1  # without 0 it is third of three
    assert necessity(players, 1 - first, 1, length=2).item() == 0
    assert enough(players, first, 1, length=1).item() == 1
    assert enough(players, 1 - first, 1, length=2).item() == 0


def test_the_search_by_rank_finds_what_the_score_cannot_see() -> None:
    """Item 4 stands on past items 0 (3) and 1 (2), but 0 brings its rival more: by score 0 goes first, by rank 1."""
    weights = [[0.0] * 5 for _ in range(5)]
    weights[0][4], weights[0][3], weights[1][4] = 3.0, 4.0, 2.0
    players = Players(linear(weights, past=[0, 1]))
    order = [int(item) for item in players.question.request.history[0]]
    assert greedy_by_rank(RankGame(players), 1)[0, 0, 0].tolist() == [0 if item == 1 else 1 for item in order]


def test_no_order_of_the_controls_removes_more_items_than_the_search() -> None:
    model = wr.fit(wr.EASE(regularisation=5.0), SPLIT)
    question = ask(model, wr.recommend(model, k=1).request())
    players, game = Players(question), RankGame(Players(question))
    best = float(necessity(players, greedy_by_rank(game, 3, among=50), 3, length=3).mean())
    assert best > 0
    generator = torch.Generator().manual_seed(0)
    for ranks in (
        at_random(players, 20, generator),
        by_relevance(players, wr.LRP()(question), generator),
        by_relevance(players, wr.LeaveOneOut()(question), generator),
    ):
        assert float(necessity(players, ranks, 3, length=3).mean()) <= best


def test_units_that_are_no_past_items_are_refused() -> None:
    model = wr.fit(wr.MF(factors=4, user="id"), SPLIT, wr.Training(epochs=1), progress=False)
    with pytest.raises(NotApplicable, match="defined for past items"):
        RankGame(Players(ask(model, wr.recommend(model, k=1).request())))

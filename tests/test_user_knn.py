"""What UserKNN promises: its formula with sets, nobody their own neighbour, neighbours chosen anew where items go."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import whyrec as wr
from whyrec.dataset import Catalog
from whyrec.errors import InvalidSetting
from whyrec.interactions import Interactions, Vocabulary
from whyrec.models.user_knn import UserKNN
from whyrec.question import Question, ask
from whyrec.recommender import Recommender, Request, keep_only, scores_of

PEOPLE, ITEMS = 40, 25


def events(seed: int = 0) -> Interactions:
    """Everybody takes from 2 to 12 of 25 items."""
    generator = np.random.default_rng(seed)
    pairs = [
        (person, item)
        for person in range(PEOPLE)
        for item in generator.choice(ITEMS, generator.integers(2, 13), replace=False)
    ]
    users, items = np.array(pairs, dtype=np.int64).T
    return Interactions(users, items, user_count=PEOPLE, item_count=ITEMS)


EVENTS = events()
TAKEN = [set(EVENTS.items[EVENTS.users == person].tolist()) for person in range(PEOPLE)]


def solved(**settings: float) -> Recommender:
    catalogs = (Catalog(Vocabulary(range(n), kind=kind)) for n, kind in ((PEOPLE, "user"), (ITEMS, "item")))
    model = UserKNN(**settings).build(*catalogs)
    model.solve(EVENTS)
    model.known = EVENTS
    return model


def slow_scores(model: Recommender, user: int, seen: set[int], count: int) -> Tensor:
    """The formula with sets, (items,) float64: `seen` are the past items, `count` how many there were to begin with."""
    settings = model.settings
    alike = {}
    for person in set(range(PEOPLE)) - {user}:
        both = len(seen & TAKEN[person])
        scale = count**settings.alpha * len(TAKEN[person]) ** (1 - settings.alpha) + settings.shrink
        alike[person] = both / scale
    last = sorted(alike.values(), reverse=True)[: settings.neighbours][-1]
    near = {person: one for person, one in alike.items() if one >= last - 1e-9}
    return torch.tensor(
        [sum(one for person, one in near.items() if item in TAKEN[person]) for item in range(ITEMS)],
        dtype=torch.float64,
    )


def everything(model: Recommender, users: list[int]) -> Request:
    rows = torch.tensor(users)
    return Request(rows, torch.arange(ITEMS)[None], model.seen_by(rows))


@pytest.mark.parametrize("neighbours", [1, 5, 100])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.8])
def test_scores_are_those_of_the_formula(neighbours: int, alpha: float) -> None:
    model = solved(neighbours=neighbours, alpha=alpha, shrink=1.5)
    asked = everything(model, list(range(PEOPLE)))
    expected = torch.stack([slow_scores(model, user, TAKEN[user], len(TAKEN[user])) for user in range(PEOPLE)])
    for compact in (False, True):
        found = scores_of(model, replace(asked, compact=compact))
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


def test_somebody_new_is_compared_with_everybody() -> None:
    model = solved(neighbours=3, shrink=0.0)
    past = sorted(TAKEN[7])
    newcomer = Request(torch.tensor([-1]), torch.arange(ITEMS)[None], torch.tensor([past]))
    scores = model.score(model.embed(newcomer))[0].double()
    torch.testing.assert_close(scores, slow_scores(model, -1, set(past), len(past)), rtol=1e-5, atol=1e-6)
    assert (scores[past] >= 1).all()  # the one with the same past is as near as can be


def test_nobody_speaks_for_themselves() -> None:
    """Asked about an item that was taken in training, a user's own row would give it away."""
    model = solved(neighbours=1, shrink=0.0)
    user = 7
    item = sorted(TAKEN[user])[0]
    past = sorted(TAKEN[user] - {item})
    asked = Request(torch.tensor([user]), torch.arange(ITEMS)[None], torch.tensor([past]))
    expected = slow_scores(model, user, set(past), len(past))
    torch.testing.assert_close(model.score(model.embed(asked))[0].double(), expected, rtol=1e-5, atol=1e-6)


def test_whoever_ties_with_the_last_neighbour_is_one_too() -> None:
    twins = Interactions(np.array([0, 1, 2, 2, 3]), np.array([0, 0, 0, 1, 2]), user_count=4, item_count=3)
    catalogs = (Catalog(Vocabulary(range(n), kind=kind)) for n, kind in ((4, "user"), (3, "item")))
    model = UserKNN(neighbours=1, shrink=0.0).build(*catalogs)
    model.solve(twins)
    asked = Request(torch.tensor([-1]), torch.arange(3)[None], torch.tensor([[0]]))
    assert model.score(model.embed(asked)).tolist() == [[2.0, 0.0, 0.0]]  # users 0 and 1 tie; user 2 is less alike


def question(model: Recommender) -> Question:
    asked = everything(model, [3, 11, 30])
    return ask(model, replace(asked, items=torch.tensor([[0, 9, 17]])), dtype=torch.float64)


def test_removing_past_items_chooses_the_neighbours_anew() -> None:
    model = solved(neighbours=4, shrink=2.0).double()
    asked = everything(model, [3])
    inputs = model.embed(asked)
    past = asked.history[0].tolist()
    for gone in itertools.combinations(range(len(past)), 2):
        keep = torch.ones(1, 1, len(past), dtype=torch.bool)
        keep[..., list(gone)] = False
        left = {item for place, item in enumerate(past) if place not in gone}
        found = model.score(keep_only(inputs, {"history": keep}))[0]
        torch.testing.assert_close(found, slow_scores(model, 3, left, len(past)), rtol=1e-9, atol=1e-12)


def test_with_its_neighbours_as_they_are_a_score_is_a_sum_over_past_items() -> None:
    model = solved(neighbours=4, shrink=2.0)
    asked = question(model)
    answer = wr.LRP(0)(asked)
    assert answer.ledger.gap.abs().max() < 1e-12
    assert answer.ledger.bias.abs().max() == 0
    gradient = wr.GradientTimesInput()(asked).relevance["history"]
    torch.testing.assert_close(answer.relevance["history"], gradient, rtol=0, atol=1e-12)
    removed = wr.LeaveOneOut()(asked).relevance["history"]
    assert (answer.relevance["history"] - removed).abs().max() > 0.01  # removal lets others in
    assert (answer.relevance["history"] >= 0).all()


def test_everybody_a_neighbour_leaves_no_room_for_opinion() -> None:
    asked = question(solved(neighbours=PEOPLE, shrink=2.0))
    one, other = (explainer(asked).relevance["history"] for explainer in (wr.LRP(0), wr.LeaveOneOut()))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_only_the_most_recent_items_are_looked_at() -> None:
    assert solved(limit=3).seen_by(torch.arange(PEOPLE)).shape == (PEOPLE, 3)


def test_it_finds_more_of_the_planted_cinema_than_popularity_does() -> None:
    split = wr.leave_last_out(wr.planted())
    found = wr.evaluate(wr.fit(wr.UserKNN(), split), split)
    assert found.metrics["NDCG@10"].value > found.baselines["popularity"]["NDCG@10"].value


@pytest.mark.parametrize("settings", [{"neighbours": 0}, {"shrink": -1.0}, {"alpha": -0.1}, {"limit": 0}])
def test_settings_that_mean_nothing_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InvalidSetting, match="cannot be taken"):
        UserKNN(**settings)

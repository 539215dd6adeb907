"""What iALS promises: each step is the least-squares answer, the objective only falls, a history is all it takes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from tests.worlds import dataset
from torch import Tensor

import whyrec as wr
from whyrec.errors import InvalidSetting
from whyrec.interactions import Interactions
from whyrec.models import ials
from whyrec.models.ials import IALS
from whyrec.question import Question, ask
from whyrec.recommender import Recommender, Request, keep_only

EVENTS = dataset().interactions
USERS, ITEMS = EVENTS.user_count, EVENTS.item_count
SETTINGS = {"factors": 4, "regularisation": 0.02, "unobserved_weight": 0.3, "frequency_scaling": 0.7}


def solved(events: Interactions = EVENTS, *, epochs: int = 4, seed: int = 0, **settings: float) -> Recommender:
    data = dataset()
    model = IALS(**{**SETTINGS, "epochs": epochs, **settings}).build(data.users, data.items, seed=seed)
    model.solve(events)
    model.known = events
    return model


def first_items(factors: int = 4) -> Tensor:
    data = dataset()
    model = IALS(**{**SETTINGS, "factors": factors}).build(data.users, data.items, seed=0)
    return table(model)


def table(model: Recommender) -> Tensor:
    return model.get_parameter("item_table.weight").detach().double()


def ridge(count: int, others: int) -> float:
    weighted: float = count + SETTINGS["unobserved_weight"] * others
    return float(SETTINGS["regularisation"] * weighted ** SETTINGS["frequency_scaling"])


def slow_side(taken: list[list[int]], others: Tensor) -> Tensor:
    """The normal equations of one row after the other, every pair with its own weight; (rows, factors) float64."""
    found, w = [], SETTINGS["unobserved_weight"]
    for mine in taken:
        target, weight = torch.zeros(len(others)).double(), torch.full((len(others),), w).double()
        target[mine] = 1 / (1 + w)  # a taken pair is both: drawn to 1 with weight 1, and to 0 with weight w
        weight[mine] += 1
        left = others.T @ torch.diag(weight) @ others + ridge(len(mine), len(others)) * torch.eye(others.shape[1])
        found.append(torch.linalg.solve(left, others.T @ (weight * target)))
    return torch.stack(found)


def taken_by_user() -> list[list[int]]:
    return [EVENTS.items[EVENTS.users == user].tolist() for user in range(USERS)]


def takers_of_item() -> list[list[int]]:
    return [EVENTS.users[EVENTS.items == item].tolist() for item in range(ITEMS)]


def objective(users: Tensor, items: Tensor) -> float:
    scores = users @ items.T
    taken = torch.zeros_like(scores)
    taken[EVENTS.users, EVENTS.items] = 1
    fit = (taken * (1 - scores) ** 2).sum() + SETTINGS["unobserved_weight"] * (scores**2).sum()
    norms = [
        ridge(len(mine), len(other)) * row.square().sum()
        for side, taken_by, other in ((users, taken_by_user(), items), (items, takers_of_item(), users))
        for row, mine in zip(side, taken_by, strict=True)
    ]
    return float(fit + torch.stack(norms).sum())


def test_an_epoch_is_the_least_squares_answer_of_both_sides() -> None:
    items = first_items()
    for epochs in (1, 2, 3):
        users = slow_side(taken_by_user(), items)
        items = slow_side(takers_of_item(), users)
        torch.testing.assert_close(table(solved(epochs=epochs)), items, rtol=1e-4, atol=1e-5)


def test_the_answer_is_where_the_objective_is_flat() -> None:
    items = table(solved())
    users = slow_side(taken_by_user(), items)
    least = objective(users, items)
    for user in range(USERS):
        for step in (1e-3, -1e-3):
            moved = users.clone()
            moved[user] += step
            assert objective(moved, items) > least


def test_the_objective_falls_with_every_half_step() -> None:
    items, values = table(solved(epochs=1)), []
    for epochs in range(2, 8):
        users = slow_side(taken_by_user(), items)
        values.append(objective(users, items))
        items = table(solved(epochs=epochs))
        values.append(objective(users, items))
    for before, after in pairwise(values):
        assert after <= before + 1e-6
    assert values[-1] < values[0] - 0.01


@pytest.mark.parametrize("floats", [1, 100, 1000])
def test_blocks_of_any_size_give_the_same_answer(floats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table(solved())
    monkeypatch.setattr(ials, "BLOCK_FLOATS", floats)
    torch.testing.assert_close(table(solved()), whole, rtol=1e-4, atol=1e-6)


def test_a_pair_that_stands_twice_counts_once() -> None:
    twice = EVENTS.where(np.repeat(np.arange(len(EVENTS)), 2))
    assert torch.equal(table(solved(twice)), table(solved()))


def test_somebody_new_with_the_same_past_gets_the_same_scores() -> None:
    model = solved()
    rows = torch.arange(USERS)
    known = Request(rows, torch.arange(ITEMS)[None], model.seen_by(rows))
    scores = model.score(model.embed(known))
    assert torch.equal(model.score(model.embed(replace(known, users=torch.full_like(rows, -1)))), scores)
    users = slow_side(taken_by_user(), table(model))
    torch.testing.assert_close(scores.double(), users @ table(model).T, rtol=1e-4, atol=1e-5)


def test_seeds_draw_other_first_vectors_whose_length_does_not_grow_with_the_factors() -> None:
    assert not torch.equal(table(solved(seed=1)), table(solved(seed=2)))
    for factors in (4, 400):
        lengths = first_items(factors).square().sum(1).sqrt()
        assert 0.03 < lengths.mean() < 0.3


def question(model: Recommender) -> Question:
    rows = torch.tensor([0, 2, 4])
    return ask(model, Request(rows, torch.tensor([[5, 1, 3]]), model.seen_by(rows)), dtype=torch.float64)


def brought(model: Recommender, history: list[int], item: int) -> list[float]:
    """q_item . A^(-1) q_j of each past item j, its matrix written out; A is of the whole history."""
    items, w = table(model), SETTINGS["unobserved_weight"]
    left = w * items.T @ items + ridge(len(history), len(items)) * torch.eye(items.shape[1]).double()
    for past in history:
        left = left + torch.outer(items[past], items[past])
    return [float(items[item] @ torch.linalg.inv(left) @ items[past]) for past in history]


def test_a_score_is_the_sum_of_what_each_past_item_brings_and_every_explainer_says_so() -> None:
    model = solved().double()
    asked = question(model)
    scores = model.score(model.embed(asked.request)).detach()
    for explainer in (wr.LRP(0), wr.LeaveOneOut(), wr.GradientTimesInput(), wr.IntegratedGradients(steps=4)):
        found = explainer(asked).relevance["history"]
        torch.testing.assert_close(found.sum(2), scores, rtol=0, atol=1e-12)
        for row, history in enumerate(asked.request.history.tolist()):
            taken = [item for item in history if item >= 0]
            for place, item in enumerate(asked.request.items[0].tolist()):
                assert found[row, place, : len(taken)].tolist() == pytest.approx(brought(model, taken, item), abs=1e-12)


def test_what_is_removed_or_hidden_still_counts_in_the_equations() -> None:
    model = solved().double()
    asked = question(model)
    first = torch.zeros_like(asked.request.history, dtype=torch.bool)
    first[:, 0] = True
    removed = model.score(keep_only(model.embed(asked.request), {"history": ~first.unsqueeze(1)}))
    for compact in (False, True):
        hidden = replace(asked.request, hidden=first, compact=compact)
        torch.testing.assert_close(model.score(model.embed(hidden)), removed, rtol=0, atol=1e-12)
    never_met = replace(asked.request, history=asked.request.history.masked_fill(first, -1))
    assert (model.score(model.embed(never_met)) - removed).abs().max() > 0.01


def test_it_finds_more_of_the_planted_cinema_than_popularity_does() -> None:
    split = wr.leave_last_out(wr.planted())
    found = wr.evaluate(wr.fit(wr.IALS(factors=16, regularisation=0.01), split), split)
    assert found.metrics["NDCG@10"].value > found.baselines["popularity"]["NDCG@10"].value


@pytest.mark.parametrize("name", ["factors", "regularisation", "unobserved_weight", "epochs", "init_std"])
def test_settings_that_mean_nothing_are_refused(name: str) -> None:
    with pytest.raises(InvalidSetting, match=f"{name}=0 cannot be taken"):
        IALS(**{name: 0})

"""What ItemKNN promises: the similarities of its formula, at most k neighbours, explanations that are those numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.worlds import dataset

import whyrec as wr
from whyrec.errors import InvalidSetting
from whyrec.interactions import Interactions
from whyrec.models.item_knn import ItemKNN
from whyrec.question import ask
from whyrec.recommender import Recommender

EVENTS = dataset().interactions
USERS, ITEMS = EVENTS.user_count, EVENTS.item_count


def solved(events: Interactions = EVENTS, **settings: float) -> Recommender:
    data = dataset()
    model = ItemKNN(**settings).build(data.users, data.items)
    model.solve(events)
    model.known = events
    return model


def slow_weights(neighbours: int, shrink: float, alpha: float) -> torch.Tensor:
    """The formula, pair by pair with sets."""
    takers = [set(EVENTS.users[EVENTS.items == item]) for item in range(ITEMS)]
    weights = torch.zeros(ITEMS, ITEMS, dtype=torch.float64)
    for item in range(ITEMS):
        for past in set(range(ITEMS)) - {item}:
            both = len(takers[past] & takers[item])
            scale = len(takers[past]) ** (1 - alpha) * len(takers[item]) ** alpha
            weights[past, item] = both / (scale + shrink) if both else 0.0
        last = weights[:, item].sort(descending=True).values[neighbours - 1] if neighbours <= ITEMS else 0.0
        weights[:, item] *= weights[:, item] >= last
    return weights


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("shrink", [0.0, 2.5])
def test_the_weights_are_those_of_the_formula(alpha: float, shrink: float) -> None:
    found = solved(neighbours=ITEMS, shrink=shrink, alpha=alpha).get_buffer("weights")
    torch.testing.assert_close(found.double(), slow_weights(ITEMS, shrink, alpha), rtol=1e-6, atol=1e-7)


def test_an_item_has_no_more_neighbours_than_asked_for_and_they_are_the_nearest() -> None:
    every, few = (solved(neighbours=k, shrink=1.0).get_buffer("weights") for k in (ITEMS, 3))
    for item in range(ITEMS):
        kept = few[:, item] > 0
        assert kept.sum() <= 3
        assert torch.equal(few[kept, item], every[kept, item])
        left_out = every[~kept, item]
        assert left_out.max() <= every[:, item].topk(3).values[-1]


def test_half_way_it_is_the_cosine_and_larger_alpha_punishes_popular_items() -> None:
    cosine = solved(neighbours=ITEMS, shrink=0.0).get_buffer("weights")
    assert torch.allclose(cosine, cosine.T)
    assert cosine.max() <= 1 + 1e-6
    counts = torch.from_numpy(EVENTS.item_counts)
    popular, rare = int(counts.argmax()), int(counts.argmin())
    lenient, strict = (solved(neighbours=ITEMS, shrink=0.0, alpha=a).get_buffer("weights") for a in (0.0, 1.0))
    assert strict[rare, popular] < lenient[rare, popular]
    assert strict[popular, rare] > lenient[popular, rare]


def test_an_event_that_stands_twice_counts_once() -> None:
    twice = EVENTS.where(np.repeat(np.arange(len(EVENTS)), 2))
    assert torch.equal(solved(twice).get_buffer("weights"), solved().get_buffer("weights"))


def test_a_past_item_brings_its_similarity_and_nothing_is_left_over() -> None:
    model = solved(neighbours=4, shrink=1.0)
    question = ask(model, wr.recommend(model, k=2).request(), dtype=torch.float64)
    rows, items = question.request.history.clamp(min=0), question.request.items
    truth = model.get_buffer("weights").double()[rows[:, None, :], items[:, :, None]] * question.present("history")
    for explainer in (wr.LRP(0), wr.LeaveOneOut(), wr.GradientTimesInput()):
        found = explainer(question)
        torch.testing.assert_close(found.relevance["history"], truth, rtol=0, atol=1e-12)
        assert found.ledger.gap.abs().max() < 1e-12


def test_it_finds_more_of_the_planted_cinema_than_popularity_does() -> None:
    split = wr.leave_last_out(wr.planted())
    found = wr.evaluate(wr.fit(wr.ItemKNN(), split), split)
    assert found.metrics["NDCG@10"].low > found.baselines["popularity"]["NDCG@10"].high


@pytest.mark.parametrize("settings", [{"neighbours": 0}, {"shrink": -1.0}, {"alpha": 1.5}])
def test_settings_that_mean_nothing_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InvalidSetting, match="cannot be taken"):
        ItemKNN(**settings)

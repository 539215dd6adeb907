"""What ItemGraph promises: cosines of what it learned, explanations that are those numbers, lists with titles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import whyrec as wr
from whyrec.errors import BadInput, InvalidSetting, NotApplicable, UnknownId
from whyrec.models.item_graph import ItemGraph
from whyrec.question import ask
from whyrec.split import Split

pytest.importorskip("numba", reason="walks and skip-gram are compiled by Numba")

SMALL = {"min_common_users": 3, "factors": 16, "walks_per_item": 4, "walk_length": 40, "epochs": 2, "neighbours": 20}


@pytest.fixture(scope="module")
def split() -> Split:
    return wr.leave_last_out(wr.planted())


@pytest.fixture(scope="module")
def model(split: Split) -> ItemGraph:
    found = wr.fit(ItemGraph(**SMALL), split)
    assert isinstance(found, ItemGraph)
    return found


def test_weights_are_the_largest_cosines_of_the_vectors(model: ItemGraph) -> None:
    x = model.vectors.double().numpy()
    norms = np.linalg.norm(x, axis=1)
    for item in range(0, len(x), 7):
        cosines = x @ x[item] / np.maximum(norms * norms[item], 1e-30)
        cosines[item] = 0.0
        kept = np.sort(np.maximum(cosines, 0))[::-1][: SMALL["neighbours"]]
        found = np.sort(model.weights[:, item].numpy())[::-1][: SMALL["neighbours"]]
        assert found == pytest.approx(kept, abs=1e-6)
        assert (model.weights[:, item] > 0).sum() <= SMALL["neighbours"]


def test_a_past_item_brings_its_similarity_and_the_ledger_closes(model: ItemGraph) -> None:
    question = ask(model, wr.recommend(model, users=["u0912", "u0812"], k=3).request(), dtype=torch.float64)
    rows, items = question.request.history.clamp(min=0), question.request.items
    truth = model.weights.double()[rows[:, None, :], items[:, :, None]] * question.present("history")
    for explainer in (wr.LRP(0), wr.LeaveOneOut(), wr.Intrinsic(), wr.GradientTimesInput()):
        found = explainer(question)
        torch.testing.assert_close(found.relevance["history"], truth, rtol=0, atol=1e-12)
        assert found.ledger.gap.abs().max() < 1e-12


def test_similar_items_come_by_cosine_with_titles(model: ItemGraph) -> None:
    item = model.items.id(5)
    found = model.similar(item, k=4)
    assert [one.rank for one in found] == [1, 2, 3, 4]
    assert [one.similarity for one in found] == sorted((one.similarity for one in found), reverse=True)
    assert item not in [one.item for one in found]
    assert all(one.title in str(one) for one in found)
    row = int(model.items.vocabulary.rows([found[0].item])[0])
    cosine = torch.cosine_similarity(model.vectors[5], model.vectors[row], dim=0)
    assert found[0].similarity == pytest.approx(float(cosine), abs=1e-6)
    assert len(model.similar(item, k=10_000)) == int(model.vectors.any(dim=1).sum()) - 1
    with pytest.raises(UnknownId, match="item 'nothing' is not among"):
        model.similar("nothing")
    with pytest.raises(InvalidSetting, match="k=0"):
        model.similar(item, k=0)


def test_it_finds_more_of_the_planted_cinema_than_popularity_does(split: Split) -> None:
    found = wr.evaluate(wr.fit(ItemGraph(**{**SMALL, "epochs": 5, "walks_per_item": 10}), split), split)
    assert found.metrics["NDCG@10"].low > found.baselines["popularity"]["NDCG@10"].high


def test_an_item_without_an_edge_has_no_vector_scores_zero_and_says_why_it_has_no_list(split: Split) -> None:
    rare = int(np.argmin(split.train.item_counts))
    model = wr.fit(ItemGraph(**{**SMALL, "min_common_users": int(split.train.item_counts[rare]) + 1}), split)
    assert isinstance(model, ItemGraph)
    assert not model.vectors[rare].any()
    assert not model.weights[rare].any()
    assert not model.weights[:, rare].any()
    with pytest.raises(NotApplicable, match="has no edge in the graph"):
        model.similar(model.items.id(rare))
    linked = int(np.argmax(split.train.item_counts))
    assert model.items.id(rare) not in [one.item for one in model.similar(model.items.id(linked), 10_000)]


def test_a_graph_without_edges_is_refused_with_what_to_lower(split: Split) -> None:
    with pytest.raises(BadInput, match=r"no two items are linked \(100,000 users or more .*lower min_common_users"):
        wr.fit(ItemGraph(min_common_users=100_000), split)


def test_one_user_is_enough_where_one_user_may_link() -> None:
    data = wr.planted(users=60, items=60)
    events = data.interactions
    alone = events.where(events.users == events.users[0])
    nothing = events.where(np.zeros(len(events), dtype=bool))
    split = Split(replace(data, interactions=alone), alone, nothing, nothing, "one user")
    model = wr.fit(ItemGraph(**{**SMALL, "min_common_users": 1, "weight": "count"}), split)
    assert isinstance(model, ItemGraph)
    assert int(model.vectors.any(dim=1).sum()) == len(np.unique(alone.items))


def test_losses_of_each_epoch_are_kept_with_the_model(model: ItemGraph, tmp_path: Path) -> None:
    assert model.losses.shape == (2, 2)
    assert (model.losses > 0).all()
    again = wr.load(wr.save(model, tmp_path / "model"))
    assert isinstance(again, ItemGraph)
    assert torch.equal(again.losses, model.losses)
    assert again.similar(model.items.id(5)) == model.similar(model.items.id(5))


def test_its_graph_is_of_what_it_knows_under_its_settings(model: ItemGraph, split: Split) -> None:
    graph = model.graph()
    assert graph.nodes is model.items
    known = split.train.together_with(split.validation)
    assert np.array_equal(graph.neighbours, wr.co_rating_graph(known, min_common_users=3, weight="pmi").neighbours)
    by_rating = ItemGraph(min_rating=4.0).build(split.dataset.users, split.dataset.items)
    with pytest.raises(BadInput, match="no ratings, so min_rating=4"):
        by_rating.graph(replace(known, values=None))


def test_another_seed_gives_other_vectors(split: Split, model: ItemGraph) -> None:
    other = wr.fit(ItemGraph(**SMALL), split, wr.Training(seed=1))
    assert isinstance(other, ItemGraph)
    assert not torch.equal(other.vectors, model.vectors)

"""Each prototype brings one term to a score of ProtoMF, and without it the score is less by just that."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import whyrec as wr
from whyrec.models.proto_mf import ProtoMF
from whyrec.recommender import Request, keep_only

SPLIT = wr.leave_last_out(wr.planted(users=60, items=50))
EVERYBODY = Request(torch.arange(60), torch.arange(50)[None], torch.empty(60, 0, dtype=torch.int64))


@pytest.fixture(scope="module")
def model() -> ProtoMF:
    training = wr.Training(epochs=8, batch_size=200, learning_rate=0.02)
    found = wr.fit(ProtoMF(factors=8, user_prototypes=5, item_prototypes=4, inclusion=0.05), SPLIT, training)
    assert isinstance(found, ProtoMF)
    return found.double()


@torch.no_grad()
def test_a_score_is_the_sum_of_likenesses_times_weights(model: ProtoMF) -> None:
    user, item = model.user_table.weight, model.item_table.weight
    like_user = 1 + F.cosine_similarity(user[:, None], model.user_prototypes[None], dim=-1)
    like_item = 1 + F.cosine_similarity(item[:, None], model.item_prototypes[None], dim=-1)
    for like in (like_user, like_item):
        assert (like >= 0).all()
        assert (like <= 2).all()
    expected = like_user @ (item @ model.item_map.weight.T).T + (user @ model.user_map.weight.T) @ like_item.T
    torch.testing.assert_close(model.score(model.embed(EVERYBODY)), expected, rtol=0, atol=1e-9)


@torch.no_grad()
def test_without_a_prototype_the_score_is_less_by_its_term(model: ProtoMF) -> None:
    inputs = model.embed(EVERYBODY)
    score, total = model.score(inputs), torch.zeros(60, 50, dtype=torch.float64)
    for name, weights in (("user prototypes", "item weights"), ("item prototypes", "user weights")):
        values = inputs[name].values[..., 0]
        for unit in range(values.shape[2]):
            term = values[..., unit] * inputs[weights].values[..., unit]
            keep = torch.arange(values.shape[2]) != unit
            less = model.score(keep_only(inputs, {name: keep.expand(inputs[name].present.shape)}))
            torch.testing.assert_close(less, score - term, rtol=0, atol=1e-12)
            total = total + term
    torch.testing.assert_close(total, score, rtol=0, atol=1e-9)


def test_its_own_terms_are_the_explanation(model: ProtoMF) -> None:
    why = wr.explain(model, wr.recommend(model, k=2), wr.Intrinsic(), dtype=torch.float64)
    assert why.ledger.relative_gap(why.attribution.relevance).max() < 1e-9
    best = why.contributions(0, 0)[0]
    assert best.title.startswith((f"user prototype {best.unit + 1}: like ", f"item prototype {best.unit + 1}: like "))


def test_a_prototype_is_called_after_those_most_like_it(model: ProtoMF) -> None:
    alike = 1 + F.cosine_similarity(model.item_table.weight, model.item_prototypes[[2]], dim=-1)
    best = [model.items.title(row) for row in alike.argsort(descending=True)[:3].tolist()]
    assert model.unit_title("item prototypes", 2, user=0, item=0) == f"item prototype 3: like {', '.join(best)}"


@torch.no_grad()
def test_somebody_new_is_like_nobody_in_particular(model: ProtoMF) -> None:
    asked = Request(torch.tensor([-1]), torch.arange(50)[None], torch.empty(1, 0, dtype=torch.int64))
    inputs = model.embed(asked)
    assert (inputs["user prototypes"].values == 1).all()
    assert not inputs["user weights"].values.any()
    expected = model.item_map(model.item_table.weight).sum(1)
    torch.testing.assert_close(model.score(inputs)[0], expected, rtol=0, atol=1e-12)


def test_inclusion_is_paid_by_prototypes_like_nobody_and_by_whoever_is_like_no_prototype(model: ProtoMF) -> None:
    asked = Request(torch.tensor([3, 8, 5]), torch.tensor([[1, 2], [7, 0], [9, 4]]), torch.empty(3, 0).long())
    inputs, expected = model.embed(asked), 0.0
    for name in ("user prototypes", "item prototypes"):
        alike = inputs[name].values[..., 0].flatten(0, 1).tolist()
        expected -= sum(max(column) for column in zip(*alike, strict=True)) / len(alike[0])
        expected -= sum(max(row) for row in alike) / len(alike)
    assert float(model.penalty(inputs).detach()) == pytest.approx(0.05 * expected, rel=1e-12)


def test_inclusion_counts_people_as_often_however_they_are_embedded(
    model: ProtoMF, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, items = torch.tensor([3, 3, 3, 8]), torch.tensor([[1], [1], [7], [9]])
    asked = Request(users, items, torch.empty(4, 0).long(), compact=True)
    apart = model.penalty(model.embed(asked))
    monkeypatch.setattr("whyrec.recommender.SHARED_FROM", 1)
    together = model.embed(asked)
    assert together["user prototypes"].index is not None
    torch.testing.assert_close(model.penalty(together), apart, rtol=1e-12, atol=0)


def test_it_beats_what_is_popular(model: ProtoMF) -> None:
    found = wr.evaluate(model, SPLIT, baselines=("popularity",))
    assert found.metrics["NDCG@10"].value > found.baselines["popularity"]["NDCG@10"].value

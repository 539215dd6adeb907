"""What a model leans on: in a world of known causes the causes lead, and the decoy does not."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from tests.worlds import network, noise
from torch import nn

import whyrec as wr
from whyrec.errors import InvalidSetting, WhyrecError
from whyrec.exchanged import Exchanged, Partners
from whyrec.interactions import Interactions
from whyrec.metrics.ndcg import ndcg
from whyrec.parameters import MainParameters
from whyrec.ranking import rank_in_catalogue
from whyrec.recommender import Recommender, scores_of

SPLIT = wr.leave_last_out(wr.planted())
TRUTH = SPLIT.dataset.truth


@cache
def ease() -> Recommender:
    return wr.fit(wr.EASE(regularisation=50.0), SPLIT)


@cache
def found() -> MainParameters:
    return wr.main_parameters(ease(), SPLIT.test, most=80, users=1000, permutations=3)


def causes() -> set[int]:
    assert TRUTH is not None
    pairs = {item for first, second, _ in TRUTH.pairs for item in (first, second)}
    return {cause for cause, _ in TRUTH.causes} | pairs


def test_planted_causes_lead_and_the_decoy_does_not() -> None:
    assert TRUTH is not None
    units = [row for row in found().rows if row.unit is not None]
    leading = {row.unit for row in units[:20]}
    assert len(leading & causes()) >= 18
    assert TRUTH.decoy not in leading
    decoy = next(row for row in units if row.unit == TRUTH.decoy)
    assert decoy.relevance.n > 800  # nearly everybody has seen it
    assert decoy.drop is not None
    assert decoy.drop.high < 0.005
    rest = {row.unit for row in units if row.drop is not None and row.drop.low > 0}
    assert len(rest & causes()) > 0.6 * len(causes())
    assert len(rest & causes()) > 0.6 * len(rest)


def test_histories_matter_as_a_whole() -> None:
    whole = found().rows[0]
    assert (whole.part, whole.unit, whole.title) == ("history", None, "all of history")
    assert whole.drop is not None
    assert whole.drop.low > 0.1


def test_relevance_is_the_mean_size_over_the_users_who_have_the_item() -> None:
    row = next(row for row in found().rows if row.unit is not None)
    why = wr.explain(ease(), wr.recommend(ease(), k=10))
    lists, relevance = why.recommendations, why.attribution.relevance["history"]
    sizes = [
        float(relevance[user, :, place].abs().mean())
        for user, place in (lists.history == row.unit).nonzero().tolist()
        if user in set(SPLIT.test.users.tolist())
    ]
    assert row.relevance.n == len(sizes)
    assert row.relevance.value == pytest.approx(np.mean(sizes), rel=1e-5)
    assert row.title == ease().items.title(row.unit or 0)


def test_an_item_counts_once_a_user_however_often_it_was_taken() -> None:
    events = SPLIT.test.where(np.arange(0))
    users = np.repeat(np.arange(20), 4)
    twice = Interactions(users, np.tile([0, 0, 1, 2], 20), user_count=20, item_count=5)
    people = wr.planted(users=20, items=50).users
    model = wr.EASE()
    model.build(people, type(people)(type(people.vocabulary)(range(5), kind="item")))
    model.weights.copy_(noise(5, 5).float())
    model.known = twice
    rows = wr.main_parameters(model, None, k=1).rows
    assert len(events) == 0
    assert sorted(row.unit for row in rows if row.unit is not None) == [0, 1, 2]
    assert {row.relevance.n for row in rows} == {20}
    single = float(model.get_buffer("weights")[0, wr.recommend(model, k=1).item_rows[0, 0]].abs())
    assert next(row for row in rows if row.unit == 0).relevance.value == pytest.approx(2 * single, rel=1e-5)


def test_units_come_by_the_relevance_they_have_for_sure_and_the_rare_are_left_out() -> None:
    low = [row.relevance.low for row in found().rows if row.unit is not None]
    assert low == sorted(low, reverse=True)
    everything = wr.main_parameters(ease(), SPLIT.test, most=200, users=100, permutations=1)
    assert min(row.relevance.n for row in everything.rows) >= 10
    assert everything.left_out > 0
    short = wr.main_parameters(ease(), SPLIT.test, most=5, users=1000, permutations=1)
    assert len(short.rows) == 6
    assert {row.unit for row in short.rows} <= {row.unit for row in found().rows[:10]}
    assert f"{short.left_out} more inputs are rarer or weigh less" in str(short)


def table_model(rows: int = 60) -> tuple[nn.Module, Recommender, Interactions]:
    """Four classes by a table of which `noise` has no weight; held out is the class that the network gives."""
    net = network(4, 8, 4, seed=2)
    with torch.no_grad():
        net[0].weight[:, 3] = 0
    table = noise(rows, 4, seed=7)
    model = wr.adapt(net, {"person": wr.Columns(table, {"a": 1, "pair": 2, "noise": 1})})
    best = net(table).argmax(1).numpy()
    return net, model, Interactions(np.arange(rows), best, user_count=rows, item_count=4)


def test_a_column_that_the_model_ignores_has_no_relevance_and_no_drop() -> None:
    _, model, held_out = table_model()
    rows = {row.title: row for row in wr.main_parameters(model, held_out).rows}
    assert rows["noise"].relevance.value == 0
    assert rows["noise"].drop is not None
    assert (rows["noise"].drop.value, rows["noise"].drop.low, rows["noise"].drop.high) == (0, 0, 0)
    for name in ("a", "pair", "all of person"):
        drop = rows[name].drop
        assert drop is not None
        assert drop.low > 0


def test_exchanging_a_column_is_running_the_module_on_the_exchanged_table() -> None:
    net, model, held_out = table_model()
    partners = Partners.drawn(model, np.arange(60), seed=0, number=0)
    table = model.named["person"].table.clone()  # type: ignore[union-attr, index]
    table[:, 1:3] = table[partners.users][:, 1:3]
    order = net(table).detach().argsort(dim=1, descending=True)
    expected = (order == torch.from_numpy(held_out.items)[:, None]).float().argmax(1) + 1
    exchanged = Exchanged(model, "person", 1, partners)
    known = model.require_known()
    ranks = rank_in_catalogue(exchanged, known, held_out).ranks[:, 0]
    assert ranks.equal(expected)
    assert not ranks.equal(rank_in_catalogue(model, known, held_out).ranks[:, 0])
    again = Exchanged(model, "person", 1, Partners.drawn(model, np.arange(60), seed=0, number=1))
    both = torch.cat([ranks, rank_in_catalogue(again, known, held_out).ranks[:, 0]])
    row = next(row for row in wr.main_parameters(model, held_out, permutations=2).rows if row.title == "pair")
    assert row.drop is not None
    assert row.drop.value == pytest.approx(float((1 - ndcg(both[:, None], 10)).mean()))


def test_an_exchanged_past_item_is_where_the_partner_has_it_and_nowhere_else() -> None:
    model = ease()
    users = np.arange(50)
    partners = Partners.drawn(model, users, seed=3, number=0)
    item = sorted(causes())[0]
    rows = torch.from_numpy(users)
    mine = model.seen_by(rows)
    after = Exchanged(model, "history", item, partners).seen_by(rows)
    theirs = model.seen_by(partners.users[rows])
    for row in range(50):
        others = [seen for seen in mine[row].tolist() if seen not in (item, -1)]
        expected = others + [item] * int((theirs[row] == item).any())
        assert sorted(seen for seen in after[row].tolist() if seen >= 0) == sorted(expected)
    assert not after.equal(mine)
    whole = Exchanged(model, "history", None, partners).seen_by(rows)
    assert whole.equal(theirs)
    assert sorted(partners.users.tolist()) == list(range(len(model.users)))
    assert partners.users[50:].equal(torch.arange(50, len(model.users)))


def test_what_belongs_to_items_is_exchanged_between_items() -> None:
    class Pair(nn.Module):
        def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
            return (user * item).sum(1)

    people, things = noise(20, 3), noise(6, 3, seed=1)
    parts = {"user": wr.Columns(people, list("abc")), "item": wr.Columns(things, list("xyz"), of="item")}
    model = wr.adapt(Pair().eval(), parts)
    partners = Partners.drawn(model, np.arange(20), seed=0, number=0)
    things[:, 1] = things[partners.items, 1].clone()
    request = wr.recommend(model, k=6).request()
    request = type(request)(request.users, torch.arange(6)[None], request.history)
    after = scores_of(Exchanged(wr.adapt(Pair().eval(), parts), "item", 1, partners), request)
    assert not partners.items.equal(torch.arange(6))
    assert after.shape == (20, 6)
    before = noise(6, 3, seed=1)
    before[:, 1] = before[partners.items, 1]
    fresh = {"user": parts["user"], "item": wr.Columns(noise(6, 3, seed=1), list("xyz"), of="item")}
    exchanged = Exchanged(wr.adapt(Pair().eval(), fresh), "item", 1, partners)
    torch.testing.assert_close(scores_of(exchanged, request), people @ before.T)


def test_each_exchange_is_drawn_by_the_seed_and_its_number() -> None:
    model = ease()
    one, same, other, seed = (
        Partners.drawn(model, np.arange(100), *which).users for which in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert one.equal(same)
    assert not one.equal(other)
    assert not one.equal(seed)


def test_one_seed_gives_one_table_and_the_model_is_left_as_it_was() -> None:
    _, model, held_out = table_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    first, again = (wr.main_parameters(model, held_out, seed=4).to_json() for _ in range(2))
    assert first == again
    assert torch.get_rng_state().equal(state)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_without_held_out_events_there_is_relevance_alone() -> None:
    model = wr.adapt(network(4, 8, 1), {"person": wr.Columns(noise(30, 4), list("abcd"))})
    table = wr.main_parameters(model)
    assert all(row.drop is None for row in table.rows)
    assert "NDCG" not in str(table)
    assert [row["drop"] for row in table.to_json()["rows"]] == [None] * 5
    with pytest.raises(InvalidSetting, match="nothing to rank"):
        wr.main_parameters(model, Interactions(np.arange(3), np.zeros(3, dtype=np.int64), user_count=30, item_count=1))


def test_what_cannot_be_measured_is_refused() -> None:
    _, model, held_out = table_model()
    with pytest.raises(InvalidSetting, match="each at least 1"):
        wr.main_parameters(model, held_out, permutations=0)
    with pytest.raises(WhyrecError, match="1 users have a held-out event"):
        wr.main_parameters(model, held_out.where(np.arange(1)))

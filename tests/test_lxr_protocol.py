"""What the LXR papers and Quantus measure, by hand on cases small enough to reckon: orders, sets, ranks and curves."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import whyrec as wr
from whyrec import orders
from whyrec.coalitions import Players
from whyrec.dataset import Catalog
from whyrec.faithfulness.deletion import deletion
from whyrec.faithfulness.enough import enough
from whyrec.faithfulness.necessity import necessity
from whyrec.faithfulness.sufficiency import sufficiency
from whyrec.interactions import Interactions, Vocabulary
from whyrec.named_inputs import Columns
from whyrec.orders import at_random, by_relevance, removal_curve
from whyrec.question import ask
from whyrec.rank_game import RankGame
from whyrec.recommender import Request

SPLIT = wr.leave_last_out(wr.planted(users=40, items=50))
PAST, WANTED = 4, 4


def players() -> Players:
    """Past items 0 to 3; item 4 gets 4 from 0 and 1 from 1, its rivals 5 and 6 get 3 from 2 and 2 from 3."""
    weights = torch.zeros(7, 7)
    weights[0, 4], weights[1, 4], weights[2, 5], weights[3, 6] = 4.0, 1.0, 3.0, 2.0
    model = wr.EASE().build(Catalog(Vocabulary(["ada"], kind="user")), Catalog(Vocabulary(range(7), kind="item")))
    model.weights.copy_(weights)
    past = np.arange(PAST)
    model.known = Interactions(np.zeros_like(past), past, user_count=1, item_count=7)
    lists = wr.recommend(model, k=1)
    assert lists.item_rows.tolist() == [[WANTED]]
    return Players(ask(model, lists.request()))


def going(game: Players, *items: int) -> Tensor:
    """Ranks that take these past items away in this order, (1, 1, 1, players)."""
    return torch.tensor([[[[items.index(int(item)) for item in game.question.request.history[0]]]]])


def ranks_along(game: Players, order: Tensor) -> list[float]:
    """The rank of the item after 0, 1, ... past items went."""
    keep = torch.stack([order[0] >= gone for gone in range(PAST + 1)])
    return RankGame(game).rank(keep).flatten().tolist()


def test_a_rank_along_the_order_is_what_the_scores_without_the_past_items_say() -> None:
    game = players()
    # 5 to 3 and 2; 1 to 3 and 2; 0 to 3 and 2; 0 to 0 and 2; three zeros
    assert ranks_along(game, going(game, 0, 1, 2, 3)) == [1.0, 3.0, 3.0, 2.5, 2.0]
    # the rivals' causes go first, so the item stays ahead until its own are gone
    assert ranks_along(game, going(game, 2, 3, 0, 1)) == [1.0, 1.0, 1.0, 1.0, 2.0]


def test_no_order_changes_the_ends_of_a_curve() -> None:
    game = players()
    ends = {tuple(ranks_along(game, order[None])[::PAST]) for order in at_random(game, 20, torch.Generator())}
    assert ends == {(1.0, 2.0)}


@pytest.mark.parametrize(("length", "leaves"), [(1, 1), (2, 1), (3, 0)])
def test_necessity_is_the_share_that_does_not_stay_in_a_list_of_any_length(length: int, leaves: int) -> None:
    game = players()
    assert necessity(game, going(game, 0, 1, 2, 3), 1, length=length).item() == leaves  # rank 3 without item 0


def test_deletion_and_insertion_by_hand() -> None:
    game = players()
    first, last = going(game, 0, 1, 2, 3), going(game, 2, 3, 0, 1)
    assert [deletion(game, first, k).item() for k in (1, 2, 3)] == [4.0, 5.0, 5.0]
    assert [sufficiency(game, last, k).item() for k in (1, 2, 3)] == [0.0, 0.0, 4.0]
    assert [enough(game, first, k, length=1).item() for k in (1, 2, 3)] == [1.0, 1.0, 1.0]
    assert enough(game, last, 1, length=2).item() == 0  # 0 to 3 and 0: behind one, level with one


class Total(nn.Module):
    """The sum of the columns."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(1, keepdim=True)


def test_pixel_flipping_keeps_the_baseline_of_the_whole_row() -> None:
    """Each of (4, 2, 1, 1) is replaced by their mean, 2, in turn; a mean taken anew would give 6, 5.5, 5.875, 6.34."""
    row = torch.tensor([[4.0, 2.0, 1.0, 1.0]])
    model = wr.adapt(Total().eval(), {"row": Columns(row, "abcd", baseline=torch.full((4,), 2.0))})
    game = Players(ask(model, Request(torch.tensor([0]), torch.tensor([[0]]), torch.empty(1, 0, dtype=torch.int64))))
    curve = removal_curve(game, torch.arange(4)[None, None, None], 4)
    assert curve.flatten().tolist() == [8.0, 6.0, 6.0, 7.0, 8.0]


def trained() -> Players:
    """A model that is not affine, users with pasts of different lengths, two items each."""
    model = wr.fit(wr.NeuMF(factors=4), SPLIT, wr.Training(epochs=1), progress=False)
    question = ask(model, wr.recommend(model, k=2).request())
    assert not Players(question).present.all()
    return Players(question)


@pytest.mark.parametrize("places", [1, 20_000, 1 << 30])
def test_a_curve_is_its_steps_however_many_are_played_together(places: int, monkeypatch: pytest.MonkeyPatch) -> None:
    game = trained()
    order, count = at_random(game, 3, torch.Generator().manual_seed(0)), game.present.sum(-1, keepdim=True)
    slowly = torch.stack([game.worth(game.present & (order >= torch.round(count * step / 7))) for step in range(8)])
    monkeypatch.setattr(orders, "BLOCK_BOOLS", places)
    torch.testing.assert_close(removal_curve(game, order, 7), slowly, rtol=0, atol=1e-6)


def test_random_sets_are_as_large_as_asked_and_of_present_units() -> None:
    game = trained()
    count = game.present.sum(-1)
    sizes = torch.stack([torch.zeros_like(count), torch.ones_like(count), count // 2, count])
    sets = game.random_sets(sizes, "test")
    assert torch.equal(sets.sum(-1), sizes)
    assert not (sets & ~game.present).any()


def test_random_sets_take_every_unit_equally_often() -> None:
    game = players()
    share = game.random_sets(torch.full((4000, 1, 1), 1), "test").double().mean((0, 1, 2))
    assert (share - 1 / PAST).abs().max() < 4 * math.sqrt(0.25 * 0.75 / 4000)


def test_units_of_equal_relevance_go_in_several_orders_and_others_in_one() -> None:
    game = trained()
    exact = wr.LeaveOneOut()(game.question)
    level = replace(exact, relevance={"history": torch.zeros_like(exact.relevance["history"])})
    one, several = (by_relevance(game, found, torch.Generator().manual_seed(0)) for found in (exact, level))
    assert len(one) == 1
    assert len(several) == orders.TIE_DRAWS
    relevance = game.join(exact.relevance).masked_fill(~game.present, -torch.inf)
    in_order = torch.empty_like(relevance).scatter_(-1, one[0], relevance)
    assert (in_order[..., :-1] >= in_order[..., 1:]).all()
    assert several.double().std(0)[game.present].min() > 0

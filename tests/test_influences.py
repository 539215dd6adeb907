"""What a score owes to training events, against the truth: training without each of them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from tests.worlds import built
from torch import Tensor
from torch.nn import functional as F

import whyrec as wr
from whyrec.dataset import Catalog
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.influences import Influences, TrainingEvent
from whyrec.interactions import Interactions, Vocabulary
from whyrec.recommender import Recommender
from whyrec.spearman import spearman

USERS, ITEMS, NEGATIVES, RIDGE = 16, 14, 4, 1.0
ASKED = (0, 3, 5, 8, 11, 14)


@cache
def taken() -> Tensor:
    """Who took what, (users, items): two tastes, and chance."""
    generator = torch.Generator().manual_seed(2)
    taste = (torch.arange(USERS)[:, None] % 2) == (torch.arange(ITEMS) % 2)
    return (torch.rand(USERS, ITEMS, generator=generator) < torch.where(taste, 0.6, 0.15)).double()


def expected_loss(x: Tensor, scores: Tensor) -> Tensor:
    """Log loss with each event's negatives drawn from all that the user did not take, in expectation."""
    unseen = x == 0
    each = NEGATIVES * x.sum(1, keepdim=True) / unseen.sum(1, keepdim=True)
    return (x * F.softplus(-scores) + unseen * each * F.softplus(scores)).sum()


def scores_of(weights: list[Tensor]) -> Tensor:
    users, items, bias = weights
    return users @ items.T + bias.T


def fitted(x: Tensor, weights: list[Tensor], moving: list[Tensor] | None = None, steps: int = 200) -> list[Tensor]:
    """Weights at the minimum of the loss with a ridge, from where they are; only `moving` ones (bool) move."""
    start = [weight.detach().clone() for weight in weights]
    free = [weight.clone().requires_grad_() for weight in start]
    optimizer = torch.optim.LBFGS(free, max_iter=steps, tolerance_grad=1e-8, line_search_fn="strong_wolfe")

    def now() -> list[Tensor]:
        if moving is None:
            return list(free)
        return [torch.where(move, new, old) for move, new, old in zip(moving, free, start, strict=True)]

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = expected_loss(x, scores_of(now())) + RIDGE / 2 * sum(weight.square().sum() for weight in now())
        found.backward()
        return found

    optimizer.step(loss)
    return [weight.detach() for weight in now()]


def events() -> Interactions:
    users, items = (rows.numpy() for rows in taken().nonzero(as_tuple=True))
    return Interactions(users, items, user_count=USERS, item_count=ITEMS)


@cache
def world() -> Recommender:
    """MF of user ids, at the minimum of its expected loss."""
    model = wr.MF(user="id", factors=3)
    model.build(Catalog(Vocabulary(range(USERS), kind="user")), Catalog(Vocabulary(range(ITEMS), kind="item"))).double()
    model.known, model.trained_by = events(), wr.Training(loss="log", negatives=NEGATIVES)
    for weight, best in zip(weights_of(model), fitted(taken(), weights_of(model), steps=2000), strict=True):
        weight.data.copy_(best)
    return model


@cache
def first_of(user: int) -> int:
    """The item that the model would recommend."""
    return int(wr.recommend(world(), users=[user], k=1).item_rows[0, 0])


def weights_of(model: Recommender) -> list[Tensor]:
    return [model.get_parameter(f"{name}.weight") for name in ("user_table", "item_table", "item_bias")]


def truth(found: Influences, *, alone: bool) -> Tensor:
    """Drops of the score when everything, or the pair alone, is fitted again without each event."""
    user, item = int(found.user), int(found.item)
    own = [torch.arange(USERS)[:, None] == user, torch.arange(ITEMS)[:, None] == item]
    here = scores_of([weight.detach() for weight in weights_of(world())])[user, item]
    drops = []
    for event in (*found.past_items, *found.takers):
        x = taken().clone()
        x[int(event.user), int(event.item)] = 0.0
        again = fitted(x, weights_of(world()), [own[0], own[1], own[1]] if alone else None)
        drops.append(here - scores_of(again)[user, item])
    return torch.stack(drops)


def estimated(found: Influences) -> Tensor:
    return torch.tensor([event.drop for event in (*found.past_items, *found.takers)], dtype=torch.float64)


def agreement(one: Tensor, other: Tensor) -> float:
    return float(spearman(one, other, torch.ones_like(one, dtype=torch.bool)))


@pytest.mark.parametrize(("alone", "mean", "least"), [(True, 0.9, 0.7), (False, 0.8, 0.6)])
def test_events_are_in_the_order_of_training_without_each(alone: bool, mean: float, least: float) -> None:
    answers = [wr.influence(world(), user, first_of(user), damping=RIDGE) for user in ASKED]
    found = [agreement(estimated(answer), truth(answer, alone=alone)) for answer in answers]
    assert np.mean(found) > mean
    assert min(found) > least


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_a_drop_is_its_definition(known: bool, repeated: bool) -> None:
    """g' H^-1 d by autograd on the whole loss; what the score's own second derivative adds to H is taken out."""
    user = 5
    item = int(taken()[user].nonzero()[0, 0]) if known else first_of(user)
    train = events().together_with(events().where(events().users < 6)) if repeated else events()
    x = torch.zeros(USERS, ITEMS, dtype=torch.float64)
    x.index_put_((torch.from_numpy(train.users), torch.from_numpy(train.items)), torch.tensor(1.0).double(), True)
    users, items, bias = (weight.detach() for weight in weights_of(world()))
    mine, its = torch.arange(USERS)[:, None] == user, torch.arange(ITEMS)[:, None] == item

    def scores(at: Tensor) -> Tensor:
        placed = [torch.where(mine, at[:3], users), torch.where(its, at[3:6], items), torch.where(its, at[6:], bias)]
        return scores_of(placed)

    def slope(taken: Tensor) -> Tensor:
        at = start.clone().requires_grad_()
        return torch.autograd.grad(expected_loss(taken, scores(at)), at)[0]

    start = torch.cat([users[user], items[item], bias[item]])
    curvature = torch.autograd.functional.hessian(lambda at: expected_loss(x, scores(at)), start)
    table = scores(start).requires_grad_()
    of_pair = torch.autograd.grad(expected_loss(x, table), table)[0][user, item]
    crossed = torch.zeros(7, 7, dtype=torch.float64)
    crossed[:3, 3:6] = crossed[3:6, :3] = torch.eye(3, dtype=torch.float64)
    curvature = curvature - of_pair * crossed + RIDGE * torch.eye(7, dtype=torch.float64)
    own = torch.cat([items[item], users[user], torch.ones(1, dtype=torch.float64)])
    found = wr.influence(world(), user, item, train=train, damping=RIDGE)
    for event in (*found.past_items, *found.takers):
        without = x.clone()
        without[int(event.user), int(event.item)] = 0.0
        expected = own @ torch.linalg.solve(curvature, slope(without) - slope(x))
        assert event.drop == pytest.approx(float(expected), rel=1e-9)


def test_all_events_of_user_and_item_are_named_once_the_strongest_first() -> None:
    user, item = ASKED[0], first_of(ASKED[0])
    found = wr.influence(world(), user, item)
    assert sorted(int(one.item) for one in found.past_items) == taken()[user].nonzero()[:, 0].tolist()
    assert sorted(int(one.user) for one in found.takers) == taken()[:, item].nonzero()[:, 0].tolist()
    assert all(one.user == user for one in found.past_items)
    assert all(one.item == item for one in found.takers)
    for side in (found.past_items, found.takers):
        assert [one.drop for one in side] == sorted((one.drop for one in side), reverse=True)
    assert found.score == pytest.approx(float(scores_of(weights_of(world())).detach()[user, item]))
    assert str(found).startswith(f"“{item}” for {user} (score ")


def test_an_item_the_user_took_rests_on_that_very_event_first() -> None:
    user = 3
    item = int(taken()[user].nonzero()[0, 0])
    found = wr.influence(world(), user, item, damping=RIDGE)
    assert found.past_items[0].item == item
    assert user not in {one.user for one in found.takers}


def test_more_damping_makes_less_of_every_event() -> None:
    sizes = [
        estimated(wr.influence(world(), 0, first_of(0), damping=damping)).abs().sum() for damping in (0.1, 1.0, 10.0)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.parametrize("name", ["gmf", "neumf", "mlp"])
def test_any_model_of_user_ids_can_be_asked(name: str) -> None:
    model = built(name, values={"user": "id", "factors": 3})
    model.trained_by = wr.Training(loss="log")
    found = wr.influence(model, "ben", "nut")
    assert np.isfinite([one.drop for one in (*found.past_items, *found.takers)]).all()
    assert {one.item for one in found.past_items} <= {"jam", "fig", "egg"}
    assert isinstance(found.past_items[0], TrainingEvent)


def test_the_model_is_left_as_found() -> None:
    before = [weight.detach().clone() for weight in weights_of(world())]
    wr.influence(world(), 0, first_of(0))
    assert all(weight.equal(was) for weight, was in zip(weights_of(world()), before, strict=True))
    assert all(weight.grad is None and weight.requires_grad for weight in weights_of(world()))


def test_what_has_no_influence_function_says_so() -> None:
    by_history = built("mf")
    by_history.trained_by = wr.Training(loss="log")
    with pytest.raises(NotApplicable, match=r"past items are its inputs.*counterfactual\(\)"):
        wr.influence(by_history, "ben", "nut")
    by_pairs = built("mf", values={"user": "id"})
    by_pairs.trained_by = wr.Training(loss="bpr")
    with pytest.raises(NotApplicable, match="was not trained by it"):
        wr.influence(by_pairs, "ben", "nut")
    with pytest.raises(InvalidSetting, match="damping=0"):
        wr.influence(world(), 0, first_of(0), damping=0.0)

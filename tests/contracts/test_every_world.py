"""Every world in worlds/ tells the truth about itself: it is what trying all sets of units finds."""

from __future__ import annotations

import dataclasses
import math
from functools import cache

import pytest
import torch
from torch import Tensor

from whyrec import kinds
from whyrec.planted_truth import UNITS, PlantedTruth, World
from whyrec.recommender import Inputs, keep_only

WORLDS = kinds.names("worlds")

every_world = pytest.mark.parametrize("name", WORLDS)


@cache
def world(name: str, lists: int = 6, seed: int = 0) -> World:
    made: World = kinds.load("worlds", name)(lists, seed=seed)
    return made


def side_by_side(by_part: dict[str, Tensor]) -> Tensor:
    """(users, items, *unit) of each part -> (users, items, units)."""
    return torch.cat([one.reshape(*one.shape[:2], -1) for one in by_part.values()], dim=-1)


def of_user(inputs: Inputs, user: int) -> Inputs:
    return {
        name: dataclasses.replace(part, values=part.values[user, None], present=part.present[user, None])
        for name, part in inputs.items()
    }


def all_scores(one: World, user: int) -> tuple[Tensor, Tensor]:
    """Every set of units, (sets, units) bool, and the scores with only that set there, (sets, items)."""
    inputs = of_user(one.question().inputs, user)
    shapes = {part: inputs[part].present.shape[2:] for part in one.truth.shapley}
    units = sum(shape.numel() for shape in shapes.values())
    sets = (torch.arange(2**units)[:, None] >> torch.arange(units)) % 2 == 1
    pieces = sets.split([shape.numel() for shape in shapes.values()], dim=1)
    keep = {part: piece.reshape(-1, 1, *shapes[part]) for part, piece in zip(shapes, pieces, strict=True)}
    copies = {
        name: dataclasses.replace(
            part,
            values=part.values.expand(len(sets), *part.values.shape[1:]),
            present=part.present.expand(len(sets), *part.present.shape[1:]),
        )
        for name, part in inputs.items()
    }
    return sets, one.model.score(keep_only(copies, keep))


def by_trying_all_sets(one: World, user: int) -> tuple[Tensor, Tensor]:
    """Shapley values by their definition, and whether a unit ever moves the score: (items, units) each."""
    sets, scores = all_scores(one, user)
    units = sets.shape[1]
    shares = torch.tensor(
        [math.factorial(size) * math.factorial(units - 1 - size) / math.factorial(units) for size in range(units)],
        dtype=torch.float64,
    )
    values, moves = [], []
    for unit in range(units):
        without = (~sets[:, unit]).nonzero()[:, 0]
        gained = scores[without + 2**unit] - scores[without]
        values.append((shares[sets[without].sum(1), None] * gained).sum(0))
        moves.append(gained.abs().amax(0) > 1e-12)
    return torch.stack(values, dim=1), torch.stack(moves, dim=1)


@every_world
@pytest.mark.parametrize("user", range(6))
def test_its_shapley_values_and_causes_are_what_trying_all_sets_finds(name: str, user: int) -> None:
    truth = world(name).truth
    values, moves = by_trying_all_sets(world(name), user)
    torch.testing.assert_close(side_by_side(truth.shapley)[user], values, rtol=0, atol=1e-12)
    assert side_by_side(truth.causes)[user].equal(moves)


@every_world
def test_its_shapley_values_add_up_to_the_score_above_that_of_nothing(name: str) -> None:
    one = world(name, 40, 3)
    inputs = one.question().inputs
    nothing = keep_only(inputs, {part: torch.tensor(False) for part in one.truth.shapley})
    gained = one.model.score(inputs) - one.model.score(nothing)
    torch.testing.assert_close(side_by_side(one.truth.shapley).sum(-1), gained, rtol=0, atol=1e-12)


@every_world
def test_what_moves_nothing_has_no_shapley_value_and_a_decoy_moves_nothing(name: str) -> None:
    one = world(name, 40, 3)
    present = side_by_side({part: one.question().present(part) for part in one.truth.shapley})
    shapley, causes, decoys = map(side_by_side, (one.truth.shapley, one.truth.causes, one.truth.decoys))
    assert not shapley[~causes].any()
    assert not (causes & ~present).any()
    assert not (decoys & causes).any()
    assert not (decoys & ~present).any()


@every_world
def test_there_is_something_to_find_and_something_to_leave_alone(name: str) -> None:
    one = world(name, 40, 3)
    causes = side_by_side(one.truth.causes)
    present = side_by_side({part: one.question().present(part) for part in one.truth.shapley})
    assert causes.any(-1).any(-1).all()
    assert (present & ~causes).any(-1).double().mean() > 0.7
    assert present.sum(-1).max() <= UNITS


@every_world
def test_it_is_in_double_precision_and_named_for_its_file(name: str) -> None:
    one = world(name)
    assert one.name == name == kinds.name_of(one.model)
    assert one.model.score(one.question().inputs).dtype is torch.float64
    assert one.question().parts == tuple(one.truth.shapley)
    shape = (6, one.request.items.shape[1])
    for by_part in (one.truth.shapley, one.truth.causes, one.truth.decoys):
        for part, values in by_part.items():
            assert values.shape == (*shape, *one.question().inputs[part].present.shape[2:])


def everything(truth: PlantedTruth) -> list[object]:
    return [one.tolist() for field in dataclasses.fields(truth) for one in getattr(truth, field.name).values()]


@every_world
def test_one_seed_makes_one_world_and_leaves_chance_as_found(name: str) -> None:
    first = kinds.load("worlds", name)(8, seed=5)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    again = kinds.load("worlds", name)(8, seed=5)
    assert torch.get_rng_state().equal(before)
    assert everything(again.truth) == everything(first.truth)
    assert again.request.items.equal(first.request.items)
    assert again.model.score(again.question().inputs).equal(first.model.score(first.question().inputs))
    assert everything(kinds.load("worlds", name)(8, seed=6).truth) != everything(first.truth)

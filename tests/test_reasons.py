"""Reasons are named only where taking them away was tried and missed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

import whyrec as wr
from whyrec.dataset import Catalog
from whyrec.interactions import Interactions, Vocabulary
from whyrec.reasons import VerifiedReasons, verified_reasons


@dataclass(frozen=True)
class Card:
    """A report card that says one thing of every method."""

    verdict: str = "faithful"

    def row(self, _method: str) -> Card:
        return self


def reasons_of(brought: list[float], card: Card | None = None, **settings: int) -> VerifiedReasons:
    """Reasons for one item recommended to one user, whose past items bring these amounts to its score."""
    past = [f"p{place}" for place in range(len(brought))]
    users, items = Catalog(Vocabulary(["ada"], kind="user")), Catalog(Vocabulary([*past, "new"], kind="item"))
    model = wr.EASE().build(users, items)
    model.weights[: len(brought), len(brought)] = torch.tensor(brought)
    rows = np.arange(len(brought))
    model.known = Interactions(np.zeros_like(rows), rows, times=rows, user_count=1, item_count=len(items))
    why = wr.explain(model, wr.recommend(model, k=1), wr.LRP())
    return verified_reasons(model, why, card or Card(), **settings)


@pytest.mark.parametrize(
    ("brought", "named"),
    [
        ([3.0, 0.0, 0.0, 0.0, 0.0], {"p0"}),
        ([3.0, 2.0] + [0.0] * 30, {"p0", "p1"}),
        ([3.0, 0.9] + [0.0] * 30, {"p0"}),  # 0.9 is under a third of 3
        ([2.0, -0.5, -0.5, -0.5], {"p0"}),
        ([1.0, -2.0, -1.0], set()),  # together they speak against the item
        ([0.5, 0.22, 0.18, -0.25, -0.26, 0.4, -0.1], {"p0", "p5"}),  # 0.22 is within how far any of them moves it
        ([1.0], {"p0"}),
        ([1.0, 1.0, 1.0], {"p0", "p1", "p2"}),
        ([0.0, 0.0], set()),
        ([], set()),
    ],
)
def test_a_reason_is_a_unit_that_is_missed_more_than_a_random_one(brought: list[float], named: set[str]) -> None:
    found = reasons_of(brought).at(0, 0)
    assert {one.contribution.unit for one in found} == named
    for one in found:
        assert one.drop == pytest.approx(brought[int(str(one.contribution.unit)[1:])], abs=1e-5)


def test_at_most_so_many_reasons_are_named_the_strongest_first() -> None:
    found = reasons_of([1.0, 1.2, 1.1, 0.9] + [0.0] * 40, most=2).at(0, 0)
    assert [one.contribution.unit for one in found] == ["p1", "p2"]


@pytest.mark.parametrize("verdict", ["not better than random", "undecided"])
def test_a_method_that_was_refused_gives_no_reason_and_says_so(verdict: str) -> None:
    reasons = reasons_of([3.0, 0.0, 0.0], Card(verdict))
    assert reasons.at(0, 0) == ()
    assert reasons.sentence(0, 0) == f"No reasons are given: lrp was found to be {verdict}."


def test_where_nothing_passes_it_says_so_in_plain_words() -> None:
    assert reasons_of([1.0, -2.0, -1.0]).sentence(0, 0) == "No single past item was found to matter enough."

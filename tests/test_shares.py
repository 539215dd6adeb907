"""What shares promise: they add up to 100 %, they are means over users with intervals, and versions can be compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import whyrec as wr
from whyrec.errors import InvalidSetting
from whyrec.recommender import Recommender
from whyrec.shares import parameter_changes, parameter_shares, shares_of

SPLIT = wr.leave_last_out(wr.planted(users=80, items=50))


@pytest.fixture(scope="module")
def model() -> Recommender:
    return wr.fit(wr.MF(factors=8), SPLIT, wr.Training(epochs=10))


@pytest.mark.parametrize("most", [0, 1, 7, 50])
def test_shares_add_up_to_one_hundred_percent(model: Recommender, most: int) -> None:
    found = parameter_shares(model, users=30, most=most)
    assert sum(row.share.value for row in found.rows) == pytest.approx(1, abs=1e-12)
    assert all(row.share.low <= row.share.value <= row.share.high for row in found.rows)
    assert sum(row.name.startswith("history:") for row in found.rows) == most
    assert found.rows == tuple(sorted(found.rows, key=lambda row: -row.share.value))


def test_a_share_is_the_mean_over_users_of_relevance_over_all(model: Recommender) -> None:
    found = parameter_shares(model, users=80, k=3, most=50)
    why = wr.explain(model, wr.recommend(model, k=3))
    slow: dict[str, list[float]] = {}
    for row in range(len(why.recommendations)):
        sizes: dict[str, float] = {}
        for place in range(3):
            for one in why.contributions(row, place):
                name = f"history:{one.unit}"
                sizes[name] = sizes.get(name, 0.0) + abs(one.relevance)
            rest = float((why.ledger.target - why.ledger.inputs)[row, place])
            sizes["item itself"] = sizes.get("item itself", 0.0) + abs(rest)
        for name, size in sizes.items():
            slow.setdefault(name, []).append(size / sum(sizes.values()))
    for share in found.rows:
        assert share.share.value == pytest.approx(sum(slow[share.name]) / 80, abs=1e-9)


def test_a_model_of_columns_and_nothing_else_has_no_past_items() -> None:
    split = wr.leave_last_out(wr.planted(users=80, items=50))
    found = parameter_shares(wr.fit(wr.FeatureMLP(), split, wr.Training(epochs=1)), users=20, most=2)
    names = [row.name for row in found.rows]
    assert not any("past items" in name for name in names)
    assert sum(row.share.value for row in found.rows) == pytest.approx(1, abs=1e-12)


def test_shares_come_back_from_their_document(model: Recommender) -> None:
    found = parameter_shares(model, users=20)
    assert shares_of(found.to_json()) == found


def test_the_change_between_versions_is_told_with_what_may_be_chance(model: Recommender) -> None:
    before = parameter_shares(model, users=60, most=0)
    assert all((one.after - one.before, one.is_sure) == (0, False) for one in parameter_changes(before, before))
    without = wr.fit(wr.EASE(), SPLIT)  # no biases: everything comes from the past
    changes = {one.title: one for one in parameter_changes(before, parameter_shares(without, users=60, most=0))}
    past = changes["what you took before"]
    assert (past.before < 1, past.after, past.is_sure) == (True, pytest.approx(1), True)
    assert str(past).endswith("to 100.0 %")
    nothing = replace(before, rows=())
    assert {one.before for one in parameter_changes(nothing, before)} == {0.0}
    with pytest.raises(InvalidSetting, match="measure both by one"):
        parameter_changes(before, replace(before, method="random"))


def test_the_sentences_are_in_the_language_asked_for(model: Recommender) -> None:
    found = parameter_shares(model, users=20, most=1)
    assert "item itself" in found.sentences("en")
    assert "der Titel selbst" in found.sentences("de")
    assert found.rows[-1].title in found.sentences("de")


def test_what_cannot_be_measured_is_refused(model: Recommender) -> None:
    for wrong in ({"users": 1}, {"k": 0}, {"most": -1}):
        with pytest.raises(InvalidSetting):
            parameter_shares(model, **wrong)
    lonely = wr.fit(wr.EASE(), SPLIT)
    known = lonely.require_known()
    lonely.known = known.where(known.users == np.int64(3))
    with pytest.raises(InvalidSetting, match="events of 1 users"):
        parameter_shares(lonely)

"""Methods side by side: means, signs and agreement of what is known, and refusals of what cannot be compared."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from tests.worlds import network, noise, wired
from torch import Tensor

import whyrec as wr
from whyrec.attribution import Attribution
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.explanation import Explainer, Explanations
from whyrec.method_table import SideBySide, by_value, first_layer, side_by_side
from whyrec.question import Question
from whyrec.statistics import Estimate


@cache
def model() -> wr.Recommender:
    split = wr.leave_last_out(wr.planted(users=120, items=60))
    return wr.fit(wr.FeatureMLP(ids=False, column_dropout=0.2), split, wr.Training(epochs=3))


def why(method: Explainer | None = None, *, k: int = 3) -> Explanations:
    return wr.explain(model(), wr.recommend(model(), k=k), method)


def times(factor: float) -> Explainer:
    """LRP, all relevance multiplied."""

    def scaled(question: Question) -> Attribution:
        found = wr.LRP()(question)
        return replace(found, relevance={part: factor * one for part, one in found.relevance.items()})

    return scaled


def only_relevance(value: Tensor) -> Explainer:
    """The same number for a unit in all scores: value (user columns, 1)."""

    def constant(question: Question) -> Attribution:
        found = wr.LRP()(question)
        columns = {part: one * 0 + value[: one.shape[2]] for part, one in found.relevance.items()}
        return replace(found, relevance=columns)

    return constant


def test_a_mean_is_over_places_and_then_over_users() -> None:
    one = why()
    found = side_by_side({"LRP": one})
    relevance = one.attribution.relevance["user columns"][..., 0]
    assert found.inputs[0] == "age"
    assert found.means["LRP"][0].value == pytest.approx(float(relevance.mean(1).mean()))
    assert found.means["LRP"][0].n == 120
    assert np.abs(found.shares("LRP")).sum() == pytest.approx(1)
    assert found.milliseconds["LRP"] == pytest.approx(1000 * one.seconds / 360)


def test_units_of_a_method_do_not_matter_and_its_sign_does() -> None:
    found = side_by_side({"LRP": why(), "double": why(times(2.0)), "upside down": why(times(-1.0))})
    np.testing.assert_allclose(found.shares("double"), found.shares("LRP"))
    np.testing.assert_allclose(found.shares("upside down"), -found.shares("LRP"))
    np.testing.assert_allclose(found.agreement[0], [1, 1, -1], atol=1e-9)
    told = [found.sign(place) for place, one in enumerate(found.means["LRP"]) if one.low > 0 or one.high < 0]
    assert told
    assert set(told) == {"differ"}


def test_an_input_that_nobody_has_leaves_the_others_their_shares() -> None:
    nobody = Estimate(float("nan"), float("nan"), float("nan"), 0)
    means = {"a": (Estimate(3.0, 2.0, 4.0, 9), nobody, Estimate(-1.0, -2.0, 0.5, 9))}
    found = SideBySide(("one", "nobody's", "other"), means, np.ones((1, 1)), {"a": 0.0})
    np.testing.assert_allclose(found.shares("a"), [0.75, np.nan, -0.25])
    assert [found.sign(place) for place in range(3)] == ["for", "not told", "not told"]


def test_a_sign_is_agreed_on_only_where_every_interval_has_it() -> None:
    up, down, zero = (only_relevance(torch.full((3,), one)) for one in (1.0, -1.0, 0.0))
    for methods, sign in (
        ({"a": up, "b": up}, "for"),
        ({"a": down, "b": down}, "against"),
        ({"a": up, "b": down, "c": zero}, "differ"),
        ({"a": up, "b": zero}, "not told"),
    ):
        assert side_by_side({name: why(one) for name, one in methods.items()}).sign(0) == sign


def test_values_of_a_column_are_those_of_the_catalog() -> None:
    one = why()
    lists, relevance = one.recommendations, one.attribution.relevance["user columns"][..., 1]
    found = by_value({"LRP": one}, "gender")
    for value, mean in zip(found.inputs, found.means["LRP"], strict=True):
        of = torch.from_numpy(model().users.columns["gender"].values[lists.user_rows.numpy()] == value)
        assert mean.n == int(of.sum())
        assert mean.value == pytest.approx(float(relevance[of].mean(1).mean()))
    genres = by_value({"LRP": one}, "genres")
    drama, column = genres.inputs[0], model().items.columns["genres"].values
    has = torch.tensor([[drama in column[item] for item in row] for row in lists.item_rows.tolist()])
    units = one.attribution.relevance["item columns"][..., 0]
    expected = ((units * has).sum(1) / has.sum(1))[has.any(1)].mean()
    assert genres.means["LRP"][0].value == pytest.approx(float(expected))
    quarters = by_value({"LRP": one}, "age", most=9)
    assert quarters.inputs[0].count(" to ") == 1
    assert sum(mean.n for mean in quarters.means["LRP"]) == 120  # everybody is in one, the youngest too
    assert len(by_value({"LRP": one}, "age").inputs) == 4


def test_the_first_layer_knows_its_own_weights_and_nothing_behind_them() -> None:
    net = network(4, 6, 1)
    question = wired(lambda parts: net(parts["p"].flatten(2)).squeeze(-1), {"p": noise(3, 2, 4, 1)})
    expected = question.inputs["p"].values[..., 0] * net[0].weight.mean(0)
    torch.testing.assert_close(first_layer(question).relevance["p"], expected)
    without = wired(lambda parts: parts["p"].sum((2, 3)), {"p": noise(3, 2, 4, 1)})
    with pytest.raises(NotApplicable, match="has no dense layer that reads p before"):
        first_layer(without)


def test_it_prints_and_becomes_json() -> None:
    found = side_by_side({"LRP": why()})
    assert [line.split()[0] for line in str(found).splitlines()] == ["LRP", *found.inputs, "milliseconds"]
    assert found.to_json()["inputs"][0]["title"] == "age"


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="no explanation to show"):
        side_by_side({})
    with pytest.raises(InvalidSetting, match="explained different lists"):
        side_by_side({"a": why(), "b": why(k=2)})
    one = why()
    others = replace(one.recommendations, user_rows=one.recommendations.user_rows.flip(0))
    with pytest.raises(InvalidSetting, match="explained different lists"):
        side_by_side({"a": one, "b": replace(one, recommendations=others)})
    with pytest.raises(InvalidSetting, match="no explained column is called 'shoe'; there are age, gender"):
        by_value({"LRP": why()}, "shoe")
    with pytest.raises(InvalidSetting, match="most=0"):
        by_value({"LRP": why()}, "age", most=0)
    mf = wr.fit(wr.EASE(), wr.leave_last_out(wr.planted(users=60, items=60)))
    with pytest.raises(NotApplicable, match="'history' has past items, which mean something else"):
        side_by_side({"LRP": wr.explain(mf, wr.recommend(mf, k=2))})

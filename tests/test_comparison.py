"""What a comparison promises: paired intervals, exact tests, no verdict without either, and no unlike things."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from whyrec.comparison import compare
from whyrec.datasets import planted
from whyrec.errors import InvalidSetting
from whyrec.evaluation import Evaluation, PerUser, evaluate
from whyrec.metrics import Of
from whyrec.models.ease import EASE
from whyrec.ranking import Ranks
from whyrec.recommender import Recommender
from whyrec.split import Split, leave_last_out
from whyrec.statistics import Array, bootstrap, mcnemar
from whyrec.train import fit

METRICS = ("hit_rate", "ndcg", "coverage", "novelty", "popularity_bias")


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_last_out(planted.load(users=120, items=60))


@pytest.fixture(scope="module")
def model(split: Split) -> Recommender:
    return fit(EASE(regularisation=20.0), split)


@pytest.fixture(scope="module")
def found(model: Recommender, split: Split) -> Evaluation:
    return evaluate(model, split, metrics=METRICS)


def made(model: str, values: Array, *, of: Of = "ranks") -> Evaluation:
    """An evaluation in which a metric M said this of each user."""
    ranks = Ranks(np.arange(len(values)), torch.ones(len(values), 1), torch.full((len(values),), 9))
    measured = {"M": PerUser(values, of)}
    return Evaluation(model, "full", "all alike", {"M": measured["M"].estimate(len(values))}, {}, ranks, measured, {})


def test_the_difference_is_that_of_the_two_numbers_with_users_drawn_together(found: Evaluation) -> None:
    other = found.baseline("popularity")
    one, two = (side.per_user["NDCG@10"].values for side in (found, other))
    result = compare(found, other)
    assert (result.metric, result.one, result.other, result.p_value) == ("NDCG@10", "ease", "popularity", None)
    assert result.difference == bootstrap((one - two)[:, None], lambda means: means[:, 0])
    assert result.difference.value == pytest.approx(found.metrics["NDCG@10"].value - other.metrics["NDCG@10"].value)


def test_a_difference_is_known_better_than_the_two_numbers() -> None:
    hard = np.random.default_rng(0).uniform(size=200)
    one, other = made("one", 0.8 * hard + 0.02), made("other", 0.8 * hard)
    assert one.metrics["M"].low < other.metrics["M"].high  # the two intervals overlap
    assert compare(one, other, "M").verdict == "better"
    assert compare(other, one, "M").verdict == "worse"


def test_swapping_the_models_swaps_the_sign() -> None:
    generator = np.random.default_rng(1)
    one, other = made("one", generator.normal(size=80)), made("other", generator.normal(size=80))
    there, back = compare(one, other, "M").difference, compare(other, one, "M").difference
    assert there.value == -back.value
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-12)


def test_models_that_say_the_same_are_not_told_apart(found: Evaluation) -> None:
    for metric in ("HR@10", "NDCG@10", "Novelty@10", "PopularityBias@10"):
        result = compare(found, found, metric)
        assert (result.difference.value, result.verdict) == (0.0, "not told apart")
    assert compare(found, found, "HR@10").p_value == 1.0


def test_hits_are_compared_by_mcnemars_exact_test() -> None:
    one, other = np.ones(40), np.ones(40)
    one[:2], other[2:14] = 0, 0
    result = compare(made("one", one), made("other", other), "M")
    assert result.p_value == mcnemar(12, 2) < 0.05
    assert result.verdict == "better"
    assert result.difference.value == pytest.approx(10 / 40)
    assert result.difference.low < 10 / 40 < result.difference.high
    other[8:14] = 1
    result = compare(made("one", one), made("other", other), "M")
    assert result.p_value == mcnemar(6, 2) > 0.05
    assert result.verdict == "not told apart"


def test_of_hits_the_exact_test_decides_and_not_the_interval() -> None:
    one, other = np.ones(40), np.ones(40)
    other[:5] = 0
    result = compare(made("one", one), made("other", other), "M")
    assert result.p_value == mcnemar(5, 0) > 0.05
    assert result.difference.low > 0  # a bootstrap knows no user on whom the other model wins
    assert result.verdict == "not told apart"


def test_a_user_without_one_of_two_means_is_left_out_of_both() -> None:
    values = np.array([[2.0, 1.0], [np.nan, 9.0], [4.0, 3.0], [9.0, np.nan]])
    found = made("one", values, of="lists").metrics["M"]
    assert (found.value, found.n) == (6 / 4, 2)


def test_a_ratio_of_means_is_compared_as_a_ratio_of_means() -> None:
    generator = np.random.default_rng(2)
    base = generator.exponential(size=300) + 0.5
    one = made("one", np.stack([1.3 * base, base], 1), of="lists")
    other = made("other", np.stack([base + generator.normal(size=300) / 20, base], 1), of="lists")
    result = compare(one, other, "M")
    assert result.difference.value == pytest.approx(one.metrics["M"].value - other.metrics["M"].value)
    assert result.difference.low < 0.3 < result.difference.high
    assert result.p_value is None


def test_what_lists_are_like_is_higher_or_lower_and_never_better(found: Evaluation) -> None:
    other = found.baseline("popularity")
    assert compare(found, other, "Novelty@10").verdict == "higher"
    assert compare(found, other, "PopularityBias@10").verdict == "lower"
    assert compare(other, found, "Novelty@10").verdict == "lower"


def test_users_whom_one_side_has_no_value_for_are_left_out_on_both() -> None:
    one, other = np.array([0.5, np.nan, 0.9, 0.3, 0.8]), np.array([0.1, 0.4, np.nan, 0.2, 0.2])
    result = compare(made("one", one), made("other", other), "M")
    assert result.difference.n == 3
    assert result.difference.value == pytest.approx(np.mean([0.4, 0.1, 0.6]))


@pytest.mark.parametrize("users", [0, 1])
def test_nobody_and_one_user_tell_no_models_apart(users: int) -> None:
    values = np.full(3, np.nan)
    values[:users] = 0.5
    assert compare(made("one", values), made("other", values / 2), "M").verdict == "not told apart"


def test_the_interval_of_a_difference_covers_zero_as_often_as_it_claims() -> None:
    generator, runs = np.random.default_rng(3), 200
    apart = 0
    for _ in range(runs):
        hard = generator.exponential(size=60)
        sides = [hard + generator.normal(size=60) for _ in range(2)]
        apart += compare(made("one", sides[0]), made("other", sides[1]), "M").verdict != "not told apart"
    assert abs(apart / runs - 0.06) < 3 * np.sqrt(0.06 * 0.94 / runs)  # BCa errs a little more than 5 % at 60 users


def test_unlike_evaluations_are_not_compared(model: Recommender, split: Split, found: Evaluation) -> None:
    sampled = evaluate(model, split, protocol="sampled", baselines=())
    with pytest.raises(InvalidSetting, match="the first has the full protocol, the second the sampled one"):
        compare(found, sampled)
    elsewhere = evaluate(model, split, protocol="sampled", baselines=(), seed=1)
    with pytest.raises(InvalidSetting, match=r"ranked against different items: .*\(seed 0\).*\(seed 1\)"):
        compare(sampled, elsewhere)
    half = split.test.where(split.test.users < 50)
    fewer = evaluate(model, Split(split.dataset, split.train, split.validation, half, split.how), baselines=())
    with pytest.raises(InvalidSetting, match="evaluated on different users; evaluate both on the same split"):
        compare(found, fewer)
    crowded = replace(found, ranks=replace(found.ranks, candidates=found.ranks.candidates + 1))
    with pytest.raises(InvalidSetting, match="ranked against different items"):
        compare(found, crowded)


def test_a_metric_that_was_not_measured_or_has_no_users_is_refused(found: Evaluation) -> None:
    with pytest.raises(InvalidSetting, match="NDCG@5 of ease was not measured, but HR@10, NDCG@10, Coverage@10"):
        compare(found, found, "NDCG@5")
    with pytest.raises(InvalidSetting, match="Coverage@10 is one number of all lists together"):
        compare(found, found, "Coverage@10")


def test_a_comparison_prints_as_one_line_and_becomes_json(found: Evaluation) -> None:
    result = compare(found, found.baseline("popularity"), "HR@10")
    assert str(result) == (
        f"HR@10: ease - popularity = {result.difference}, {result.verdict} (p = {result.p_value:.2g})"
    )
    plain = json.loads(json.dumps(result.to_json()))
    assert plain["difference"] == result.difference.to_json()
    assert plain["verdict"] == result.verdict

"""What intervals promise: published values, the textbook computation, and the coverage they claim."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from whyrec.errors import InvalidSetting
from whyrec.statistics import (
    RESAMPLES_AT_ONCE,
    Array,
    Estimate,
    Statistic,
    bootstrap,
    holm,
    mcnemar,
    mean_interval,
    users_for_means,
    users_for_shares,
    wilson,
)


def first_column(means: Array) -> Array:
    return means[:, 0]


def ratio(means: Array) -> Array:
    return means[:, 0] / means[:, 1]


def slow_bca(users: Array, statistic: Statistic, resamples: int, seed: int) -> tuple[float, float]:
    """Efron 1987, eq. 6.4 to 6.6 and the jackknife of Efron and Tibshirani 1993, eq. 14.15, one step at a time."""
    generator, n, drawn = np.random.default_rng(seed), len(users), []
    for start in range(0, resamples, RESAMPLES_AT_ONCE):
        rows = generator.integers(0, n, (min(RESAMPLES_AT_ONCE, resamples - start), n))
        drawn += [statistic(users[chosen].mean(0)[None])[0] for chosen in rows]
    value = statistic(users.mean(0)[None])[0]
    jackknife = [statistic(np.delete(users, left_out, 0).mean(0)[None])[0] for left_out in range(n)]
    gaps = np.mean(jackknife) - np.array(jackknife)
    acceleration = np.sum(gaps**3) / (6 * np.sum(gaps**2) ** 1.5)
    normal = NormalDist()
    bias = normal.inv_cdf(np.mean([one < value for one in drawn]))
    ends = []
    for tail in (0.025, 0.975):
        z = bias + normal.inv_cdf(tail)
        ends.append(float(np.quantile(drawn, normal.cdf(bias + z / (1 - acceleration * z)))))
    return ends[0], ends[1]


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0000),
        (10, 20, 0.2993, 0.7007),
    ],
)
def test_the_interval_of_a_share_has_the_published_ends(hits: int, n: int, low: float, high: float) -> None:
    found = wilson(hits, n)
    assert (found.value, found.n) == (hits / n, n)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_yes_and_no_get_the_interval_of_a_share_also_where_all_agree() -> None:
    assert mean_interval(np.array([1.0, 0.0, np.nan, 1.0])) == wilson(2, 3)
    assert mean_interval(np.zeros(20)) == wilson(0, 20)
    assert mean_interval(np.ones(1)) == wilson(1, 1)


@pytest.mark.parametrize(("statistic", "columns"), [(first_column, 1), (ratio, 2)])
def test_the_bootstrap_is_the_textbook_computation(statistic: Statistic, columns: int) -> None:
    users = np.random.default_rng(5).exponential(size=(23, columns)) + 0.1
    found = bootstrap(users, statistic, resamples=250, seed=3)
    low, high = slow_bca(users, statistic, 250, 3)
    assert (found.value, found.n) == (statistic(users.mean(0)[None])[0], 23)
    assert found.low == pytest.approx(low, rel=1e-12)
    assert found.high == pytest.approx(high, rel=1e-12)


def test_the_interval_of_a_skewed_mean_leans_and_covers_as_often_as_it_claims() -> None:
    generator, runs = np.random.default_rng(0), 400
    samples = generator.exponential(size=(runs, 50))
    found = [mean_interval(values, resamples=400, seed=run) for run, values in enumerate(samples)]
    coverage = np.mean([one.low <= 1.0 <= one.high for one in found])
    reached = 0.93  # by BCa for this distribution and n, over 4,000 runs
    assert abs(coverage - reached) < 3 * np.sqrt(reached * (1 - reached) / runs)
    assert np.mean([one.high - one.value > one.value - one.low for one in found]) > 0.95
    symmetric = 1.96 * samples.std(1, ddof=1) / np.sqrt(50)
    assert np.mean([one.high < 1.0 for one in found]) < np.mean(samples.mean(1) + symmetric < 1.0)


def test_two_methods_are_compared_on_the_same_resamples() -> None:
    generator = np.random.default_rng(1)
    one, other = generator.normal(size=40), generator.normal(size=40)
    side_by_side = bootstrap(np.stack([one, other], 1), lambda means: means[:, 0] - means[:, 1], resamples=300)
    differences = bootstrap((one - other)[:, None], first_column, resamples=300)
    assert side_by_side.low == pytest.approx(differences.low, abs=1e-12)
    assert side_by_side.high == pytest.approx(differences.high, abs=1e-12)
    alone = bootstrap(one[:, None], first_column, resamples=300)
    beside = bootstrap(np.stack([one, other], 1), first_column, resamples=300)
    assert beside.low == pytest.approx(alone.low, abs=1e-12)
    assert beside.high == pytest.approx(alone.high, abs=1e-12)


def test_one_seed_gives_one_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(2).exponential(size=30)
    assert mean_interval(values, seed=4) == mean_interval(values, seed=4) != mean_interval(values, seed=5)


def test_an_interval_narrows_with_users_and_widens_with_its_level() -> None:
    values = np.random.default_rng(3).exponential(size=400)
    few, many = mean_interval(values[:40]), mean_interval(values)
    assert few.high - few.low > many.high - many.low
    sure = bootstrap(values[:, None], first_column, level=0.99)
    assert sure.high - sure.low > many.high - many.low


def test_equal_values_have_an_interval_without_width() -> None:
    assert mean_interval(np.full(10, 0.25)) == Estimate(0.25, 0.25, 0.25, 10)


def test_one_user_tells_nothing_about_the_others() -> None:
    assert mean_interval(np.array([0.4])) == Estimate(0.4, -np.inf, np.inf, 1)


@pytest.mark.parametrize("values", [np.array([]), np.array([np.nan, np.nan])])
def test_no_user_gives_no_number(values: Array) -> None:
    found = mean_interval(values)
    assert found.n == 0
    assert np.isnan([found.value, found.low, found.high]).all()


def test_users_without_a_value_are_left_out() -> None:
    values = np.array([0.2, np.nan, 0.9, 0.4, np.nan])
    assert mean_interval(values) == mean_interval(np.array([0.2, 0.9, 0.4]))


def test_a_resample_without_a_finite_statistic_is_left_out() -> None:
    """With two users the denominator is zero wherever the second one was drawn twice."""
    users = np.array([[1.0, 1.0], [0.0, 0.0]])
    with np.errstate(invalid="ignore"):
        found = bootstrap(users, ratio, resamples=200)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_an_estimate_prints_with_its_interval_and_becomes_json() -> None:
    found = Estimate(0.25, 0.046, 0.699, 4)
    assert str(found) == "0.250 [0.046, 0.699]"
    assert found.to_json() == {"value": 0.25, "low": 0.046, "high": 0.699, "n": 4}
    assert found.has_interval


def test_a_number_of_all_users_together_prints_without_an_interval() -> None:
    found = Estimate(0.25, np.nan, np.nan, 4)
    assert str(found) == "0.250 (no interval)"
    assert not found.has_interval


@pytest.mark.parametrize(("only_one", "only_other"), [(0, 0), (3, 3), (0, 5), (1, 9), (12, 5), (40, 61)])
def test_mcnemars_p_value_is_the_chance_of_a_fair_coin_at_least_as_far_out(only_one: int, only_other: int) -> None:
    n, off = only_one + only_other, abs(only_one - only_other)
    as_far = sum(math.comb(n, hits) for hits in range(n + 1) if abs(2 * hits - n) >= off)
    assert mcnemar(only_one, only_other) == mcnemar(only_other, only_one) == pytest.approx(as_far / 2**n, rel=1e-12)


def test_mcnemars_p_value_of_many_users_is_that_of_the_normal_curve() -> None:
    assert mcnemar(30_000, 30_500) == pytest.approx(2 * NormalDist().cdf(-(500 - 1) / np.sqrt(60_500)), rel=1e-3)


def test_holm_raises_p_values_by_how_many_are_left_and_keeps_their_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # by hand: 3x, 1x -> 2x, 2x, 4x
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_holm_errs_as_seldom_as_it_promises_where_nothing_differs() -> None:
    p_values = np.random.default_rng(0).random((2_000, 4))
    wrong = np.mean([min(holm(row)) < 0.05 for row in p_values.tolist()])
    assert abs(wrong - (1 - 0.9875**4)) < 3 * np.sqrt(0.05 * 0.95 / 2_000)
    assert np.mean(p_values.min(1) < 0.05) > 0.15  # without it


@pytest.mark.parametrize(
    ("difference", "discordant", "users"), [(0.02, 0.05, 979), (0.005, 0.02, 6_277), (0.05, 0.20, 626)]
)
def test_users_that_a_difference_of_hit_rates_takes(difference: float, discordant: float, users: int) -> None:
    assert users_for_shares(difference, discordant) == users_for_shares(-difference, discordant) == users


@pytest.mark.parametrize(("times", "users"), [(2.0, 32), (5.0, 197), (10.0, 785)])
def test_users_that_a_difference_of_means_takes(times: float, users: int) -> None:
    assert users_for_means(0.25, times * 0.25) == users_for_means(-0.25, times * 0.25) == users


def test_with_that_many_users_mcnemar_finds_the_difference_as_often_as_promised() -> None:
    runs, n = 500, users_for_shares(0.05, 0.10)
    generator = np.random.default_rng(0)
    pairs = generator.multinomial(n, [0.075, 0.025, 0.90], size=runs)
    found = np.mean([mcnemar(int(one), int(other)) < 0.05 for one, other, _ in pairs])
    assert 0.72 < found < 0.86  # the exact test is a little shy of the promised 0.8


def test_more_power_and_more_certainty_take_more_users() -> None:
    assert users_for_shares(0.02, 0.05) < users_for_shares(0.02, 0.05, power=0.9)
    assert users_for_means(0.1, 0.5) < users_for_means(0.1, 0.5, level=0.99)


@pytest.mark.parametrize(("difference", "discordant"), [(0.0, 0.1), (0.2, 0.1), (0.1, 1.5)])
def test_hit_rates_cannot_differ_by_more_than_the_users_they_differ_on(difference: float, discordant: float) -> None:
    with pytest.raises(InvalidSetting, match="differ on a share of users from d to 1"):
        users_for_shares(difference, discordant)


def test_sample_sizes_of_nothing_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="a difference is not 0"):
        users_for_means(0.0, 0.1)
    with pytest.raises(InvalidSetting, match=r"power is from 0\.5 to below 1"):
        users_for_means(0.1, 0.1, power=1.0)

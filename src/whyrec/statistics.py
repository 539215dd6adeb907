"""Intervals over users, tests of two models on the same users, and how many users a difference needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from whyrec.errors import InvalidSetting

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Column means of resampled users, (resamples, columns), to the number of interest, (resamples,)."""

RESAMPLES = 2_000
RESAMPLES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval over `n` users; the ends are NaN where users drawn anew would mean nothing."""

    value: float
    low: float
    high: float
    n: int

    @property
    def has_interval(self) -> bool:
        """Whether users drawn anew would mean something; False too where nothing was measured."""
        return not math.isnan(self.low)

    def __str__(self) -> str:
        interval = f"[{self.low:.3f}, {self.high:.3f}]" if self.has_interval else "(no interval)"
        return f"{self.value:.3f} {interval}"

    def to_json(self) -> dict[str, float | int]:
        """As a JSON object."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def mean_interval(values: Array, *, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Mean over users, NaN left out, with its 95 % interval: Wilson's for yes and no, BCa bootstrap for the rest.

    >>> print(mean_interval(np.array([1.0, 0.0, 0.0, 0.0])))
    0.250 [0.046, 0.699]
    """
    values = values[~np.isnan(values)]
    if len(values) and np.isin(values, (0.0, 1.0)).all():
        return wilson(int(values.sum()), len(values))
    return bootstrap(values[:, None], lambda means: means[:, 0], seed=seed, resamples=resamples)


def wilson(hits: int, n: int, *, level: float = 0.95) -> Estimate:
    """Wilson's score interval of a share; sound also at 0 and 1, where a bootstrap has no width."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Estimate(share, float(max(0.0, centre - half)), float(min(1.0, centre + half)), n)


def bootstrap(
    users: Array,  # (users, columns)
    statistic: Statistic,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """A statistic of column means with its BCa interval (Efron 1987), users drawn with replacement.

    One seed draws the same users whatever the columns hold, so that two methods are compared on the same resamples.
    """
    n = len(users)
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    value = float(statistic(users.mean(0, keepdims=True))[0])
    if n == 1:
        return Estimate(value, float("-inf"), float("inf"), 1)
    drawn = np.concatenate([statistic(means) for means in _resampled_means(users, resamples, seed)])
    low, high = _bca(drawn, value, statistic((users.sum(0) - users) / (n - 1)), level)
    return Estimate(value, low, high, n)


def _resampled_means(users: Array, resamples: int, seed: int) -> list[Array]:
    generator, n = np.random.default_rng(seed), len(users)
    sizes = [min(RESAMPLES_AT_ONCE, resamples - start) for start in range(0, resamples, RESAMPLES_AT_ONCE)]
    return [users[generator.integers(0, n, (size, n))].mean(1) for size in sizes]


def _bca(drawn: Array, value: float, without_each: Array, level: float) -> tuple[float, float]:
    """Bias-corrected and accelerated percentiles."""
    drawn = np.sort(drawn[np.isfinite(drawn)])
    if len(drawn) == 0:
        return float("nan"), float("nan")
    below = (np.mean(drawn < value) + np.mean(drawn <= value)) / 2
    if below in (0.0, 1.0) or drawn[0] == drawn[-1]:
        return float(drawn[0]), float(drawn[-1])
    spread = without_each.mean() - without_each
    scale = 6 * (spread**2).sum() ** 1.5
    acceleration = float((spread**3).sum() / scale) if scale > 0 else 0.0
    normal, shift = NormalDist(), NormalDist().inv_cdf(float(below))
    ends = []
    for tail in (0.5 - level / 2, 0.5 + level / 2):
        z = shift + normal.inv_cdf(tail)
        ends.append(float(np.quantile(drawn, normal.cdf(shift + z / (1 - acceleration * z)))))
    return ends[0], ends[1]


def mcnemar(only_one: int, only_other: int) -> float:
    """Two-sided p-value that two yes-or-no answers are yes equally often, from the users on whom they differ.

    McNemar 1947, exact: under the null each such user is a fair coin.

    >>> mcnemar(1, 9)
    0.021484375
    """
    n, ways, tail = only_one + only_other, 1, 0  # integers: no rounding, however many users
    for hits in range(min(only_one, only_other) + 1):
        tail += ways  # ways to toss `hits` heads in n
        ways = ways * (n - hits) // (hits + 1)
    both_sides: float = 2 * tail / 2**n
    return min(1.0, both_sides)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several comparisons made at once, each raised so that all together err as often as one would.

    Holm 1979: the smallest of m times m, the next times m - 1, ..., and none below one that was smaller before.

    >>> [round(p, 6) for p in holm([0.04, 0.01, 0.03])]
    [0.06, 0.03, 0.06]
    """
    raised, least = [0.0] * len(p_values), 0.0
    for place, row in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - place) * p_values[row]))
        raised[row] = least
    return raised


def users_for_shares(difference: float, discordant: float, *, power: float = 0.8, level: float = 0.95) -> int:
    """Users it takes to tell two hit rates apart that differ by `difference`, where a share `discordant` of users is
    hit by one model only.

        n = (z_level sqrt(discordant) + z_power sqrt(discordant - difference^2))^2 / difference^2

    Connor 1987, Sample size for testing differences in proportions for the paired-sample design.

    >>> users_for_shares(0.02, 0.05)
    979
    """
    if not 0 < abs(difference) <= discordant <= 1:
        raise InvalidSetting(
            f"difference={difference}, discordant={discordant}: hit rates that differ by d differ on a share of users "
            "from d to 1, and d is not 0"
        )
    sure, able = _quantiles(power, level)
    reach = sure * math.sqrt(discordant) + able * math.sqrt(discordant - difference**2)
    return math.ceil(reach**2 / difference**2)


def users_for_means(difference: float, deviation: float, *, power: float = 0.8, level: float = 0.95) -> int:
    """Users it takes to tell two means apart that differ by `difference`, where a user's difference has this standard
    deviation.

        n = ((z_level + z_power) deviation / difference)^2

    >>> users_for_means(0.01, 0.05)
    197
    """
    if difference == 0 or deviation < 0:
        raise InvalidSetting(
            f"difference={difference}, deviation={deviation}: a difference is not 0, a deviation not negative"
        )
    return math.ceil((sum(_quantiles(power, level)) * deviation / difference) ** 2)


def _quantiles(power: float, level: float) -> tuple[float, float]:
    """Standard normal quantiles of a two-sided test at `level` that finds what is there with `power`."""
    if not (0.5 <= power < 1 and 0 < level < 1):
        raise InvalidSetting(f"power={power}, level={level}: power is from 0.5 to below 1, level between 0 and 1")
    return NormalDist().inv_cdf(0.5 + level / 2), NormalDist().inv_cdf(power)

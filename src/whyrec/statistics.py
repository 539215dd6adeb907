"""Intervals over users. No number about a model or an explanation is shown without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Column means of resampled users, (resamples, columns), to the number of interest, (resamples,)."""

RESAMPLES = 2_000
RESAMPLES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval over `n` users."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

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

"""LIME: a weighted linear fit to the scores of the input with units removed at random.

    weight(S) = sqrt(exp(-d ** 2 / width ** 2)),   d = 1 - sqrt(|S| / n), the cosine distance to the whole input

Ribeiro, Singh and Guestrin 2016, "Why should I trust you?", with the sampling and the weights of the authors' code for
text: the number of removed units is uniform, here from none to all of them. A unit is there or not, so its coefficient
times the way it goes, from 0 to 1, is its contribution, in the unit of the score; slopes that have to be multiplied by
something first are not given.

Sizes of sets are drawn as often as their samples would weigh, and then weigh the same; where all sets of a size fit,
they are all taken. The fit is the one that independent sampling approaches, from fewer samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from whyrec.attribution import Attribution, account
from whyrec.coalitions import Players
from whyrec.designs import Design, play
from whyrec.errors import InvalidSetting
from whyrec.question import Question
from whyrec.subsets import Sets, Shares, subsets_by_size

STREAM = 0x6C696D65
"""Keeps these samples apart from other draws of the same seed."""

LEAST_SPREAD = 1e-9
"""Of the samples in any direction, relative to their weight; with less, rounding decides."""


@dataclass(frozen=True)
class LIME:
    """How a linear surrogate sees the neighbourhood of the input. It promises no sum.

    The attribution's notes hold `surrogate_r2`, the share of the variance between samples that the surrogate explains:
    read the contributions with it. The ledger's reference is the surrogate's intercept, and so its gap is what the
    surrogate misses of the score itself.
    """

    samples: int | None = None
    """Sets of units to score, for each user of the background; 4 * units + 2048 unless given."""
    kernel_width: float = 0.25
    """How near a sample has to be to count; the larger, the more the sets with few units matter."""
    ridge: float = 0.0
    """Penalty on squared contributions, as a ridge regression over as many weighted rows has it; 1 in the authors'
    code. It draws contributions towards 0."""
    background: int = 0
    """Known users whose values stand in for removed units, drawn by the seed; 0 takes units away."""

    def __post_init__(self) -> None:
        for name, wrong, why in (
            ("samples", self.samples is not None and self.samples < 1, "a fit takes at least one"),
            ("kernel_width", not self.kernel_width > 0, "it is a distance above 0"),
            ("ridge", not self.ridge >= 0, "it is 0 or more"),
        ):
            if wrong:
                raise InvalidSetting(f"LIME: {name}={getattr(self, name)}: {why}")

    def __call__(self, question: Question) -> Attribution:
        players = Players(question, background=self.background)
        with torch.no_grad():
            target = question.value(question.inputs)
        found, fit = play(players, partial(self._plan, seed=question.seed))
        relevance = players.part(found)
        present = {name: question.present(name) for name in question.parts}
        ledger = account(target, relevance, reference=fit.intercept)
        return Attribution(relevance, present, ledger, complete=False, notes={"surrogate_r2": fit.r2})

    def _plan(self, units: int, row: int, *, seed: int) -> Design:
        samples = 4 * units + 2048 if self.samples is None else self.samples
        generator = np.random.default_rng([seed, STREAM, units, row])
        sets, mass = subsets_by_size(self._share(units), samples, generator)
        weights = self._solution(sets, mass, self.ridge / samples)
        return Design(torch.from_numpy(sets), torch.from_numpy(weights), torch.from_numpy(mass))

    def _share(self, units: int) -> Shares:
        """How much all sets of each size weigh, from none to all units."""
        sizes = np.arange(units + 1)
        distance = 1 - np.sqrt(sizes / max(1, units))
        kernel = np.sqrt(np.exp(-((distance / self.kernel_width) ** 2)))
        share: Shares = kernel / len(sizes)
        return share

    def _solution(self, sets: Sets, mass: Shares, penalty: float) -> Shares:
        """What the coefficients of a ridge regression with an intercept take from the worth of each set, (sets, unit).

        Where what counts of the samples does not tell the units apart, there is no answer without a penalty.
        """
        units = sets.shape[1]
        centred = sets - mass @ sets / mass.sum()
        weighted = centred * mass[:, None]
        spread = centred.T @ weighted
        if units and not penalty and np.linalg.eigvalsh(spread)[0] < LEAST_SPREAD * mass.sum():
            raise InvalidSetting(
                f"LIME: samples={self.samples}, kernel_width={self.kernel_width}: the samples that count do not tell "
                f"{units} units apart; give more samples (at least {4 * units}), a wider kernel, or a ridge above 0"
            )
        solution: Shares = np.linalg.solve(spread + penalty * np.eye(units), weighted.T).T
        return solution

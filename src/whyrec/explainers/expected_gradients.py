"""Expected gradients, known as GradientSHAP too: integrated gradients from many references, at points drawn by chance.

    R = E over references x' and t uniform in (0, 1) of  (x - x') * df/dx at x' + t (x - x')

Erion et al. 2021, Improving performance of deep learning models with axiomatic attribution priors. Where no one value
stands for "nothing", the values of other users take turns. For affine scores it is exact; else the gap in the ledger is
the error of the draws, which halves with four times the samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from whyrec.attribution import Attribution, account
from whyrec.errors import InvalidSetting
from whyrec.paths import mean_along_paths, starts_of, values_at
from whyrec.question import Question


@dataclass(frozen=True)
class ExpectedGradients:
    """Adds up to the score above the mean score of the references, as far as the samples reach."""

    samples: int = 200
    """Points for each user, as many from one reference as from another, or one more. Their places on the way are drawn
    by the seed, one from each of so many equal stretches."""
    background: int = 0
    """Known users to start from, drawn by the seed; 0 starts from each part's own baseline alone."""

    def __post_init__(self) -> None:
        if self.samples < max(1, self.background):
            raise InvalidSetting(
                f"ExpectedGradients: samples={self.samples}, background={self.background}: every reference takes at "
                "least one sample"
            )

    def __call__(self, question: Question) -> Attribution:
        starts = starts_of(question, self.background)
        with torch.no_grad():
            target = question.value(question.inputs)
        relevance = mean_along_paths(question, starts, self._times(question).to(target))
        values = values_at(question, starts)  # (references, users, items)
        taken = torch.bincount(torch.arange(self.samples, device=target.device) % len(values))
        reference = torch.einsum("r,rui->ui", taken.double() / self.samples, values)
        return Attribution(
            relevance,
            present={name: question.present(name) for name in question.parts},
            ledger=account(target, relevance, reference=reference),
            complete=True,
        )

    def _times(self, question: Question) -> Tensor:
        """How far on its way each point is, (samples, users): uniform, and spread evenly over the samples of a user."""
        columns = [
            (generator.permutation(self.samples) + generator.random(self.samples)) / self.samples
            for generator in question.generators("expected gradients")
        ]
        return torch.from_numpy(np.stack(columns, axis=1))

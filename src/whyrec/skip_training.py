"""Training on sessions: a session is one row with all its places, which no objective of events has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.epochs import Epochs, Watcher
from whyrec.errors import InvalidSetting, WhyrecError
from whyrec.objectives import Batch, Judged, Objective
from whyrec.recommender import Recommender, Request
from whyrec.sessions import HALF, Sessions
from whyrec.skip_accuracy import average_accuracy, guesses
from whyrec.skip_model import PLACES, SkipModel
from whyrec.training import Training


def fit_skips(
    model: SkipModel,
    train: Sessions,
    validation: Sessions | None = None,
    training: Training | None = None,
    *,
    progress: bool | None = None,
    watchers: tuple[Watcher, ...] = (),
) -> SkipModel:
    """Train `model` on sessions, keep the epoch with the best mean average accuracy on `validation`, and return it.

    It then looks at the training sessions: `model.on(others)` looks at others. `batch_size` counts sessions. Without
    validation sessions the last epoch is kept. A bar shows on a terminal unless `progress` says not.

    >>> from whyrec.datasets.planted_sessions import load
    >>> from whyrec.skip_rivals import LastSkip
    >>> fit_skips(LastSkip(), load(sessions=20)).is_built
    True
    """
    training = model.usually(training)
    if training.refit or training.loss != "log":
        raise InvalidSetting("fit_skips: sessions are learned by loss='log', without refit; change the training")
    if not train.to_guess.any():
        raise WhyrecError(f"{train.name}: no skip of a second half is known, so there is nothing to learn")
    model.build(train.as_users, PLACES, seed=training.seed)
    model.learn_scales(train)
    model.to(training.device)
    model.sessions, model.known = train, None
    if list(model.parameters()):
        aim = SkipsGuessed(train, validation, training)
        shown = sys.stderr.isatty() if progress is None else progress
        model.log = Epochs(model, aim, training, shown, watchers).run(training.epochs)
    model.trained_by = training
    return model.eval()


class SkipsGuessed(Objective):
    """All places of some sessions at once, from what is known of these sessions."""

    measure = "MAA"

    def __init__(self, train: Sessions, validation: Sessions | None, training: Training) -> None:
        super().__init__(training)
        self.validation = validation
        self.lessons = torch.from_numpy(train.to_guess.any(1)).nonzero()[:, 0]  # sessions with something to learn
        self.skipped = torch.from_numpy(np.where(train.to_guess, train.skipped[:, HALF:], np.float32("nan")))

    @property
    def steps(self) -> int:
        return -(-len(self.lessons) // self.training.batch_size)

    def batches(self, model: Recommender, generator: torch.Generator) -> Iterator[Batch]:
        places = torch.arange(HALF, device=model.device)[None]
        for chosen in torch.randperm(len(self.lessons), generator=generator).split(self.training.batch_size):
            rows = self.lessons[chosen]
            request = Request(
                rows.to(model.device), places, rows.new_zeros(len(rows), 0).to(model.device), compact=True
            )
            yield Batch(request, self.skipped[rows].to(model.device))

    def loss(self, scores: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy of the places whose skip is known, in nats; `wanted`, (sessions, HALF), is NaN elsewhere."""
        there = ~wanted.isnan()
        return F.binary_cross_entropy_with_logits(scores[there], wanted[there])

    def judge(self, model: Recommender) -> Judged:
        if self.validation is None:
            return Judged()
        found = guesses(cast(SkipModel, model).on(self.validation))
        return Judged(maa=float(np.nanmean(average_accuracy(found.right, found.there))))

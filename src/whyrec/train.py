"""`fit`: build the model, train or solve it, choose the epoch on validation only."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whyrec import kinds, resume
from whyrec.epochs import Epochs, Watcher, copied
from whyrec.errors import WhyrecError
from whyrec.lazy_adam import LazyAdam
from whyrec.objectives import objective
from whyrec.recommender import Recommender, Solved
from whyrec.settings import to_json
from whyrec.split import Split, TrainingData
from whyrec.training import Epoch, Training, chosen_epoch


def fit(
    model: Recommender,
    split: Split | TrainingData,
    training: Training | None = None,
    *,
    progress: bool | None = None,
    watchers: tuple[Watcher, ...] = (),
    checkpoint: str | Path | None = None,
) -> Recommender:
    """Train `model` on the training part of `split`, choosing the epoch by the validation part, and return it.

    The test part is not looked at: what is handed on has none. A fitted model starts from scratch; one that was built
    but never fitted, such as `NeuMF.from_pretrained` makes, is trained from the weights it has. A bar shows on a
    terminal unless `progress` says not; each of `watchers` is called with each epoch.

    With a `checkpoint` file the run is kept after every epoch, and a run found there goes on: an interrupted and
    resumed run equals an uninterrupted one to the last bit. The file is taken away when training ends.

    >>> from whyrec.datasets import planted
    >>> from whyrec.models.ease import EASE
    >>> from whyrec.split import leave_last_out
    >>> fit(EASE(), leave_last_out(planted.load(users=60, items=60))).is_built
    True
    """
    training = model.usually(training)
    data = split.for_training() if isinstance(split, Split) else split
    _fit_to(model, data)
    if not model.is_built or model.trained_by is not None:
        model.build(data.users, data.items, seed=training.seed)
    model.to(training.device)
    known = data.train.together_with(data.validation)
    log: tuple[Epoch, ...] = ()
    if isinstance(model, Solved):
        model.solve(known if training.refit else data.train)
    else:
        model.prepare(data.train)
        shown = sys.stderr.isatty() if progress is None else progress
        log = _Run(model, data, training, shown, watchers, None if checkpoint is None else Path(checkpoint)).go()
    model.known, model.log, model.trained_by = known, log, training
    return model.eval()


def _fit_to(model: Recommender, data: TrainingData) -> None:
    if len(data.train) == 0:
        raise WhyrecError(f"{data.name}: the training part is empty")
    if not model.is_built:
        return
    same_users = model.users.vocabulary == data.users.vocabulary
    if not (same_users and model.items.vocabulary == data.items.vocabulary):
        raise WhyrecError(
            f"this {type(model).__name__} was built for other users or items than {data.name} has; make a new one"
        )


@dataclass(eq=False)
class _Run:
    """One training run: first to choose the number of epochs, then, if asked for, on everything for that many."""

    model: Recommender
    data: TrainingData
    training: Training
    shown: bool
    watchers: tuple[Watcher, ...]
    checkpoint: Path | None

    def go(self) -> tuple[Epoch, ...]:
        """Train in place; the weights are those of the chosen epoch, and the log is the one that chose it."""
        kept = None if self.checkpoint is None else resume.find(self.checkpoint, self._identity())
        for remark in kept.remarks if kept else ():
            print(f"{remark}; the last bits may differ", file=sys.stderr)
        first = resume.group(kept, "first") if kept else copied(self.model)
        if kept is None or not kept.chosen:
            log, kept = self._train(self.data, self.training.epochs, first, kept), None
        else:
            log = kept.chosen
        if self.training.refit:
            if kept is None:
                self.model.load_state_dict(first)
            self._train(_without_validation(self.data), chosen_epoch(log).number, first, kept, chosen=log)
        if self.checkpoint is not None:
            self.checkpoint.unlink(missing_ok=True)
        return log

    def _train(
        self,
        data: TrainingData,
        epochs: int,
        first: dict[str, Tensor],
        kept: resume.Kept | None,
        chosen: tuple[Epoch, ...] = (),
    ) -> tuple[Epoch, ...]:
        """Train for at most `epochs`, and leave the weights that validation liked best."""
        epochs_of = Epochs(self.model, objective(data, self.training), self.training, self.shown, self.watchers)
        if self.checkpoint is None:
            return epochs_of.run(epochs)
        return epochs_of.run(epochs, kept=kept, keep=partial(self._keep, self.checkpoint, chosen, first))

    def _keep(
        self,
        checkpoint: Path,
        chosen: tuple[Epoch, ...],
        first: dict[str, Tensor],
        log: tuple[Epoch, ...],
        best: dict[str, Tensor],
        optimizer: LazyAdam,
        generator: torch.Generator,
    ) -> None:
        resume.keep(
            checkpoint,
            self._identity(),
            chosen=chosen,
            log=log,
            weights=self.model.state_dict(),
            best=best,
            first=first,
            optimizer=optimizer,
            generator=generator,
        )

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        return {
            "model": kinds.name_of(self.model),
            "settings": to_json(self.model.settings),
            "training": to_json(self.training),
            "training events": self.data.train.fingerprint(),
            "validation events": self.data.validation.fingerprint(),
        }


def _without_validation(data: TrainingData) -> TrainingData:
    """Everything to train on, nothing to choose by."""
    known = data.train.together_with(data.validation)
    return TrainingData(data.name, known, known.where(np.zeros(len(known), dtype=bool)), data.users, data.items)

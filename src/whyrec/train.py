"""The one training loop, and `fit`: build the model, train or solve it, choose the epoch on validation only."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor

from whyrec import kinds, resume
from whyrec.chance import seeded
from whyrec.errors import WhyrecError
from whyrec.lazy_adam import LazyAdam
from whyrec.objectives import Batch, Objective, objective
from whyrec.recommender import Penalised, Recommender, Solved
from whyrec.settings import to_json
from whyrec.split import Split, TrainingData
from whyrec.training import Epoch, Training, chosen_epoch

Watcher = Callable[[Epoch], None]


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
        first = resume.group(kept, "first") if kept else _copied(self.model)
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
        generator = torch.Generator().manual_seed(self.training.seed)
        rate, decay = self.training.learning_rate, self.training.weight_decay
        optimizer = LazyAdam(self.model.parameters(), learning_rate=rate, weight_decay=decay)
        aim = objective(data, self.training)
        log: tuple[Epoch, ...] = ()
        best: dict[str, Tensor] = {}
        with seeded(self.training.seed, self.training.device), _bar(self.shown) as bar:
            if kept is not None:
                best = resume.put_back(kept, self.model, optimizer, generator)
                log = kept.log
            task = bar.add_task(type(self.model).__name__, total=epochs * aim.steps, said="")
            while not self._is_over(log, epochs):
                epoch = self._epoch(aim, len(log) + 1, optimizer, generator, lambda: bar.advance(task))
                log = (*log, epoch)
                if epoch is chosen_epoch(log):
                    best = _copied(self.model)
                self._keep(chosen, log, best, first, optimizer, generator)
                self._tell(epoch, bar, task)
        self.model.load_state_dict(best)
        return log

    def _is_over(self, log: tuple[Epoch, ...], epochs: int) -> bool:
        if not log:
            return False
        waited = log[-1].number - chosen_epoch(log).number
        return len(log) >= epochs or (log[-1].merit is not None and waited >= self.training.patience)

    def _epoch(
        self,
        aim: Objective,
        number: int,
        optimizer: LazyAdam,
        generator: torch.Generator,
        advance: Callable[[], None],
    ) -> Epoch:
        started, losses = time.perf_counter(), []
        self.model.train()
        for batch in aim.batches(self.model, generator):
            losses.append(step(self.model, batch, optimizer, aim))
            advance()
        self.model.eval()
        loss = _finite(float(torch.stack(losses).mean()), self.model, number)
        found, seconds = aim.judge(self.model), time.perf_counter() - started
        return Epoch(number, loss, found.ndcg, seconds, found.loss, found.hit_rate, found.rmse)

    def _keep(
        self,
        chosen: tuple[Epoch, ...],
        log: tuple[Epoch, ...],
        best: dict[str, Tensor],
        first: dict[str, Tensor],
        optimizer: LazyAdam,
        generator: torch.Generator,
    ) -> None:
        if self.checkpoint is not None:
            resume.keep(
                self.checkpoint,
                self._identity(),
                chosen=chosen,
                log=log,
                weights=self.model.state_dict(),
                best=best,
                first=first,
                optimizer=optimizer,
                generator=generator,
            )

    def _tell(self, epoch: Epoch, bar: Progress, task: TaskID) -> None:
        bar.update(task, said=_say(epoch))
        for watcher in self.watchers:
            watcher(epoch)

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        return {
            "model": kinds.name_of(self.model),
            "settings": to_json(self.model.settings),
            "training": to_json(self.training),
            "training events": self.data.train.fingerprint(),
            "validation events": self.data.validation.fingerprint(),
        }


def _copied(model: Recommender) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _without_validation(data: TrainingData) -> TrainingData:
    """Everything to train on, nothing to choose by."""
    known = data.train.together_with(data.validation)
    return TrainingData(data.name, known, known.where(np.zeros(len(known), dtype=bool)), data.users, data.items)


def step(model: Recommender, batch: Batch, optimizer: LazyAdam, aim: Objective) -> Tensor:
    """One step of gradient descent; the loss before it, without a penalty, detached."""
    optimizer.zero_grad()
    inputs = model.embed(batch.request)
    wrong = aim.wrong(model, inputs, batch.wanted)
    (wrong + model.penalty(inputs) if isinstance(model, Penalised) else wrong).backward()
    optimizer.step()
    return wrong.detach()


def _finite(loss: float, model: Recommender, epoch: int) -> float:
    if not math.isfinite(loss):
        raise WhyrecError(
            f"training {type(model).__name__} diverged in epoch {epoch}: its loss is {loss}; lower learning_rate"
        )
    return loss


def _bar(shown: bool) -> Progress:
    columns = (
        TextColumn("training {task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[said]}"),
    )
    return Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True)


def _say(epoch: Epoch) -> str:
    said = f"epoch {epoch.number}: loss {epoch.loss:.4f}"
    if epoch.rmse is not None:
        return f"{said}, validation RMSE {epoch.rmse:.4f}"
    if epoch.validation is None:
        return said
    return f"{said}, validation loss {epoch.validation_loss:.4f}, NDCG@10 {epoch.validation:.4f}"

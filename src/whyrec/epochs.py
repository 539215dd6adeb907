"""The one training loop: epochs by one objective, until validation has waited long enough or none is left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor

from whyrec import resume
from whyrec.chance import seeded
from whyrec.errors import WhyrecError
from whyrec.lazy_adam import LazyAdam
from whyrec.objectives import Batch, Objective
from whyrec.recommender import Penalised, Recommender
from whyrec.training import Epoch, Training, chosen_epoch

Watcher = Callable[[Epoch], None]
Keeper = Callable[[tuple[Epoch, ...], dict[str, Tensor], LazyAdam, torch.Generator], None]
"""Told after each epoch: the log so far, the best weights, and what it takes to go on."""


@dataclass(eq=False)
class Epochs:
    """Training of one model in place."""

    model: Recommender
    aim: Objective
    training: Training
    shown: bool = False
    """Whether a bar shows how far it is."""
    watchers: tuple[Watcher, ...] = ()

    def run(self, most: int, *, kept: resume.Kept | None = None, keep: Keeper | None = None) -> tuple[Epoch, ...]:
        """Train for at most `most` epochs, those of a `kept` run among them; leaves the weights of the chosen one."""
        generator = torch.Generator().manual_seed(self.training.seed)
        rate, decay = self.training.learning_rate, self.training.weight_decay
        optimizer = LazyAdam(self.model.parameters(), learning_rate=rate, weight_decay=decay)
        log: tuple[Epoch, ...] = ()
        best: dict[str, Tensor] = {}
        with seeded(self.training.seed, self.training.device), _bar(self.shown) as bar:
            if kept is not None:
                best = resume.put_back(kept, self.model, optimizer, generator)
                log = kept.log
            task = bar.add_task(type(self.model).__name__, total=most * self.aim.steps, said="")
            while not self._is_over(log, most):
                epoch = self._epoch(len(log) + 1, optimizer, generator, lambda: bar.advance(task))
                log = (*log, epoch)
                if epoch is chosen_epoch(log):
                    best = copied(self.model)
                if keep is not None:
                    keep(log, best, optimizer, generator)
                self._tell(epoch, bar, task)
        self.model.load_state_dict(best)
        return log

    def _is_over(self, log: tuple[Epoch, ...], most: int) -> bool:
        if not log:
            return False
        waited = log[-1].number - chosen_epoch(log).number
        return len(log) >= most or (log[-1].merit is not None and waited >= self.training.patience)

    def _epoch(
        self, number: int, optimizer: LazyAdam, generator: torch.Generator, advance: Callable[[], None]
    ) -> Epoch:
        started, losses = time.perf_counter(), []
        self.model.train()
        for batch in self.aim.batches(self.model, generator):
            losses.append(step(self.model, batch, optimizer, self.aim))
            advance()
        self.model.eval()
        loss = _finite(float(torch.stack(losses).mean()), self.model, number)
        found, seconds = self.aim.judge(self.model), time.perf_counter() - started
        return Epoch(number, loss, found.ndcg, seconds, found.loss, found.hit_rate, found.rmse, found.maa)

    def _tell(self, epoch: Epoch, bar: Progress, task: TaskID) -> None:
        bar.update(task, said=_say(epoch))
        for watcher in self.watchers:
            watcher(epoch)


def copied(model: Recommender) -> dict[str, Tensor]:
    """The weights as they are now."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


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
    if epoch.merit is None:
        return said
    held_out = "" if epoch.validation_loss is None else f"validation loss {epoch.validation_loss:.4f}, "
    return f"{said}, {held_out}validation {epoch.measure} {abs(epoch.merit):.4f}"

"""The one training loop, and `fit`: build the model, train or solve it, choose the epoch on validation only."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from whyrec.errors import WhyrecError
from whyrec.interactions import Interactions
from whyrec.losses import log_loss
from whyrec.metrics.ndcg import ndcg
from whyrec.negatives import Seen, uniform
from whyrec.ranking import rank_in_catalogue
from whyrec.recommender import Recommender, Request, Solved
from whyrec.split import Split, TrainingData
from whyrec.training import Epoch, Training
from whyrec.vectors import hide_some


def fit(
    model: Recommender,
    split: Split | TrainingData,
    training: Training | None = None,
    *,
    progress: bool | None = None,
) -> Recommender:
    """Train `model` on the training part of `split`, choosing the epoch by the validation part, and return it.

    The test part is not looked at: what is handed on has none. A bar shows on a terminal unless `progress` says not.

    >>> from whyrec.datasets import planted
    >>> from whyrec.models.ease import EASE
    >>> from whyrec.split import leave_last_out
    >>> fit(EASE(), leave_last_out(planted.load(users=60, items=60))).is_built
    True
    """
    training = training or Training()
    data = split.for_training() if isinstance(split, Split) else split
    _fit_to(model, data)
    model.build(data.users, data.items, seed=training.seed).to(training.device)
    known = data.train.together_with(data.validation)
    log: tuple[Epoch, ...] = ()
    if isinstance(model, Solved):
        model.solve(known if training.refit else data.train)
    else:
        shown = sys.stderr.isatty() if progress is None else progress
        log = _train(model, data, training, shown)
        if training.refit:
            model.build(data.users, data.items, seed=training.seed).to(training.device)
            _train(model, _without_validation(data, known), training, shown, epochs=_best(log))
    model.known, model.log, model.trained_by = known, log, training
    return model.eval()


def _fit_to(model: Recommender, data: TrainingData) -> None:
    if len(data.train) == 0:
        raise WhyrecError(f"{data.name}: the training part is empty")
    if model.is_built and (model.users.vocabulary, model.items.vocabulary) != (
        data.users.vocabulary,
        data.items.vocabulary,
    ):
        raise WhyrecError(
            f"this {type(model).__name__} was built for other users or items than {data.name} has; make a new one"
        )


def _without_validation(data: TrainingData, train: Interactions) -> TrainingData:
    return TrainingData(data.name, train, train.where(np.zeros(len(train), dtype=bool)), data.users, data.items)


def _best(log: tuple[Epoch, ...]) -> int:
    return max(log, key=lambda epoch: epoch.validation if epoch.validation is not None else epoch.number).number


def _train(
    model: Recommender,
    data: TrainingData,
    training: Training,
    shown: bool,
    *,
    epochs: int | None = None,
) -> tuple[Epoch, ...]:
    """Train in place, and leave the weights of the epoch that validation liked best."""
    generator = torch.Generator().manual_seed(training.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
    )
    judges = _judges(data, training)
    log: list[Epoch] = []
    best: dict[str, Tensor] = {}
    most = epochs or training.epochs
    steps = -(-len(data.train) // training.batch_size)
    with _bar(shown) as bar, torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        task = bar.add_task(type(model).__name__, total=most * steps, said="")
        for number in range(1, most + 1):
            started = time.perf_counter()
            losses = []
            model.train()
            for request in batches(model, data.train, training, generator):
                losses.append(step(model, request, optimizer))
                bar.advance(task)
            model.eval()
            validation = _validate(model, data.train, judges)
            loss = _finite(float(torch.stack(losses).mean()), model, number)
            log.append(Epoch(number, loss, validation, time.perf_counter() - started))
            bar.update(task, said=_say(log[-1]))
            if validation is None or number == _best(tuple(log)):
                best = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            elif number - _best(tuple(log)) >= training.patience:
                break
    model.load_state_dict(best)
    return tuple(log)


def batches(
    model: Recommender, train: Interactions, training: Training, generator: torch.Generator
) -> Iterator[Request]:
    """One pass in a random order: requests of (batch, 1 + negatives) items, the taken item in the first column.

    The taken item is out of its row's history, for its negatives as well; otherwise the history gives the label away.
    """
    seen = Seen(train)
    users, items = torch.from_numpy(train.users), torch.from_numpy(train.items)
    for chosen in torch.randperm(len(train), generator=generator).split(training.batch_size):
        rows = users[chosen]
        taken = items[chosen][:, None]
        asked = torch.cat([taken, uniform(rows, training.negatives, seen, generator)], dim=1)
        history = model.seen_by(rows, train)
        history = torch.where(history == taken, -1, history)
        hidden = hide_some(history, model.max_trained_drop, generator) if history.shape[1] else None
        device = model.device
        yield Request(
            rows.to(device),
            asked.to(device),
            history.to(device),
            None if hidden is None else hidden.to(device),
            compact=True,
        )


def step(model: Recommender, request: Request, optimizer: torch.optim.Optimizer) -> Tensor:
    """One step of gradient descent; the loss before it, detached."""
    optimizer.zero_grad()
    loss = log_loss(model.score(model.embed(request)))
    loss.backward()
    optimizer.step()
    return loss.detach()


def _finite(loss: float, model: Recommender, epoch: int) -> float:
    if not math.isfinite(loss):
        raise WhyrecError(
            f"training {type(model).__name__} diverged in epoch {epoch}: its loss is {loss}; lower learning_rate"
        )
    return loss


def _judges(data: TrainingData, training: Training) -> Interactions:
    """The validation events that choose the epoch."""
    users = np.unique(data.validation.users)
    if len(users) <= training.validation_users:
        return data.validation
    drawn = np.random.default_rng(training.seed).choice(users, training.validation_users, replace=False)
    return data.validation.where(np.isin(data.validation.users, drawn))


def _validate(model: Recommender, train: Interactions, judges: Interactions) -> float | None:
    if len(judges) == 0:
        return None
    return float(ndcg(rank_in_catalogue(model, train, judges).ranks, k=10).mean())


def _bar(shown: bool) -> Progress:
    columns = (
        TextColumn("training {task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[said]}"),
    )
    return Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True)


def _say(epoch: Epoch) -> str:
    validation = "" if epoch.validation is None else f", validation NDCG@10 {epoch.validation:.4f}"
    return f"epoch {epoch.number}: loss {epoch.loss:.4f}{validation}"

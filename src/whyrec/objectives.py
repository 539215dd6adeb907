"""What a model is trained for: which batches make a pass, how wrong one is, and how good an epoch is.

    log, bpr       pairs      an item that was taken, and some that were not
    multinomial    lists      all that a user took, at once
    squared        ratings    the value of each event

Pairs and lists are judged by the rank of held-out items, ratings by their error.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from whyrec.errors import BadInput
from whyrec.interactions import Interactions
from whyrec.losses import bpr, log_loss, multinomial, squared
from whyrec.metrics.hit_rate import hit_rate
from whyrec.metrics.ndcg import ndcg
from whyrec.negatives import Seen, distinct_uniform, uniform
from whyrec.ranking import rank_among, rank_in_catalogue
from whyrec.recommender import Inputs, OwnLoss, Recommender, Request
from whyrec.split import TrainingData
from whyrec.training import Loss, Measure, Training
from whyrec.vectors import hide_some

DRAWN_TOGETHER = 1 << 16
"""Positives whose negatives are drawn at once."""

HELD_OUT_SEED = 1
"""Where the negatives of the validation loss come from: the same in all runs, so that their losses compare."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is asked of a model in one step, and what the scores should be."""

    request: Request
    wanted: Tensor  # (users, items), as the scores


@dataclass(frozen=True, slots=True)
class Judged:
    """What the validation part says of the weights after an epoch."""

    loss: float | None = None
    ndcg: float | None = None
    hit_rate: float | None = None
    rmse: float | None = None
    maa: float | None = None

    def value(self, measure: Measure) -> float:
        """One of them by its name; not a number where it was not measured."""
        found = {"NDCG@10": self.ndcg, "RMSE": self.rmse, "MAA": self.maa}[measure]
        return math.nan if found is None else found


class Objective(ABC):
    """Batches, loss and judgement of one training run."""

    measure: ClassVar[Measure] = "NDCG@10"
    """What the validation part is judged by."""

    def __init__(self, training: Training) -> None:
        self.training = training

    @property
    @abstractmethod
    def steps(self) -> int:
        """Steps of a pass."""

    @abstractmethod
    def batches(self, model: Recommender, generator: torch.Generator) -> Iterator[Batch]:
        """One pass over the training part in a random order."""

    @abstractmethod
    def loss(self, scores: Tensor, wanted: Tensor) -> Tensor:
        """How wrong the scores of a batch are; one number."""

    def wrong(self, model: Recommender, inputs: Inputs, wanted: Tensor) -> Tensor:
        """How wrong a model is about a batch: its score, or in its own sense where it brings one."""
        if isinstance(model, OwnLoss):
            return model.own_loss(inputs, wanted, self.training.loss or model.usual_loss)
        return self.loss(model.score(inputs), wanted)

    @abstractmethod
    def judge(self, model: Recommender) -> Judged:
        """What the validation part says; nothing where there is none."""


class OfEvents(Objective):
    """An objective whose parts are events of users and items."""

    def __init__(self, data: TrainingData, training: Training) -> None:
        super().__init__(training)
        self.data = data

    @property
    def steps(self) -> int:
        return -(-len(self.data.train) // self.training.batch_size)

    @torch.no_grad()
    def judge(self, model: Recommender) -> Judged:
        return self._judged(model) if len(self.held_out) else Judged()

    @abstractmethod
    def _judged(self, model: Recommender) -> Judged: ...

    @cached_property
    def held_out(self) -> Interactions:
        """The validation events that choose the epoch: those of `validation_users` users, drawn by the seed."""
        events, users = self.data.validation, np.unique(self.data.validation.users)
        if len(users) <= self.training.validation_users:
            return events
        chance = np.random.default_rng(self.training.seed)
        drawn = chance.choice(users, self.training.validation_users, replace=False)
        return events.where(np.isin(events.users, drawn))

    def _ranked(self, model: Recommender, loss: float) -> Judged:
        """Where the held-out items stand in the whole catalogue, or among items drawn once for all epochs."""
        if self._rivals is None:
            ranks = rank_in_catalogue(model, self.data.train, self.held_out).ranks
        else:
            ranks = rank_among(model, self.data.train, self.held_out, self._rivals).ranks
        return Judged(loss, float(ndcg(ranks, k=10).mean()), float(hit_rate(ranks, k=10).mean()))

    @cached_property
    def _rivals(self) -> Tensor | None:
        """Items to rank the held-out ones among, (users, validation_negatives); None for the whole catalogue."""
        if self.training.validation_negatives is None:
            return None
        seen, users = Seen(self.data.train.together_with(self.data.validation)), np.arange(len(self.data.users))
        chance = torch.Generator().manual_seed(HELD_OUT_SEED)
        return distinct_uniform(users, self.training.validation_negatives, seen, chance)

    def _mean_loss(self, model: Recommender, batches: Iterator[Batch]) -> float:
        """The loss of batches that nothing is hidden in, weighed by their users."""
        total, users = 0.0, 0
        for batch in batches:
            lost = self._lost(model, model.embed(batch.request), batch.wanted)
            total, users = total + len(batch.request.users) * float(lost), users + len(batch.request.users)
        return total / users

    def _lost(self, model: Recommender, inputs: Inputs, wanted: Tensor) -> Tensor:
        return self.wrong(model, inputs, wanted)


class Pairs(OfEvents):
    """A taken item, in the first column, and others drawn at random that the user did not take."""

    @cached_property
    def _seen(self) -> Seen:
        return Seen(self.data.train)

    def batches(self, model: Recommender, generator: torch.Generator) -> Iterator[Batch]:
        """Negatives are drawn for many batches at once.

        The taken item is out of its row's history, for its negatives as well; otherwise the history gives the label
        away.
        """
        train, size = self.data.train, self.training.batch_size
        users, items = torch.from_numpy(train.users), torch.from_numpy(train.items)
        for chosen in torch.randperm(len(train), generator=generator).split(max(1, DRAWN_TOGETHER // size) * size):
            rows = users[chosen]
            asked = torch.cat([items[chosen][:, None], self._drawn(rows, self._seen, generator)], dim=1)
            for some, wanted in zip(rows.split(size), asked.split(size), strict=True):
                yield Batch(_request(model, train, some, wanted, generator), self._labels[: len(some)])

    def loss(self, scores: Tensor, wanted: Tensor) -> Tensor:
        return bpr(scores) if self.training.loss == "bpr" else log_loss(scores, wanted)

    def _judged(self, model: Recommender) -> Judged:
        return self._ranked(model, self._mean_loss(model, self._held_out_pairs(model)))

    @cached_property
    def asked(self) -> Tensor:
        """The held-out items, each with the items that the loss sets against it: (events, 1 + negatives)."""
        seen = Seen(self.data.train.together_with(self.data.validation))
        drawn = self._drawn(torch.from_numpy(self.held_out.users), seen, torch.Generator().manual_seed(HELD_OUT_SEED))
        return torch.cat([torch.from_numpy(self.held_out.items)[:, None], drawn], 1)

    def _held_out_pairs(self, model: Recommender) -> Iterator[Batch]:
        users, size = torch.from_numpy(self.held_out.users), self.training.batch_size
        for rows, asked in zip(users.split(size), self.asked.split(size), strict=True):
            yield Batch(_request(model, self.data.train, rows, asked), self._labels[: len(rows)])

    @cached_property
    def _labels(self) -> Tensor:
        """1 in the first column, 0 elsewhere: the same in every batch."""
        labels = torch.zeros(self.training.batch_size, 1 + self.training.negatives, device=self.training.device)
        labels[:, 0] = 1.0
        return labels

    def _drawn(self, rows: Tensor, seen: Seen, generator: torch.Generator) -> Tensor:
        return uniform(rows, self.training.negatives, seen, generator)


class Lists(OfEvents):
    """All that a user took, from a history of which a part is out of sight: a denoising autoencoder's task."""

    @cached_property
    def _people(self) -> Tensor:
        return torch.from_numpy(np.unique(self.data.train.users))

    @cached_property
    def _size(self) -> int:
        """Users in a batch, so that it holds about `batch_size` positives."""
        return max(1, round(self.training.batch_size * len(self._people) / len(self.data.train)))

    @property
    def steps(self) -> int:
        return -(-len(self._people) // self._size)

    def batches(self, model: Recommender, generator: torch.Generator) -> Iterator[Batch]:
        for chosen in torch.randperm(len(self._people), generator=generator).split(self._size):
            yield self._batch(model, self._people[chosen], self.data.train, generator)

    def loss(self, scores: Tensor, wanted: Tensor) -> Tensor:
        return multinomial(scores, wanted)

    def _judged(self, model: Recommender) -> Judged:
        people = torch.from_numpy(np.unique(self.held_out.users))
        batches = (self._batch(model, rows, self.held_out) for rows in people.split(self._size))
        return self._ranked(model, self._mean_loss(model, batches))

    def _batch(
        self, model: Recommender, rows: Tensor, taken: Interactions, hiding: torch.Generator | None = None
    ) -> Batch:
        everything = torch.arange(taken.item_count)[None]
        wanted = torch.zeros(len(rows), taken.item_count)
        places, items = (torch.from_numpy(one) for one in taken.items_of(rows.numpy()))
        wanted[places, items] = 1.0
        request = _asked(model, rows, everything, model.seen_by(rows, self.data.train), hiding)
        return Batch(request, wanted.to(model.device))


class Ratings(OfEvents):
    """The value of each event, from all other events of its user."""

    measure = "RMSE"

    def __init__(self, data: TrainingData, training: Training) -> None:
        super().__init__(data, training)
        self._values(data.train)

    def batches(self, model: Recommender, generator: torch.Generator) -> Iterator[Batch]:
        order = torch.randperm(len(self.data.train), generator=generator)
        for chosen in order.split(self.training.batch_size):
            yield self._batch(model, self.data.train, chosen, generator)

    def loss(self, scores: Tensor, wanted: Tensor) -> Tensor:
        return squared(scores, wanted)

    def _lost(self, model: Recommender, inputs: Inputs, wanted: Tensor) -> Tensor:
        return self.loss(model.score(inputs), wanted)  # the error of what people are told, whatever a model learns by

    def _judged(self, model: Recommender) -> Judged:
        places = torch.arange(len(self.held_out)).split(self.training.batch_size)
        wrong = self._mean_loss(model, (self._batch(model, self.held_out, some) for some in places))
        return Judged(wrong, rmse=math.sqrt(wrong))

    def _batch(
        self, model: Recommender, events: Interactions, chosen: Tensor, hiding: torch.Generator | None = None
    ) -> Batch:
        rows, items = (torch.from_numpy(one)[chosen] for one in (events.users, events.items))
        request = _request(model, self.data.train, rows, items[:, None], hiding)
        return Batch(request, self._values(events)[chosen, None].to(model.device))

    def _values(self, events: Interactions) -> Tensor:
        if events.values is None:
            raise BadInput(
                f"{self.data.name}: its events have no values to learn; bring a column of ratings, or fit with "
                "Training(loss='log')"
            )
        return torch.from_numpy(events.values)


def objective(data: TrainingData, training: Training) -> OfEvents:
    """What `training.loss` asks for."""
    return objective_of(training.loss)(data, training)


def objective_of(loss: Loss | None) -> type[OfEvents]:
    """Where a loss belongs."""
    if loss == "multinomial":
        return Lists
    return Ratings if loss == "squared" else Pairs


def _request(
    model: Recommender, train: Interactions, rows: Tensor, asked: Tensor, hiding: torch.Generator | None = None
) -> Request:
    """Ask about items without showing the first one of each row among the past items."""
    history = model.seen_by(rows, train)
    if history.shape[1]:
        history = torch.where(history == asked[:, :1], -1, history)
    return _asked(model, rows, asked, history, hiding)


def _asked(model: Recommender, rows: Tensor, asked: Tensor, history: Tensor, hiding: torch.Generator | None) -> Request:
    device, hidden = model.device, None
    if hiding is not None and history.shape[1]:
        hidden = hide_some(history, model.max_trained_drop, hiding).to(device)
    return Request(rows.to(device), asked.to(device), history.to(device), hidden, compact=True)

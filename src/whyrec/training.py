"""How a model is trained, and what each pass came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from whyrec.settings import settings


@settings
class Training:
    """How a model is trained. Closed forms use `refit` and `device` only."""

    epochs: int = Field(default=60, ge=1)
    """Passes over the training interactions, at most."""
    batch_size: int = Field(default=1024, ge=1)
    """Positives in a step; each brings its negatives along."""
    negatives: int = Field(default=4, ge=1)
    """Items not taken, drawn anew for each positive at each pass."""
    loss: Literal["log", "bpr"] = "log"
    """log reads each score as a logit; bpr only compares the taken item with the others of its row."""
    learning_rate: float = Field(default=5e-3, gt=0)
    """Step size of Adam."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay (AdamW)."""
    patience: int = Field(default=5, ge=1)
    """Epochs without a better validation NDCG@10 before training stops."""
    validation_users: int = Field(default=2000, ge=1)
    """Users that choose the epoch, drawn once by the seed where there are more."""
    refit: bool = False
    """When the number of epochs is chosen, train once more from scratch on train and validation together."""
    seed: int = 0
    """Where weights, order, negatives and dropout come from."""
    device: str = "cpu"
    """Where to train, as PyTorch names it."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training interactions came to."""

    number: int
    loss: float  # nats per pair, the mean over all steps, while the weights moved and parts of histories were hidden
    validation: float | None  # NDCG@10 in the whole catalogue; this chooses the epoch
    seconds: float
    validation_loss: float | None = None  # nats per pair, with the weights at the end, nothing hidden
    hit_rate: float | None = None  # HR@10 of the same ranking as `validation`


def chosen_epoch(log: tuple[Epoch, ...]) -> Epoch:
    """The epoch whose weights a model keeps: the first that validation liked best, the last where there is none.

    >>> chosen_epoch((Epoch(1, 0.6, 0.2, 1.0), Epoch(2, 0.5, 0.3, 1.0), Epoch(3, 0.4, 0.3, 1.0))).number
    2
    """
    return max(log, key=lambda epoch: epoch.validation if epoch.validation is not None else epoch.number)

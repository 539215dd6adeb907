"""How a model is trained, and what each pass came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from whyrec.settings import settings

Loss = Literal["log", "bpr", "multinomial", "squared"]
Measure = Literal["NDCG@10", "RMSE", "MAA"]
"""What validation says; of RMSE the lower the better."""


@settings
class Training:
    """How a model is trained. Closed forms use `refit` and `device` only."""

    epochs: int = Field(default=60, ge=1)
    """Passes over the training interactions, at most."""
    batch_size: int = Field(default=1024, ge=1)
    """Positives in a step, about; each brings its negatives along where the loss has any."""
    negatives: int = Field(default=4, ge=1)
    """Items not taken, drawn anew for each positive at each pass."""
    loss: Loss | None = None
    """log reads each score as a logit; bpr only compares the taken item with the others of its row; multinomial shares
    a probability of 1 among all items; squared takes the values of events, such as ratings. None: the model's usual."""
    learning_rate: float = Field(default=5e-3, gt=0)
    """Step size of Adam."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay (AdamW)."""
    patience: int = Field(default=5, ge=1)
    """Epochs without a better validation NDCG@10, or RMSE of ratings, before training stops."""
    validation_users: int = Field(default=2000, ge=1)
    """Users that choose the epoch, drawn once by the seed where there are more."""
    validation_negatives: int | None = Field(default=None, ge=1)
    """Rank each validation item among so many items drawn at random, where that is how the model will be judged; None
    ranks it in the whole catalogue."""
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
    loss: float  # the mean over all steps, while the weights moved and parts of histories were hidden
    validation: float | None  # NDCG@10 of the held-out items; this chooses the epoch, but of a model for ratings
    seconds: float
    validation_loss: float | None = None  # with the weights at the end, nothing hidden
    hit_rate: float | None = None  # HR@10 of the same ranking as `validation`
    rmse: float | None = None  # of held-out ratings; this chooses the epoch of a model for ratings
    maa: float | None = None  # mean average accuracy of guessed skips; this chooses the epoch of a model of sessions

    @property
    def measure(self) -> Measure | None:
        """What the validation part was judged by; None without one."""
        found: dict[Measure, float | None] = {"RMSE": self.rmse, "MAA": self.maa, "NDCG@10": self.validation}
        return next((name for name, value in found.items() if value is not None), None)

    @property
    def merit(self) -> float | None:
        """What chooses the epoch, higher is better: `measure`, or minus the RMSE; None without a validation part."""
        if self.rmse is not None:
            return -self.rmse
        return self.validation if self.maa is None else self.maa


def chosen_epoch(log: Sequence[Epoch]) -> Epoch:
    """The epoch whose weights a model keeps: the first that validation liked best, the last where there is none.

    >>> chosen_epoch((Epoch(1, 0.6, 0.2, 1.0), Epoch(2, 0.5, 0.3, 1.0), Epoch(3, 0.4, 0.3, 1.0))).number
    2
    """
    return max(log, key=lambda epoch: epoch.number if epoch.merit is None else epoch.merit)

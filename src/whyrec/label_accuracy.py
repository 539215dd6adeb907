"""How often a model gives texts their label: accuracy, macro F1 and AUROC, each with its interval over texts.

    F1 of a label     2 right / (given + true)
    macro F1          mean over labels, rare ones counting as much as others
    AUROC             mean over labels of the chance that a text of the label scores above one of another; ties half

A score of AUROC is the lead of a label over the best other one, so that texts compare.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from whyrec import kinds
from whyrec.errors import BadInput, InvalidSetting
from whyrec.interactions import Interactions, Rows
from whyrec.recommender import Recommender, Request
from whyrec.split import Split
from whyrec.statistics import Array, Estimate, bootstrap, mean_interval

BLOCK = 128
"""Texts that are scored together."""


@dataclass(frozen=True, eq=False)
class LabelAccuracy:
    """A model's labels beside the true ones, with 95 % intervals over texts. Printing it shows a table."""

    model: str
    labels: tuple[str, ...]
    scores: NDArray[np.float64] = field(repr=False)  # (texts, labels)
    true: Rows = field(repr=False)  # (texts,)

    @property
    def given(self) -> Rows:
        """The label that the model gives each text, (texts,)."""
        found: Rows = self.scores.argmax(1)
        return found

    @property
    def metrics(self) -> dict[str, Estimate]:
        """Accuracy, macro F1 and AUROC."""
        hits = (self.given == self.true).astype(np.float64)
        return {"accuracy": mean_interval(hits), "macro F1": self.macro_f1, "AUROC": self.auroc}

    @property
    def macro_f1(self) -> Estimate:
        """The mean of the labels' F1; labels that no text has, nor is given, are left out."""
        true, given = (np.eye(len(self.labels))[one] for one in (self.true, self.given))
        met = np.flatnonzero((true + given).any(0))
        true, given = true[:, met], given[:, met]
        return bootstrap(np.concatenate([true * given, true + given], axis=1), _mean_f1)

    @property
    def auroc(self) -> Estimate:
        """The mean of the labels' areas. The interval is that of DeLong's placements, drawn by texts."""
        columns = [_placements(self._lead(label), self.true == label) for label in range(len(self.labels))]
        there = [one for one in columns if one is not None]
        if not there:
            return Estimate(float("nan"), float("nan"), float("nan"), len(self.true))
        areas = np.array([one[:, 0].sum() / one[:, 1].sum() for one in there])
        return bootstrap(np.concatenate(there, axis=1), lambda means: _mean_area(means, areas))

    @property
    def confusion(self) -> Rows:
        """How many texts of each label, down, were given each, across; (labels, labels)."""
        found = np.zeros((len(self.labels),) * 2, dtype=np.int64)
        np.add.at(found, (self.true, self.given), 1)
        return found

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"model": self.model, "texts": len(self.true), **{k: one.to_json() for k, one in self.metrics.items()}}

    def __str__(self) -> str:
        metrics, wide = self.metrics, len(self.model)
        head = "  ".join(f"{name:<21}" for name in metrics)
        row = "  ".join(f"{one!s:<21}" for one in metrics.values())
        note = f"{len(self.true):,} texts, {len(self.labels)} labels; 95 % intervals over texts"
        return f"{'':<{wide}}  {head.rstrip()}\n{self.model}  {row.rstrip()}\n{note}"

    def _lead(self, label: int) -> Array:
        """How far a label is ahead of the best other one, (texts,)."""
        others = np.delete(self.scores, label, axis=1)
        found: Array = self.scores[:, label] - (others.max(1) if others.shape[1] else 0.0)
        return found


def evaluate_labels(model: Recommender, split: Split | Interactions) -> LabelAccuracy:
    """Accuracy, macro F1 and AUROC on the test part of a split, or on some events of texts and their labels.

    >>> import whyrec as wr
    >>> split = wr.by_ratio(wr.planted_texts(400), per_user=False)
    >>> model = wr.fit(wr.PooledWords(width=8), split, wr.Training(epochs=20, batch_size=32))
    >>> bool(evaluate_labels(model, split).metrics["accuracy"].value > 0.9)
    True
    """
    events = split.test if isinstance(split, Split) else split
    if len(events) == 0:
        raise BadInput("there are no texts with labels to compare with; hold some out, such as by_ratio() does")
    if len(np.unique(events.users)) < len(events):
        raise InvalidSetting("a text has several labels here, and accuracy is about one; evaluate the list of labels")
    scores = _scores(model.require_built(), torch.from_numpy(events.users))
    labels = tuple(model.items.title(row) for row in range(len(model.items)))
    return LabelAccuracy(kinds.name_of(model).rpartition(":")[2], labels, scores, events.items)


@torch.no_grad()
def _scores(model: Recommender, rows: torch.Tensor) -> NDArray[np.float64]:
    labels, found = torch.arange(len(model.items), device=model.device)[None], []
    for some in rows.to(model.device).split(BLOCK):
        request = Request(some, labels, some.new_zeros(len(some), 0), compact=True)
        found.append(model.score(model.embed(request)).double().cpu())
    return torch.cat(found).numpy()


def _mean_f1(means: Array) -> Array:
    right, either = np.split(means, 2, axis=1)
    found: Array = (2 * right / np.where(either > 0, either, 1)).mean(1)
    return found


def _placements(scores: Array, own: NDArray[np.bool_]) -> Array | None:
    """Where each text stands among those of the other side, (texts, 4): own texts, which they are, and the others."""
    if own.all() or not own.any():
        return None

    def share_below(some: Array, of: Array) -> Array:
        ordered = np.sort(of)
        low, high = (np.searchsorted(ordered, some, side=side) for side in ("left", "right"))
        found: Array = (low + high) / (2 * len(of))
        return found

    columns = np.zeros((len(scores), 4))
    columns[own, 0], columns[own, 1] = share_below(scores[own], scores[~own]), 1
    columns[~own, 2], columns[~own, 3] = 1 - share_below(scores[~own], scores[own]), 1
    return columns


def _mean_area(means: Array, areas: Array) -> Array:
    """Mean area of resampled texts: what varies is where texts of either side stand."""
    by_label = means.reshape(len(means), -1, 4)
    there = by_label[:, :, 1::2]  # resamples without a text of a label, or without one of another, tell nothing
    own, others = np.moveaxis(by_label[:, :, ::2] / np.where(there > 0, there, np.nan), 2, 0)
    found: Array = (own + others - areas).clip(0, 1).mean(1)
    return found

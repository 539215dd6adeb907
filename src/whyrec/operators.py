"""What taking a unit away means. Explanations can be right about one meaning and wrong about another.

    mask      the unit is at its baseline; a past item still counts in the length of the history     any units
    delete    the past item never was: the history is shorter                                       past items
    replace   another item of about the same popularity stands in its place                         past items
    marginal  the value that other users have stands in, averaged over them                         columns

All of them ask the trained model again. None asks what another training would have given; `influence` does.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from whyrec.coalitions import Players
from whyrec.errors import NotApplicable
from whyrec.question import Question
from whyrec.recommender import Request, scores_of
from whyrec.verification import Verification

NEIGHBOURS = 10
"""A replaced item is one of so many next more and so many next less popular ones."""


def players_of(question: Question, settings: Verification) -> Players:
    """The units of a question with the chosen meaning of taking away. Raises `NotApplicable` where it has none here."""
    if settings.operator == "mask":
        return Players(question)
    if settings.operator == "marginal":
        return _Marginal(question, background=settings.background)
    _require_past_items(question, settings.operator)
    return _Deleted(question) if settings.operator == "delete" else _Replaced(question)


class _Marginal(Players):
    """Removed units take other users' values; the target is the mean over those users."""

    def worth(self, keep: Tensor, rows: Tensor | None = None) -> Tensor:
        if rows is not None:
            return super().worth(keep, rows)
        standing_in = torch.arange(self.rows, device=keep.device)
        return torch.stack([super(_Marginal, self).worth(keep, row.expand(len(keep))) for row in standing_in]).mean(0)


class _Deleted(Players):
    """The model is asked for a user with a shorter history."""

    @torch.no_grad()
    def _worth(self, keep: Tensor, rows: Tensor) -> Tensor:
        return torch.stack([self._of_place(keep, place) for place in range(self.question.shape[1])], dim=-1)

    def _of_place(self, keep: Tensor, place: int) -> Tensor:
        """The target of one place of every list, (coalitions, users)."""
        request, coalitions = self.question.request, len(keep)
        kept = keep[:, :, min(place, keep.shape[2] - 1)]  # (coalitions, users, length)
        history = self._left(kept).flatten(0, 1)
        items = request.items.expand(self.question.shape)[:, place].repeat(coalitions)
        asked = Request(request.users.repeat(coalitions), items[:, None], history, compact=True)
        scores: Tensor = scores_of(self.question.model, asked)[:, 0].unflatten(0, (coalitions, -1))
        return scores

    def _left(self, kept: Tensor) -> Tensor:
        """The histories that are left, (coalitions, users, length), empty places last."""
        left = torch.where(kept, self.question.request.history, -1)
        empty_last: Tensor = left.gather(-1, (left < 0).byte().argsort(dim=-1, stable=True))
        return empty_last


class _Replaced(_Deleted):
    """The model is asked for a user who took other items of about the same popularity."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self._instead = _as_popular(question)

    def _left(self, kept: Tensor) -> Tensor:
        history = self.question.request.history
        return torch.where(kept | (history < 0), history, self._instead)


def _as_popular(question: Question) -> Tensor:
    """For every past item another one near it in popularity, (users, length), drawn for each user."""
    if question.train is None:
        raise NotApplicable("to replace past items by as popular ones, the model has to know its training events")
    order = np.argsort(question.train.item_counts, kind="stable")
    place_of = np.empty_like(order)
    place_of[order] = np.arange(len(order))
    history = question.request.history.cpu().numpy()
    instead = np.full_like(history, -1)
    for row, generator in enumerate(question.generators("replace")):
        there = history[row] >= 0
        shift = generator.integers(1, NEIGHBOURS + 1, there.sum()) * generator.choice((-1, 1), there.sum())
        place = place_of[history[row, there]]
        place = np.where((place + shift < 0) | (place + shift >= len(order)), place - shift, place + shift)
        instead[row, there] = order[place % len(order)]
    return torch.from_numpy(instead).to(question.request.history.device)


def _require_past_items(question: Question, operator: str) -> None:
    kinds = {part: question.model.unit_kinds[part] for part in question.parts}
    if list(kinds.values()) != ["past item"] or question.rivals is not None:
        asked = ", ".join(f"{part} ({kind})" for part, kind in kinds.items())
        raise NotApplicable(
            f"operator={operator!r} takes past items out of a score, and asked is {question.target.name} over {asked}; "
            "use 'mask', or 'marginal' for columns"
        )

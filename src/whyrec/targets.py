"""What an explanation is about: a score, its lead over the end of a list, or its lead over one other item.

A score answers "why does this fit". It is the wrong number for "why is this in my list": what lifts an item and its
rivals alike moves nobody up. A target that compares is a difference of scores of the same user, so it also means
something where a score by itself does not: models trained with `loss="bpr"` were only ever asked which of two items is
ahead, and their scores are no logits.

    Logit()          score of the item
    Margin(k)        score - k-th best score among the other items: positive inside a list of k, negative outside
    Contrast(item)   score - score of one other item: "why this above that"

The items compared with are fixed once, from the whole input; taking units away does not change who they are. For a
margin it does change which of them is the k-th best.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from whyrec.errors import InvalidSetting
from whyrec.interactions import Id
from whyrec.ranking import best_items, block_size
from whyrec.recommender import Recommender, Request, scores_of


class Target(Protocol):
    """A number for every place of every list, made of scores."""

    @property
    def name(self) -> str:
        """What it is called in tables."""


@runtime_checkable
class Relative(Target, Protocol):
    """A target that compares each item with rivals: score minus reference."""

    def rivals(self, model: Recommender, request: Request) -> Tensor:
        """The items to compare with, (users, rivals) rows, -1 where a user has fewer."""

    def reference(self, scores: Tensor, others: Tensor) -> Tensor:
        """What is taken off, (users, items | 1), from the rivals' scores (users, rivals).

        `others`, (users, items, rivals) bool, tells which rivals are there and are not the item itself.
        """


@dataclass(frozen=True)
class Logit:
    """The score itself. Of a model trained with `loss="bpr"` only differences mean something: ask for those."""

    @property
    def name(self) -> str:
        return "logit"


SCORE_NAMES = ("logit", "rating")
"""What the score itself is called in tables."""


def name_of(target: Target, model: Recommender) -> str:
    """What a target of this model is called in tables: a score that learned the values of events is no logit."""
    of_ratings = model.trained_by is not None and model.trained_by.loss == "squared"
    return "rating" if of_ratings and isinstance(target, Logit) else target.name


@dataclass(frozen=True)
class Margin:
    """Score minus the k-th best score among the other candidates: how far the item is from leaving a list of k.

    Candidates are the `among` best items that the user has not seen. An item is in the list as long as its margin is
    positive. Costs `among` more scores a user and forward pass.
    """

    k: int = 10
    """Length of the list."""
    among: int = 100
    """Candidates; more than can be overtaken when units are taken away."""

    def __post_init__(self) -> None:
        if not 1 <= self.k < self.among:
            raise InvalidSetting(f"Margin: k={self.k}, among={self.among}: k is at least 1 and less than among")

    @property
    def name(self) -> str:
        return f"margin@{self.k}"

    def rivals(self, model: Recommender, request: Request) -> Tensor:
        seen = seen_of(model, request)
        blocks = _catalogue_scores(model, request)
        found = torch.cat([best_items(scores, seen[rows], self.among)[0] for rows, scores in blocks])
        fewest = int((found >= 0).sum(1).min())
        if fewest <= self.k:
            raise InvalidSetting(
                f"Margin: k={self.k}: a user has only {fewest} items left to recommend, so a list of {self.k} has no "
                "end to fall off; choose a smaller k"
            )
        return found

    def reference(self, scores: Tensor, others: Tensor) -> Tensor:
        ranked = scores.detach().unsqueeze(1).masked_fill(~others, -torch.inf)  # (users, items, rivals)
        last = ranked.argsort(dim=-1, descending=True)[..., self.k - 1]
        return scores.gather(1, last)


@dataclass(frozen=True)
class Contrast:
    """Score minus the score of one other item: "why this above that". Of that item itself it is 0.

    Where the other item is in a user's past, its score is what the model says of it all the same.
    """

    item: Id
    """Id of the item to compare with."""

    @property
    def name(self) -> str:
        return f"above {self.item}"

    def rivals(self, model: Recommender, request: Request) -> Tensor:
        row = torch.from_numpy(model.items.vocabulary.rows([self.item]))
        return row.to(request.users.device).expand(len(request.users), 1)

    def reference(self, scores: Tensor, others: Tensor) -> Tensor:
        return scores


def seen_of(model: Recommender, request: Request) -> Tensor:
    """All that each user has seen: what the model knows of them, and the history asked about; (users, length), -1."""
    if model.known is None:
        return request.history
    known = model.known.histories(request.users.clamp(min=0).cpu().numpy(), model.known.item_count)
    seen = torch.from_numpy(known).to(request.history.device)
    seen = seen.masked_fill(request.users[:, None] < 0, -1)  # nothing is known of somebody new
    return torch.cat([seen, request.history], dim=1)


@torch.no_grad()
def _catalogue_scores(model: Recommender, request: Request) -> Iterator[tuple[Tensor, Tensor]]:
    """Blocks of users, as positions, and their scores for every item."""
    items = torch.arange(len(model.items), device=request.users.device)[None]
    size = block_size(model, model.floats_to_rank())
    for rows in torch.arange(len(request.users), device=items.device).split(size):
        hidden = None if request.hidden is None else request.hidden[rows]
        yield rows, scores_of(model, Request(request.users[rows], items, request.history[rows], hidden, compact=True))

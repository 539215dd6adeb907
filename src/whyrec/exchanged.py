"""A model some of whose inputs are somebody else's: what permutation importance asks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Never

import numpy as np
import torch
from torch import Tensor

from whyrec.errors import NotApplicable
from whyrec.interactions import Interactions, Rows
from whyrec.recommender import Inputs, Part, Recommender, Request, scores_of
from whyrec.settings import settings


@dataclass(frozen=True, slots=True)
class Partners:
    """Whose input each user, and each item, gets."""

    users: Tensor  # (users,) rows
    items: Tensor  # (items,) rows

    @classmethod
    def drawn(cls, model: Recommender, users: Rows, seed: int, number: int) -> Partners:
        """By chance: `users` those of one another, all others their own; every item any item's."""
        generator = np.random.default_rng([seed, number])
        other = np.arange(len(model.users))
        other[users] = generator.permutation(users)
        items = generator.permutation(len(model.items))
        return cls(torch.from_numpy(other).to(model.device), torch.from_numpy(items).to(model.device))


class Exchanged(Recommender):
    """A model that gets one input of each user (a part, one of its units, or one past item) from another user."""

    @settings
    class Settings:
        """There are none."""

    belongs_elsewhere = True

    def __init__(self, model: Recommender, part: str, unit: int | None, partners: Partners) -> None:
        super().__init__()
        self.model, self.part, self.unit, self.partners = model, part, unit, partners
        self.users, self.items = model.users, model.items
        self.in_the_past = model.unit_kinds[part] == "past item"

    def make(self, user_count: int, item_count: int) -> Never:
        """There is nothing to make."""
        raise NotApplicable("exchanged inputs are those of a model that is there already")

    def floats_per_user(self, items: int) -> int:
        return 2 * self.model.floats_per_user(items)  # mine and theirs

    def seen_by(self, users: Tensor, known: Interactions | None = None) -> Tensor:
        mine = self.model.seen_by(users, known)
        if not self.in_the_past:
            return mine
        theirs = self.model.seen_by(self.partners.users[users], known)
        return theirs if self.unit is None else _with_their(self.unit, mine, theirs)

    def embed(self, request: Request) -> Inputs:
        if self.in_the_past:
            return self.model.embed(request)
        request = replace(request, compact=False)  # units apart
        mine = self.model.embed(request)
        theirs = self.model.embed(replace(request, users=self.partners.users[request.users]))
        return {**mine, self.part: self._exchanged(mine[self.part], theirs[self.part])}

    def score(self, inputs: Inputs) -> Tensor:
        return self.model.score(inputs)

    def rank_scores(self, request: Request) -> Tensor:
        """By the model's own fastest way, where it is asked about another past and nothing else."""
        return scores_of(self.model, request) if self.in_the_past else self.score(self.embed(request))

    def _exchanged(self, mine: Part, theirs: Part) -> Part:
        if mine.values.shape[0] == 1:  # of items, not of users
            order = self.partners.items
            theirs = replace(mine, values=mine.values[:, order], present=mine.present[:, order])
        taken = torch.ones(mine.values.shape[2:-1], dtype=torch.bool, device=mine.values.device)
        if self.unit is not None:
            taken = (torch.arange(taken.numel(), device=taken.device) == self.unit).reshape(taken.shape)
        values = torch.where(taken.unsqueeze(-1), theirs.values, mine.values)
        return replace(mine, values=values, present=torch.where(taken, theirs.present, mine.present))


def _with_their(item: int, mine: Tensor, theirs: Tensor) -> Tensor:
    """My past, but with `item` where their past has it and without where it has not; (users, length + 1)."""
    have, should = (mine == item).any(1), (theirs == item).any(1)
    without = torch.where((mine == item) & ~should[:, None], -1, mine)
    return torch.cat([without, torch.where(should & ~have, item, -1)[:, None]], dim=1)

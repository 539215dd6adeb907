"""What the worlds of histories share: people with up to twelve past items, some items far more popular than others.

The first `PAST` items are only ever taken before, the last `ITEMS` are recommended. Each person also takes one of
those, most likely what the planted function scores highest, so that methods which count events have what to count.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from whyrec.interactions import Interactions
from whyrec.planted_truth import ITEMS, PLACES, UNITS, PlantedModel, numbered
from whyrec.recommender import Inputs, Part, Request, UnitKind

PAST = 40
"""Items that only stand in histories."""

SHORTEST = 8
"""Past items that everybody has at least."""

USERS_PER_LIST = 4
"""People who leave events, for each one whose list is explained."""


class HistoryModel(PlantedModel):
    """A planted function of the set of past items."""

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {"history": "past item"}

    @property
    def history_limit(self) -> int:
        return UNITS

    def floats_per_user(self, items: int) -> int:
        return PAST * ITEMS

    def units(self, request: Request) -> Inputs:
        """Past items one-hot, (users, 1, length, PAST): a sum over them is the set."""
        there = request.history >= 0
        one_hot = (request.history.unsqueeze(-1) == torch.arange(PAST)).double()
        return {"history": Part.of(one_hot[:, None], present=there[:, None], summed=True)}


def drawn(model: HistoryModel, lists: int, seed: int) -> Request:
    """Draw people and the planted function, let everybody take an item, and ask about `lists` of them."""
    generator = np.random.default_rng(seed)
    histories = draw_histories(lists * USERS_PER_LIST, generator)
    build(model, len(histories), seed)
    return ask_lists(model, histories, take(model, histories, generator), generator)


def basket(inputs: Inputs) -> Tensor:
    """Which past items are there, 1 or 0 each: (users, 1, PAST)."""
    return inputs["history"].values.sum(2)


def of_past(table: Tensor, request: Request) -> Tensor:
    """What a table (ITEMS, PAST) holds for each asked item and past item: (users, items, length); 0 where none is."""
    past = request.history.clamp(min=0)
    found = table[(request.items - PAST)[:, :, None], past[:, None, :]]
    return found.masked_fill((request.history < 0)[:, None], 0)


def draw_histories(users: int, generator: np.random.Generator) -> Tensor:
    """Different past items for each user, those with low numbers most often: (users, UNITS), -1 where empty."""
    popularity = 1 / np.sqrt(1 + np.arange(PAST))
    luck = generator.gumbel(size=(users, PAST)) + np.log(popularity)  # the largest are a draw without replacement
    taken = np.argsort(-luck, axis=1)[:, :UNITS]
    length = generator.integers(SHORTEST, UNITS + 1, size=(users, 1))
    return torch.from_numpy(np.where(np.arange(UNITS) < length, taken, -1))


def take(model: HistoryModel, histories: Tensor, generator: np.random.Generator) -> Tensor:
    """The item each user takes, (users,) rows: the likelier, the higher its planted score."""
    everything = torch.arange(PAST, PAST + ITEMS)[None]
    request = Request(torch.arange(len(histories)), everything, histories)
    luck = torch.from_numpy(generator.gumbel(size=(len(histories), ITEMS)))
    return PAST + (model.score(model.embed(request)) + luck).argmax(1)


def build(model: HistoryModel, users: int, seed: int) -> None:
    """Draw the planted function of a model of `users` people."""
    model.build(numbered(users, "user"), numbered(PAST + ITEMS, "item"), seed=seed)


def ask_lists(model: HistoryModel, histories: Tensor, taken: Tensor, generator: np.random.Generator) -> Request:
    """Let the model know all events; ask about the taken item and another, of the first user of every four."""
    there = histories >= 0
    users = torch.cat([there.nonzero()[:, 0], torch.arange(len(taken))])
    model.known = Interactions(
        users.numpy(),
        torch.cat([histories[there], taken]).numpy(),
        user_count=len(histories),
        item_count=PAST + ITEMS,
    )
    lists = len(histories) // USERS_PER_LIST
    steps = torch.from_numpy(generator.integers(1, ITEMS, size=(lists, PLACES - 1)))
    others = PAST + (taken[:lists, None] - PAST + steps) % ITEMS
    return Request(torch.arange(lists), torch.cat([taken[:lists, None], others], dim=1), histories[:lists])

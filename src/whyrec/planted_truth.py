"""Worlds whose truth is known: a recommender whose score is a planted function, and what each of its inputs brings.

Three truths are kept apart. The *estimand* is the Shapley value of the game that removal plays (`keep_only`), in closed
form: what a method that promises Shapley values has to return. The *causes* are the units that can move the score at
all: what every method should find. *Decoys* are units that move nothing and were planted to look as if they did.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.dataset import Catalog
from whyrec.interactions import Vocabulary
from whyrec.question import Question, ask
from whyrec.recommender import Inputs, Part, Recommender, Request
from whyrec.settings import settings

UNITS = 12
"""Units of a list, at most: few enough to try all 4,096 sets of them."""

ITEMS = 8
"""Items that a world can recommend."""

PLACES = 2
"""Places of each asked list."""


@dataclass(frozen=True, eq=False)
class PlantedTruth:
    """What is true of each asked list, part -> (users, items, *unit). Units that are not there hold 0, or False."""

    shapley: Mapping[str, Tensor]
    """Exact Shapley values, float64, in units of the score; they sum to the score above that of nothing."""
    causes: Mapping[str, Tensor]
    """Units that move the score, alone or together with others."""
    decoys: Mapping[str, Tensor]
    """Units that move nothing, planted to look as if they did: twins, watermarks, companions of the item."""


@dataclass(frozen=True, eq=False)
class World:
    """A recommender whose score is the planted function itself, lists to explain, and the truth about them."""

    name: str
    model: Recommender
    request: Request
    truth: PlantedTruth

    def question(self, *, seed: int = 0) -> Question:
        """The lists of this world, to be put to an explainer."""
        return ask(self.model, self.request, seed=seed)


class PlantedModel(Recommender):
    """Scores every item by a planted function of the explained inputs, in double precision; nothing is trained.

    Subclasses write `make` (draw the function), `units` (embed what will be explained) and `planted` (the function).
    """

    @settings
    class Settings:
        """There are none: a world is drawn from its seed."""

    def embed(self, request: Request) -> Inputs:
        """The explained parts, and which item each place asks for, one-hot: (users, items, ITEMS)."""
        first = len(self.items) - ITEMS  # items that are past only come before those that can be recommended
        wanted = F.one_hot(request.items.expand(len(request.users), -1) - first, ITEMS).double()
        return {**self.units(request), "item": Part.of(wanted)}

    def score(self, inputs: Inputs) -> Tensor:
        """The planted function at the asked items, (users, items)."""
        return (self.planted(inputs) * inputs["item"].values).sum(-1)

    @abstractmethod
    def units(self, request: Request) -> Inputs:
        """The parts to be explained."""

    @abstractmethod
    def planted(self, inputs: Inputs) -> Tensor:
        """The planted function for every item that can be recommended, (users, 1, ITEMS)."""


def numbered(count: int, kind: str) -> Catalog:
    """`count` users or items with no names but their numbers."""
    return Catalog(Vocabulary((f"{kind} {number}" for number in range(count)), kind=kind))


def random_lists(lists: int, seed: int) -> Request:
    """Different items in random order for each of the first `lists` users, who have no past."""
    generator = torch.Generator().manual_seed(seed)
    items = torch.rand(lists, ITEMS, generator=generator).argsort(1)[:, :PLACES]
    return Request(torch.arange(lists), items, torch.empty(lists, 0, dtype=torch.int64))


def some(rows: int, columns: int, count: int) -> Tensor:
    """A mask with `count` random places of each row, (rows, columns) bool, drawn from PyTorch's own source of chance.

    For use in `make`, where `build` has seeded that source.
    """
    return torch.rand(rows, columns).argsort(1) < count


def sizes(*shape: int, least: float = 0.5, most: float = 2.0) -> Tensor:
    """Sizes of effects, uniform and away from zero, float64; drawn as by `some`."""
    return least + (most - least) * torch.rand(shape, dtype=torch.float64)


def signs(*shape: int) -> Tensor:
    """-1 or 1, float64; drawn as by `some`."""
    return torch.randint(2, shape).double() * 2 - 1


def nothing_like(truth: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A mask without any unit, for worlds without decoys."""
    return {part: torch.zeros_like(values, dtype=torch.bool) for part, values in truth.items()}

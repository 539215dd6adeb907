"""Networks that learned a planted world: methods meet a real network, and the truth is still known.

A student is trained on what the world scores, on whole lists and on lists with units missing, so that removal is
nothing unheard of. It is accepted only where it scores new sets of units as the world does, R^2 >= .99. Its Shapley
values are found anew by playing all sets; what causes the score stays what was planted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.errors import NotFitted
from whyrec.explainers.exact_shapley import ExactShapley
from whyrec.planted_truth import ITEMS, PlantedModel, PlantedTruth, World
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind, keep_only
from whyrec.settings import settings

WIDTH, STEPS, BATCH, RATE = 128, 3000, 256, 5e-3
EXAMINED = 2000
"""Sets of units, not seen in training, that a student is judged on."""

ACCEPTED = 0.99


class Student(Recommender):
    """A network of two hidden layers on the inputs of a planted world, with an output for each item."""

    @settings
    class Settings:
        """There are none."""

    def __init__(self, teacher: PlantedModel, parts: tuple[str, ...]) -> None:
        super().__init__()
        self.teacher, self.parts = teacher, parts
        self.known = teacher.known

    def make(self, user_count: int, item_count: int) -> None:
        width = self._columns(self.teacher.embed(_everything(self.teacher))).shape[-1]
        self.hidden = nn.Sequential(nn.Linear(width, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
        self.output = nn.Linear(WIDTH, ITEMS)

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return self.teacher.unit_kinds

    @property
    def history_limit(self) -> int:
        return self.teacher.history_limit

    def floats_per_user(self, items: int) -> int:
        return max(2 * WIDTH * items, self.teacher.floats_per_user(items))

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        return self.teacher.unit_title(part, unit, user=user, item=item)

    def embed(self, request: Request) -> Inputs:
        return self.teacher.embed(request)

    def score(self, inputs: Inputs) -> Tensor:
        x = self._columns(inputs).to(self.output.weight.dtype)  # worlds are drawn in double precision
        every: Tensor = self.output(self.hidden(x))  # (users, items | 1, ITEMS)
        return (every * inputs["item"].values).sum(-1)

    def _columns(self, inputs: Inputs) -> Tensor:
        """All explained inputs side by side, (users, items | 1, columns)."""
        found = [_flat(inputs[part]) for part in self.parts]
        items = max(one.shape[1] for one in found)
        return torch.cat([one.expand(-1, items, -1) for one in found], dim=-1)


def taught(world: World, *, seed: int = 0) -> World:
    """The same lists and causes, scored by a network that learned the world; raises `NotFitted` where it did not."""
    teacher = world.model
    if not isinstance(teacher, PlantedModel):
        raise NotFitted(f"{world.name} is scored by a {type(teacher).__name__}; only a planted function can be taught")
    student = Student(teacher, tuple(world.truth.shapley)).build(teacher.users, teacher.items, seed=seed)
    agreement = _train(student, torch.Generator().manual_seed(seed))
    if agreement < ACCEPTED:
        raise NotFitted(
            f"a network learned {world.name} with seed {seed} only to R^2 = {agreement:.3f}, below {ACCEPTED}, so its "
            "reasons may not be the planted ones; take another seed"
        )
    copy = replace(world, model=student.double())
    shapley = ExactShapley()(copy.question(seed=seed)).relevance
    return replace(copy, truth=PlantedTruth(shapley, world.truth.causes, world.truth.decoys))


def _train(student: Student, generator: torch.Generator) -> float:
    """Fit the network to the world's scores of random sets of units; the R^2 of scores on new sets."""
    whole = student.teacher.embed(_everything(student.teacher))
    _, scores = _lesson(student, whole, EXAMINED, generator)
    middle, spread = scores.mean(), scores.std()
    optimizer = torch.optim.Adam([*student.hidden.parameters(), *student.output.parameters()], lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        inputs, scores = _lesson(student, whole, BATCH, generator)
        loss = F.mse_loss(student.score(inputs), (scores - middle) / spread)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        student.output.weight.mul_(spread)  # back to the units of the world
        student.output.bias.mul_(spread).add_(middle)
        inputs, scores = _lesson(student, whole, EXAMINED, generator)
        return float(1 - (student.score(inputs) - scores).square().mean() / scores.var())


def _lesson(student: Student, whole: Inputs, count: int, generator: torch.Generator) -> tuple[Inputs, Tensor]:
    """Random users with a random share of their units, and what the world scores them, (count, ITEMS)."""
    rows = torch.randint(len(student.users), (count,), generator=generator)
    some = {name: replace(part, values=part.values[rows], present=part.present[rows]) for name, part in whole.items()}
    share = torch.rand(count, generator=generator)
    kept = keep_only(some, {part: _drawn(some[part].present, share, generator) for part in student.parts})
    return kept, student.teacher.score(kept).float()


def _drawn(present: Tensor, share: Tensor, generator: torch.Generator) -> Tensor:
    luck = torch.rand(present.shape, generator=generator)
    return luck < share.reshape(-1, *(1 for _ in present.shape[1:]))


def _everything(teacher: PlantedModel) -> Request:
    """All users of a world, and all items it can recommend."""
    users = torch.arange(len(teacher.users))
    items = torch.arange(len(teacher.items) - ITEMS, len(teacher.items))[None]
    return Request(users, items, teacher.seen_by(users))


def _flat(part: Part) -> Tensor:
    """(users, items | 1, columns); units that the world only sums come as their sum."""
    return part.values.sum(2) if part.summed else part.values.flatten(2)

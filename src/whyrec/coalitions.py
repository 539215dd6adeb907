"""What the score would be with only some of the units there: the game that removal, Shapley values and checks play."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from whyrec.question import Question
from whyrec.recommender import Inputs, Part

BLOCK_FLOATS = 1 << 23
"""Numbers that one block of coalitions may hold at its widest."""


class Players:
    """The units of all asked parts side by side on one axis, so that a coalition is one row of bools."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self._shapes = {name: question.inputs[name].present.shape[2:] for name in question.parts}
        self.present = self.join({name: question.present(name) for name in question.parts})  # (users, items, players)

    @property
    def count(self) -> int:
        """Players on the axis, padding included."""
        return self.present.shape[-1]

    def join(self, by_part: Mapping[str, Tensor]) -> Tensor:
        """(users, items, *unit) of every asked part -> (users, items, players)."""
        users, items = self.question.shape
        return torch.cat([by_part[name].reshape(users, items, -1) for name in self._shapes], dim=-1)

    def part(self, flat: Tensor) -> dict[str, Tensor]:
        """(..., players) -> (..., *unit) of every asked part."""
        sizes = [shape.numel() for shape in self._shapes.values()]
        pieces = flat.split(sizes, dim=-1)
        return {
            name: piece.reshape(*flat.shape[:-1], *shape)
            for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)
        }

    @torch.no_grad()
    def worth(self, keep: Tensor) -> Tensor:
        """The target with only some players there, (coalitions, users, items).

        `keep` is (coalitions, users, items | 1, players) bool; with one item a coalition holds for the whole list.
        """
        size = max(1, BLOCK_FLOATS // self._floats(keep))
        return torch.cat([self._worth(block) for block in keep.split(size)])

    def single_drops(self) -> Tensor:
        """How far the target falls without each player alone, (users, items, players) float64; 0 for an absent one."""
        users, _ = self.question.shape
        all_but_one = ~torch.eye(self.count, dtype=torch.bool, device=self.present.device)
        without_each = self.worth(all_but_one[:, None, None, :].expand(-1, users, -1, -1)).permute(1, 2, 0)
        with torch.no_grad():
            whole = self.question.value(self.question.inputs).unsqueeze(-1)
        return torch.where(self.present, whole - without_each, 0.0).double()

    def random_sets(self, sizes: Tensor, purpose: str) -> Tensor:
        """Random sets of present players, (sets, users, items, players) bool, of `sizes` (sets, users | 1, items | 1).

        A user's sets are the same whoever else is asked about, and however wide the padding is.
        """
        luck = torch.full((len(sizes), *self.present.shape), torch.inf, dtype=torch.float64)
        there = self.present.cpu()
        for row, generator in enumerate(self.question.generators(purpose)):
            numbers = generator.random((len(sizes), int(there[row].sum())))
            luck[:, row][:, there[row]] = torch.from_numpy(numbers)
        ranks = luck.argsort(dim=-1).argsort(dim=-1).to(self.present.device)
        return self.present & (ranks < sizes.unsqueeze(-1))

    def _worth(self, keep: Tensor) -> Tensor:
        coalitions, users = keep.shape[:2]
        kept = self.part(keep)
        inputs: Inputs = {
            name: _thinned(part, kept[name]) if name in kept else _repeated(part, coalitions, users)
            for name, part in self.question.inputs.items()
        }
        worth: Tensor = self.question.value(inputs).unflatten(0, (coalitions, users))
        return worth

    def _floats(self, keep: Tensor) -> int:
        """Numbers one coalition of all users holds at its widest."""
        users, items = self.question.shape
        asked = [self.question.inputs[name] for name in self._shapes]
        gathered = sum(users * keep.shape[2] * part.values[0, 0].numel() for part in asked if not part.summed)
        return max(
            1, gathered, users * keep.shape[2] * keep.shape[3], users * self.question.model.floats_per_user(items)
        )


def _repeated(part: Part, coalitions: int, users: int) -> Part:
    """A part nobody asked about, for every coalition."""
    if part.values.shape[0] == 1:
        return part
    values = part.values.expand(coalitions, *part.values.shape).flatten(0, 1)
    return replace(part, values=values, present=part.present.expand(coalitions, *part.present.shape).flatten(0, 1))


def _thinned(part: Part, keep: Tensor) -> Part:
    """A part with only the kept units, keep (coalitions, users, items | 1, *unit); users and coalitions folded."""
    if part.summed:
        return _summed(part, keep)
    values = torch.where(keep.unsqueeze(-1), part.values, part.baseline)
    return replace(part, values=values.flatten(0, 1), present=(part.present & keep).flatten(0, 1))


def _summed(part: Part, keep: Tensor) -> Part:
    """The same for a part that `score` only sums: one product with the 0/1 matrix instead of a copy per coalition."""
    difference = part.values - part.baseline  # (users | 1, items | 1, unit, channel)
    total = part.baseline.expand(part.values.shape).sum(2, keepdim=True)
    weights = keep.to(difference.dtype).permute(1, 2, 0, 3)  # (users, items | 1, coalitions, unit)
    kept = (weights @ difference).permute(2, 0, 1, 3).unsqueeze(3)  # (coalitions, users, items, 1, channel)
    there = (keep & part.present).any(-1, keepdim=True)
    return replace(part, values=(kept + total).flatten(0, 1), present=there.flatten(0, 1))

"""What the score would be with only some of the units there: the game that removal, Shapley values and checks play."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyrec.background import background as rows_of
from whyrec.question import Question
from whyrec.recommender import Inputs, Part

BLOCK_FLOATS = 1 << 20
"""Numbers that one block of coalitions may hold at its widest. Few enough to stay in a processor's cache: four times as
many took 1.5 times as long on a network 48-128-64-1."""


class Players:
    """The units of all asked parts side by side on one axis, so that a coalition is one row of bools.

    A unit outside a coalition is removed: it takes its baseline and is marked as not there. With a `background`, it
    takes the value that one of so many other users has there.
    """

    def __init__(self, question: Question, *, background: int = 0) -> None:
        self.question = question
        self._others: Inputs = rows_of(question, background) if background else {}
        self._shapes = {name: question.inputs[name].present.shape[2:] for name in question.parts}
        self.present = self.join({name: question.present(name) for name in question.parts})  # (users, items, players)

    @property
    def count(self) -> int:
        """Players on the axis, padding included."""
        return self.present.shape[-1]

    @property
    def rows(self) -> int:
        """How many users of the background stand in for removed units in turn; 1 where baselines do."""
        return next((len(part.values) for part in self._others.values()), 1)

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
    def worth(self, keep: Tensor, rows: Tensor | None = None) -> Tensor:
        """The target with only some players there, (coalitions, users, items).

        `keep` is (coalitions, users, items | 1, players) bool; with one item a coalition holds for the whole list.
        `rows` (coalitions,) says which user of the background stands in, the first where nothing is said.
        """
        rows = keep.new_zeros(len(keep), dtype=torch.int64) if rows is None else rows
        places = range(keep.shape[2])
        if len(places) > 1 and self.question.rivals is not None:  # rivals are scored under one coalition at a time
            columns = [self.worth(keep[:, :, place : place + 1], rows)[..., place] for place in places]
            return torch.stack(columns, dim=-1)
        size = max(1, BLOCK_FLOATS // self._floats(keep))
        blocks = zip(keep.split(size), rows.split(size), strict=True)
        return torch.cat([self._worth(block, standing_in) for block, standing_in in blocks])

    def nothing(self) -> Tensor:
        """The target with all players removed, (users, items) float64: the mean over the background."""
        nobody = torch.zeros_like(self.present[:, :1])[None].expand(self.rows, -1, -1, -1)
        return self.worth(nobody, torch.arange(self.rows, device=nobody.device)).double().mean(0)

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
        there = self.present.cpu().numpy()
        luck = np.full((len(sizes), *there.shape), np.inf)
        for row, generator in enumerate(self.question.generators(purpose)):
            numbers = generator.random((len(sizes), int(there[row].sum())))
            luck[:, row, there[row]] = numbers
        chosen = torch.from_numpy(_lowest(luck, sizes.cpu().numpy().astype(np.int64)))
        return self.present & chosen.to(self.present.device)

    def _worth(self, keep: Tensor, rows: Tensor) -> Tensor:
        coalitions, users = keep.shape[:2]
        kept = self.part(keep[:, :1] if keep.stride(1) == 0 else keep)  # the same for all users: spread when it is used
        inputs = {name: _repeated(part, coalitions) for name, part in self.question.inputs.items() if name not in kept}
        for name, some in kept.items():
            part = self.question.inputs[name]
            thin = _exchanged(part, some, self._others[name], rows) if self._others else _thinned(part, some)
            inputs[name] = _folded(thin, users)
        worth: Tensor = self.question.value(inputs).unflatten(0, (coalitions, users))
        return worth

    def _floats(self, keep: Tensor) -> int:
        """Numbers one coalition of all users holds at its widest."""
        users, items = self.question.shape[0], self.question.items_scored
        asked = [self.question.inputs[name] for name in self._shapes]
        apart = [part for part in asked if self._others or not part.summed]
        gathered = sum(users * keep.shape[2] * part.values[0, 0].numel() for part in apart)
        return max(
            1, gathered, users * keep.shape[2] * keep.shape[3], users * self.question.model.floats_per_user(items)
        )


def _lowest(luck: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the last axis are among as many lowest as `sizes` says. NumPy sorts ten times as fast as PyTorch."""
    none = np.full((*luck.shape[:-1], 1), -np.inf)
    place = np.broadcast_to(np.minimum(sizes, luck.shape[-1])[..., None], none.shape)
    lowest: NDArray[np.bool_] = luck <= np.take_along_axis(np.sort(np.concatenate([none, luck], -1)), place, axis=-1)
    return lowest


def _repeated(part: Part, coalitions: int) -> Part:
    """A part nobody asked about, for every coalition."""
    if part.values.shape[0] == 1:
        return part
    values = part.values.expand(coalitions, *part.values.shape).flatten(0, 1)
    return replace(part, values=values, present=part.present.expand(coalitions, *part.present.shape).flatten(0, 1))


def _folded(part: Part, users: int) -> Part:
    """(coalitions, users | 1, ...) -> (coalitions * users, ...), the copies of all users behind one another."""
    values, present = (
        tensor.expand(-1, users, *(-1 for _ in tensor.shape[2:])).flatten(0, 1)
        for tensor in (part.values, part.present)
    )
    return replace(part, values=values, present=present)


def _thinned(part: Part, keep: Tensor) -> Part:
    """A part with only the kept units, keep (coalitions, users | 1, items | 1, *unit)."""
    if part.summed:
        return _summed(part, keep)
    return replace(part, values=_chosen(keep, part.values, part.baseline), present=part.present & keep)


def _exchanged(part: Part, keep: Tensor, others: Part, rows: Tensor) -> Part:
    """A part whose units outside `keep` are those of other users; padding stays as it is."""
    if part.present.all() and others.present.all():
        present = part.present.new_ones(1).expand(len(keep), *part.present.shape)
        return replace(part, values=_chosen(keep, part.values, others.values[rows]), present=present)
    stays = keep | ~part.present
    values = _chosen(stays, part.values, others.values[rows])
    return replace(part, values=values, present=torch.where(stays, part.present, others.present[rows]))


def _chosen(keep: Tensor, values: Tensor, instead: Tensor) -> Tensor:
    """The values where kept, else others. With weights 0 and 1 `lerp` is exact, and seven times as fast as `where`."""
    return torch.lerp(instead.to(values.dtype), values, keep.unsqueeze(-1).to(values.dtype))


def _summed(part: Part, keep: Tensor) -> Part:
    """The same for a part that `score` only sums: one product with the 0/1 matrix instead of a copy per coalition."""
    difference = part.values - part.baseline  # (users | 1, items | 1, unit, channel)
    total = part.baseline.expand(part.values.shape).sum(2, keepdim=True)
    weights = keep.to(difference.dtype).permute(1, 2, 0, 3)  # (users | 1, items | 1, coalitions, unit)
    kept = (weights @ difference).permute(2, 0, 1, 3).unsqueeze(3)  # (coalitions, users | 1, items, 1, channel)
    return replace(part, values=kept + total, present=(keep & part.present).any(-1, keepdim=True))

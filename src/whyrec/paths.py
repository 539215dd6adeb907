"""Straight paths from a reference to the inputs, and the mean gradient along them.

    R_i = (x_i - x'_i) * mean over points of df/dx_i at x' + t (x - x')

What the points are, and where the paths begin, is what methods differ in: equal steps from a baseline, or chance points
from the values of other users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from whyrec.background import background
from whyrec.backward import Leaves, input_times_gradient
from whyrec.copies import copied, copies_at_once, repeated
from whyrec.errors import InvalidSetting
from whyrec.gradients import require_floats, require_gradients
from whyrec.question import Question
from whyrec.recommender import Inputs, Part

Starts = Mapping[str, Tensor]
"""Where the paths of the asked parts begin: (rows, users, items | 1, *unit, channel), one row for each reference."""


def starts_of(question: Question, rows: int) -> Starts:
    """Where paths begin: at what so many known users have there, or, with 0 rows, at the parts' own baselines: one row.

    Where fewer users are known than asked for, all of them stand in. Padding stays as it is.
    Raises `InvalidSetting` for a baseline that does not fit its part, `NotApplicable` for values without gradients and
    for parts whose units mean something else for each user.
    """
    require_floats(question)
    if rows == 0:
        return {name: _start(question, name, _fitting(question.inputs[name], name)) for name in question.parts}
    drawn = background(question, rows)
    return {name: _start(question, name, drawn[name].values) for name in question.parts}


def whole_ways(question: Question) -> Leaves:
    """Fresh leaves of ones, (users, items | 1, *unit, 1): how far each unit has gone, in ways from start to value.

    A value that moves with its leaf by the way has the gradient of the way at the leaf: way times gradient, summed over
    the channel.
    """
    return {name: _ones(question, question.inputs[name].values) for name in question.parts}


@torch.no_grad()
def values_at(question: Question, starts: Starts) -> Tensor:
    """The target at each start, (rows, users, items) float64."""
    rows = torch.arange(len(next(iter(starts.values()))))
    found = []
    for block in rows.split(copies_at_once(question, units_apart=True)):
        at = copied(question, {name: start[block] for name, start in starts.items()})
        found.append(question.value(at.inputs).double().unflatten(0, (len(block), -1)))
    return torch.cat(found)


def mean_along_paths(question: Question, starts: Starts, times: Tensor) -> dict[str, Tensor]:
    """Way travelled times the mean gradient at the points, of every unit: part -> (users, items, *unit) float64.

    `times` (points, users | 1) says how far along its path each point stands, 0 at the start and 1 at the inputs. Point
    number n belongs to the path from start number n modulo the number of starts.
    """
    relevance = {name: question.present(name).double() * 0 for name in question.parts}
    for block in torch.arange(len(times), device=times.device).split(copies_at_once(question, units_apart=False)):
        leaves = whole_ways(question)
        target = _summed_over(question, starts, leaves, block, times[block]) / len(times)
        require_gradients(question, leaves, target)
        for name, amount in input_times_gradient(question, leaves, target).items():
            relevance[name] += amount
    return relevance


def _ones(question: Question, values: Tensor) -> Tensor:
    return values.new_ones(question.shape[0], *values.shape[1:-1], 1).requires_grad_()


def _start(question: Question, name: str, reference: Tensor) -> Tensor:
    """The reference where units are there, (rows, users, items | 1, *unit, channel)."""
    part = question.inputs[name]
    start = torch.where(part.present.unsqueeze(-1), reference, part.values)
    rows = start if start.ndim > part.values.ndim else start.unsqueeze(0)
    return rows.expand(len(rows), question.shape[0], *part.values.shape[1:])


def _fitting(part: Part, name: str) -> Tensor:
    """The baseline of a part; refuses one of the wrong shape."""
    shape, given = tuple(part.values.shape), tuple(part.baseline.shape)
    try:
        fits = torch.broadcast_shapes(shape, given) == shape
    except RuntimeError:
        fits = False
    if not fits:
        raise InvalidSetting(
            f"the baseline of part {name!r} has shape {given}, which does not broadcast to the shape {shape} of its "
            "values; give one number, one a channel, or one for each unit and channel"
        )
    return part.baseline


@torch.enable_grad()
def _summed_over(question: Question, starts: Starts, leaves: Leaves, block: Tensor, times: Tensor) -> Tensor:
    """The target summed over a block of points, (users, items), as a function of the leaves."""
    begun = {name: start[block % len(start)] if len(start) > 1 else start for name, start in starts.items()}
    inputs: Inputs = {
        name: _at(part, begun[name], leaves[name], times) if name in leaves else repeated(part, len(times))
        for name, part in question.inputs.items()
    }
    values: Tensor = question.value(inputs).unflatten(0, (len(times), -1))
    return values.sum(0)


def _at(part: Part, start: Tensor, leaf: Tensor, times: Tensor) -> Part:
    """A part at each of `times`; units that `score` only sums travel as one."""
    way = part.values - start  # (points | 1, users, items | 1, *unit, channel)
    moved = (leaf - leaf.detach()) * way  # zero, with the way as its slope
    present = part.present.expand(start.shape[1], *part.present.shape[1:])
    if part.summed:
        start, way, moved = (tensor.sum(3, keepdim=True) for tensor in (start, way, moved))
        present = present.any(2, keepdim=True)
    at = times.reshape(*times.shape, *(1 for _ in way.shape[2:]))
    values = (start + at * way).detach() + moved
    return replace(
        part, values=values.flatten(0, 1), present=present.repeat(len(times), *(1 for _ in present.shape[1:]))
    )

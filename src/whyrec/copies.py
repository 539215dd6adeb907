"""Many copies of a question side by side on the users' axis: one forward pass instead of one for each copy.

A copy has the same users, items and unasked parts, and other values in the asked parts. The copies stand behind one
another, all users of the first before all users of the second: (copies * users, items | 1, *unit, channel).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from whyrec.question import Question
from whyrec.recommender import Inputs, Part, Request

BLOCK_FLOATS = 1 << 23
"""Numbers that the copies of one forward pass may hold at its widest."""


def copies_at_once(question: Question, *, units_apart: bool) -> int:
    """How many copies one forward pass may hold, at least one.

    `units_apart` tells whether units that `score` only sums stand apart in each copy, or go as one.
    """
    users, items = question.shape[0], question.items_scored
    asked = [question.inputs[name] for name in question.parts]
    values = [part.values[0].numel() for part in asked if units_apart or not part.summed]
    widest = max([question.model.floats_per_user(items), *values])
    return max(1, BLOCK_FLOATS // max(1, users * widest))


def copied(question: Question, values: Mapping[str, Tensor]) -> Question:
    """The question for copies of its users, `values` (copies, users, items | 1, *unit, channel) of each asked part."""
    count = len(next(iter(values.values())))
    inputs: Inputs = {
        name: _with_copies(part, values[name]) if name in values else repeated(part, count)
        for name, part in question.inputs.items()
    }
    rivals = None if question.rivals is None else question.rivals.repeat(count, 1)
    return replace(question, request=_repeated_request(question.request, count), inputs=inputs, rivals=rivals)


def repeated(part: Part, count: int) -> Part:
    """A part that is the same in each copy; one that all users share stays as it is."""
    if part.values.shape[0] == 1:
        return part
    values, present = (tensor.repeat(count, *(1 for _ in tensor.shape[1:])) for tensor in (part.values, part.present))
    return replace(part, values=values, present=present)


def _with_copies(part: Part, values: Tensor) -> Part:
    present = part.present.expand(*values.shape[:2], *part.present.shape[1:])
    return replace(part, values=values.flatten(0, 1), present=present.flatten(0, 1))


def _repeated_request(request: Request, count: int) -> Request:
    items = request.items if len(request.items) == 1 else request.items.repeat(count, 1)
    hidden = None if request.hidden is None else request.hidden.repeat(count, 1)
    return replace(
        request, users=request.users.repeat(count), items=items, history=request.history.repeat(count, 1), hidden=hidden
    )

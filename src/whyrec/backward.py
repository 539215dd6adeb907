"""One forward pass over a list, then one backward pass for each of its places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from whyrec.question import Question
from whyrec.recommender import Inputs

Leaves = Mapping[str, Tensor]


def open_leaves(question: Question) -> Leaves:
    """The asked parts' values as fresh leaves, one row a user: (users, items | 1, *unit, channel)."""
    users, _ = question.shape
    found = {}
    for name in question.parts:
        values = question.inputs[name].values
        found[name] = values.expand(users, *values.shape[1:]).clone().requires_grad_()
    return found


def with_values(inputs: Inputs, values: Leaves) -> Inputs:
    """The inputs with other values in some parts; what is present does not change."""
    return {name: replace(part, values=values[name]) if name in values else part for name, part in inputs.items()}


def one_pass(question: Question, leaves: Leaves) -> bool:
    """Whether no asked part is shared by the items of a list, so that all places take one backward pass together."""
    _, items = question.shape
    return all(leaf.shape[1] == items for leaf in leaves.values())


@torch.enable_grad()
def input_times_gradient(
    question: Question, leaves: Leaves, target: Tensor, settle: Callable[[int | None], None] = lambda _place: None
) -> dict[str, Tensor]:
    """Value times gradient of every unit, summed over its channel: part -> (users, items, *unit) float64.

    What a list shares (a user's history) has one gradient for each place of the list, hence one backward pass each,
    all through the same forward pass. `settle` is called after each, with the place, or with None after the only one.
    """
    _, items = question.shape
    names = list(leaves)
    if one_pass(question, leaves):
        gradients = torch.autograd.grad(target.sum(), [leaves[name] for name in names], materialize_grads=True)
        settle(None)
        return {name: _summed(leaves[name], got) for name, got in zip(names, gradients, strict=True)}
    columns: dict[str, list[Tensor]] = {name: [] for name in names}
    for place in range(items):
        last = place == items - 1
        gradients = torch.autograd.grad(
            target[:, place].sum(),
            [leaves[name] for name in names],
            retain_graph=not last,
            materialize_grads=True,
        )
        for name, gradient in zip(names, gradients, strict=True):
            at = 0 if gradient.shape[1] == 1 else place
            columns[name].append(_summed(leaves[name][:, at], gradient[:, at]))
        settle(place)
    return {name: torch.stack(column, dim=1) for name, column in columns.items()}


def _summed(values: Tensor, gradient: Tensor) -> Tensor:
    return (values.detach().double() * gradient.detach().double()).sum(-1)

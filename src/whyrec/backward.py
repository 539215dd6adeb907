"""One forward pass over a list, then one backward pass for each of its places."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from whyrec.question import Question
from whyrec.recommender import Inputs

Leaves = Mapping[str, Tensor]


def open_leaves(question: Question) -> Leaves:
    """The asked parts' values as fresh leaves, one row a user: (users, items | 1, *unit, channel).

    Units that are only summed are seen once by each place of a list, without a copy of them: all places then take one
    backward pass, which comes back as one gradient a place for all units. A target that compares places cannot.
    """
    users, items = question.shape
    found = {}
    for name in question.parts:
        part = question.inputs[name]
        values = part.values.expand(users, *part.values.shape[1:]).clone()
        apart = part.summed and question.rivals is None
        found[name] = (values.expand(-1, items, *values.shape[2:]) if apart else values).requires_grad_()
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
    question: Question,
    leaves: Leaves,
    target: Tensor,
    settle: Callable[[int | None], None] = lambda _place: None,
    *,
    carriers: Sequence[Tensor | None] = (),
) -> dict[str, Tensor]:
    """Value times gradient of every unit, summed over its channel: part -> (users, items, *unit) float64.

    What a list shares (a user's history) has one gradient for each place of the list, hence one backward pass each,
    all through the same forward pass. `settle` is called after each, with the place, or with None after the only one.
    What rules wrote on the leaves' carriers, one or None for each leaf, is added.
    """
    _, items = question.shape
    asked = [*leaves.values(), *(one for one in carriers if one is not None)]
    if one_pass(question, leaves):
        gradients = torch.autograd.grad(target.sum(), asked, materialize_grads=True)
        settle(None)
        return dict(zip(leaves, _per_unit(leaves, gradients, carriers), strict=True))
    columns: dict[str, list[Tensor]] = {name: [] for name in leaves}
    for place in range(items):
        gradients = torch.autograd.grad(
            target[:, place].sum(), asked, retain_graph=place < items - 1, materialize_grads=True
        )
        for name, found in zip(leaves, _per_unit(leaves, gradients, carriers), strict=True):
            columns[name].append(found[:, 0 if found.shape[1] == 1 else place])
        settle(place)
    return {name: torch.stack(column, dim=1) for name, column in columns.items()}


def _per_unit(leaves: Leaves, gradients: Sequence[Tensor], carriers: Sequence[Tensor | None]) -> Iterator[Tensor]:
    """For each leaf, input * gradient and what stands on its carrier, summed over the channel, float64."""
    at_carriers = iter(gradients[len(leaves) :])
    for number, (leaf, gradient) in enumerate(zip(leaves.values(), gradients, strict=False)):
        found = _over_channel(leaf.detach(), gradient)
        if number < len(carriers) and carriers[number] is not None:
            found = found + next(at_carriers).double().sum(-1)
        yield found


def _over_channel(values: Tensor, gradient: Tensor) -> Tensor:
    """values * gradient summed over the channel, float64; half precision is multiplied in single."""
    precise = torch.promote_types(values.dtype, torch.float32)
    values, gradient = values.to(precise), gradient.to(precise)
    if values.ndim == 4 and values.shape[2] and gradient.stride(2) == 0:
        # units that `score` only sums have one gradient: a matrix product
        if values.stride(1) == 0:  # nor have the items of a list values of their own
            return (gradient[:, :, 0] @ values[:, 0].transpose(1, 2)).double()
        return (values @ gradient[:, :, 0, :, None]).squeeze(-1).double()
    return (values * gradient).sum(-1).double()

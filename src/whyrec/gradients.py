"""Gradients of a score: what a method that follows them needs of a model, and the plainest such method."""

from __future__ import annotations

import torch
from torch import Tensor

from whyrec.attribution import Attribution, account
from whyrec.backward import Leaves, input_times_gradient, open_leaves, with_values
from whyrec.errors import NotApplicable
from whyrec.question import Question


def gradient_times_input(question: Question) -> Attribution:
    """Value times gradient of every unit, summed over its channel; no promise that it adds up to the target."""
    require_floats(question)
    leaves = open_leaves(question)
    with torch.enable_grad():
        target = question.value(with_values(question.inputs, leaves))
    require_gradients(question, leaves, target)
    relevance = input_times_gradient(question, leaves, target)
    present = {name: question.present(name) for name in question.parts}
    return Attribution(relevance, present, account(target, relevance), complete=False)


def require_floats(question: Question) -> None:
    """Raises `NotApplicable` where an asked part holds whole numbers, which cannot move a little."""
    for name in question.parts:
        dtype = question.inputs[name].values.dtype
        if not dtype.is_floating_point:
            raise NotApplicable(
                f"part {name!r} of {type(question.model).__name__} holds {dtype}, and this method needs gradients, "
                "which only floats have; let embed() look ids up and give their vectors, or choose LeaveOneOut"
            )


def require_gradients(question: Question, leaves: Leaves, target: Tensor) -> None:
    """Raises `NotApplicable` where no gradient can get from the target to an asked part.

    Such a gradient would count as zero, whatever the part does to the score.
    """
    reached = _leaves_of(target)
    cut_off = [repr(name) for name, leaf in leaves.items() if id(leaf) not in reached]
    if cut_off:
        raise NotApplicable(
            f"this method needs gradients, and score() of {type(question.model).__name__} passes none to "
            f"{' and '.join(cut_off)}: it does not use the part, or cuts it off by no_grad, detach or rounding; leave "
            "it out of parts, or choose a method that takes units away, for example LeaveOneOut"
        )


def _leaves_of(target: Tensor) -> set[int]:
    """Identities of all leaves that a backward pass from the target arrives at."""
    waiting, seen, found = [target.grad_fn], set(), set()
    while waiting:
        step = waiting.pop()
        if step is None or step in seen:
            continue
        seen.add(step)
        found.add(id(getattr(step, "variable", None)))
        waiting += [before for before, _ in step.next_functions]
    return found

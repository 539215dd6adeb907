"""Gradient times input: how the score would move if each input grew in proportion. No promise that it adds up."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from whyrec.attribution import Attribution, account
from whyrec.backward import input_times_gradient, open_leaves, with_values
from whyrec.question import Question


@dataclass(frozen=True)
class GradientTimesInput:
    """Plain gradients; what LRP would be without rules. On a network with products it counts them twice."""

    def __call__(self, question: Question) -> Attribution:
        leaves = open_leaves(question)
        with torch.enable_grad():
            target = question.value(with_values(question.inputs, leaves))
        relevance = input_times_gradient(question, leaves, target)
        present = {name: question.present(name) for name in question.parts}
        return Attribution(relevance, present, account(target, relevance), complete=False)

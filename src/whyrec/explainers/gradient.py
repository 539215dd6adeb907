"""Gradient times input: how the score would move if each input grew in proportion. No promise that it adds up."""

from __future__ import annotations

from dataclasses import dataclass

from whyrec.attribution import Attribution
from whyrec.gradients import gradient_times_input
from whyrec.question import Question


@dataclass(frozen=True)
class GradientTimesInput:
    """Plain gradients; what LRP would be without rules. On a network with products it counts them twice."""

    def __call__(self, question: Question) -> Attribution:
        return gradient_times_input(question)

"""DeepLIFT: the difference of the score from a reference is handed back to the differences of the inputs.

    R = (x - x') * m,     m the product of the multipliers of all operations, f(x) - f(x') = sum of R

Shrikumar, Greenside and Kundaje 2017, Learning important features through propagating activation differences, with the
rescale rule; `differences.py` lists which operation gets which multiplier. Exact in one forward and one backward pass
a place of the list, where integrated gradients take one for each step; on a score with one bend the two are equal, on
deeper ones both add up and may differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from whyrec.attribution import Attribution, account
from whyrec.backward import input_times_gradient, with_values
from whyrec.differences import Differences
from whyrec.errors import NotApplicable
from whyrec.gradients import require_gradients
from whyrec.paths import starts_of, whole_ways
from whyrec.question import Question


@dataclass(frozen=True)
class DeepLIFT:
    """Adds up to the score above that of the reference, whatever the network; steps without a rule are refused.

    Dense layers, convolutions, products, quotients, softmax and all functions of one number have a rule. Normalisation
    and attention as one operation have none, and neither has a choice that falls otherwise at the reference.
    """

    background: int = 0
    """Known users, drawn by the seed, whose mean is the reference; 0 takes each part's own baseline."""

    def __call__(self, question: Question) -> Attribution:
        starts = {name: start.mean(0) for name, start in starts_of(question, self.background).items()}
        leaves = whole_ways(question)
        with torch.enable_grad():
            values = {}
            for name, leaf in leaves.items():
                x = question.inputs[name].values
                values[name] = x + (leaf - leaf.detach()) * (x - starts[name])  # x, that moves with the leaf by its way
            with Differences() as mode:
                for name, value in values.items():
                    mode.follow(value, starts[name])
                target = question.value(with_values(question.inputs, values))
        require_gradients(question, leaves, target)
        reference = mode.reference(target)
        if not reference.isfinite().all():
            raise NotApplicable(
                f"the score of {type(question.model).__name__} is not finite where every asked unit is at its "
                "reference, so there is no difference to share out; give the parts another baseline, or a background"
            )
        relevance = input_times_gradient(question, leaves, target)
        present = {name: question.present(name) for name in question.parts}
        return Attribution(relevance, present, account(target, relevance, reference=reference), complete=True)

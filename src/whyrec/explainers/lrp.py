"""Layer-wise relevance propagation: the score is handed back through the network, layer by layer, to the inputs.

Bach et al. 2015, On pixel-wise explanations for non-linear classifier decisions. Written from the published formulas;
see docs for the rules and for what the ledger means.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from whyrec.attribution import Attribution, account
from whyrec.backward import input_times_gradient, one_pass, open_leaves, with_values
from whyrec.errors import Unseen
from whyrec.operations import Family
from whyrec.question import Question
from whyrec.relevance import Plan, Relevance, Taken
from whyrec.rules.affine import Affine
from whyrec.rules.denominator import Denominator
from whyrec.rules.epsilon import Epsilon
from whyrec.rules.share import Share


@dataclass(frozen=True)
class LRP:
    """Relevance by the epsilon rule on layers with weights; products of explained values are shared equally.

    Conserves: the ledger closes to rounding, with what biases and the stabiliser took stated apart.
    """

    epsilon: float = 1e-6
    """The stabiliser of layers with weights; 0 is LRP-0, larger values leave fewer and stronger reasons."""

    @property
    def plan(self) -> Plan:
        """Which rule stands for which family of operations."""
        return {
            Family.WEIGHTS: Epsilon(self.epsilon),
            Family.PRODUCTS: Share(),
            Family.SUMS: Affine(),
            Family.QUOTIENTS: Denominator(),
        }

    def __call__(self, question: Question) -> Attribution:
        leaves = open_leaves(question)
        users, items = question.shape
        taken = Taken((users, items) if one_pass(question, leaves) else (users,))
        with torch.enable_grad(), Relevance(self.plan, taken) as mode:
            for leaf in leaves.values():
                mode.follow(leaf)
            target = question.value(with_values(question.inputs, leaves))
        if not mode.is_live(target):
            raise Unseen(
                "score() returned something that no rule followed from the explained inputs; see add-a-model.md"
            )
        bias, stabilizer = torch.zeros(2, users, items, dtype=torch.float64)

        def settle(place: int | None) -> None:
            columns = slice(None) if place is None else place
            bias[:, columns], stabilizer[:, columns] = taken.settle()

        relevance = input_times_gradient(question, leaves, target, settle)
        return Attribution(
            relevance,
            present={name: question.present(name) for name in question.parts},
            ledger=account(target, relevance, bias=bias, stabilizer=stabilizer),
            complete=True,
        )

"""Attention weights as an explanation: how much the model looked at each unit. Not in units of the score.

A weight says where a model looked, not what it made of what it saw: a unit can be looked at and lower the score, or be
looked at by a part of the network that nothing listens to. Jain and Wallace 2019, Attention is not explanation, and
Wiegreffe and Pinter 2019, Attention is not not explanation, argue about it; `verify` measures it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from whyrec.attribution import Attribution, account
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.question import Question
from whyrec.recommender import Attending


@dataclass(frozen=True)
class AttentionWeights:
    """The weights that a model with a method `attention` gives its units; without a sign, and no promise to add up."""

    @torch.no_grad()
    def __call__(self, question: Question) -> Attribution:
        model = question.model
        if not isinstance(model, Attending):
            raise NotApplicable(
                f"{type(model).__name__} has no attention weights; choose a model that attends to its inputs and has a "
                "method attention(inputs), or another explainer, for example LRP"
            )
        if question.joined:
            raise NotApplicable(
                f"{type(model).__name__} looks at {' and '.join(question.joined)} anew for each item, so a comparison "
                "of items has no weights of its own; explain the score itself, target=Logit()"
            )
        weights = model.attention(question.inputs)
        relevance, present = {}, {name: question.present(name) for name in question.parts}
        for name, there in present.items():
            if name not in weights:
                raise NotApplicable(
                    f"{type(model).__name__} attends to {', '.join(weights)} and not to {name!r}; ask for those parts"
                )
            if weights[name].shape != there.shape:
                raise InvalidSetting(
                    f"attention() of {type(model).__name__} gave {name!r} weights of {tuple(weights[name].shape)}; "
                    f"expected {tuple(there.shape)}, (users, items, *unit), the mean over heads where there are several"
                )
            relevance[name] = torch.where(there, weights[name], 0.0).double()
        target = question.value(question.inputs)
        return Attribution(relevance, present, account(target, relevance), complete=False)

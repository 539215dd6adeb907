"""Randomised weights: an explanation of this model should not fit a model that learned something else.

    Spearman correlation of the relevances under the model and under one whose weights are shuffled within each tensor

Adebayo et al. 2018, Sanity checks for saliency maps. Near 0 is right; a method that never looks at the model scores
exactly 1 and fails. Ids are embedded with the shuffled weights too, and compared unit by unit.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from whyrec.attribution import Attribution
from whyrec.explanation import Explainer
from whyrec.question import Question, ask
from whyrec.recommender import Recommender
from whyrec.spearman import unit_correlation

JUDGES = "explainer"


def randomised_weights(explainer: Explainer, question: Question, attribution: Attribution) -> Tensor:
    """Rank correlation for every place of every list, (users, items); lower is better; NaN without weights."""
    weights = (*question.model.parameters(), *question.model.buffers())
    if not any(tensor.is_floating_point() for tensor in weights):
        return torch.full(question.shape, torch.nan)
    shuffled = _with_shuffled_weights(question.model, question.seed)
    asked = ask(
        shuffled,
        question.request,
        parts=question.parts,
        target=question.target,
        rivals=question.rivals,
        seed=question.seed,
    )
    return unit_correlation(attribution, explainer(asked))


def _with_shuffled_weights(model: Recommender, seed: int) -> Recommender:
    """A copy of the model, the numbers of each of its tensors in a random order."""
    shared = {id(thing): thing for thing in (model.known, model.users, model.items)}
    shuffled = copy.deepcopy(model, shared)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*shuffled.parameters(), *shuffled.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(tensor.flatten()[torch.randperm(tensor.numel(), generator=generator)].view_as(tensor))
    return shuffled

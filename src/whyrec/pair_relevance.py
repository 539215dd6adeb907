"""BiLRP: which pairs of inputs make two things similar: similarity is the dot product of what networks say of each.

    R_jj' = sum_k  LRP_j(phi_k(x)) LRP_j'(psi_k(y)),      sum_jj' R_jj' = <phi(x), psi(y)>

Eberle et al. 2020, Building and interpreting deep similarity models. A past film and a genre of the recommended one, a
patch and a patch. One forward pass and K backward passes for each side, then one matrix product; where only the totals
of either side are wanted, two passes are enough, because relevance is linear in its seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Plan
from whyrec.composites import COMPOSITES, counts_layers
from whyrec.errors import InvalidSetting, Unseen
from whyrec.relevance import Relevance, Taken

Branch = Callable[[Tensor], Tensor]
"""From inputs (pairs, *unit, channel) to features (pairs, K); row by row, so that pairs do not mix."""


@dataclass(frozen=True, slots=True)
class PairRelevance:
    """How much each pair of units brings to a similarity, (pairs, *units of x, *units of y) float64."""

    relevance: Tensor
    similarity: Tensor  # (pairs,) float64

    @property
    def elsewhere(self) -> Tensor:
        """What biases and stabilisers of either side took, (pairs,): zero for branches without them."""
        return self.similarity - self.relevance.flatten(1).sum(1)


def bilrp(first: Branch, x: Tensor, second: Branch, y: Tensor, *, plan: Plan | None = None) -> PairRelevance:
    """Relevance of every pair of a unit of `x` and a unit of `y` for the dot product of their features.

    `x` and `y` are (pairs, *unit, channel). For a shared tower pass the same function twice.

    >>> x, y = torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[3.0], [-1.0]]])
    >>> bilrp(lambda v: v[..., 0], x, lambda v: v[..., 0].flip(1), y).relevance.tolist()
    [[[0.0, -1.0], [6.0, 0.0]]]
    """
    left, right = feature_relevance(first, x, plan=plan), feature_relevance(second, y, plan=plan)
    if left.shape[:2] != right.shape[:2]:
        raise InvalidSetting(
            f"the branches give {tuple(left.shape[:2])} and {tuple(right.shape[:2])} (pairs, features); a dot product "
            "needs the same of both"
        )
    pairs = torch.einsum("nkp,nkq->npq", left.flatten(2), right.flatten(2))
    with torch.no_grad():
        similarity = (first(x).double() * second(y).double()).sum(1)
    return PairRelevance(pairs.reshape(len(x), *left.shape[2:], *right.shape[2:]), similarity)


def bilrp_totals(
    first: Branch, x: Tensor, second: Branch, y: Tensor, *, plan: Plan | None = None
) -> tuple[Tensor, Tensor]:
    """For each side, what its units bring to the similarity with all of the other side: two passes in place of 2 K.

    Equal to the sums of `bilrp` over the other side, where that side leaves nothing with biases or stabilisers.
    """
    with torch.no_grad():
        features = first(x), second(y)
    totals = []
    for branch, inputs, other in ((first, x, features[1]), (second, y, features[0])):
        leaf, output, mode = _followed(branch, inputs, plan)
        totals.append(_handed_back(leaf, output, mode, other, keep=False))
    return totals[0], totals[1]


def feature_relevance(branch: Branch, x: Tensor, *, plan: Plan | None = None) -> Tensor:
    """LRP of every feature of a branch, (pairs, K, *unit) float64: one forward pass and K backward passes.

    Relevance is linear in its seed, so that these rows, kept for each item, explain any of its pairs by a product: of a
    dot product with weights g over the features, `einsum("nk,nk...->n...", g, rows)`.
    """
    leaf, output, mode = _followed(branch, x, plan)
    rows = []
    for feature in range(output.shape[1]):
        seed = torch.zeros_like(output)
        seed[:, feature] = 1.0
        rows.append(_handed_back(leaf, output, mode, seed, keep=feature < output.shape[1] - 1))
    return torch.stack(rows, dim=1)


def _followed(branch: Branch, x: Tensor, plan: Plan | None) -> tuple[Tensor, Tensor, Relevance]:
    plan = COMPOSITES["embedding"] if plan is None else plan
    if counts_layers(plan):
        raise InvalidSetting("BiLRP takes no plan with rules for the last layers: a branch is not the whole network")
    leaf = x.detach().clone().requires_grad_()
    with torch.enable_grad(), Relevance(plan, Taken((len(x),), x.device)) as mode:
        output = branch(mode.follow(leaf))
    if not mode.is_live(output):
        raise Unseen("the branch returned something that no rule followed from its inputs")
    if output.ndim != 2 or len(output) != len(x):
        raise InvalidSetting(f"a branch gives (pairs, features), here ({len(x)}, K), not {tuple(output.shape)}")
    return leaf, output, mode


def _handed_back(leaf: Tensor, output: Tensor, mode: Relevance, seed: Tensor, *, keep: bool) -> Tensor:
    (carrier,) = mode.carriers([leaf])
    asked = [leaf] if carrier is None else [leaf, carrier]
    gradient, *written = torch.autograd.grad(output, asked, seed, retain_graph=keep, materialize_grads=True)
    relevance = leaf.detach().double() * gradient.double()
    for one in written:
        relevance = relevance + one.double()
    return relevance.sum(-1)

"""Alpha-beta rule: positive and negative contributions are shared apart, alpha for the ones, -beta for the others.

    R_j = sum_k  (alpha (x_j w_jk)+ / P_k  -  beta (x_j w_jk)- / N_k)  R_k,      alpha - beta = 1

with P_k and N_k the sums of positive and negative contributions, biases among them. Bach et al. 2015. Where a unit has
contributions of one sign only, the formula would hand on alpha R (it doubles with alpha = 2) or -beta R; such a unit
shares all of R by the sign that it has. A side too small to be told from rounding counts as empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Slope
from whyrec.errors import InvalidSetting
from whyrec.layer import by_sign


@dataclass(frozen=True)
class AlphaBeta:
    """For linear maps with weights, inputs of any sign."""

    alpha: float = 2.0
    """How much of the relevance goes to what speaks for it."""
    beta: float = 1.0
    """How much is taken back from what speaks against it: alpha - 1."""
    epsilon: float = 1e-6
    """The stabiliser, as in the epsilon rule."""

    def __post_init__(self) -> None:
        if abs(self.alpha - self.beta - 1) > 1e-9 or self.beta < 0:
            raise InvalidSetting(
                f"AlphaBeta: alpha={self.alpha}, beta={self.beta}: alpha - beta must be 1 and beta not negative, or "
                "relevance is made or lost; for example alpha=2, beta=1 or alpha=1, beta=0"
            )

    def __call__(self, call: Call, output: Tensor) -> Slope:
        return by_sign(call, output, self.alpha, self.beta, self.epsilon)

    def slowly(self, x: Tensor, w: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The definition, one contribution at a time, as for the epsilon rule."""
        contributions = torch.cat([x[:, None, :] * w, b.expand(len(x), -1)[:, :, None]], dim=-1)  # (n, out, in + 1)
        up, down = contributions.clamp(min=0), contributions.clamp(max=0)
        positive, negative = up.sum(-1, keepdim=True), down.sum(-1, keepdim=True)
        alpha = torch.where(positive == 0, 0.0, torch.where(negative == 0, 1.0, self.alpha))
        beta = torch.where(negative == 0, 0.0, torch.where(positive == 0, -1.0, self.beta))
        shares = alpha * _of(up, positive + self.epsilon) - beta * _of(down, negative - self.epsilon)
        taken = (shares * relevance[:, :, None]).sum(1)
        return taken[:, :-1], taken[:, -1], relevance.sum(1) - taken.sum(1)


def _of(contributions: Tensor, total: Tensor) -> Tensor:
    return torch.where(total == 0, 0.0, contributions / total)

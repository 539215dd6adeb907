"""Z-plus rule: relevance follows the positive contributions only, alpha-beta with alpha = 1 and beta = 0.

    R_j = sum_k  (x_j w_jk)+ / P_k  R_k

Montavon et al. 2017, Explaining nonlinear classification decisions with deep Taylor decomposition. Used for all layers
it becomes nearly blind to the upper ones (Sixt et al. 2020), so it belongs in the middle of a deep network. A unit
without positive contributions shares by the negative ones, so that nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Slope
from whyrec.layer import by_sign


@dataclass(frozen=True)
class ZPlus:
    """For linear maps with weights, inputs of any sign."""

    epsilon: float = 1e-6
    """The stabiliser, as in the epsilon rule."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        return by_sign(call, output, alpha=1.0, beta=0.0, epsilon=self.epsilon)

    def slowly(self, x: Tensor, w: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The definition, one contribution at a time, as for the epsilon rule."""
        contributions = torch.cat([x[:, None, :] * w, b.expand(len(x), -1)[:, :, None]], dim=-1)  # (n, out, in + 1)
        kept = contributions.clamp(min=0)
        kept = torch.where(kept.sum(-1, keepdim=True) == 0, contributions, kept)
        total = kept.sum(-1, keepdim=True)
        whole = total + self.epsilon * torch.where(total >= 0, 1.0, -1.0).to(total.dtype)
        taken = (torch.where(whole == 0, 0.0, kept / whole) * relevance[:, :, None]).sum(1)
        return taken[:, :-1], taken[:, -1], relevance.sum(1) - taken.sum(1)

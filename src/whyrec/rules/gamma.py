"""Gamma rule: contributions that agree with the sign of their sum count (1 + gamma) times.

    R_j = sum_k  (x_j w_jk + gamma (x_j w_jk)^±) / (z_k + gamma sum_i (x_i w_ik)^± + ...)  R_k,   ± the sign of z_k

Montavon et al. 2019, LRP: an overview, for inputs that are not negative; Andéol et al. 2021 for inputs of any sign,
which is the form here. Biases count as contributions. The denominator is never nearer to zero than z_k.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Part, Slope
from whyrec.layer import Signs, divided, pushed
from whyrec.slopes import alias, combined, where_it_falls


@dataclass(frozen=True)
class Gamma:
    """For linear maps with weights, inputs of any sign."""

    gamma: float = 0.25
    """0 is the epsilon rule; larger values keep less of what speaks against, in the limit nothing."""
    epsilon: float = 1e-6
    """The stabiliser, as in the epsilon rule."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        signs, z = Signs.of(call, output), output.detach()
        return self._of_positive(signs, z) if signs.nothing_negative else self._of_any(signs, z)

    def _of_any(self, signs: Signs, z: Tensor) -> Slope:
        magnitude, constant = signs.magnitudes()
        to_z, to_magnitude = 1 + self.gamma / 2, z.sign().mul_(self.gamma / 2)
        push = pushed(z, self.epsilon)
        whole = (magnitude.detach() * to_magnitude).add_(z, alpha=to_z).add_(push)
        return Slope(
            combined((signs.z, to_z), (magnitude, to_magnitude)),
            stabilizer=push,
            gain=divided(z, whole, may_be_zero=self.epsilon == 0),
            parts=(Part(signs.z, signs.bias), Part(magnitude, constant)),
        )

    def _of_positive(self, signs: Signs, z: Tensor) -> Slope:
        """Units that fall below zero take (2 + gamma) z less the others' sum; behind a ReLU nothing arrives at them."""
        raised, constant = signs.with_weights(lambda w: w + self.gamma * w.clamp(min=0))
        rises, falls = alias(raised), combined((signs.z, 2 + self.gamma), (raised, -1.0))
        up = divided(z.clamp(min=0), raised.detach() + self.epsilon, may_be_zero=self.epsilon == 0)
        epsilon, depth = z.new_full((), self.epsilon), z.clamp(max=0)

        def down() -> Tensor:
            return divided(depth, (2 + self.gamma) * depth - raised.detach() - self.epsilon)

        return Slope(
            combined((rises, up), (where_it_falls(falls, depth, down), 1.0)),
            parts=(
                Part(signs.z, signs.bias),
                Part(raised, constant),
                Part(rises, stabilizer=epsilon),
                Part(falls, stabilizer=-epsilon),
            ),
        )

    def slowly(self, x: Tensor, w: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The definition, one contribution at a time, as for the epsilon rule."""
        contributions = torch.cat([x[:, None, :] * w, b.expand(len(x), -1)[:, :, None]], dim=-1)  # (n, out, in + 1)
        z = contributions.sum(-1, keepdim=True)
        agree = torch.where(z > 0, contributions.clamp(min=0), contributions.clamp(max=0))
        raised = torch.where(z == 0, 0.0, contributions + self.gamma * agree)
        push = self.epsilon * torch.where(z >= 0, 1.0, -1.0).to(z.dtype)
        whole = raised.sum(-1, keepdim=True) + push
        share = torch.where(z == 0, 0.0, relevance[:, :, None] / whole)
        taken = (raised * share).sum(1)
        return taken[:, :-1], taken[:, -1], (push * share).sum((1, 2))

"""Share rule: live factors of a product get equal parts of its relevance.

    f = a * b:  R_a = R_b = R / 2;  a product of n live factors gives each 1 / n

Achtibat et al. 2024, AttnLRP, proposition 3.2; for two factors it is the Shapley value with zero as the reference. A
factor that stands twice (y * y) counts twice. Products with a constant are linear and give the live side everything.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from whyrec.calls import Call, Slope


@dataclass(frozen=True)
class Share:
    """For products, matrix products and sums of products (einsum, embedding bags) of live values."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        factors = len(call.live_places())
        bias = call.constants_share() if call.function is F.bilinear else None  # the one product that adds something
        if factors == 1:
            return Slope(output, bias)
        if bias is None:
            return Slope(output, gain=1 / factors)
        return Slope(output, bias * factors, gain=1 / factors)

    def slowly(self, a: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
        """The definition for an element-wise product of two live factors."""
        return relevance / 2, relevance / 2

"""Share rule: live factors of a product get equal parts of its relevance.

    f = a * b:  R_a = R_b = R / 2;  a product of n live factors gives each 1 / n

Achtibat et al. 2024, AttnLRP, proposition 3.2; for two factors it is the Shapley value with zero as the reference. A
factor that stands twice (y * y) counts twice. Products with a constant are linear and give the live side everything.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from whyrec.relevance import Call, Slope


@dataclass(frozen=True)
class Share:
    """For products, matrix products and sums of products (einsum) of live values."""

    def __call__(self, call: Call) -> Slope:
        places = call.live_places()
        if len(places) == 1:
            return Slope(call.output)
        slopes = [call.again(lambda at, operand, own=own: operand if at == own else operand.detach()) for own in places]
        total: Tensor = sum(slopes[1:], slopes[0])
        return Slope(total / len(places))

    def slowly(self, a: Tensor, b: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
        """The definition for an element-wise product of two live factors."""
        return relevance / 2, relevance / 2

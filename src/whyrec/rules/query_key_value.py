"""Query, key and value rule for attention: the attention weights take half, shared by query and key (AttnLRP).

    O = A V, A = softmax(Q K' / sqrt(d)):  half to V; half through the Taylor rule of softmax, a quarter to Q and to K

Achtibat et al. 2024, AttnLRP, propositions 3.1 to 3.3, in one operation: gradients of Q, K, V times 1/4, 1/4, 1/2. What
softmax keeps (see the Taylor rule) is a bias, so relevance at the inputs does not add up to that of the output.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.calls import Call, Slope
from whyrec.slopes import combined, with_slope


@dataclass(frozen=True)
class QueryKeyValue:
    """For scaled dot-product attention."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        query, key, value = (call.operand(place, name) for place, name in enumerate(("query", "key", "value")))
        asking = call.is_live(query) + call.is_live(key)
        factors = (asking > 0) + call.is_live(value)
        if asking == 0:
            return Slope(output)
        shares = (1 / (factors * asking), 1 / (factors * asking), 1 / factors)
        kwargs = {name: given for name, given in call.kwargs.items() if name not in {"query", "key", "value"}}
        told = [
            with_slope(one, combined((one, share))) if call.is_live(one) else one
            for one, share in zip((query, key, value), shares, strict=True)
        ]
        slope: Tensor = call.function(*told, *call.args[3:], **kwargs)
        with torch.no_grad():
            kept = (output - _moved(call, query, key, value)) / factors
        return Slope(slope, bias=kept)

    def slowly(self, query: Tensor, key: Tensor, value: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The definition, step by step: query, key (n, places, d), value (n, places, e), relevance (n, places, e)."""
        logits = query @ key.mT / query.shape[-1] ** 0.5
        weights = logits.softmax(-1)
        share = torch.where((weights @ value) == 0, 0.0, relevance / (weights @ value) / 2)
        of_weights, of_value = weights * (share @ value.mT), value * (weights.mT @ share)
        of_logits = logits * (of_weights - weights * of_weights.sum(-1, keepdim=True))
        half = torch.where(logits == 0, 0.0, of_logits / logits / 2) / query.shape[-1] ** 0.5
        return query * (half @ key), key * (half.mT @ query), of_value


def _moved(call: Call, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """How the output answers to its logits as a linear function of them: what the Taylor rule hands through softmax."""
    mask, causal, scale = call.operand(3, "attn_mask"), call.operand(5, "is_causal"), call.operand(6, "scale")
    if call.operand(7, "enable_gqa"):
        key, value = (one.repeat_interleave(query.shape[-3] // one.shape[-3], -3) for one in (key, value))
    logits = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    masked = logits
    if causal:
        masked = masked.masked_fill(torch.ones_like(logits, dtype=torch.bool).triu(1), -torch.inf)
    if mask is not None:
        masked = masked.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else masked + mask
    weights = masked.softmax(-1).nan_to_num()  # a place that may look nowhere
    moved: Tensor = (weights * (logits - (weights * logits).sum(-1, keepdim=True))) @ value
    return moved

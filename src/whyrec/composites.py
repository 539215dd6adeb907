"""Which rule stands where: one table of plans for kinds of models, so that nobody has to choose a rule to start.

All of them share what happens between layers with weights. It conserves: products are shared equally, softmax and
sigmoids are gates, norms have constant spreads, activations hand everything on. They differ in the layers themselves.

    embedding   recommenders on factors and histories     epsilon everywhere
    gamma       the same, with less of what speaks against gamma below the last two layers, epsilon there
    image       convolutions on normalised pixels         box, gamma in convolutions, epsilon in dense layers
    image_plus  the same, smoother                        flat, z-plus in convolutions, epsilon in dense layers
    transformer text, attention (CP-LRP)                  epsilon, attention hands on through its values
    attnlrp     text, attention (AttnLRP)                 epsilon, attention hands on to query, key and value
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor
from torch.nn import functional as F

from whyrec.calls import Call, Plan, Rule, Slope
from whyrec.errors import NoRule
from whyrec.operations import Family
from whyrec.rules.affine import Affine
from whyrec.rules.batch_norm import BatchNorm
from whyrec.rules.box import Box
from whyrec.rules.denominator import Denominator
from whyrec.rules.detach import Detach
from whyrec.rules.epsilon import Epsilon
from whyrec.rules.flat import Flat
from whyrec.rules.gamma import Gamma
from whyrec.rules.identity import Identity
from whyrec.rules.normalisation import Normalisation
from whyrec.rules.power import Power
from whyrec.rules.query_key_value import QueryKeyValue
from whyrec.rules.share import Share
from whyrec.rules.taylor import Taylor
from whyrec.rules.values_only import ValuesOnly
from whyrec.rules.winner import Winner
from whyrec.rules.z_plus import ZPlus


@dataclass(frozen=True)
class ByLayer:
    """A rule for layers with weights that depends on where the layer stands: the first of these that applies."""

    body: Rule
    """For all layers without a rule of their own."""
    first: Rule | None = None
    """For layers that read the explained inputs themselves."""
    top: Rule | None = None
    """For the last `top_layers`, counted from the score."""
    top_layers: int = 1
    dense: Rule | None = None
    """For dense layers, where others are convolutions."""

    def __call__(self, call: Call, output: Tensor) -> Slope:
        return self._rule_for(call)(call, output)

    def _rule_for(self, call: Call) -> Rule:
        if self.first is not None and call.origins.is_rearranged_leaf(call.operand(0, "input")):
            return self.first
        if self.top is not None:
            if call.layers is None:
                raise NoRule("a rule for the last layers needs to know how many there are; pass Relevance(layers=...)")
            if call.layer >= call.layers - self.top_layers:
                return self.top
        return self.dense if self.dense is not None and call.function is F.linear else self.body


def counts_layers(plan: Plan) -> bool:
    """Whether a plan has to know how many layers with weights there are."""
    rule = plan.get(Family.WEIGHTS)
    return isinstance(rule, ByLayer) and rule.top is not None


IMAGENET = Box((-2.118, -2.0358, -1.8045), (2.249, 2.4286, 2.6401))
"""Black and white after the usual normalisation of photographs, by colour; rounded outwards, or neither would fit."""

BETWEEN_LAYERS: Plan = MappingProxyType(
    {
        Family.PRODUCTS: Share(),
        Family.SUMS: Affine(),
        Family.QUOTIENTS: Denominator(),
        Family.ACTIVATIONS: Identity(),
        Family.POWERS: Power(),
        Family.GATES: Detach(),
        Family.SOFTMAX: Detach(),
        Family.ATTENTION: ValuesOnly(),
        Family.NORMS: Normalisation(),
        Family.BATCH_NORM: BatchNorm(),
        Family.POOLS: Winner(),
    }
)


def plan_with(weights: Rule, changes: Plan = MappingProxyType({})) -> Plan:
    """A plan with this rule for layers with weights, and rules of other families where they differ from the usual."""
    return {**BETWEEN_LAYERS, Family.WEIGHTS: weights, **changes}


COMPOSITES: dict[str, Plan] = {
    "embedding": plan_with(Epsilon()),
    "gamma": plan_with(ByLayer(Gamma(0.25), top=Epsilon(), top_layers=2)),
    "image": plan_with(ByLayer(Gamma(0.25), first=IMAGENET, dense=Epsilon())),
    "image_plus": plan_with(ByLayer(ZPlus(), first=Flat(), dense=Epsilon())),
    "transformer": plan_with(Epsilon()),
    "attnlrp": plan_with(Epsilon(), {Family.SOFTMAX: Taylor(), Family.ATTENTION: QueryKeyValue()}),
}

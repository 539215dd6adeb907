"""Layer-wise relevance propagation: the score is handed back through the network, layer by layer, to the inputs.

Bach et al. 2015, On pixel-wise explanations for non-linear classifier decisions. Written from the published formulas.

    LRP()                      epsilon 1e-6, the default for recommenders
    LRP(epsilon=0.1)           less through units whose contributions nearly cancel
    LRP(gamma=0.25)            less of what speaks against
    LRP(alpha=2, beta=1)       for and against shared apart
    LRP(rule="z_plus")         any rule for layers, by the name of its file, or as an object
    LRP(composite="image")     a plan for a kind of model, see composites
    LRP(plan={...})            one rule for each family of operations, for experts
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from whyrec import kinds
from whyrec.attribution import Attribution, account
from whyrec.backward import Leaves, input_times_gradient, one_pass, open_leaves, with_values
from whyrec.calls import Plan, Rule
from whyrec.composites import COMPOSITES, ByLayer, counts_layers, plan_with
from whyrec.errors import InvalidSetting, Unseen
from whyrec.question import Question
from whyrec.relevance import Relevance, Taken
from whyrec.rules.alpha_beta import AlphaBeta
from whyrec.rules.epsilon import Epsilon
from whyrec.rules.gamma import Gamma

ALL_LAYERS, FIRST_LAYER = ("alpha_beta", "epsilon", "gamma", "z_plus"), ("box", "flat", "w_square")
"""Rules for layers with weights, by name."""


@dataclass(frozen=True)
class LRP:
    """Relevance by rules; products of explained values are shared equally, attention hands on through its values.

    Conserves: the ledger closes to rounding, with what biases, the stabiliser and a reference took stated apart.
    Choose at most one of `gamma`, `alpha` and `beta`, `rule`, `composite` and `plan`.
    """

    epsilon: float = 1e-6
    """The stabiliser of layers with weights; 0 is LRP-0, larger values hand on less where contributions cancel."""
    gamma: float | None = None
    """How much more contributions count that agree with what they add up to; larger values leave less against."""
    alpha: float | None = None
    """How much of the relevance goes to what speaks for; alpha - beta is 1."""
    beta: float | None = None
    """How much is taken back from what speaks against."""
    rule: str | Rule | None = None
    """A rule for layers with weights: its name or itself. One for first layers leaves the others to epsilon."""
    composite: str | None = None
    """A plan for a kind of model by its name, such as 'image' or 'attnlrp'."""
    plan: Plan | None = None
    """Which rule stands for which family of operations."""

    def __post_init__(self) -> None:
        self._refuse_contradictions()
        self._rule_for_layers()  # settings that no rule takes are refused here, not at the first question

    @property
    def rules(self) -> Plan:
        """Which rule stands for which family of operations, settled."""
        if self.plan is not None:
            return self.plan
        if self.composite is not None:
            return COMPOSITES[self.composite]
        return plan_with(self._rule_for_layers())

    def __call__(self, question: Question) -> Attribution:
        leaves, plan = open_leaves(question), self.rules
        users, items = question.shape
        taken = Taken((users, items) if one_pass(question, leaves) else (users,), _device(leaves))
        layers = _count_layers(question) if counts_layers(plan) else None
        with torch.enable_grad(), Relevance(plan, taken, layers=layers) as mode:
            for leaf in leaves.values():
                mode.follow(leaf)
            target = question.value(with_values(question.inputs, leaves))
        if not mode.is_live(target):
            raise Unseen(
                "score() returned something that no rule followed from the explained inputs: a gate such as a "
                "probability (explain the logit before it), or values detached on the way; see add-a-model.md"
            )
        spent = torch.zeros(3, users, items, dtype=torch.float64, device=target.device)

        def settle(place: int | None) -> None:
            spent[:, :, slice(None) if place is None else place] = torch.stack(taken.settle())

        relevance = input_times_gradient(question, leaves, target, settle, carriers=mode.carriers(leaves.values()))
        return Attribution(
            relevance,
            present={name: question.present(name) for name in question.parts},
            ledger=account(target, relevance, bias=spent[0], stabilizer=spent[1], reference=spent[2]),
            complete=True,
        )

    def _rule_for_layers(self) -> Rule:
        if self.gamma is not None:
            return Gamma(self.gamma, self.epsilon)
        if self.alpha is not None and self.beta is not None:
            return AlphaBeta(self.alpha, self.beta, self.epsilon)
        if self.rule is None:
            return Epsilon(self.epsilon)
        if not isinstance(self.rule, str):
            return self.rule
        if self.rule not in (*ALL_LAYERS, *FIRST_LAYER):
            raise InvalidSetting(
                f"LRP: rule={self.rule!r} is no rule for layers with weights; for all layers there are "
                f"{', '.join(ALL_LAYERS)}, for the first one {', '.join(FIRST_LAYER)}"
            )
        made = kinds.load("rules", self.rule)
        if self.rule in FIRST_LAYER:
            return ByLayer(Epsilon(self.epsilon), first=made())
        rule: Rule = made(epsilon=self.epsilon)
        return rule

    def _refuse_contradictions(self) -> None:
        for name in ("epsilon", "gamma"):
            given = getattr(self, name)
            if given is not None and not 0 <= given < float("inf"):
                raise InvalidSetting(f"LRP: {name}={given}: it must be a number from 0 up")
        if (self.alpha is None) != (self.beta is None):
            raise InvalidSetting(
                "LRP: alpha and beta come together, with alpha - beta = 1, for example alpha=2, beta=1"
            )
        chosen = [name for name in ("gamma", "alpha", "rule", "composite", "plan") if getattr(self, name) is not None]
        if len(chosen) > 1:
            raise InvalidSetting(f"LRP: {' and '.join(chosen)} each choose a rule for layers; give one of them")
        brings_its_own = chosen in (["composite"], ["plan"]) or callable(self.rule)
        if brings_its_own and self.epsilon != LRP.epsilon:
            raise InvalidSetting(f"LRP: epsilon has no meaning beside this {chosen[0]}, which brings its own")
        if self.composite is not None and self.composite not in COMPOSITES:
            raise InvalidSetting(
                f"LRP: there is no composite called {self.composite!r}; there are {', '.join(COMPOSITES)}"
            )


def _count_layers(question: Question) -> int:
    """How many layers with weights explained values go through: found by scoring the first user's list once more."""
    inputs = {
        name: replace(part, values=part.values[:1], present=part.present[:1]) for name, part in question.inputs.items()
    }
    values = {name: inputs[name].values.clone().requires_grad_() for name in question.parts}
    with torch.enable_grad(), Relevance(plan_with(Epsilon(0.0)), Taken((1,))) as mode:
        for leaf in values.values():
            mode.follow(leaf)
        question.value(with_values(inputs, values))
    layers: int = mode.layers_met
    return layers


def _device(leaves: Leaves) -> torch.device:
    return next(iter(leaves.values())).device

"""Numbers of an explanation: what each unit contributed to each score, and the account that has to add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where a target went: `target = inputs + bias + stabilizer + reference + gap`, each (users, items) float64.

    For LRP `bias` is what biases, added constants and unasked parts that are added took, `stabilizer` what the
    stabiliser of a rule swallowed; both are measured, so the gap is a test and not a remainder. For methods that start
    from a reference, such as Shapley values, `reference` is the target with every asked unit removed. The gap is
    printed, never spread over the inputs.
    """

    target: Tensor
    inputs: Tensor
    bias: Tensor
    stabilizer: Tensor
    reference: Tensor

    @property
    def gap(self) -> Tensor:
        """What the account cannot place."""
        return self.target - self.inputs - self.bias - self.stabilizer - self.reference

    def relative_gap(self, relevance: Mapping[str, Tensor]) -> Tensor:
        """|gap| over max(|target|, sum of |relevance| + |bias|); (users, items). Safe where the target is near zero."""
        spent = sum(_sum_units(part.abs().double()) for part in relevance.values())
        return self.gap.abs() / torch.maximum(self.target.abs(), spent + self.bias.abs()).clamp(min=1e-300)

    def at(self, rows: Tensor | slice) -> Ledger:
        """The account of some users."""
        return Ledger(*(getattr(self, one.name)[rows] for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Attribution:
    """Relevance of every unit of the asked parts for every place of every list."""

    relevance: Mapping[str, Tensor]  # part -> (users, items, *unit); 0 where a unit is absent
    present: Mapping[str, Tensor]  # part -> (users, items, *unit) bool
    ledger: Ledger
    complete: bool
    """Whether the method promises that the ledger closes; where it does not, the gap is shown and nothing claimed."""
    notes: Mapping[str, Tensor] = field(default_factory=dict)
    """What else a method has to say of each place, by name, (users, items) each: how well its surrogate fits."""


def account(
    target: Tensor,
    relevance: Mapping[str, Tensor],
    *,
    bias: Tensor | None = None,
    stabilizer: Tensor | None = None,
    reference: Tensor | None = None,
) -> Ledger:
    """A ledger from relevances and what was measured beside them; whatever is not given is zero."""
    target = target.detach().double()
    nothing = torch.zeros_like(target)
    inputs = sum((_sum_units(part.double()) for part in relevance.values()), nothing)
    given = [
        nothing if amount is None else amount.double().expand_as(target) for amount in (bias, stabilizer, reference)
    ]
    return Ledger(target, inputs, *given)


def _sum_units(relevance: Tensor) -> Tensor:
    return relevance.flatten(start_dim=2).sum(-1) if relevance.ndim > 2 else relevance

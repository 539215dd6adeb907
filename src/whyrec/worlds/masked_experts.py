"""Experts that each see columns of their own, and a context that opens some of them and masks others.

    f = sum over experts e of pi_e(c) f_e(x_e)

    phi_e = (pi_e(c) + pi_e(c')) / 2  (f_e(x_e) - f_e(x'_e))
    phi_c = sum over e of (pi_e(c) - pi_e(c'))  (f_e(x_e) + f_e(x'_e)) / 2,   primes for baselines

A masked expert may be loud, and still says nothing. To explain by pi_e f_e, as mixtures of experts invite one to,
leaves out what the context does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.mixture import Voices
from whyrec.planted_truth import (
    ITEMS,
    UNITS,
    PlantedModel,
    PlantedTruth,
    World,
    nothing_like,
    numbered,
    random_lists,
    some,
)
from whyrec.recommender import Inputs, Part, Request, UnitKind

EXPERTS, COLUMNS, HIDDEN, CONTEXTS = UNITS - 1, 3, 4, 3
OPENED = 6
"""Experts that an item ever listens to."""

LOUD, LOUDNESS = 4, 3.0
"""So many experts speak so many times louder."""


class _Experts(PlantedModel):
    people: Tensor  # (users, EXPERTS, COLUMNS)
    contexts: Tensor  # (users, CONTEXTS) one-hot
    first: Tensor  # (EXPERTS, COLUMNS, HIDDEN)
    shift: Tensor  # (EXPERTS, HIDDEN)
    second: Tensor  # (EXPERTS, HIDDEN)
    gates: Tensor  # (CONTEXTS, ITEMS, EXPERTS)

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("people", torch.randn(user_count, EXPERTS, COLUMNS, dtype=torch.float64))
        self.register_buffer("contexts", F.one_hot(torch.randint(CONTEXTS, (user_count,)), CONTEXTS).double())
        self.register_buffer("first", torch.randn(EXPERTS, COLUMNS, HIDDEN, dtype=torch.float64))
        self.register_buffer("shift", torch.randn(EXPERTS, HIDDEN, dtype=torch.float64) / 2)
        loudness = torch.ones(EXPERTS, 1, dtype=torch.float64)
        loudness[:LOUD] = LOUDNESS
        self.register_buffer("second", torch.randn(EXPERTS, HIDDEN, dtype=torch.float64) * loudness)
        opened = some(item_count, EXPERTS, OPENED)
        gates = torch.rand(CONTEXTS, item_count, EXPERTS, dtype=torch.float64) * 2 - 0.5  # some are masked in a context
        gates.scatter_(2, opened.double().argmax(1)[None, :, None].expand(CONTEXTS, -1, 1), 1.0)  # one never is
        self.register_buffer("gates", torch.where(opened, gates, -1.0))

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {"experts": "expert", "context": "column"}

    def floats_per_user(self, items: int) -> int:
        return EXPERTS * max(HIDDEN, 2 * ITEMS)

    def units(self, request: Request) -> Inputs:
        context = Part.of(self.contexts[request.users][:, None])  # removed, it is a little of each
        average = context.values.new_full((CONTEXTS,), 1 / CONTEXTS)
        return {
            "experts": Part.of(self.people[request.users][:, None]),
            "context": replace(context, baseline=average),
        }

    def planted(self, inputs: Inputs) -> Tensor:
        voices, gates = self.say(inputs["experts"].values), self.opened(inputs["context"].values)
        return (gates * voices.unsqueeze(2)).sum(-1)

    def say(self, columns: Tensor) -> Tensor:
        """What each expert says, (users, 1, EXPERTS)."""
        hidden = F.relu(torch.einsum("uxec,ech->uxeh", columns, self.first) + self.shift)
        return (hidden * self.second).sum(-1)

    @property
    def expert_titles(self) -> tuple[str, ...]:
        return tuple(f"expert {number}" for number in range(EXPERTS))

    def voices(self, inputs: Inputs) -> Voices:
        """What the experts say, and how far each asked item listens to them."""
        heard = self.opened(inputs["context"].values)
        wanted = torch.einsum("uxie,uni->une", heard, inputs["item"].values)
        return Voices(self.say(inputs["experts"].values), wanted)

    def sees(self, part: str, present: Tensor) -> Tensor:
        """Each expert sees its own columns; the context is seen by none, it only opens and masks."""
        own = torch.eye(EXPERTS, dtype=torch.bool, device=present.device)
        return own if part == "experts" else own.new_zeros(EXPERTS)

    def opened(self, context: Tensor) -> Tensor:
        """How far each item listens to each expert, (users, 1, ITEMS, EXPERTS); shares of one."""
        heard = F.relu(torch.einsum("uxc,cie->uxie", context, self.gates))
        return heard / heard.sum(-1, keepdim=True)


def masked_experts(lists: int = 100, *, seed: int = 0) -> World:
    """A mixture of experts whose gate depends on a context: part of the reason is who was listened to."""
    model = _Experts().build(numbered(lists, "user"), numbered(ITEMS, "item"), seed=seed)
    request = random_lists(lists, seed)
    inputs = model.units(request)
    said, silence = (model.say(values) for values in _there_and_not(inputs["experts"]))  # (users, 1, EXPERTS)
    rows = torch.arange(lists)[:, None]
    heard, usual = (model.opened(values)[rows, 0, request.items] for values in _there_and_not(inputs["context"]))
    shapley = {
        "experts": (heard + usual) / 2 * (said - silence),
        "context": ((heard - usual) * (said + silence) / 2).sum(-1),
    }
    causes = {"experts": ((heard > 0) | (usual > 0)) & (said != silence), "context": (heard != usual).any(-1)}
    loud = torch.arange(EXPERTS) < LOUD
    decoys = {**nothing_like(shapley), "experts": loud & ~causes["experts"]}
    return World("masked_experts", model, request, PlantedTruth(shapley, causes, decoys))


def _there_and_not(part: Part) -> tuple[Tensor, Tensor]:
    return part.values, part.baseline.expand_as(part.values)

"""Expert shares: a mixture of experts explains itself by who was listened to, and what they said.

    score = rest + sum over experts of share * said,    each term shared alike by the units that the expert sees

This is what a model that is interpretable by design claims about itself, and it is put to the same checks as any other
explanation. The terms say nothing of units that only decide who is listened to. How much of the score's way from its
baseline is such a gate's doing stands in the notes:

    f(x) - f(b) = sum of pi_e(x) [f_e(x) - f_e(b)]  +  sum of [pi_e(x) - pi_e(b)] f_e(b)
    gate share  = |second sum| / (|first sum| + |second sum|)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from whyrec.attribution import Attribution, account
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.mixture import Mixing, Voices
from whyrec.question import Question
from whyrec.recommender import Inputs, Recommender, keep_only


@dataclass(frozen=True)
class ExpertShares:
    """The terms of a model that is a mixture of experts; refuses all others, and says so."""

    since: Literal["nothing", "baseline"] = "nothing"
    """From where a term counts: share * said, or share * what is said more than of the baseline. Then the second sum,
    the gate's, is nobody's term and stands in the account as bias."""

    def __post_init__(self) -> None:
        if self.since not in ("nothing", "baseline"):
            raise InvalidSetting(f"ExpertShares: since={self.since!r}: choose 'nothing' or 'baseline'")

    @torch.no_grad()
    def __call__(self, question: Question) -> Attribution:
        model = question.model
        if not isinstance(model, Mixing):
            raise NotApplicable(
                f"{type(model).__name__} is no mixture of experts, so it has no shares of its own; choose "
                "MaskedExperts, or another explainer, for example LRP"
            )
        if question.rivals is not None:
            raise NotApplicable(
                f"{question.target.name!r} compares items, and experts speak about one item at a time; explain the "
                "score itself, target=Logit()"
            )
        voices = _voices(model, question, question.inputs)
        nothing = {name: torch.zeros_like(question.inputs[name].present) for name in question.parts}
        before = _voices(model, question, keep_only(question.inputs, nothing))
        if self.since == "baseline":
            relevance, elsewhere = _shared(model, voices.shares * (voices.said - before.said), question)
            elsewhere, start = elsewhere + voices.since(before)[1], before.score.double()
        else:
            relevance, elsewhere = _shared(model, voices.shares * voices.said, question)
            start = torch.as_tensor(voices.rest, dtype=torch.float64, device=elsewhere.device)
        return Attribution(
            relevance,
            present={name: question.present(name) for name in question.parts},
            ledger=account(voices.score, relevance, bias=elsewhere, reference=start),
            complete=True,
            notes={"gate share": _gate_share(voices, before)},
        )


class _Speaking(nn.Module):
    """A model whose output is what its experts say, so that it can speak with weights of another precision."""

    def __init__(self, model: Recommender) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Inputs) -> Voices:
        return cast(Mixing, self.model).voices(inputs)


def _voices(model: Mixing, question: Question, inputs: Inputs) -> Voices:
    """What experts say of every place, (users, items, expert) each."""
    speaking = _Speaking(question.model)
    weights = {f"model.{name}": one for name, one in (question.weights or {}).items()}
    found: Voices = torch.func.functional_call(speaking, weights, (inputs,)) if weights else model.voices(inputs)
    shape = (*question.shape, len(model.expert_titles))
    return Voices(found.said.expand(shape), found.shares.expand(shape), found.rest)


def _shared(model: Mixing, terms: Tensor, question: Question) -> tuple[Mapping[str, Tensor], Tensor]:
    """Each expert's term, (users, items, expert), among the units it sees that are there; and what others have of it.

    Units of parts that nobody asked about count, and what falls on them is no relevance of those asked.
    """
    terms, seen = terms.double(), {}
    for name in (one for one in question.inputs if one in question.model.unit_kinds):
        there = question.present(name)  # (users, items, *unit)
        seen[name] = model.sees(name, there) & there.unsqueeze(2)  # (users, items, expert, *unit)
    count = sum(one.flatten(3).sum(-1) if one.ndim > 3 else one for one in seen.values())
    each = terms / torch.as_tensor(count).clamp(min=1)
    relevance = {name: _per_unit(each, seen[name]) for name in question.parts}
    given = sum(one.flatten(2).sum(-1) if one.ndim > 2 else one for one in relevance.values())
    return relevance, terms.sum(-1) - given


def _per_unit(each: Tensor, seen: Tensor) -> Tensor:
    """(users, items, expert) and (users, items, expert, *unit) -> (users, items, *unit)."""
    return (each.reshape(*each.shape, *[1] * (seen.ndim - 3)) * seen).sum(2)


def _gate_share(voices: Voices, before: Voices) -> Tensor:
    """How much of the score's way from `before` is due to who is listened to, (users, items), from 0 to 1."""
    by_saying, by_gate = (one.double().abs() for one in voices.since(before))
    return by_gate / (by_saying + by_gate).clamp(min=torch.finfo(torch.float64).tiny)

"""What is asked of an explainer: which scores, of which model, split over which named inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from whyrec.errors import InvalidSetting, NotApplicable, NotExplainableByMasking, WhyrecError
from whyrec.interactions import Interactions
from whyrec.recommender import Inputs, Part, Recommender, Request
from whyrec.targets import Logit, Relative, Target


@dataclass(frozen=True, slots=True)
class Question:
    """One batch of lists to explain. Explainers use `value` and `inputs`, and so never know the modality."""

    model: Recommender
    request: Request
    inputs: Inputs
    parts: tuple[str, ...]
    """The parts asked about; all others are constants."""
    train: Interactions | None = None
    """The events the model learned from, for methods that look at data."""
    seed: int = 0
    weights: Mapping[str, Tensor] | None = None
    """The model's weights in another precision; None where its own are used."""
    target: Target = field(default_factory=Logit)
    """What the explained numbers are."""
    rivals: Tensor | None = None
    """(users, rivals) item rows that the target compares with, -1 where a user has fewer; `inputs` hold them behind the
    asked items. None where the target is the score alone."""
    joined: tuple[str, ...] = ()
    """Asked parts that bring other values for each item. A comparison needs them all at once, so their items stand in
    the channel, and a unit is still one unit."""

    def value(self, inputs: Inputs) -> Tensor:
        """The explained numbers, (users, items), by the model's scores of `inputs`.

        `inputs` may hold all users several times over, one copy behind the other: (copies * users, items).
        """
        if self.rivals is None or not isinstance(self.target, Relative):
            return self._scores(inputs)
        scores = self._scores(self._by_item(inputs))  # (copies * users, items + rivals)
        asked, compared = scores[:, : self.shape[1]], scores[:, self.shape[1] :]
        others = self._others(self.rivals).repeat(len(scores) // len(self.rivals), 1, 1)
        return asked - self.target.reference(compared, others)

    @property
    def shape(self) -> tuple[int, int]:
        """How many users and items are asked about."""
        return len(self.request.users), self.request.items.shape[1]

    @property
    def items_scored(self) -> int:
        """How many items of each user are scored: those asked about, and their rivals."""
        return self.shape[1] + (0 if self.rivals is None else self.rivals.shape[1])

    def present(self, part: str) -> Tensor:
        """Which units of a part are there, (users, items, *unit) bool."""
        there = self.inputs[part].present
        return there.expand(*self.shape, *there.shape[2:])

    def generators(self, purpose: str) -> Iterator[np.random.Generator]:
        """One source of chance for each user, the same whatever other users are asked about."""
        word = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
        lists = self.request.items.expand(self.shape)
        for user, items in zip(self.request.users.tolist(), lists.tolist(), strict=True):
            yield np.random.default_rng([self.seed, word, user + 1, *items])

    def _scores(self, inputs: Inputs) -> Tensor:
        if self.weights is None:
            return self.model.score(inputs)
        score: Tensor = torch.func.functional_call(self.model, dict(self.weights), (inputs,))
        return score

    def _others(self, rivals: Tensor) -> Tensor:
        """Which rivals are there and not the item itself, (users, items, rivals) bool."""
        asked = self.request.items.expand(self.shape)
        return (rivals >= 0).unsqueeze(1) & (rivals.unsqueeze(1) != asked.unsqueeze(-1))

    def _by_item(self, inputs: Inputs) -> Inputs:
        """The inputs as the model wants them: items out of the channel of joined parts."""
        return {name: _apart(part, self.items_scored) if name in self.joined else part for name, part in inputs.items()}


def ask(
    model: Recommender,
    request: Request,
    *,
    parts: tuple[str, ...] | None = None,
    target: Target | None = None,
    rivals: Tensor | None = None,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Question:
    """Embed a request and settle which parts are asked about. Refuses a model in train mode and unknown parts.

    The target is the score unless given; a question asked again, of nearly the same user or of another model, passes
    the `rivals` of the first.
    """
    model.require_built()
    if any(module.training for module in model.modules()):
        raise WhyrecError("the model is in train mode, where dropout makes scores random; call model.eval() first")
    target = target or Logit()
    if isinstance(target, Relative):
        rivals = target.rivals(model, request) if rivals is None else rivals
    with torch.no_grad():
        scored = request if rivals is None else _with_rivals(request, rivals)
        inputs = {name: _constant(part, dtype) for name, part in model.embed(scored).items()}
    weights = None
    if dtype is not None:
        weights = {
            name: tensor.to(dtype) if tensor.is_floating_point() else tensor
            for name, tensor in model.state_dict().items()
        }
    asked = asked_parts(model, inputs, parts)
    joined: tuple[str, ...] = ()
    if rivals is not None:
        asked, joined = _shared(model, inputs, asked, target, chosen=parts is not None)
        inputs = {name: _together(part) if name in joined else part for name, part in inputs.items()}
    return Question(model, request, inputs, asked, model.known, seed, weights, target, rivals, joined)


def asked_parts(model: Recommender, inputs: Inputs, parts: tuple[str, ...] | None) -> tuple[str, ...]:
    """The parts to explain: those asked for, else those whose units a person can name and remove, else factors."""
    explainable = [name for name in inputs if name in model.unit_kinds]
    if parts is not None:
        for name in parts:
            if name not in explainable:
                raise InvalidSetting(
                    f"{type(model).__name__} has no part {name!r} to explain; it has {', '.join(explainable)}"
                )
        return parts
    if not explainable:
        raise NotExplainableByMasking(
            f"a score of {type(model).__name__} depends on nothing about the user, so there is nothing to explain "
            "by; choose a model that looks at users, for example MF or NeuMF with user='history'"
        )
    return removable_parts(model, inputs) or tuple(explainable)


def removable_parts(model: Recommender, inputs: Inputs) -> tuple[str, ...]:
    """Parts whose units a person can name and take away; factors of ids are not."""
    return tuple(name for name in inputs if model.unit_kinds.get(name, "factor") != "factor")


def _with_rivals(request: Request, rivals: Tensor) -> Request:
    """The request with each user's rivals behind the asked items."""
    asked = request.items.expand(len(request.users), -1)
    return replace(request, items=torch.cat([asked, rivals.clamp(min=0)], dim=1))


def _shared(
    model: Recommender, inputs: Inputs, asked: tuple[str, ...], target: Target, *, chosen: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The parts a comparison of items can split over, and those of them that bring other values for each item.

    A unit must mean the same for an item and its rivals: past items do, and all that has no items axis.
    """
    past = [name for name in asked if model.unit_kinds[name] == "past item"]
    shared = tuple(name for name in asked if name in past or inputs[name].values.shape[1] == 1)
    left_out = [name for name in asked if name not in shared]
    if not shared or (chosen and left_out):
        hint = f"ask for {' and '.join(shared)}, which the items share" if shared else "explain the score itself"
        raise NotApplicable(
            f"{target.name!r} compares items, and a unit of {left_out[0]!r} belongs to one item only; {hint}"
        )
    return shared, tuple(name for name in shared if inputs[name].values.shape[1] != 1)


def _together(part: Part) -> Part:
    """Items moved into the channel: (users, items, *unit, channel) -> (users, 1, *unit, items * channel)."""
    if not part.present.equal(part.present[:, :1].expand_as(part.present)):
        raise NotApplicable(
            "a past item is there for one item of the list and not for another, so the two have no units in common "
            "to be compared by; explain the score itself"
        )
    values, baseline = (
        tensor.movedim(1, -2).flatten(-2).unsqueeze(1) for tensor in (part.values, part.baseline.expand_as(part.values))
    )
    return replace(part, values=values, present=part.present[:, :1], baseline=baseline)


def _apart(part: Part, items: int) -> Part:
    """The way back of `_together`."""
    values, baseline = (
        tensor.squeeze(1).unflatten(-1, (items, -1)).movedim(-2, 1) for tensor in (part.values, part.baseline)
    )
    present = part.present.expand(len(part.present), items, *part.present.shape[2:])
    return replace(part, values=values, present=present, baseline=baseline)


def _constant(part: Part, dtype: torch.dtype | None) -> Part:
    values, baseline = part.values.detach(), part.baseline.detach()
    return replace(part, values=values.to(dtype or values.dtype), baseline=baseline.to(dtype or baseline.dtype))

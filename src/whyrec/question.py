"""What is asked of an explainer: which scores, of which model, split over which named inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from whyrec.errors import InvalidSetting, NotExplainableByMasking, WhyrecError
from whyrec.interactions import Interactions
from whyrec.recommender import Inputs, Part, Recommender, Request


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

    def value(self, inputs: Inputs) -> Tensor:
        """The explained numbers, (users, items): the model's scores of `inputs`."""
        if self.weights is None:
            return self.model.score(inputs)
        score: Tensor = torch.func.functional_call(self.model, dict(self.weights), (inputs,))
        return score

    @property
    def shape(self) -> tuple[int, int]:
        """How many users and items are scored."""
        return len(self.request.users), self.request.items.shape[1]

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


def ask(
    model: Recommender,
    request: Request,
    *,
    parts: tuple[str, ...] | None = None,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Question:
    """Embed a request and settle which parts are asked about. Refuses a model in train mode and unknown parts."""
    model.require_built()
    if any(module.training for module in model.modules()):
        raise WhyrecError("the model is in train mode, where dropout makes scores random; call model.eval() first")
    with torch.no_grad():
        inputs = {name: _constant(part, dtype) for name, part in model.embed(request).items()}
    weights = None
    if dtype is not None:
        weights = {
            name: tensor.to(dtype) if tensor.is_floating_point() else tensor
            for name, tensor in model.state_dict().items()
        }
    return Question(model, request, inputs, asked_parts(model, inputs, parts), model.known, seed, weights)


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


def _constant(part: Part, dtype: torch.dtype | None) -> Part:
    values, baseline = part.values.detach(), part.baseline.detach()
    return replace(part, values=values.to(dtype or values.dtype), baseline=baseline.to(dtype or baseline.dtype))

"""SmoothGrad: the mean of what a method says about many copies of the inputs, each moved a little by chance.

Smilkov et al. 2017, SmoothGrad: removing noise by adding noise. Gradients of networks with kinks change from one point
to the next; their mean changes less. Noise comes in pairs, e and -e, so that it cancels where a score is affine and the
answer there is that of the method itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from whyrec.attribution import Attribution, account
from whyrec.copies import copied, copies_at_once
from whyrec.errors import InvalidSetting
from whyrec.gradients import gradient_times_input, require_floats
from whyrec.question import Question


@dataclass(frozen=True)
class SmoothGrad:
    """The mean of another method near the inputs. It never adds up: the ledger's target is the score without noise.

    What the noise changes stands in the gap, even where the other method closes its own accounts: those are of the
    scores of the copies, whose mean is another number.
    """

    explainer: Callable[[Question], Attribution] | None = None
    """The method to smooth; None smooths gradient times input."""
    samples: int = 50
    """Copies of each user, an even number."""
    spread: float = 0.15
    """Standard deviation of the noise, as a share of that of a user's values: all that a part has there, over its units
    and channels."""

    def __post_init__(self) -> None:
        if self.samples < 2 or self.samples % 2:
            raise InvalidSetting(
                f"SmoothGrad: samples={self.samples}: copies come in pairs, so choose an even number from 2 on"
            )
        if not 0 <= self.spread < float("inf"):
            raise InvalidSetting(
                f"SmoothGrad: spread={self.spread}: choose a share of the standard deviation, from 0 on"
            )

    def __call__(self, question: Question) -> Attribution:
        require_floats(question)
        with torch.no_grad():
            target = question.value(question.inputs)
        method = self.explainer or gradient_times_input
        present = {name: question.present(name) for name in question.parts}
        relevance = {name: there.double() * 0 for name, there in present.items()}
        taken = torch.zeros(3, *question.shape, dtype=torch.float64, device=target.device)
        for noise in self._noise(question):
            moved = {name: question.inputs[name].values + shift for name, shift in noise.items()}
            answer = method(copied(question, moved))
            for name in relevance:
                relevance[name] += self._share(answer.relevance[name], question)
            ledger = answer.ledger
            amounts = (ledger.bias, ledger.stabilizer, ledger.reference)
            taken += torch.stack([self._share(one, question) for one in amounts])
        bias, stabilizer, reference = taken
        ledger = account(target, relevance, bias=bias, stabilizer=stabilizer, reference=reference)
        return Attribution(relevance, present, ledger, complete=False)

    def _share(self, amount: Tensor, question: Question) -> Tensor:
        """What some copies bring to the mean over all: (copies * users, ...) -> (users, ...)."""
        by_copy: Tensor = amount.detach().unflatten(0, (-1, question.shape[0]))
        return by_copy.sum(0) / self.samples

    def _noise(self, question: Question) -> Iterator[dict[str, Tensor]]:
        """Pairs of noise and its mirror image, as many as one forward pass may hold: part -> (copies, users, ...)."""
        sources = {name: list(question.generators(f"smooth {name}")) for name in question.parts}
        at_once = max(1, copies_at_once(question, units_apart=True) // 2)
        for block in torch.arange(self.samples // 2).split(at_once):
            found = {}
            for name in question.parts:
                values, there = _expanded(question, name)
                drawn = _normal(sources[name], there, len(block)).to(values) * self.spread * _deviation(values, there)
                found[name] = torch.cat([drawn, -drawn])
            yield found


def _expanded(question: Question, name: str) -> tuple[Tensor, Tensor]:
    """A part's values one row a user, and which of them are there; (users, items | 1, *unit, channel)."""
    part = question.inputs[name]
    values = part.values.expand(question.shape[0], *part.values.shape[1:])
    return values, part.present.unsqueeze(-1).expand_as(values)


def _deviation(values: Tensor, there: Tensor) -> Tensor:
    """The standard deviation of what is there, over units and channels of each user (and item) by itself."""
    values, mask = values.flatten(2), there.flatten(2)
    count = mask.sum(2, keepdim=True).clamp(min=1)
    mean = torch.where(mask, values, 0.0).sum(2, keepdim=True) / count
    variance = torch.where(mask, (values - mean).square(), 0.0).sum(2, keepdim=True) / count
    return variance.sqrt().reshape(*variance.shape[:2], *(1 for _ in there.shape[2:]))


def _normal(sources: list[np.random.Generator], there: Tensor, count: int) -> Tensor:
    """Standard normal numbers where something is there: (count, users, ...), each user's of its own source."""
    drawn, mask = torch.zeros(count, *there.shape, dtype=torch.float64), there.cpu()
    for row, source in enumerate(sources):
        drawn[:, row][:, mask[row]] = torch.from_numpy(source.standard_normal((count, int(mask[row].sum()))))
    return drawn

"""Masked experts on a plain table of numbers: a module that takes rows and gives one score between -1 and 1 a row.

`whyrec.adapt` gives it every explainer and every check, as it does any other module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.experts import Block, Experts
from whyrec.lattice import Lattice
from whyrec.mixture import Boosting, Confidence, Voices, heard, mixed, taught, teaching_weights

Module = TypeVar("Module", bound=nn.Module)


class PointExperts(nn.Module):
    """One expert for each subset of columns; a column is a group."""

    def __init__(self, lattice: Lattice, blocks: Sequence[Block], boosting: Boosting, *, lateral: bool = True) -> None:
        super().__init__()
        self.experts = Experts(lattice, [1] * len(lattice.groups), blocks, lateral=lateral)
        self.lattice, self.boosting = lattice, boosting

    def forward(self, x: Tensor) -> Tensor:
        """(rows, columns) -> (rows, 1)."""
        return self.voices(x).score.unsqueeze(-1)

    def voices(self, x: Tensor) -> Voices:
        """What each expert says of each row, and how far it is listened to."""
        return mixed(self.said(x), self.lattice.children, self.boosting)

    def said(self, x: Tensor) -> Tensor:
        """What each expert says, (rows, expert), from -1 to 1."""
        return torch.tanh(self._raw(x))

    def attribution(self, x: Tensor, confidence: Confidence = "absolute") -> Tensor:
        """alpha, (rows, expert): which subsets were enough."""
        return heard(self.said(x), self.lattice.children, confidence)

    def own_loss(self, x: Tensor, wanted: Tensor) -> Tensor:
        """Each expert's own cross-entropy, weighed; `wanted` is 0 or 1, (rows,)."""
        raw = self._raw(x, apart=True)
        wrong = F.binary_cross_entropy_with_logits(2 * raw, wanted.unsqueeze(-1).expand_as(raw), reduction="none")
        weights = teaching_weights(torch.tanh(raw), wanted, self.lattice.children, self.boosting)
        return taught(wrong, weights, self.boosting)

    def _raw(self, x: Tensor, *, apart: bool = False) -> Tensor:
        found: Tensor = self.experts(x.split(1, dim=-1), apart=apart)
        return found


def teach(
    module: Module, draw: Callable[[], tuple[Tensor, Tensor]], *, steps: int, learning_rate: float = 1e-3
) -> Module:
    """Train on fresh rows, (rows, columns), and labels of -1 and 1 in each step, and return it in eval mode.

    `PointExperts` learn by their own loss. Any other module gives half a logit a row, so that tanh of it is the score.
    """
    optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate)
    module.train()
    for _ in range(steps):
        x, label = draw()
        wanted = (label + 1) / 2
        optimizer.zero_grad()
        if isinstance(module, PointExperts):
            loss = module.own_loss(x, wanted)
        else:
            loss = F.binary_cross_entropy_with_logits(2 * module(x).squeeze(-1), wanted)
        loss.backward()
        optimizer.step()
    return module.eval()

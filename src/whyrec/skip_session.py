"""SkipSession: a Transformer that tells which tracks will be skipped, and which kind of evidence was enough to tell.

For each subset of the groups of columns there is an expert that sees nothing else of a session: what was skipped so far
(persistence), how tracks were played (interaction), when and where (context), or what the tracks are (release and
musical). Experts are blocks of attention in which a play sees itself and those before it, and a larger subset is
listened to only where the smaller ones inside it are not sure (see `mixture`).

Afchar and Hennequin 2020, Making neural networks interpretable with attribution. Their network attends to the whole
second half and cuts skips and buttons into one group; here a guess rests on what came before it, and skips stand alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from whyrec.expert_blocks import Attention
from whyrec.experts import Experts
from whyrec.lattice import Lattice
from whyrec.mixture import PRESETS, Boosting, Preset, Voices, mixed, taught, teaching_weights
from whyrec.recommender import Inputs
from whyrec.sessions import LONGEST, Group
from whyrec.settings import settings
from whyrec.skip_model import GROUPS, MOMENT, WIDTHS, SkipModel
from whyrec.training import Loss

CATEGORY: Mapping[Group, str] = {
    "persistence": "persistence",
    "interaction": "interaction",
    "context": "interaction",
    "release": "musical",
    "musical": "musical",
}
SEVERAL = "several"
"""What a subset counts as that sees more than one category."""


class SkipSession(SkipModel):
    """Masked experts of attention on groups of what is known of a session."""

    @settings
    class Settings:
        """Which groups are seen together, and the shape of the networks."""

        subsets: tuple[tuple[Group, ...], ...] = (
            ("persistence",),
            ("interaction",),
            ("musical",),
            ("persistence", "interaction", "context"),
            ("release", "musical"),
            ("persistence", "interaction", "context", "release", "musical"),
        )
        """Groups that an expert sees, for each expert."""
        width: PositiveInt = 24
        """Channels of each block of each expert."""
        heads: PositiveInt = 4
        """Heads of attention; they share the channels."""
        depth: PositiveInt = 2
        """Blocks of each expert."""
        lateral: bool = True
        """Whether an expert reads what the experts on smaller subsets inside its own found."""
        preset: Preset = "spotify"
        """How sure an expert counts as, and how it is taught: a variant of the authors'."""
        hides: float = Field(default=0.1, ge=0, le=1)
        """Training hides up to this share of the units of a session, so that a removed one is nothing unheard of."""

    settings: Settings

    def make_network(self) -> None:
        asked = self.settings
        self.lattice = Lattice(GROUPS, asked.subsets)
        blocks = [Attention(asked.width, asked.heads, causal=True)] * asked.depth
        widths = [WIDTHS[name] + MOMENT for name in GROUPS]
        self.experts = Experts(self.lattice, widths, blocks, lateral=asked.lateral)

    @property
    def hides(self) -> float:
        return self.settings.hides

    def floats_per_user(self, items: int) -> int:
        return LONGEST * 3 * self.experts.widest + items * LONGEST * len(self.lattice)

    @property
    def expert_titles(self) -> tuple[str, ...]:
        """The subsets of groups by their names."""
        return self.lattice.titles

    @property
    def categories(self) -> dict[str, tuple[str, ...]]:
        """Subsets by what they see: one kind of evidence, or several of them.

        >>> from whyrec.datasets.planted_sessions import load
        >>> model = SkipSession().build(load(sessions=1).as_users, load(sessions=1).as_users)
        >>> model.categories["interaction"], model.categories["musical"]
        (('interaction',), ('musical', 'release + musical'))
        """
        found: dict[str, tuple[str, ...]] = dict.fromkeys((*dict.fromkeys(CATEGORY.values()), SEVERAL), ())
        for title, subset in zip(self.lattice.titles, self.lattice.subsets, strict=True):
            kinds = {CATEGORY[name] for name in GROUPS if name in subset}
            name = kinds.pop() if len(kinds) == 1 else SEVERAL
            found[name] = (*found[name], title)
        return {name: titles for name, titles in found.items() if titles}

    def score(self, inputs: Inputs) -> Tensor:
        """Between -1 and 1, where (score + 1) / 2 is the probability of a skip."""
        return self.voices(inputs).score

    def voices(self, inputs: Inputs) -> Voices:
        """What each expert says of each place, and how far it is listened to."""
        return mixed(torch.tanh(self._raw(inputs)), self.lattice.children, self._boosting)

    def sees(self, part: str, present: Tensor) -> Tensor:
        """Which plays of a group each expert sees, (expert, slot) bool."""
        seen = self.lattice.holds[:, self.lattice.groups.index(part)].to(present.device)
        return seen[:, None].expand(-1, present.shape[2])

    def own_loss(self, inputs: Inputs, wanted: Tensor, loss: Loss) -> Tensor:
        """Each expert's own cross-entropy, weighed by how unsure its children are; NaN in `wanted` is no lesson."""
        there = ~wanted.isnan()
        raw, answers = self._raw(inputs, apart=True)[there], wanted[there]  # (lessons, expert) and (lessons,)
        weights = teaching_weights(torch.tanh(raw), answers, self.lattice.children, self._boosting)
        # (1 + tanh x) / 2 is the sigmoid of 2 x
        wrong = F.binary_cross_entropy_with_logits(2 * raw, answers.unsqueeze(-1).expand_as(raw), reduction="none")
        return taught(wrong, weights, self._boosting)

    def _raw(self, inputs: Inputs, *, apart: bool = False) -> Tensor:
        """What experts say, without bounds, (users, items, expert)."""
        groups, lead = self.timeline(inputs)
        return self.at_places(self.experts(groups, apart=apart), lead, inputs)

    @property
    def _boosting(self) -> Boosting:
        return PRESETS[self.settings.preset]

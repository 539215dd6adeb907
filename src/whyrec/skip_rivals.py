"""What SkipSession is compared with: a Transformer and a GRU that see all at once, and the last skip repeated."""

from __future__ import annotations

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from whyrec.expert_blocks import Attention, Recurrent
from whyrec.experts import Block
from whyrec.recommender import Inputs
from whyrec.sessions import HALF, LOG, LONGEST, SKIPPED
from whyrec.settings import settings
from whyrec.skip_model import GROUPS, MOMENT, WIDTHS, SkipModel

LAST_SKIP = LOG["persistence"].index(SKIPPED)


class _WholeSession(SkipModel):
    """One network of all groups side by side."""

    def make_blocks(self, block: Block, depth: int) -> None:
        """`depth` layers, and one number from the last of them."""
        layers, wide = [], sum(WIDTHS[name] + MOMENT for name in GROUPS)
        for _ in range(depth):
            layers.append(block(wide))
            wide = block.width
        self.network = nn.Sequential(*layers, nn.Linear(wide, 1))

    @property
    def hides(self) -> float:
        hides: float = self.settings.hides
        return hides

    def floats_per_user(self, items: int) -> int:
        return LONGEST * (sum(WIDTHS.values()) + MOMENT * len(WIDTHS) + items)

    def score(self, inputs: Inputs) -> Tensor:
        """The logit of a skip."""
        groups, lead = self.timeline(inputs)
        return self.at_places(self.network(torch.cat(groups, -1)), lead, inputs)[..., 0]


class SkipTransformer(_WholeSession):
    """The twin of SkipSession that sees all groups at once."""

    @settings
    class Settings:
        """Shape of the network."""

        width: PositiveInt = 48
        """Channels of each block."""
        heads: PositiveInt = 4
        """Heads of attention; they share the channels."""
        depth: PositiveInt = 2
        """Blocks."""
        hides: float = Field(default=0.1, ge=0, le=1)
        """Training hides up to this share of the units of a session."""

    settings: Settings

    def make_network(self) -> None:
        self.make_blocks(Attention(self.settings.width, self.settings.heads, causal=True), self.settings.depth)


class SkipGRU(_WholeSession):
    """A recurrent network over the plays of a session."""

    @settings
    class Settings:
        """Shape of the network."""

        width: PositiveInt = 48
        """Channels of the state."""
        depth: PositiveInt = 1
        """Layers."""
        hides: float = Field(default=0.1, ge=0, le=1)
        """Training hides up to this share of the units of a session."""

    settings: Settings

    def make_network(self) -> None:
        self.make_blocks(Recurrent(self.settings.width), self.settings.depth)


class LastSkip(SkipModel):
    """Persistence: the second half goes on as the last play of the first one ended; no skip where that is unknown."""

    @settings
    class Settings:
        """There are none."""

    def make_network(self) -> None:
        """There is none."""

    def score(self, inputs: Inputs) -> Tensor:
        """1 for a skip, -1 for none, 0 where nothing is known."""
        last = inputs["persistence"].values[:, :, HALF - 1, LAST_SKIP]  # (users, items | 1)
        return last * inputs["place"].values.sum(-1)

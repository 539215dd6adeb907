"""Layers that experts can be made of: dense ones, and for sequences recurrent ones and attention.

Sequences are (..., time, channel). Moments of one sequence may meet, sequences never do.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from whyrec.errors import InvalidSetting


@dataclass(frozen=True)
class Dense:
    """A linear map and a ReLU."""

    width: int

    def __call__(self, inputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, self.width), nn.ReLU())


@dataclass(frozen=True)
class Recurrent:
    """A GRU along time; each moment knows those before it."""

    width: int

    def __call__(self, inputs: int) -> nn.Module:
        return _Recurrent(inputs, self.width)


@dataclass(frozen=True)
class Attention:
    """A Transformer's block: moments look at one another, then a small network on each of them."""

    width: int
    heads: int = 4
    causal: bool = False
    """Whether a moment sees only itself and those before it."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise InvalidSetting(f"Attention: width={self.width} is no multiple of heads={self.heads}; change either")

    def __call__(self, inputs: int) -> nn.Module:
        return _Attention(inputs, self.width, self.heads, self.causal)


class _Recurrent(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.cell = nn.GRU(inputs, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.cell(x.flatten(0, -3))[0]
        apart: Tensor = found.unflatten(0, x.shape[:-2])
        return apart


class _Attention(nn.Module):
    """r = norm(attention(x) + linear(x)), then norm(r + network(r)); norms without weights (run_spotify of the authors,
    but logits are divided by the root of the width of a head, as everywhere else)."""

    def __init__(self, inputs: int, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal, self.width = heads, causal, width
        self.queries_keys_values = nn.Linear(inputs, 3 * width, bias=False)
        self.straight = nn.Linear(inputs, width)
        self.network = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        apart = self.queries_keys_values(x).unflatten(-1, (3, self.heads, -1)).movedim(-3, 0)
        queries, keys, values = (one.transpose(-2, -3) for one in apart)  # (..., head, time, channel)
        seen = F.scaled_dot_product_attention(queries, keys, values, is_causal=self.causal)
        mixed = F.layer_norm(seen.transpose(-2, -3).flatten(-2) + self.straight(x), (self.width,))
        found: Tensor = F.layer_norm(mixed + self.network(mixed), (self.width,))
        return found

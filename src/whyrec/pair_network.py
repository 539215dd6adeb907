"""A small network on a user's vector and an item's vector: the branch that MLP and NeuMF share.

The vectors meet in its first layer, h = ReLU(z), in one of two ways:

    concat      z = W [u, v] + b                                   He et al. 2017, Neural collaborative filtering
    bilinear    z_k = u' W_k v + b_k                               each number of u meets each number of v

A bilinear layer with a linear one behind it, as some implementations have it, is a bilinear layer again: one is enough.
The first layer on [u, v] is written as two linears that are added, so that the user's half is computed once a list and
the item's half once a distinct item.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from whyrec.recommender import spread

Vectors = tuple[Tensor, Tensor | None]
"""Vectors, (users | 1, items | distinct | 1, channel), and the index that `spread` follows."""

Interaction = Literal["concat", "bilinear"]

ROWS_AT_ONCE = 4096
"""Pairs that `rank` takes through the layers at once: 1 MiB for 64 numbers each."""


class PairNetwork(nn.Module):
    """`depth` layers, each half as wide as the one before, down to `factors` (He et al. 2017, the tower of the MLP)."""

    def __init__(self, factors: int, depth: int, interaction: Interaction = "concat") -> None:
        super().__init__()
        widths = [int(factors * 2**step) for step in reversed(range(depth))]
        self.width: int = widths[0]  # of each vector: together they are twice as wide as the first layer's output
        self.interaction = interaction
        if interaction == "bilinear":
            self.bilinear = nn.Bilinear(self.width, self.width, self.width)
        else:
            self.user_half = nn.Linear(self.width, self.width)
            self.item_half = nn.Linear(self.width, self.width, bias=False)
        # In place: a layer's output is looked at by nobody else, and a block of ranking is as large as memory allows.
        self.tower = nn.Sequential(nn.ReLU(inplace=True))
        for wide, narrow in pairwise(widths):
            self.tower.extend([nn.Linear(wide, narrow), nn.ReLU(inplace=True)])

    def forward(self, user: Vectors, item: Vectors) -> Tensor:
        """What the network says of each pair, (users, items, factors)."""
        users, items = self._apart(user[0], item[0])
        first, layers = self.tower[0], self.tower[1:]
        met = first(self._together(spread(users, user[1]), spread(items, item[1])))
        hidden: Tensor = layers(
            met.flatten(0, 1)
        )  # as one axis: a ReLU in place on a view would copy in the backward pass
        apart: Tensor = hidden.unflatten(0, met.shape[:2])
        return apart

    def rank(self, users: Tensor, items: Tensor, weight: Tensor) -> Tensor:
        """The network's answer times `weight`, (factors,), for each of `users` and each of `items`: (users, items).

        Both are vectors, (users, channel) and (items, channel). A few users at a time: what the layers hold of them
        stays in a processor's cache.
        """
        users, items = self._apart(users, items)
        some = users.split(max(1, ROWS_AT_ONCE // max(1, len(items))))
        return torch.cat([self.tower(self._together(one[:, None], items[None])) @ weight for one in some])

    def floats_to_rank(self, items: int) -> int:
        """How many numbers `rank` holds once, beside the vectors: half a first layer, and the layers of some users."""
        wide = self.width * max(items, ROWS_AT_ONCE)
        return items * self.width + (3 * wide if self.interaction == "bilinear" else 2 * wide)

    def floats_per_user(self, items: int) -> int:
        """How many numbers a pass over `items` items for one user holds at its widest."""
        if self.interaction == "bilinear":
            return self.width * (self.width + 3 * items)
        return items * 2 * self.width

    def _apart(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """What can be computed of each side before they meet."""
        if self.interaction == "bilinear":
            return users, items
        return self.user_half(users), self.item_half(items)

    def _together(self, users: Tensor, items: Tensor) -> Tensor:
        """The first layer's output before its ReLU, (users, items, channel)."""
        if self.interaction == "bilinear":
            met = torch.einsum("uip,kpq,uiq->uik", users, self.bilinear.weight, items)
            return met.contiguous() + self.bilinear.bias  # out of order, the next layer's last bit depends on autograd
        return users + items


def vector_width(factors: int, depth: int) -> int:
    """Length of each of the two vectors that a network of this depth takes."""
    return int(factors * 2 ** max(depth - 1, 0))

"""A small network on a user's vector and an item's vector: the branch that MLP and NeuMF share.

The first layer on [user, item] is written as two linears that are added, so that the user's half is computed once a
list and the item's half once a distinct item.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from whyrec.recommender import spread

Vectors = tuple[Tensor, Tensor | None]
"""Vectors, (users | 1, items | distinct | 1, channel), and the index that `spread` follows."""


class PairNetwork(nn.Module):
    """`depth` layers, each half as wide as the one before, down to `factors` (He et al. 2017, the tower of the MLP)."""

    def __init__(self, factors: int, depth: int) -> None:
        super().__init__()
        widths = [factors * 2**step for step in reversed(range(depth))]
        self.width = widths[0]  # of each vector: together they are twice as wide as the first layer's output
        self.user_half = nn.Linear(widths[0], widths[0])
        self.item_half = nn.Linear(widths[0], widths[0], bias=False)
        self.tower = nn.Sequential(nn.ReLU())
        for wide, narrow in pairwise(widths):
            self.tower.extend([nn.Linear(wide, narrow), nn.ReLU()])

    def forward(self, user: Vectors, item: Vectors) -> Tensor:
        """What the network says of each pair, (users, items, factors)."""
        users = spread(self.user_half(user[0]), user[1])
        hidden: Tensor = self.tower(users + spread(self.item_half(item[0]), item[1]))
        return hidden


def vector_width(factors: int, depth: int) -> int:
    """Length of each of the two vectors that a network of this depth takes."""
    return int(factors * 2 ** max(depth - 1, 0))

"""Deletion: how far the target falls when the k most relevant units are taken away.

    DEL@k = g(x) - g(x without its top k)          higher is better

Says that the units matter together. Does not say that each matters, nor that they would be enough.
"""

from __future__ import annotations

from torch import Tensor

from whyrec.coalitions import Players

JUDGES = "order"


def deletion(players: Players, ranks: Tensor, k: int) -> Tensor:
    """Fall of the target for each order, (orders, users, items), in units of the target; ranks as in `orders`."""
    whole = players.worth(players.present[None])
    return whole - players.worth(players.present & (ranks >= k))

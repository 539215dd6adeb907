"""Necessity: does the item leave the list when the k most relevant past items are out of sight?

    PN@K,k = 1 where the rank without the top k is worse than K, else 0          higher is better

The probability of necessity, as its mean over users; 1 - PN is what the literature calls POS@K. A recommendation that
stays in the list whatever is removed has no necessary past items, and no method can find any: read it beside the best
order found.
"""

from __future__ import annotations

from torch import Tensor

from whyrec.coalitions import Players
from whyrec.rank_game import RankGame

JUDGES = "order"
LIST = 10


def necessity(players: Players, ranks: Tensor, k: int, length: int = LIST) -> Tensor:
    """Whether the item falls out of the `length` best for each order, (orders, users, items) of 0 and 1."""
    return (RankGame(players).rank(players.present & (ranks >= k)) > length).double()

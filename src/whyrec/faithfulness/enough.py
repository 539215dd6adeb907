"""Enough: is the item in the list when only the k most relevant past items are in sight?

    PS@K,k = 1 where the rank with only the top k is K or better, else 0          higher is better

The probability of sufficiency, as its mean over users. Popular items are in many a list whatever is kept, so the floor
is high: read it beside a random order.
"""

from __future__ import annotations

from torch import Tensor

from whyrec.coalitions import Players
from whyrec.rank_game import RankGame

JUDGES = "order"
LIST = 10


def enough(players: Players, ranks: Tensor, k: int, length: int = LIST) -> Tensor:
    """Whether the item is among the `length` best for each order, (orders, users, items) of 0 and 1."""
    return (RankGame(players).rank(players.present & (ranks < k)) <= length).double()

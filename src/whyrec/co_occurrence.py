"""How alike two items are by who took them: what goes together, whatever a model makes of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whyrec.interactions import Interactions, Rows

BLOCK_WORDS = 1 << 20
"""Words of 64 users that one block of pairs may hold: 8 MiB a side."""


def cosine(events: Interactions, one: Rows, other: Rows) -> NDArray[np.float64]:
    """Cosine of the angle between the items of each pair as vectors over users, in the shape of `one` and `other`.

    Users who took both, over the geometric mean of those who took either; 0 where nobody took one of them. However
    often a user took an item, it counts once.

    >>> events = Interactions(np.array([0, 0, 1]), np.array([2, 0, 2]), user_count=2, item_count=3)
    >>> cosine(events, np.array([0, 2, 1]), np.array([2, 2, 2])).round(3)
    array([0.707, 1.   , 0.   ])
    """
    items, places = np.unique(np.stack([one, other]), return_inverse=True)
    left, right = places.reshape(2, -1)
    pairs, back = np.unique(left * len(items) + right, return_inverse=True)  # most pairs are asked more than once
    takers = _takers(events, items)
    alone = np.bitwise_count(takers).sum(1, dtype=np.int64)
    left, right = np.divmod(pairs, max(1, len(items)))
    scale = np.sqrt(alone[left] * alone[right])
    found: NDArray[np.float64] = np.divide(
        _in_common(takers, left, right), scale, out=np.zeros(len(pairs)), where=scale > 0
    )
    spread: NDArray[np.float64] = found[back].reshape(one.shape)
    return spread


def _takers(events: Interactions, items: Rows) -> NDArray[np.uint64]:
    """Who took each of `items` (ascending), one bit a user; (items, words)."""
    words = -(-events.user_count // 64)
    asked = np.isin(events.items, items)
    rows, users = np.searchsorted(items, events.items[asked]), events.users[asked]
    bits = np.zeros(len(items) * words, dtype=np.uint64)
    np.bitwise_or.at(bits, rows * words + users // 64, np.uint64(1) << (users % 64).astype(np.uint64))
    return bits.reshape(len(items), words)


def _in_common(takers: NDArray[np.uint64], left: Rows, right: Rows) -> Rows:
    """How many users took both items of each pair, (pairs,): one AND for 64 users."""
    size = max(1, BLOCK_WORDS // max(1, takers.shape[1]))
    counts = [
        np.bitwise_count(takers[left[start : start + size]] & takers[right[start : start + size]]).sum(1)
        for start in range(0, len(left), size)
    ]
    return np.concatenate([np.zeros(0), *counts]).astype(np.int64)

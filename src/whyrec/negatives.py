"""Items a user did not take, drawn for a whole batch at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.interactions import Interactions

TABLE_BYTES = 1 << 28
"""Up to this size, who has seen what is kept as one table of bytes; above it, as sorted keys."""


class Seen:
    """Who has seen what: one lookup for a whole batch of pairs.

    A table of bytes answers a lookup in one step, sorted keys in log2(events) steps; both give the same answer.
    """

    def __init__(self, events: Interactions, *, table_bytes: int = TABLE_BYTES) -> None:
        self.item_count = events.item_count
        keys = torch.from_numpy(events.pairs)
        self._table: Tensor | None = None
        if events.user_count * events.item_count <= table_bytes:
            self._table = torch.zeros(events.user_count * events.item_count, dtype=torch.bool)
            self._table[keys] = True
        none = keys.new_full((1,), -1)  # no pair has this key; with it there is always one to find
        self._keys = torch.unique(torch.cat([none, keys])) if self._table is None else none

    def contains(self, users: Tensor, items: Tensor) -> Tensor:
        """Whether each user, (users,), has seen each of the items of the same row, (users, items); bool."""
        keys = users[:, None] * self.item_count + items
        if self._table is not None:
            return self._table[keys]
        place = torch.searchsorted(self._keys, keys).clamp(max=len(self._keys) - 1)
        return self._keys[place] == keys


def uniform(users: Tensor, count: int, seen: Seen, generator: torch.Generator, *, rounds: int = 20) -> Tensor:
    """`count` items for each of `users` that the user has not seen, uniformly at random; (users, count) rows.

    A user who has seen nearly everything may, after `rounds` redraws, keep an item already seen.
    """
    items = torch.randint(seen.item_count, (len(users), count), generator=generator)
    for _ in range(rounds):
        wrong = seen.contains(users, items)
        redraw = int(wrong.sum())
        if redraw == 0:
            break
        items[wrong] = torch.randint(seen.item_count, (redraw,), generator=generator)
    return items


def distinct_uniform(
    users: np.ndarray,
    count: int,
    seen: Seen,
    generator: torch.Generator,
    *,
    block: int = 512,
) -> Tensor:
    """`count` different unseen items for each of `users`; (users, count) rows, -1 where a user has fewer unseen."""
    chosen = []
    for start in range(0, len(users), block):
        rows = torch.from_numpy(users[start : start + block])
        everything = torch.arange(seen.item_count).expand(len(rows), -1)
        luck = torch.rand(everything.shape, generator=generator)
        luck[seen.contains(rows, everything)] = -1.0
        best = luck.topk(min(count, seen.item_count), dim=1)
        chosen.append(torch.where(best.values >= 0, best.indices, -1))
    drawn = torch.cat(chosen)
    return F.pad(drawn, (0, count - drawn.shape[1]), value=-1)

"""Who met what, and when: events as aligned arrays of rows, and the vocabulary that turns ids into rows."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyrec.errors import UnknownId

Id = str | int
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Interactions:
    """Events between users and items. Rows, never raw ids; `where` is the only way to select.

    >>> events = Interactions(np.array([0, 0, 1]), np.array([2, 0, 2]), user_count=2, item_count=3)
    >>> len(events.where(events.users == 0))
    2
    """

    users: Rows  # (n,)
    items: Rows  # (n,)
    values: NDArray[np.float32] | None = None  # (n,) ratings, counts or weights; None where an event just happened
    times: NDArray[np.int64] | None = None  # (n,) seconds since 1970; None where unknown
    user_count: int = 0
    item_count: int = 0

    def __len__(self) -> int:
        return len(self.users)

    def where(self, keep: NDArray[Any]) -> Interactions:
        """The events that `keep` (a mask, or positions in the wanted order) selects, every field carried along."""
        return Interactions(
            self.users[keep],
            self.items[keep],
            None if self.values is None else self.values[keep],
            None if self.times is None else self.times[keep],
            self.user_count,
            self.item_count,
        )

    def together_with(self, other: Interactions) -> Interactions:
        """These events, then `other`'s. A field that one side lacks is dropped."""

        def joined(mine: NDArray[Any] | None, theirs: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if mine is None or theirs is None else np.concatenate([mine, theirs])

        return Interactions(
            np.concatenate([self.users, other.users]),
            np.concatenate([self.items, other.items]),
            joined(self.values, other.values),
            joined(self.times, other.times),
            self.user_count,
            self.item_count,
        )

    @cached_property
    def oldest_first(self) -> Rows:
        """Positions of the events by user, then by time; events of equal or unknown time keep their file order."""
        if self.times is None:
            return np.argsort(self.users, kind="stable").astype(np.int64)
        return np.lexsort((self.times, self.users)).astype(np.int64)  # lexsort is stable

    @cached_property
    def offsets(self) -> Rows:
        """Where each user's events start in `oldest_first`; (user_count + 1,)."""
        counts = np.bincount(self.users, minlength=self.user_count)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @property
    def user_counts(self) -> Rows:
        """Events of each user; (user_count,)."""
        return np.diff(self.offsets)

    @property
    def item_counts(self) -> Rows:
        """Events of each item; (item_count,)."""
        return np.bincount(self.items, minlength=self.item_count).astype(np.int64)

    @property
    def pairs(self) -> Rows:
        """A number for each event that tells its user and item, rising by user and then by item; (n,)."""
        return self.users * self.item_count + self.items

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any event; the same on every machine."""
        digest = hashlib.sha256()
        for array in (self.users, self.items, self.values, self.times):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def age_rank(self) -> Rows:
        """How many later events its user has, for each event: 0 marks a user's last one; (n,)."""
        order, ends = self.oldest_first, self.offsets[1:]
        later = np.empty(len(self), dtype=np.int64)
        later[order] = ends[self.users[order]] - 1 - np.arange(len(self))
        return later

    def histories(self, users: Rows, length: int) -> Rows:
        """The most recent `length` items of each of `users`, oldest first; (users, longest), -1 where empty.

        >>> events = Interactions(np.array([0, 0, 1]), np.array([2, 0, 1]), user_count=2, item_count=3)
        >>> events.histories(np.array([1, 0]), length=5)
        array([[ 1, -1],
               [ 2,  0]])
        """
        ends = self.offsets[1:][users]
        taken = np.minimum(self.user_counts[users], length)
        width = int(taken.max(initial=0))
        column = np.arange(width)
        position = (ends - taken)[:, None] + column
        filled = column < taken[:, None]
        if len(self) == 0:
            return np.full((len(users), 0), -1, dtype=np.int64)
        return np.where(filled, self._items_by_user[np.where(filled, position, 0)], -1)

    def items_of(self, users: Rows) -> tuple[Rows, Rows]:
        """All items of each of `users`, oldest first, and whose they are as places in `users`; (events,) each.

        >>> events = Interactions(np.array([0, 0, 1]), np.array([2, 0, 1]), user_count=2, item_count=3)
        >>> events.items_of(np.array([1, 0]))
        (array([0, 1, 1]), array([1, 2, 0]))
        """
        starts, ends = self.offsets[users], self.offsets[users + 1]
        places = np.repeat(np.arange(len(users)), ends - starts)
        if np.array_equal(starts[1:], ends[:-1]):  # neighbours stand together: ranking asks for them, block by block
            return places, self._items_by_user[starts[:1].sum() : ends[-1:].sum()]
        first = starts - (np.cumsum(ends - starts) - (ends - starts))
        return places, self._items_by_user[np.arange(len(places)) + np.repeat(first, ends - starts)]

    @cached_property
    def _items_by_user(self) -> Rows:
        return self.items[self.oldest_first]


class Vocabulary:
    """Ids as people write them, and the rows that tensors use; saved with every model.

    An id may be a string or an integer and is given back as it came; it is looked up by its text, so `42` and
    `"42"` name the same user.

    >>> movies = Vocabulary(["tt01", "tt02"], kind="item")
    >>> movies.rows(["tt02"]), movies.ids([0])
    (array([1]), ['tt01'])
    """

    def __init__(self, ids: Iterable[Id], *, kind: str) -> None:
        self._ids: list[Id] = list(ids)
        self.kind = kind  # "user" or "item": what an error message calls it
        self._row_of = {str(name): row for row, name in enumerate(self._ids)}
        if len(self._row_of) != len(self._ids):
            raise ValueError(f"the same {kind} id stands twice among {len(self._ids):,} ids")

    def __len__(self) -> int:
        return len(self._ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and list(self._row_of) == list(other._row_of)

    def __hash__(self) -> int:
        return hash(tuple(self._row_of))

    def __contains__(self, name: Id) -> bool:
        return str(name) in self._row_of

    def rows(self, ids: Sequence[Id]) -> Rows:
        """Rows of `ids`; (ids,). Raises `UnknownId` with the nearest known ids."""
        try:
            return np.fromiter((self._row_of[str(name)] for name in ids), dtype=np.int64, count=len(ids))
        except KeyError as missing:
            raise UnknownId(self._say_unknown(str(missing.args[0]))) from None

    def ids(self, rows: Iterable[int] | Rows | None = None) -> list[Id]:
        """Ids at `rows`, all of them where no rows are given."""
        return list(self._ids) if rows is None else [self._ids[int(row)] for row in rows]

    def _say_unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name, list(self._row_of)[:50_000], n=3)
        hint = f"; the nearest known are {', '.join(map(repr, near))}" if near else ""
        return f"{self.kind} {name!r} is not among the {len(self):,} known {self.kind}s{hint}"

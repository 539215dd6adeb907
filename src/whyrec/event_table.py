"""A split as one table: every event once, which part it is of, and where it stands in the data set.

Parts may hold events that the data set does not have (a published test part), and the data set events of no part (those
left out by a cut in time). A field that only some of them have is marked, so that all come back as they were.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whyrec.interactions import Interactions, Rows
from whyrec.split import Split
from whyrec.tables import Columns

PARTS = ("train", "validation", "test")
UNUSED = "unused"


def columns_of(events: Interactions) -> Columns:
    """A table of events that are known of users, with no data set behind them."""
    return _table({"train": events}, np.full(len(events), -1))


def columns_of_split(split: Split) -> Columns:
    """A table of the three parts, and of what the data set holds besides."""
    whole = split.dataset.interactions
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    places = _places(whole, list(parts.values()))
    used = np.zeros(len(whole), dtype=bool)
    used[places[places >= 0]] = True
    return _table({**parts, UNUSED: whole.where(~used)}, np.concatenate([places, np.flatnonzero(~used)]))


def part_of(table: Columns, part: str, user_count: int, item_count: int) -> Interactions:
    """The events of one part, in their order."""
    return _events(table, np.flatnonzero(table["part"].astype(str) == part), user_count, item_count)


def whole_of(table: Columns, user_count: int, item_count: int) -> Interactions:
    """The events of the data set, in their order. Tables written before places were kept hold it part after part."""
    places = table.get("place", np.arange(len(table["user"])))
    there = np.flatnonzero(places >= 0)
    return _events(table, there[np.argsort(places[there])], user_count, item_count)


def _table(parts: dict[str, Interactions], places: Rows) -> Columns:
    pieces = list(parts.values())
    values = [_filled(piece.values, len(piece), np.float32(np.nan)) for piece in pieces]
    times = [_filled(piece.times, len(piece), np.int64(0)) for piece in pieces]
    table = {
        "user": np.concatenate([piece.users for piece in pieces]),
        "item": np.concatenate([piece.items for piece in pieces]),
        "part": np.concatenate([np.full(len(piece), part, dtype=object) for part, piece in parts.items()]),
        "place": places,
    }
    for name, columns, has in (
        ("value", values, [piece.values is not None for piece in pieces]),
        ("time", times, [piece.times is not None for piece in pieces]),
    ):
        marked = np.concatenate([np.full(len(piece), own) for piece, own in zip(pieces, has, strict=True)])
        if marked.any():
            table |= {name: np.concatenate(columns), f"has_{name}": marked}
    return table


def _filled(column: np.ndarray | None, length: int, nothing: np.generic) -> np.ndarray:
    return np.full(length, nothing) if column is None else column


def _events(table: Columns, chosen: Rows, user_count: int, item_count: int) -> Interactions:
    def field(name: str) -> np.ndarray | None:
        has_it = name in table and table.get(f"has_{name}", np.ones(len(table["user"]), dtype=bool))[chosen].all()
        return table[name][chosen] if has_it else None

    return Interactions(
        table["user"][chosen], table["item"][chosen], field("value"), field("time"), user_count, item_count
    )


def _places(whole: Interactions, pieces: Sequence[Interactions]) -> Rows:
    """Where each event of the pieces stands in `whole`, -1 where it is not in it; (events of all pieces,).

    Of events that are alike in every field, the first of the pieces is the first of the whole.
    """
    keys = [np.concatenate(column) for column in zip(*map(_key, (whole, *pieces)), strict=True)]
    order = np.lexsort(keys)  # stable: of those alike, the whole's come first
    changes = np.stack([column[order][1:] != column[order][:-1] for column in keys]).any(0)
    group = np.concatenate([[0], np.cumsum(changes)])[: len(order)]
    start = np.flatnonzero(np.concatenate([[True], changes])[: len(order)])[group]
    in_whole = np.bincount(group[order < len(whole)], minlength=len(order))[group]
    number = np.arange(len(order)) - start - in_whole  # of an event of the pieces, among those alike
    found = np.full(len(order), -1)
    met = (order >= len(whole)) & (number < in_whole)
    found[order[met]] = order[start[met] + number[met]]
    return found[len(whole) :]


def _key(events: Interactions) -> tuple[Rows, ...]:
    """Columns of whole numbers that are equal where two events are."""
    nothing = np.zeros(len(events), dtype=np.int64)
    values, times = events.values, events.times
    fields = np.full(len(events), 2 * (values is not None) + (times is not None))
    bits = nothing if values is None else np.ascontiguousarray(values).view(np.int32).astype(np.int64)
    return fields, bits, nothing if times is None else times, events.items, events.users

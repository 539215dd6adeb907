"""From files and frames to a data set: ids and titles kept, a bad cell named by file, line and column."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from whyrec.cells import Cells, Layout, layout_of, opened
from whyrec.dataset import Catalog, Column, ColumnKind, Dataset
from whyrec.errors import BadInput, InvalidSetting
from whyrec.frames import Frame
from whyrec.interactions import Id, Interactions, Vocabulary

Duplicates = Literal["error", "first", "last", "keep"]

USUAL_NAMES = {
    "user": "user userid uid customer customerid reviewer reviewerid visitor visitorid account accountid",
    "item": "item itemid movie movieid product productid asin book bookid isbn track trackid song songid article sku",
    "rating": "rating score stars value overall bookrating",
    "time": "timestamp time date datetime unixtime unixreviewtime ratedat createdat",
    "title": "title name",
    "id": "id",
}
"""Column names that are recognised unasked, the likeliest first; case, blanks, `_` and `-` do not count."""


def read(
    source: str | Path | Frame,
    *,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    time: str | None = None,
    users: str | Path | Frame | None = None,
    items: str | Path | Frame | None = None,
    name: str | None = None,
    duplicates: Duplicates = "error",
) -> Dataset:
    """A log of who met what as a data set: one row for each interaction, in columns that have names.

    `source` is a file with a header (.csv, .tsv), with one JSON object a line (.jsonl, .ndjson, .json), each also
    packed (.gz), or a Parquet file; a folder of Parquet files, read in the order of their names; or a frame of Polars,
    pandas, PyArrow or whatever else has an Arrow C stream. Errors count the rows of Parquet and of frames from 1.

    `user`, `item`, `rating` and `time` name columns whose names are not the usual ones; ratings and times may be
    absent. Times are seconds since 1970, or ISO dates (UTC unless they say otherwise). `users` and `items` are tables
    with an id column each: titles and further columns come from them. Where a user met an item twice, `duplicates`
    says which row of the file to keep. Blanks around a cell do not belong to it.

    Missing are empty cells, null, NaN, NaT and absent keys. A missing id, rating or time is refused with its place. In
    the further columns it becomes NaN among numbers and None elsewhere, and in place of a missing title the id stands.
    A list of words, or words with `|` between, is a `multi` column; an empty list is missing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "log.csv")
    ...     _ = path.write_text("customer,movie_id,stars\\nada,70,5\\nbob,70,3\\nada,8,1\\n")
    ...     data = read(path)
    >>> data.users.vocabulary.ids(), data.items.vocabulary.ids(), data.interactions.values
    (['ada', 'bob'], [70, 8], array([5., 3., 1.], dtype=float32))
    """
    data = dataset_of(
        layout_of(source),
        users=None if users is None else layout_of(users, "the frame of users"),
        items=None if items is None else layout_of(items, "the frame of items"),
        chosen={"user": user, "item": item, "rating": rating, "time": time},
        duplicates=duplicates,
    )
    return replace(data, name=name or data.name)


def dataset_of(
    events: Layout,
    *,
    users: Layout | None = None,
    items: Layout | None = None,
    chosen: Mapping[str, str | None] | None = None,
    duplicates: Duplicates = "error",
) -> Dataset:
    """The data set in a file of events and tables of users and items; `chosen` names columns not to be guessed."""
    if duplicates not in get_args(Duplicates):
        raise InvalidSetting(f"duplicates={duplicates!r} is not one of {', '.join(get_args(Duplicates))}")
    roles = _roles(events, chosen or {})
    with opened(events, tuple(roles.values())) as cells:
        user_rows, user_ids = cells.encoded(roles["user"])
        item_rows, item_ids = cells.encoded(roles["item"])
        values = cells.numbers(roles["rating"]) if "rating" in roles else None
        times = cells.seconds(roles["time"]) if "time" in roles else None
        met = Interactions(user_rows, item_rows, values, times, len(user_ids), len(item_ids))
        met, findings = _once_each(met, duplicates, cells, user_ids, item_ids)
    user_catalog, of_users = _catalog("user", user_ids, users, roles["user"])
    item_catalog, of_items = _catalog("item", item_ids, items, roles["item"])
    met = replace(met, user_count=len(user_catalog), item_count=len(item_catalog))
    called, source = events.path.name, str(events.path)
    name = called if events.parts else re.sub(r"(?i)\.[^.]+(\.gz)?$", "", called)
    return Dataset(name, met, user_catalog, item_catalog, source, findings=(*findings, *of_users, *of_items))


def _roles(events: Layout, chosen: Mapping[str, str | None]) -> dict[str, str]:
    """Column of each role: the one that was named, else the first with a usual name that nobody claimed."""
    roles: dict[str, str] = {}
    free = [column for column in events.columns if column not in chosen.values()]
    for role in ("user", "item", "rating", "time"):
        named = chosen.get(role)
        found = _usual(role, free) if named is None else named
        if found is not None and found in events.columns and found not in roles.values():
            roles[role] = found
        elif named is not None or role in ("user", "item"):
            raise BadInput(_say_missing(events, role, named))
    return roles


def _usual(role: str, columns: Iterable[str]) -> str | None:
    plain = {re.sub(r"[\s_-]", "", column).lower(): column for column in columns}
    return next((plain[name] for name in USUAL_NAMES[role].split() if name in plain), None)


def _say_missing(events: Layout, role: str, named: str | None) -> str:
    what = f"no column is recognised as the {role}" if named is None else f"there is no column {named!r} for the {role}"
    header = ", or put a header such as user,item,rating above the rows" if events.form == "text" else ""
    listed = ", ".join([*map(reprlib.repr, events.columns[:12]), "..."][: len(events.columns)])
    return f"{events.path}: {what} among {listed}; pass {role}='...' (--{role} on the command line){header}"


def _once_each(
    met: Interactions, duplicates: Duplicates, cells: Cells, user_ids: list[str], item_ids: list[str]
) -> tuple[Interactions, tuple[str, ...]]:
    """The events with at most one for each user and item, as `duplicates` says, and a sentence about the others."""
    pair = met.pairs
    order = np.argsort(pair, kind="stable")  # equal pairs stand together, in file order
    again = pair[order][1:] == pair[order][:-1]
    earlier, later = order[:-1][again], order[1:][again]
    if not len(later):
        return met, ()
    if duplicates == "error":
        first, second = cells.where(int(earlier[np.argmin(later)])), int(later.min())
        user, item = reprlib.repr(user_ids[met.users[second]]), reprlib.repr(item_ids[met.items[second]])
        raise BadInput(
            f"{cells.place(second)}: user {user} and item {item} stand in {first} already (such rows: {len(later):,}); "
            'pass duplicates="last" (--duplicates last) to keep the last row of each pair, or first, or keep for all'
        )
    if duplicates == "keep":
        return met, (f"{len(later):,} interactions repeat an earlier one of the same user and item",)
    kept = np.ones(len(met), dtype=bool)
    kept[later if duplicates == "first" else earlier] = False
    return met.where(kept), (f"{len(later):,} repeated interactions were left out, the {duplicates} of each pair kept",)


def _catalog(kind: str, ids: list[str], table: Layout | None, key: str) -> tuple[Catalog, tuple[str, ...]]:
    """All users or items: those of the events first, then those that only their table knows."""
    if table is None:
        return Catalog(Vocabulary(_integers_where_all(ids), kind=kind)), ()
    if key not in table.columns:
        key = _usual(kind, table.columns) or _usual("id", table.columns) or table.columns[0]
    with opened(table) as cells:
        row_of = {name: row for row, name in enumerate(cells.unique(key))}
        everyone = list(dict.fromkeys([*ids, *row_of]))
        rows = np.array([row_of.get(name, -1) for name in everyone])
        texts = {name: cells.texts(name)[rows] for name in table.columns if name not in (key, "")}
    title = _usual("title", texts)
    titles = tuple(text or name for text, name in zip(texts.pop(title), everyone, strict=True)) if title else None
    columns = {name: _column(name, text, table.kinds.get(name)) for name, text in texts.items() if text.any()}
    file, unmet, unlisted = table.path.name, len(everyone) - len(ids), int(np.sum(rows == -1))
    findings = [f"column {name!r} of {file} is empty and was left out" for name in texts if name not in columns]
    findings += [f"{unmet:,} {kind}s of {file} occur in no interaction"] * bool(unmet)
    findings += [f"{unlisted:,} {kind}s of the interactions have no row in {file}"] * bool(unlisted)
    return Catalog(Vocabulary(_integers_where_all(everyone), kind=kind), titles, columns), tuple(findings)


def _integers_where_all(ids: list[str]) -> list[Id]:
    """The ids as integers if each is one as people write it (no `007`, no `+7`) and fits 64 bits; else as they are."""
    plain = re.compile(r"0|-?[1-9][0-9]{0,17}")
    return [int(name) for name in ids] if all(map(plain.fullmatch, ids)) else list(ids)


def _column(name: str, texts: NDArray[Any], kind: ColumnKind | None) -> Column:
    """The texts of one column as what they are: numbers, words, lists of words or prose."""
    kind = kind or _kind_of([text for text in texts if text is not None])
    if kind == "numeric":
        return Column(name, kind, np.array([np.nan if text is None else float(text) for text in texts]))
    if kind == "multi":
        words = (tuple(filter(None, map(str.strip, (text or "").split("|")))) or None for text in texts)
        return Column(name, kind, np.fromiter(words, dtype=object, count=len(texts)))
    return Column(name, kind, texts)


def _kind_of(texts: list[str]) -> ColumnKind:
    number = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")  # 02139 is a postcode
    if all(map(number.fullmatch, texts)):
        return "numeric"
    words = [word for text in texts for word in text.split("|")]
    if sum(map(len, words)) > 30 * len(words) and len(set(words)) > len(words) / 2:
        return "text"  # long and mostly distinct: something to read, not to count
    return "multi" if len(words) > len(texts) else "category"

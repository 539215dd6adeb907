"""From files to a data set: CSV, TSV and Parquet, ids and titles kept, a bad cell named by file, line and column."""

from __future__ import annotations

import csv
import gzip
import re
import reprlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast, get_args

import duckdb
import numpy as np
from numpy.typing import NDArray

from whyrec.dataset import Catalog, Column, ColumnKind, Dataset
from whyrec.errors import BadInput, InvalidSetting
from whyrec.interactions import Id, Interactions, Rows, Vocabulary
from whyrec.tables import connect

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
    source: str | Path,
    *,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    time: str | None = None,
    users: str | Path | None = None,
    items: str | Path | None = None,
    name: str | None = None,
    duplicates: Duplicates = "error",
) -> Dataset:
    """A log of who met what as a data set: one row for each interaction, below a header that names the columns.

    `user`, `item`, `rating` and `time` name columns whose names are not the usual ones; ratings and times may be
    absent. Times are seconds since 1970, or ISO dates (UTC unless they say otherwise). `users` and `items` are tables
    with an id column each: titles and further columns come from them. Where a user met an item twice, `duplicates`
    says which row of the file to keep. Blanks around a cell do not belong to it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "log.csv")
    ...     _ = path.write_text("customer,movie_id,stars\\nada,70,5\\nbob,70,3\\nada,8,1\\n")
    ...     data = read(path)
    >>> data.users.vocabulary.ids(), data.items.vocabulary.ids(), data.interactions.values
    (['ada', 'bob'], [70, 8], array([5., 3., 1.], dtype=float32))
    """
    data = dataset_of(
        layout_of(Path(source)),
        users=None if users is None else layout_of(Path(users)),
        items=None if items is None else layout_of(Path(items)),
        chosen={"user": user, "item": item, "rating": rating, "time": time},
        duplicates=duplicates,
    )
    return replace(data, name=name or data.name)


@dataclass(frozen=True)
class Layout:
    """How a file is laid out: found by `layout_of`, or written by hand for text without a header."""

    path: Path
    columns: tuple[str, ...]
    delimiter: str = "\t"
    quote: str = ""
    encoding: str = "utf-8"
    skip: int = 0
    """Lines above the first row: the header, and what is blank above it."""
    types: tuple[str, ...] = ()
    """Parquet's type of each column; empty for text."""
    kinds: Mapping[str, ColumnKind] = field(default_factory=dict)
    """Kinds of columns that are known, so that they are not guessed."""

    def cell(self, column: str) -> str:
        """What a column is called in SQL, of which no name from a file ever becomes a part."""
        return f"c{self.columns.index(column)}"


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
    name, source = re.sub(r"(?i)\.[^.]+(\.gz)?$", "", events.path.name), str(events.path)
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
    header = "" if events.types else ", or put a header such as user,item,rating above the rows if there is none"
    listed = ", ".join([*map(reprlib.repr, events.columns[:12]), "..."][: len(events.columns)])
    return f"{events.path}: {what} among {listed}; pass {role}='...' (--{role} on the command line){header}"


def _once_each(
    met: Interactions, duplicates: Duplicates, cells: Cells, user_ids: list[str], item_ids: list[str]
) -> tuple[Interactions, tuple[str, ...]]:
    """The events with at most one for each user and item, as `duplicates` says, and a sentence about the others."""
    pair = met.users * met.item_count + met.items
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


@contextmanager
def opened(layout: Layout, wanted: tuple[str, ...] | None = None) -> Iterator[Cells]:
    """The rows of a file, for as long as the `with` lasts; of Parquet only the wanted columns."""
    _refuse_no_file(layout.path)
    source, values = _source(layout)
    kept = dict.fromkeys(wanted if layout.types and wanted else layout.columns)  # text is checked whole
    texts = (f"nullif(trim({_as_text(layout, name)}, e' \\t\\r\\n'), '') as {layout.cell(name)}" for name in kept)
    with connect() as database:
        database.execute("set timezone = 'UTC'")
        try:
            database.execute(f"create table cells as from {source} select {', '.join(texts)}", values)
        except duckdb.Error:
            raise _explained(layout) from None
        if not database.execute("from cells limit 1").fetchall():
            raise BadInput(f"{layout.path}: there are no rows{' below the header' if layout.skip else ''}; add some")
        yield Cells(layout, database)


@dataclass(frozen=True)
class Cells:
    """The rows of an open file, each cell a text or null. What cannot be converted is refused by line and column."""

    layout: Layout
    database: duckdb.DuckDBPyConnection

    def encoded(self, column: str) -> tuple[Rows, list[str]]:
        """Row of each cell among the distinct texts, and these texts, in the order of first appearance."""
        cell = self.layout.cell(column)
        self._refuse(column, f"{cell} is null", "is no id; fill it in, or take the row out")
        distinct = f"from cells select {cell} group by {cell} order by min(rowid)"
        self.database.execute(f"create or replace type ids as enum ({distinct})")  # DuckDB's own dictionary
        rows = self._fetch(f"enum_code({cell}::ids)").astype(np.int64)
        return rows, [text for (text,) in self.database.execute("select unnest(enum_range(null::ids))").fetchall()]

    def unique(self, column: str) -> list[str]:
        """The ids in `column` of a table, one for each row."""
        rows, ids = self.encoded(column)
        if len(ids) < len(rows):
            again = int(np.argmax(rows != np.arange(len(rows))))
            what = f"{reprlib.repr(ids[rows[again]])} stands in {self.where(int(rows[again]))} already"
            raise BadInput(f"{self.place(again)}, column {column!r}: {what}; a table has one row for each id")
        return ids

    def numbers(self, column: str) -> NDArray[np.float32]:
        """The cells of `column` as finite numbers; (rows,)."""
        number = f"try_cast({self.layout.cell(column)} as float)"
        self._refuse(column, f"not coalesce(isfinite({number}), false)", "is no finite number; mend or remove it")
        return self._fetch(number)

    def seconds(self, column: str) -> Rows:
        """The cells of `column` as whole seconds since 1970, from numbers or ISO dates; (rows,)."""
        cell = self.layout.cell(column)
        moment = f"coalesce(try_cast({cell} as double), epoch(try_cast({cell} as timestamptz)))"
        seconds = f"try_cast(floor({moment}) as bigint)"
        self._refuse(column, f"{seconds} is null", "is no time; write seconds since 1970, or 2024-01-31 18:30:00")
        return self._fetch(seconds)

    def texts(self, column: str) -> NDArray[Any]:
        """The cells of `column` and, at position -1, one more; None where empty; (rows + 1,)."""
        return np.array([*self._fetch(self.layout.cell(column)).tolist(), None], dtype=object)

    def place(self, row: int) -> str:
        """File and line of a row, as an error message begins."""
        return f"{self.layout.path}, {self.where(row)}"

    def where(self, row: int) -> str:
        """Where an editor shows row `row`, which counts from 0: the line of a text file, the row of a Parquet file."""
        if self.layout.types:
            return f"row {row + 1:,}"
        return f"line {next(islice(_records(self.layout), row, None))[0]:,}"

    def _fetch(self, expression: str) -> NDArray[Any]:
        return cast(NDArray[Any], self.database.sql(f"from cells select {expression} as found").fetchnumpy()["found"])

    def _refuse(self, column: str, condition: str, why: str) -> None:
        rows = f"from cells select rowid, {self.layout.cell(column)} where {condition} order by rowid limit 1"
        for row, text in self.database.execute(rows).fetchall():
            shown = reprlib.repr(text) if text else "an empty cell"
            raise BadInput(f"{self.place(row)}, column {column!r}: {shown} {why}")


def layout_of(path: Path) -> Layout:
    """The layout of a file with a header, from its ending and its first line."""
    _refuse_no_file(path)
    ending = re.search(r"\.(parquet|[ct]sv(\.gz)?)$", path.name.lower())
    if ending is None:
        raise BadInput(f"{path}: the ending must be .csv, .tsv, .csv.gz, .tsv.gz or .parquet; convert the file")
    if ending[1] == "parquet":
        return _parquet_layout(Layout(path, (), types=("unknown",)))
    number, line = next(((number, line) for number, line in _lines(path) if line.strip()), (0, ""))
    if not number:
        raise BadInput(f"{path}: the file is empty; it needs a header and rows")
    delimiter = max((",", "\t", ";", "|", "::"), key=line.count)
    quote = "" if delimiter == "::" else '"'  # files of that old kind have quotation marks in titles, and mean them
    cells = next(csv.reader([line], delimiter=delimiter)) if quote else line.split(delimiter)
    columns = tuple(map(str.strip, cells))
    for twice in (name for name in columns if name and columns.count(name) > 1):
        raise BadInput(f"{path}, line {number}: two columns are called {reprlib.repr(twice)}; rename one of them")
    return Layout(path, columns, delimiter, quote, skip=number)


def _refuse_no_file(path: Path) -> None:
    if not path.is_file():
        what = "this is a folder; name the file in it" if path.is_dir() else "there is no such file; check its name"
        raise BadInput(f"{path}: {what}")


def _parquet_layout(unknown: Layout) -> Layout:
    source, values = _source(unknown)
    try:
        with connect() as database:
            found = database.execute(f"describe from {source}", values).fetchall()
    except duckdb.Error:
        raise _explained(unknown) from None
    return Layout(unknown.path, tuple(name for name, *_ in found), types=tuple(kind for _, kind, *_ in found))


def _source(layout: Layout) -> tuple[str, list[str]]:
    """What to select from, in SQL, and the values it asks for. Text is read as it stands, nothing guessed."""
    path = re.sub(r"([*?[])", r"[\1]", str(layout.path))  # DuckDB would take these for patterns of many files
    if layout.types:
        return "read_parquet($1)", [path]
    columns = ", ".join(f"c{position}: 'varchar'" for position in range(len(layout.columns)))
    given = (layout.delimiter, layout.quote, layout.encoding)
    fixed = f"auto_detect=false, header=false, skip={layout.skip}, columns={{{columns}}}"
    return f"read_csv($1, delim=$2, quote=$3, escape=$3, encoding=$4, {fixed})", [path, *given]


def _as_text(layout: Layout, name: str) -> str:
    """SQL for one column as text. Whole floats, which data frames make of ids with gaps, lose their `.0`."""
    position = layout.columns.index(name)
    if not layout.types:
        return layout.cell(name)
    column, kind = f"#{position + 1}", layout.types[position]
    if kind in ("FLOAT", "DOUBLE"):
        whole = f"case when {column} = trunc({column}) then try_cast({column} as bigint)::varchar end"
        return f"coalesce({whole}, nullif({column}::varchar, 'nan'))"
    return f"array_to_string({column}::varchar[], '|')" if kind.endswith("[]") else f"{column}::varchar"


def _explained(layout: Layout) -> BadInput:
    """What a person can mend in a file that DuckDB refused. Walks the file, which only an error is worth."""
    if layout.types:
        return BadInput(f"{layout.path}: this is not a whole Parquet file; it may be cut short, copy or make it again")
    for number, cells in _records(layout, strict=True):
        if len(cells) != len(layout.columns):
            what = f"{len(cells)} cells for {len(layout.columns)} columns"
            return BadInput(f"{layout.path}, line {number:,}: {what}; mend the row, or quote its cells")
    return BadInput(f"{layout.path}: the lines end in different ways, or a cell is too long; save the file anew")


def _records(layout: Layout, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line and cells of each row, as DuckDB counts rows."""
    below = islice(_lines(layout.path, layout.encoding), layout.skip, None)
    lone = len(layout.columns) == 1  # of a single column a blank line is a row, of more it is none
    if not layout.quote:
        plain = ((number, line.rstrip("\r\n").split(layout.delimiter)) for number, line in below)
        yield from ((number, cells) for number, cells in plain if cells != [""] or lone)
        return
    start = layout.skip + 1
    reader = csv.reader((line for _, line in below), delimiter=layout.delimiter, strict=strict)
    try:
        for cells in reader:
            if cells or lone:
                yield start, cells or [""]
            start = layout.skip + 1 + reader.line_num
    except csv.Error:
        raise BadInput(f"{layout.path}, line {start:,}: a quotation mark is not closed; mend the row") from None


def _lines(path: Path, encoding: str = "utf-8-sig") -> Iterator[tuple[int, str]]:
    unpacked = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with unpacked(path, "rt", encoding=encoding, errors="surrogateescape", newline="") as lines:
            for number, line in enumerate(lines, 1):
                if re.search("[\0\ud800-\udfff]", line):  # bytes that are no text have become lone surrogates
                    raise BadInput(f"{path}, line {number:,}: this is not UTF-8 text; save the file with that encoding")
                yield number, line
    except (EOFError, OSError, zlib.error) as problem:
        raise BadInput(f"{path}: this cannot be read to its end; copy or make it again ({problem})") from None

"""The cells of a file as text, each with its place: CSV, TSV and Parquet through DuckDB, nothing guessed."""

from __future__ import annotations

import csv
import gzip
import re
import reprlib
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

import duckdb
import numpy as np
from numpy.typing import NDArray

from whyrec.dataset import ColumnKind
from whyrec.errors import BadInput
from whyrec.interactions import Rows
from whyrec.tables import connect


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
    delimiter = max((",", "\t", ";", "|", "::"), key=re.sub('"[^"]*"', "", line).count)
    quote = "" if delimiter == "::" else '"'  # files of that old kind have quotation marks in titles, and mean them
    cells = next(csv.reader([line], delimiter=delimiter)) if quote else line.split(delimiter)
    columns = tuple(map(str.strip, cells))
    for twice in (name for name in columns if name and columns.count(name) > 1):
        raise BadInput(f"{path}, line {number}: two columns are called {reprlib.repr(twice)}; rename one of them")
    return Layout(path, columns, delimiter, quote, skip=number)


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
        found = self.database.execute(f"from cells select {expression} as found").fetchnumpy()
        return cast(NDArray[Any], found["found"])

    def _refuse(self, column: str, condition: str, why: str) -> None:
        rows = f"from cells select rowid, {self.layout.cell(column)} where {condition} order by rowid limit 1"
        for row, text in self.database.execute(rows).fetchall():
            shown = reprlib.repr(text) if text else "an empty cell"
            raise BadInput(f"{self.place(row)}, column {column!r}: {shown} {why}")


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
    cells = [f"c{position}" for position in range(len(layout.columns))]
    if layout.types:
        return f"read_parquet($1) as file({', '.join(cells)})" if cells else "read_parquet($1)", [path]
    columns = ", ".join(f"{cell}: 'varchar'" for cell in cells)
    fixed = f"auto_detect=false, header=false, skip={layout.skip}, columns={{{columns}}}"
    packed = "gzip" if layout.path.suffix.lower() == ".gz" else "none"
    given = [layout.delimiter, layout.quote, layout.encoding, packed]
    return f"read_csv($1, delim=$2, quote=$3, escape=$3, encoding=$4, compression=$5, {fixed})", [path, *given]


def _as_text(layout: Layout, name: str) -> str:
    """SQL for one column as text. Whole floats, which data frames make of ids with gaps, lose their `.0`."""
    cell, kind = layout.cell(name), layout.types[layout.columns.index(name)] if layout.types else "VARCHAR"
    if kind in ("FLOAT", "DOUBLE"):
        whole = f"case when {cell} = trunc({cell}) then try_cast({cell} as bigint)::varchar end"
        return f"coalesce({whole}, nullif({cell}::varchar, 'nan'))"
    return f"array_to_string({cell}::varchar[], '|')" if kind.endswith("[]") else f"{cell}::varchar"


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
    if not layout.quote:
        plain = ((number, line.rstrip("\r\n").split(layout.delimiter)) for number, line in below)
        yield from ((number, cells) for number, cells in plain if cells != [""])
        return
    start = layout.skip + 1
    reader = csv.reader((line for _, line in below), delimiter=layout.delimiter, strict=strict)
    try:
        for cells in reader:
            if cells or len(layout.columns) == 1:  # of a single column a blank line is a row, of more it is none
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

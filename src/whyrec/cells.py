"""The cells of a file or frame as text, each with its place: read through DuckDB, nothing guessed."""

from __future__ import annotations

import csv
import re
import reprlib
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

import duckdb
import numpy as np
from numpy.typing import NDArray

from whyrec.dataset import ColumnKind
from whyrec.errors import BadInput
from whyrec.frames import Frame, scannable
from whyrec.interactions import Rows
from whyrec.lines import numbered_lines, numbered_objects, numbered_rows
from whyrec.tables import connect


@dataclass(frozen=True)
class Layout:
    """How a file is laid out: found by `layout_of`, or written by hand for text without a header."""

    path: Path
    """Where it is; what to call it, where it is a frame in memory."""
    columns: tuple[str, ...]
    delimiter: str = "\t"
    quote: str = ""
    encoding: str = "utf-8"
    skip: int = 0
    """Lines above the first row: the header, and what is blank above it."""
    form: Literal["text", "json", "parquet", "frame"] = "text"
    types: tuple[str, ...] = ()
    """DuckDB's type of each column of a Parquet file or a frame; empty for text and JSON."""
    parts: tuple[Layout, ...] = ()
    """Files of a folder that are one table, in the order of their names."""
    frame: Any = None
    """What DuckDB scans, where it is a frame."""
    kinds: Mapping[str, ColumnKind] = field(default_factory=dict)
    """Kinds of columns that are known, so that they are not guessed."""

    def cell(self, column: str) -> str:
        """What a column is called in SQL, of which no name from a file ever becomes a part."""
        return f"c{self.columns.index(column)}"


def layout_of(source: str | Path | Frame, called: str = "the frame") -> Layout:
    """The layout of a file by its ending and first line, of a folder of Parquet files, or of a frame by its columns."""
    if not isinstance(source, str | Path):
        return _described(Layout(Path(called), (), form="frame", frame=scannable(source)))
    path = Path(source)
    if path.is_dir():
        return _folder_layout(path)
    _refuse_no_file(path)
    ending = re.search(r"\.(parquet|([ct]sv|jsonl|ndjson|json)(\.gz)?)$", path.name.lower())
    if ending is None:
        known = ".csv, .tsv, .jsonl, .ndjson or .json, each also with .gz, or .parquet"
        raise BadInput(f"{path}: the ending must be {known}; convert the file")
    if ending[1] == "parquet":
        return _described(Layout(path, (), form="parquet"))
    return _json_layout(path) if "json" in ending[1] else _text_layout(path)


@contextmanager
def opened(layout: Layout, wanted: tuple[str, ...] | None = None) -> Iterator[Cells]:
    """The rows of a file, folder or frame, for as long as the `with` lasts; of typed columns only the wanted ones."""
    kept = tuple(dict.fromkeys(wanted if layout.types and wanted else layout.columns))  # text is checked whole
    ends = []
    with connect() as database:
        database.execute("set timezone = 'UTC'")
        database.execute(f"create table cells ({', '.join(f'{layout.cell(name)} varchar' for name in kept)})")
        for part in layout.parts or (layout,):
            _fill(database, part, kept)
            ends += [row for (row,) in database.execute("select count(*) from cells").fetchall()]
        if not ends[-1]:
            raise BadInput(f"{layout.path}: there are no rows{' below the header' if layout.skip else ''}; add some")
        yield Cells(layout, database, tuple(ends))


@dataclass(frozen=True)
class Cells:
    """The rows of an open file, each cell a text or null. What cannot be converted is refused by line and column."""

    layout: Layout
    database: duckdb.DuckDBPyConnection
    ends: tuple[int, ...]
    """How many rows there are up to the end of each part."""

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
        part, inside = self._found(row)
        return f"{part.path}, {_where(part, inside)}"

    def where(self, row: int) -> str:
        """Where to look for row `row`, which counts from 0: a line of a text file, else a row counted from 1."""
        part, inside = self._found(row)
        return f"{part.path.name}, {_where(part, inside)}" if self.layout.parts else _where(part, inside)

    def _found(self, row: int) -> tuple[Layout, int]:
        """The part that row `row` is in, and its place there."""
        part = int(np.searchsorted(self.ends, row, side="right"))
        return (self.layout.parts or (self.layout,))[part], row - (self.ends[part - 1] if part else 0)

    def _fetch(self, expression: str) -> NDArray[Any]:
        found = self.database.execute(f"from cells select {expression} as found").fetchnumpy()
        return cast(NDArray[Any], found["found"])

    def _refuse(self, column: str, condition: str, why: str) -> None:
        rows = f"from cells select rowid, {self.layout.cell(column)} where {condition} order by rowid limit 1"
        for row, text in self.database.execute(rows).fetchall():
            shown = reprlib.repr(text) if text else "an empty cell"
            raise BadInput(f"{self.place(row)}, column {column!r}: {shown} {why}")


def _where(layout: Layout, row: int) -> str:
    if layout.form in ("parquet", "frame"):
        return f"row {row + 1:,}"
    numbers = numbered_objects(layout.path) if layout.form == "json" else (number for number, _ in _rows(layout))
    return f"line {next(islice(numbers, row, None)):,}"


def _rows(layout: Layout, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    return numbered_rows(
        layout.path,
        len(layout.columns),
        delimiter=layout.delimiter,
        quote=layout.quote,
        encoding=layout.encoding,
        skip=layout.skip,
        strict=strict,
    )


def _refuse_no_file(path: Path) -> None:
    if not path.is_file():
        what = "this is a folder; name the file in it" if path.is_dir() else "there is no such file; check its name"
        raise BadInput(f"{path}: {what}")


def _text_layout(path: Path) -> Layout:
    number, line = next(((number, line) for number, line in numbered_lines(path) if line.strip()), (0, ""))
    if not number:
        raise BadInput(f"{path}: the file is empty; it needs a header and rows")
    delimiter = max((",", "\t", ";", "|", "::"), key=re.sub('"[^"]*"', "", line).count)
    quote = "" if delimiter == "::" else '"'  # files of that old kind have quotation marks in titles, and mean them
    cells = next(csv.reader([line], delimiter=delimiter)) if quote else line.split(delimiter)
    columns = tuple(map(str.strip, cells))
    for twice in (name for name in columns if name and columns.count(name) > 1):
        raise BadInput(f"{path}, line {number}: two columns are called {reprlib.repr(twice)}; rename one of them")
    return Layout(path, columns, delimiter, quote, skip=number)


def _json_layout(path: Path) -> Layout:
    """All keys of all objects are columns, in the order of first appearance."""
    layout = Layout(path, (), form="json")
    keys = "unnest(json_keys(json)) as name, unnest(range(len(json_keys(json)))) as place"
    with connect() as database:
        if _executed(database, layout, "", "where json_type(json) != 'OBJECT' limit 1").fetchall():
            raise _explained(layout)
        _executed(database, layout, "create table keys as", f"select row_number() over () as line, {keys}")
        found = database.execute("from keys select name group by name order by min((line, place))").fetchall()
    if not found:
        raise BadInput(f'{path}: there are no rows; write one object such as {{"user": "ada", "item": 7}} a line')
    return replace(layout, columns=tuple(name for (name,) in found))


def _folder_layout(path: Path) -> Layout:
    """The Parquet files of a folder as one table; the file whose columns are not those of the first is refused."""
    inside = (file for pattern in ("*", "*/*") for file in path.glob(pattern) if file.suffix.lower() == ".parquet")
    files = sorted(file for file in inside if file.is_file() and not file.name.startswith((".", "_")))
    if not files:
        raise BadInput(f"{path}: this is a folder without a Parquet file; name the file in it")
    for deep in (file for file in files if file.parent != path):
        raise BadInput(f"{deep}: this file is in a folder of its own; put all Parquet files into {path}")
    first, *others = parts = tuple(_described(Layout(file, (), form="parquet")) for file in files)
    for other in others:
        for name in sorted({*first.columns} ^ {*other.columns}):
            has, lacks = (first, other) if name in first.columns else (other, first)
            what = f"there is no column {reprlib.repr(name)}, which {has.path.name} has"
            raise BadInput(f"{lacks.path}: {what}; all files of a folder need the same columns")
    return replace(first, path=path, parts=parts)


def _described(layout: Layout) -> Layout:
    """A Parquet file or a frame with the columns and types that DuckDB finds."""
    with connect() as database:
        found = _executed(database, layout, "describe").fetchall()
    return replace(layout, columns=tuple(name for name, *_ in found), types=tuple(kind for _, kind, *_ in found))


def _fill(database: duckdb.DuckDBPyConnection, layout: Layout, kept: tuple[str, ...]) -> None:
    """Put the rows of one file or frame below those that are there, each cell as text."""
    texts = (f"nullif(trim({_as_text(layout, name)}, e' \\t\\r\\n'), '')" for name in kept)
    _executed(database, layout, "insert into cells", f"select {', '.join(texts)}")


def _executed(database: duckdb.DuckDBPyConnection, layout: Layout, before: str, after: str = "") -> Any:
    """Run SQL on the rows of a file or frame, which stand between `before` and `after`."""
    source, values = _source(layout)
    is_frame = layout.form == "frame"
    expected = Exception if is_frame else duckdb.Error  # a frame runs code of its own, which raises what it likes
    try:
        if is_frame:
            database.register("frame", layout.frame)
        else:
            _refuse_no_file(layout.path)
        return database.execute(f"{before} from {source} {after}", values)
    except expected as problem:
        raise _explained(layout, str(problem)) from None


def _source(layout: Layout) -> tuple[str, list[str]]:
    """What to select from, in SQL, and the values it asks for. Text is read as it stands, nothing guessed."""
    path = re.sub(r"([*?[])", r"[\1]", str(layout.path))  # DuckDB would take these for patterns of many files
    packed = "gzip" if layout.path.suffix.lower() == ".gz" else "none"
    cells = [f"c{position}" for position in range(len(layout.columns))]
    named = f" as file({', '.join(cells)})" if cells else ""
    if layout.form == "frame":
        return f"frame{named}", []
    if layout.form == "parquet":
        return f"read_parquet($1){named}", [path]
    if layout.form == "json":
        keys = [name.replace("~", "~0").replace("/", "~1") for name in layout.columns]
        found = ", ".join(f"json_extract(json, ${number}) as {cell}" for number, cell in enumerate(cells, 3))
        source = f"(from read_ndjson_objects($1, compression=$2) select {found or 'json'})"
        return source, [path, packed, *(f"/{key}" for key in keys)]
    columns = ", ".join(f"{cell}: 'varchar'" for cell in cells)
    fixed = f"auto_detect=false, header=false, skip={layout.skip}, columns={{{columns}}}"
    given = [layout.delimiter, layout.quote, layout.encoding, packed]
    return f"read_csv($1, delim=$2, quote=$3, escape=$3, encoding=$4, compression=$5, {fixed})", [path, *given]


def _as_text(layout: Layout, name: str) -> str:
    """SQL for one column as text. Whole floats, which data frames make of ids with gaps, lose their `.0`."""
    cell = layout.cell(name)
    if layout.form == "json":
        words, text = f"array_to_string(from_json({cell}, '[\"varchar\"]'), '|')", f"{cell}->>'$'"
        number = rf"nullif(regexp_replace({text}, '\.0+$', ''), 'NaN')"
        return f"case json_type({cell}) when 'ARRAY' then {words} when 'DOUBLE' then {number} else {text} end"
    kind = layout.types[layout.columns.index(name)] if layout.types else "VARCHAR"
    if kind in ("FLOAT", "DOUBLE"):
        whole = f"case when {cell} = trunc({cell}) then try_cast({cell} as bigint)::varchar end"
        return f"coalesce({whole}, nullif({cell}::varchar, 'nan'))"
    return f"array_to_string({cell}::varchar[], '|')" if re.search(r"\[[0-9]*\]$", kind) else f"{cell}::varchar"


def _explained(layout: Layout, problem: str = "") -> BadInput:
    """What a person can mend where DuckDB refused. Walks the file, which only an error is worth."""
    said = textwrap.shorten(problem, 160, placeholder=" ...")
    if layout.form == "frame":
        return BadInput(f"{layout.path}: its columns cannot be read ({said}); make them text, numbers or dates")
    if layout.form == "parquet":
        return BadInput(f"{layout.path}: this is not a whole Parquet file; it may be cut short, copy or make it again")
    if layout.form == "json":
        for _ in numbered_objects(layout.path):
            pass
        return BadInput(f"{layout.path}: this is not read as JSON lines ({said}); write one object a line, in UTF-8")
    for number, cells in _rows(layout, strict=True):
        if len(cells) != len(layout.columns):
            what = f"{len(cells)} cells for {len(layout.columns)} columns"
            return BadInput(f"{layout.path}, line {number:,}: {what}; mend the row, or quote its cells")
    return BadInput(f"{layout.path}: the lines end in different ways, or a cell is too long; save the file anew")

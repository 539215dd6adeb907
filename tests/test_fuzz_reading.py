"""Whatever the bytes, the cells, the damage or the frame: `read` ends in a data set, or in words that say why not."""

from __future__ import annotations

import gzip
import json
import tempfile
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from whyrec.dataset import Dataset
from whyrec.errors import WhyrecError
from whyrec.reading import read
from whyrec.tables import connect

EXAMPLES = {"bytes": 80, "csv": 100, "json": 80, "parquet": 80, "pandas": 60, "polars": 50, "pyarrow": 50}
"""500 together; benchmarks/fuzz_reading.py takes more."""
deterministic = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck), print_blob=False
)

ENDINGS = (".csv", ".tsv", ".csv.gz", ".jsonl", ".ndjson.gz", ".json", ".parquet")
NAMES = st.sampled_from(["user", "item", "rating", "time", "title", "id", "user_id", "", "x", 'a"b', "a/b~c"])
# fmt: off
AWKWARD = st.sampled_from([
    "", " ", "0", "1", "2", "-1", "1.5", "1e309", "nan", "inf", "NaN", "007", "+1", "null", "2024-02-31", "infinity",
    "2024-01-31", "1970-01-01T00:00:00Z", "294247-01-10", "-infinity", "9" * 30, "1" * 18, "a|b", "|", '"', "''",
    "\ufeff", "\x00", "\x85", "\u2028", "é", "a\nb", "a\r", "\\", "$1", "::", ";", "\t", "{}", "[1]", "true",
])
# fmt: on
CELLS = AWKWARD | st.text(max_size=6) | st.integers(-3, 3).map(str)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | AWKWARD | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
OPTIONS = st.fixed_dictionaries({}, optional={"user": NAMES, "item": NAMES, "rating": NAMES, "time": NAMES})


@st.composite
def random_bytes(draw: st.DrawFn) -> tuple[str, bytes]:
    """Bytes under any ending, some of them behind a header or packed."""
    ending, body = draw(st.sampled_from(ENDINGS)), draw(st.binary(max_size=200))
    body = draw(st.sampled_from([b"", b"user,item\n", b"PAR1", b'{"user": 1, "item": 2}\n', b"\xef\xbb\xbf"])) + body
    return ending, gzip.compress(body, mtime=0) if ending.endswith("gz") and draw(st.booleans()) else body


@st.composite
def random_csv(draw: st.DrawFn) -> tuple[str, bytes]:
    """Awkward cells under awkward names, with one delimiter, any line ends, and now and then a cell too many."""
    delimiter = draw(st.sampled_from([",", "\t", ";", "|", "::"]))
    header = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True) | st.just(["user", "item", "rating", "time"]))
    width = st.lists(CELLS, min_size=len(header), max_size=len(header) + draw(st.integers(0, 1)))
    quoted = draw(st.booleans())
    lines = [
        delimiter.join('"' + cell.replace('"', '""') + '"' if quoted else cell for cell in line)
        for line in [header, *draw(st.lists(width, max_size=6))]
    ]
    text = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(lines) + draw(st.sampled_from(["", "\n"]))
    return draw(st.sampled_from([".csv", ".tsv"])), text.encode("utf-8", "surrogatepass")


@st.composite
def random_json(draw: st.DrawFn) -> tuple[str, bytes]:
    """Objects with any values under awkward names, one a line, some lines cut or followed by more."""
    event = st.fixed_dictionaries(
        {"user": JSON_VALUES, "item": CELLS}, optional={"rating": JSON_VALUES, "x": JSON_VALUES}
    )
    objects = draw(
        st.lists(event, max_size=6) | st.lists(st.dictionaries(NAMES, JSON_VALUES) | JSON_VALUES, max_size=6)
    )
    lines = [json.dumps(one, ensure_ascii=draw(st.booleans())) for one in objects]
    if lines and draw(st.booleans()):
        place = draw(st.integers(0, len(lines) - 1))
        lines[place] = lines[place][: draw(st.integers(0, 8))] + draw(st.sampled_from(["", " ", "{}", "\x00"]))
    text = draw(st.sampled_from(["\n", "\r\n", "\n\n"])).join(lines)
    return draw(st.sampled_from([".jsonl", ".json"])), text.encode("utf-8", "surrogatepass")


COLUMNS = """
    range % 5 as user, 'i' || range % 7 as item, range / 2 as rating, make_timestamp(range * 1000000) as time,
    [range::varchar, null] as words, {'a': range} as inner, 'x'::blob as blob, range::decimal(9, 2) as price
"""


@cache
def whole_parquet() -> bytes:
    """A small Parquet file with columns of many types."""
    with tempfile.TemporaryDirectory() as folder, connect() as database:
        path = Path(folder, "whole.parquet")
        database.execute(f"copy (select {COLUMNS} from range(40)) to '{path}' (format parquet)")  # noqa: S608 (our own)
        return path.read_bytes()


@st.composite
def damaged_parquet(draw: st.DrawFn) -> tuple[str, bytes]:
    """A Parquet file with bytes changed, taken out or put in, most of them near its ends, where its structure is."""
    body = bytearray(whole_parquet())
    for _ in range(draw(st.integers(0, 3))):
        near = draw(st.integers(0, 300))
        place = draw(st.sampled_from([near, len(body) - 1 - near, draw(st.integers(0, len(body) - 1))])) % len(body)
        what = draw(st.sampled_from(["change", "take", "put", "cut"]))
        if what == "change":
            body[place] = draw(st.integers(0, 255))
        elif what == "take":
            del body[place : place + draw(st.integers(1, 9))]
        elif what == "put":
            body[place:place] = draw(st.binary(min_size=1, max_size=9))
        else:
            del body[place:]
        if not body:
            break
    return ".parquet", bytes(body)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats()
    | AWKWARD
    | st.binary(max_size=3)
    | st.datetimes()
    | st.just(datetime(2024, 1, 31, tzinfo=UTC))
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-9, max_value=9)
    | st.lists(AWKWARD, max_size=2)
)
ALIKE = st.sampled_from(
    [st.integers(-3, 3), st.floats(), AWKWARD, st.dates(date(1900, 1, 1)), st.datetimes(), st.booleans(), SCALARS]
)


@st.composite
def random_columns(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Columns of equal length for a frame, most of them of one type, the others of many."""
    usual = st.sampled_from([["user", "item"], ["item", "x", "user"], ["user", "item", "rating", "time"]])
    names = draw(usual | usual | st.lists(NAMES, max_size=4, unique=True))
    length = draw(st.integers(0, 6))
    return {
        name: draw(st.lists(draw(ALIKE) | (st.none() if draw(st.booleans()) else st.nothing()), **of(length)))
        for name in names
    }


def of(length: int) -> dict[str, int]:
    return {"min_size": length, "max_size": length}


FRAMES: dict[str, Callable[[Any, dict[str, list[Any]]], Any]] = {
    "pandas": lambda pandas, columns: pandas.DataFrame(columns),
    "polars": lambda polars, columns: polars.DataFrame(columns, strict=False),
    "pyarrow": lambda pyarrow, columns: pyarrow.table(columns),
}
FILES = {"bytes": random_bytes(), "csv": random_csv(), "json": random_json(), "parquet": damaged_parquet()}


def gives_data(source: Any, options: dict[str, str] | None, log: Path) -> bool:
    """Read it as a log with these columns, or with None as the items of another log. Whether data came of it."""
    try:
        data = read(log, items=source) if options is None else read(source, duplicates="keep", **options)  # type: ignore[arg-type]
    except WhyrecError:
        return False
    assert_sane(data)
    return True


def assert_sane(data: Dataset) -> None:
    events = data.interactions
    assert len(events) > 0
    assert 0 <= events.users.min() <= events.users.max() < len(data.users)
    assert 0 <= events.items.min() <= events.items.max() < len(data.items)
    assert events.values is None or np.isfinite(events.values).all()
    for column in data.items.columns.values():
        assert len(column.values) == len(data.items)


def some_are_read(inputs: st.SearchStrategy[Any], examples: int) -> int:
    """How many of the inputs were read; all others were refused in words, and nothing else happened."""
    given_data = []

    @settings(deterministic, max_examples=examples)
    @given(inputs, st.none() | st.just({}) | st.just({}) | OPTIONS)
    def holds(source: Any, options: dict[str, str] | None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "other.csv")
            log.write_text("user,item\n1,2\n")
            if isinstance(source, tuple):
                ending, content = source
                source = Path(folder, f"log{ending}")
                source.write_bytes(content)
            given_data.append(gives_data(source, options, log))

    holds()
    return sum(given_data)


def frames(library: ModuleType) -> st.SearchStrategy[Any]:
    """Frames of one library, of all columns that it can make a frame of."""

    def frame(columns: dict[str, list[Any]]) -> Any:
        try:
            with warnings.catch_warnings(action="ignore"):
                return FRAMES[library.__name__](library, columns)
        except Exception:  # the library has many ways to say that it makes no frame of these
            reject()

    return random_columns().map(frame)


@pytest.mark.parametrize("kind", FILES)
def test_no_file_ends_in_anything_but_data_or_a_refusal(kind: str) -> None:
    assert some_are_read(FILES[kind], EXAMPLES[kind]) or kind == "bytes"  # which are hardly ever a log by chance


@pytest.mark.parametrize("name", FRAMES)
def test_no_frame_ends_in_anything_but_data_or_a_refusal(name: str) -> None:
    library = pytest.importorskip(name, reason=f"{name} is not installed; its frames are read where it is")
    assert some_are_read(frames(library), EXAMPLES[name])

"""What `read` promises of frames in memory: read as the same file would be, and a bad row named by its number."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

import whyrec as wr
from whyrec.dataset import Dataset
from whyrec.errors import BadInput

Columns = dict[str, list[Any]]

LOG: Columns = {
    "user": ["ada", "bob", "ada"],
    "item": ["tt9", "tt1", "tt1"],
    "rating": [4.0, 2.5, 1.0],
    "time": [30, 10, 20],
}


class Stream:
    """A frame that is nothing but an Arrow stream, and that nobody has to install anything for."""

    def __init__(self, columns: Columns) -> None:
        rows = [f"({', '.join(map(literal, row))})" for row in zip(*columns.values(), strict=True)]
        names = [f'"{name}"' for name in columns]
        self.relation = duckdb.connect().sql(f"from (values {', '.join(rows)}) as t({', '.join(names)})")

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.relation.__arrow_c_stream__(requested_schema)


def literal(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, datetime):
        return f"timestamptz '{value.isoformat()}'"
    return "null" if value is None else f"{value!r}::double" if isinstance(value, float) else repr(value)


def made_by(name: str, columns: Columns) -> Any:
    """The frame that a library makes of these columns."""
    if name == "stream":
        return Stream(columns)
    library = pytest.importorskip(name, reason=f"{name} is not installed; its frames are read where it is")
    return library.table(columns) if name == "pyarrow" else library.DataFrame(columns)


every = pytest.mark.parametrize("library", ["stream", "pandas", "polars", "pyarrow"])


def complaint(read: Callable[[], Dataset]) -> str:
    with pytest.raises(BadInput) as caught:
        read()
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


@every
def test_a_frame_reads_as_the_same_file_would(library: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = [",".join(map(str, row)) for row in zip(*LOG.values(), strict=True)]
    path.write_text("\n".join([",".join(LOG), *rows]) + "\n")
    data, same = wr.read(made_by(library, LOG)), wr.read(path)
    assert data.fingerprint() == same.fingerprint()
    assert data.users.vocabulary.ids() == same.users.vocabulary.ids() == ["ada", "bob"]
    assert data.items.vocabulary.ids() == same.items.vocabulary.ids() == ["tt9", "tt1"]
    assert (data.name, wr.read(made_by(library, LOG), name="mine").name) == ("the frame", "mine")


@every
def test_columns_are_named_and_recognised_as_in_a_file(library: str) -> None:
    frame = made_by(library, {"Who": [1, 2], "movie_id": [7, 7], "liking": [1, 5]})
    data = wr.read(frame, user="Who", rating="liking")
    assert (data.users.vocabulary.ids(), data.items.vocabulary.ids()) == ([1, 2], [7])
    assert "no column is recognised as the user among 'Who'" in complaint(lambda: wr.read(frame))


@every
@pytest.mark.parametrize(
    ("column", "cells", "expected"),
    [
        ("user", ["ada", None, "bob"], "the frame, row 2, column 'user': an empty cell is no id"),
        ("item", ["tt9", "tt1", " "], "the frame, row 3, column 'item': an empty cell is no id"),
        ("rating", [4.0, None, 1.0], "the frame, row 2, column 'rating': an empty cell is no finite number"),
        ("time", ["1", "2", "soon"], "the frame, row 3, column 'time': 'soon' is no time"),
        ("item", ["tt9", "tt1", "tt9"], "the frame, row 3: user 'ada' and item 'tt9' stand in row 1 already"),
    ],
)
def test_a_bad_row_is_refused_by_its_number(library: str, column: str, cells: list[Any], expected: str) -> None:
    assert complaint(lambda: wr.read(made_by(library, {**LOG, column: cells}))).startswith(expected)


@every
def test_a_table_of_items_may_be_a_frame_and_its_missing_values_are_nan_or_none(library: str) -> None:
    items = made_by(
        library,
        {
            "item": ["tt9", "tt1", "tt5"],
            "title": ["Nine", None, "Five"],
            "genres": [["Comedy", "Drama"], None, []],
            "year": [1999.0, None, float("nan") if library != "stream" else None],
            "country": ["NZ", None, "FI"],
        },
    )
    data = wr.read(made_by(library, LOG), items=items)
    assert data.items.titles == ("Nine", "tt1", "Five")
    columns = {name: (column.kind, column.values.tolist()) for name, column in data.items.columns.items()}
    missing = pytest.approx(np.nan, nan_ok=True)
    assert columns == {
        "genres": ("multi", [("Comedy", "Drama"), None, None]),
        "year": ("numeric", [1999.0, missing, missing]),
        "country": ("category", ["NZ", None, "FI"]),
    }
    assert data.findings == ("1 items of the frame of items occur in no interaction",)


@every
def test_a_bad_row_of_a_table_is_refused_with_the_name_of_the_table(library: str) -> None:
    again = made_by(library, {"id": ["ada", "bob", "ada"], "age": [1, 2, 3]})
    log = made_by(library, LOG)
    message = "row 3, column 'id': 'ada' stands in row 1 already"
    assert complaint(lambda: wr.read(log, users=again)).startswith(f"the frame of users, {message}")
    assert complaint(lambda: wr.read(log, items=again)).startswith(f"the frame of items, {message}")


@every
def test_moments_are_seconds_in_utc(library: str) -> None:
    moments = [datetime(1970, 1, 1, 0, minute, tzinfo=UTC) for minute in (1, 2, 3)]
    events = wr.read(made_by(library, {**LOG, "time": moments})).interactions
    assert events.times is not None
    assert events.times.tolist() == [60, 120, 180]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_the_order_of_many_rows_is_the_order_of_the_frame(library: str) -> None:
    users = np.random.default_rng(0).integers(0, 500, 200_000)
    data = wr.read(made_by(library, {"user": users, "item": np.arange(len(users))}))  # type: ignore[dict-item]
    assert data.items.vocabulary.ids() == list(range(len(users)))
    assert data.users.vocabulary.ids(data.interactions.users) == users.tolist()


def test_what_pandas_makes_of_ids_with_gaps_are_the_ids_again() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(
        {
            "user": [1.0, 2.0],
            "item": pandas.Categorical(["a", "b"]),
            "rating": pandas.array([1, 2], dtype="Int64"),
            "shelf": np.array([1, "x"], dtype=object),
        },
        index=[9, 9],
    )
    data = wr.read(frame, items=frame)
    assert (data.users.vocabulary.ids(), data.items.vocabulary.ids()) == ([1, 2], ["a", "b"])
    assert data.items.columns["shelf"].values.tolist() == ["1", "x"]


@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_two_columns_of_one_name_are_refused(library: str) -> None:
    twice = pytest.importorskip(library, reason=f"{library} is not installed")
    if library == "pandas":
        frame = twice.DataFrame([[1, 2, 3]], columns=["user", "item", "item"])
    else:
        frame = twice.Table.from_arrays([twice.array([1])] * 3, names=["user", "item", "item"])
    assert complaint(lambda: wr.read(frame)).startswith("two columns of a frame are called 'item'")


def test_columns_that_cannot_be_read_are_refused() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"user": [1], "item": pandas.period_range("2020", periods=1, freq="D")})
    assert "make them text, numbers or dates" in complaint(lambda: wr.read(frame))


def test_an_error_of_the_frame_itself_is_told() -> None:
    class Closed:
        def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
            raise RuntimeError("the connection was closed")

    message = complaint(lambda: wr.read(Closed()))
    assert message.startswith("the frame: its columns cannot be read (")
    assert "the connection was closed" in message


@pytest.mark.parametrize(
    "thing", [5, None, [1], {"user": [1]}, np.zeros((2, 2))], ids=lambda thing: type(thing).__name__
)
def test_what_is_neither_path_nor_frame_is_refused_with_what_would_do(thing: Any) -> None:
    message = complaint(lambda: wr.read(thing))
    assert message.startswith(f"a thing of type {type(thing).__name__} is neither a path nor a frame")
    assert "Polars, pandas or PyArrow" in message


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_of_one_library_asks_for_no_other(library: str) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed; its frames are read where it is")
    others = {"pandas", "polars", "pyarrow"} - {library}
    program = f"import sys; sys.modules.update(dict.fromkeys({others})); import {library}; import whyrec as wr; "
    program += f"print(wr.read({library}.DataFrame({LOG})).users.vocabulary.ids())"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['ada', 'bob']"

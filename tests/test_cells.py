"""What `read` promises of JSON lines and of folders of Parquet files: one data set, and a bad place by its name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import whyrec as wr
from whyrec.cells import layout_of
from whyrec.errors import BadInput

LOG = [
    {"user": "ada", "item": "tt9", "rating": 4, "time": 30},
    {"user": "bob", "item": "tt1", "rating": 2.5, "time": 10},
    {"user": "ada", "item": "tt1", "rating": 1, "time": 20},
]


def lines_of(objects: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(one) + "\n" for one in objects)


def write(folder: Path, content: str | bytes, name: str = "log.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def complaint(source: Path, **options: Any) -> str:
    """The message of the error that `read` raises: ours, and on one line."""
    with pytest.raises(BadInput) as caught:
        wr.read(source, **options)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize("ending", [".jsonl", ".ndjson", ".json", ".JSONL", ".jsonl.gz", ".json.gz"])
def test_json_lines_read_as_the_same_table_would(tmp_path: Path, ending: str) -> None:
    text = lines_of(LOG).encode()
    data = wr.read(write(tmp_path, gzip.compress(text) if ending.endswith("gz") else text, f"log{ending}"))
    rows = [",".join(map(str, one.values())) for one in LOG]
    same = wr.read(write(tmp_path, "\n".join(["user,item,rating,time", *rows]), "log.csv"))
    assert data.fingerprint() == same.fingerprint()
    assert data.users.vocabulary.ids() == same.users.vocabulary.ids()
    assert data.items.vocabulary.ids() == same.items.vocabulary.ids()
    assert data.name == "log"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(lines_of(LOG).replace("\n", "\r\n"), id="windows lines"),
        pytest.param("\n \n" + lines_of(LOG).replace("\n", "\n\n"), id="blank lines"),
        pytest.param(lines_of(LOG).rstrip("\n"), id="no last line end"),
        pytest.param(lines_of([dict(reversed(one.items())) for one in LOG]), id="other order of keys"),
        pytest.param(lines_of(LOG).replace("tt9", "tt\\u0039"), id="escapes"),
    ],
)
def test_habits_of_writers_of_json_do_not_matter(tmp_path: Path, text: str) -> None:
    assert wr.read(write(tmp_path, text)).fingerprint() == wr.read(write(tmp_path, lines_of(LOG))).fingerprint()


def test_columns_are_all_keys_in_the_order_of_first_appearance(tmp_path: Path) -> None:
    objects = [{"b": 1, "a": 2}, {"c": 3, "a": 4}, {}, {"d": 1, "b": 0}]
    assert layout_of(write(tmp_path, lines_of(objects))).columns == ("b", "a", "c", "d")


def test_json_values_become_ids_words_numbers_and_missing_values(tmp_path: Path) -> None:
    items = [
        {"item": 7.0, "title": "Nine", "genres": ["Comedy", "Drama"], "year": 1999, "open": True, "about": {"a": [1]}},
        {"item": 8, "title": None, "genres": [], "year": None, "open": False},
        {"item": 9, "genres": None, "open": None, "about": "none"},
    ]
    log = write(tmp_path, lines_of([{"user": "u", "item": 7}, {"user": "u", "item": "8"}]))
    data = wr.read(log, items=write(tmp_path, lines_of(items), "items.jsonl"))
    assert data.items.vocabulary.ids() == [7, 8, 9]
    assert data.items.titles == ("Nine", "8", "9")
    columns = {name: (column.kind, column.values.tolist()) for name, column in data.items.columns.items()}
    missing = pytest.approx(float("nan"), nan_ok=True)
    assert columns == {
        "genres": ("multi", [("Comedy", "Drama"), None, None]),
        "year": ("numeric", [1999.0, missing, missing]),
        "open": ("category", ["true", "false", None]),
        "about": ("category", ['{"a":[1]}', None, "none"]),
    }


@pytest.mark.parametrize("key", ["a/b", "a~b", "~1", "", "$.user", 'a"b', "it's; drop table cells --", "0", "é", "{x}"])
def test_a_key_is_only_ever_a_name(tmp_path: Path, key: str) -> None:
    path = write(tmp_path, lines_of([{key: "ada", "item": 1, "user": "wrong"}]))
    assert wr.read(path, user=key).users.vocabulary.ids() == ["ada"]


ids = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=5)


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=20))
def test_any_ids_survive_the_way_through_json(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    path = write(tmp_path, lines_of([{"user": user, "item": item} for user, item in pairs]))
    data = wr.read(path, duplicates="keep")
    events = data.interactions
    found = zip(data.users.vocabulary.ids(events.users), data.items.vocabulary.ids(events.items), strict=True)
    assert [tuple(map(str, pair)) for pair in found] == pairs


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"user": 1, "item": 2, "rating": "good"}', ", line 4, column 'rating': 'good' is no finite number"),
        ('{"user": 1, "item": 2, "rating": NaN}', ", line 4, column 'rating': an empty cell is no finite number"),
        ('{"user": 1, "item": 2}', ", line 4, column 'rating': an empty cell is no finite number"),
        ('{"user": null, "item": 2, "rating": 1}', ", line 4, column 'user': an empty cell is no id"),
        ('{"user": 1, "rating": 1}', ", line 4, column 'item': an empty cell is no id"),
        ('{"user": 0, "item": 0, "rating": 1}', ", line 4: user '0' and item '0' stand in line 2 already"),
        ('{"user": 1, "item": 2', ", line 4: this is not one JSON object"),
        ('{"user": 1} {"item": 2}', ", line 4: this is not one JSON object"),
        ('[{"user": 1, "item": 2}]', ", line 4: this is not one JSON object"),
        ("7", ", line 4: this is not one JSON object"),
        ('{"user": "\x00"}', ", line 4: this is not UTF-8 text"),
        ("[" * 100_000, ", line 4: this is not one JSON object"),
    ],
    ids=lambda text: text[:40],
)
def test_a_bad_line_is_refused_by_its_number(tmp_path: Path, line: str, expected: str) -> None:
    first, last = '{"user": 0, "item": 0, "rating": 0}', '{"user": 3, "item": 3, "rating": 3}'
    path = write(tmp_path, f"\n{first}\n\n{line}\n{last}\n")
    message = complaint(path).removeprefix(str(path))
    assert message.startswith(expected)
    assert ";" in message  # what to do


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "there are no rows"),
        (b"\n \n{}\n", "there are no rows"),
        (b'[\n{"user": 1, "item": 2}\n]\n', "line 1: this is not one JSON object"),
        (b'{\n"user": 1,\n"item": 2\n}\n', "line 1: this is not one JSON object"),
        (b'\xef\xbb\xbf{"user": 1, "item": 2}\n', "line 1: this is not one JSON object"),
        ('{"user": "é", "item": 2}\n'.encode("latin-1"), "line 1: this is not UTF-8 text"),
        (b'{"user": "\\ud800", "item": 2}\n', "this is not read as JSON lines"),
        (b'{"user": 1, "item": 2, "user": 3', "line 1: this is not one JSON object"),
        (bytes(range(256)), "this is not UTF-8 text"),
    ],
)
def test_a_bad_file_of_json_is_refused_in_plain_words(tmp_path: Path, content: bytes, expected: str) -> None:
    assert expected in complaint(write(tmp_path, content))
    packed = write(tmp_path, gzip.compress(content)[:-9], "log.jsonl.gz")
    assert "log.jsonl.gz" in complaint(packed)


def parquet(path: Path, query: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as database:
        database.execute(f"copy ({query}) to '{path}' (format parquet)")


def test_the_parquet_files_of_a_folder_are_one_data_set_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "log.v2"
    parquet(folder / "part-2.parquet", "select 30 as time, 'c' as item, 3.0::double as \"user\", 1::float as rating")
    parquet(folder / "part-1.parquet", "from (values (1, 'a', 5, 10), (2, 'b', 4, 20)) t(\"user\", item, rating, time)")
    (folder / "_SUCCESS").write_text("")
    (folder / "_metadata.parquet").write_text("not a part")
    data = wr.read(folder)
    assert data.users.vocabulary.ids() == [1, 2, 3]
    assert data.items.vocabulary.ids() == ["a", "b", "c"]
    assert data.interactions.values is not None
    assert data.interactions.values.tolist() == [5, 4, 1]
    assert data.interactions.times is not None
    assert data.interactions.times.tolist() == [10, 20, 30]
    assert (data.name, data.source) == ("log.v2", str(folder))


def test_a_bad_row_of_a_folder_is_refused_with_the_name_of_its_file(tmp_path: Path) -> None:
    log = 'from (values {}) t("user", item, rating)'
    parquet(tmp_path / "a.parquet", log.format("(1, 1, 1.0), (2, 2, 2.0)"))
    parquet(tmp_path / "b.parquet", log.format("(3, 3, 3.0), (1, 1, 4.0)"))
    place = f"{tmp_path / 'b.parquet'}, row 2"
    assert complaint(tmp_path).startswith(f"{place}: user '1' and item '1' stand in a.parquet, row 1 already")
    parquet(tmp_path / "b.parquet", log.format("(3, 3, 3.0), (4, 4, null)"))
    assert complaint(tmp_path).startswith(f"{place}, column 'rating': an empty cell is no finite number")


def test_files_of_a_folder_that_do_not_belong_together_are_refused_by_name(tmp_path: Path) -> None:
    assert complaint(tmp_path).startswith(f"{tmp_path}: this is a folder without a Parquet file")
    parquet(tmp_path / "a.parquet", 'select 1 as "user", 2 as item, 3 as rating')
    parquet(tmp_path / "b.parquet", 'select 2 as "user", 2 as item')
    expected = f"{tmp_path / 'b.parquet'}: there is no column 'rating', which a.parquet has"
    assert complaint(tmp_path).startswith(expected)
    parquet(tmp_path / "b.parquet", 'select 2 as "user", 2 as item, 3 as rating, 4 as stars')
    assert complaint(tmp_path).startswith(f"{tmp_path / 'a.parquet'}: there is no column 'stars', which b.parquet has")
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-9])
    assert complaint(tmp_path).startswith(f"{tmp_path / 'b.parquet'}: this is not a whole Parquet file")
    (tmp_path / "b.parquet").unlink()
    parquet(tmp_path / "year=2024" / "c.parquet", 'select 1 as "user", 2 as item, 3 as rating')
    assert complaint(tmp_path).startswith(
        f"{tmp_path / 'year=2024' / 'c.parquet'}: this file is in a folder of its own"
    )


def test_a_table_of_items_may_be_a_folder_or_json_lines(tmp_path: Path) -> None:
    parquet(tmp_path / "items" / "1.parquet", "select 'tt9' as item, 'Nine' as title")
    parquet(tmp_path / "items" / "2.parquet", "select 'tt9' as item, 'Again' as title")
    log = write(tmp_path, lines_of(LOG))
    message = "row 1, column 'item': 'tt9' stands in 1.parquet, row 1 already"
    assert complaint(log, items=tmp_path / "items") == (
        f"{tmp_path / 'items' / '2.parquet'}, {message}; a table has one row for each id"
    )
    (tmp_path / "items" / "2.parquet").unlink()
    assert wr.read(log, items=tmp_path / "items").items.titles == ("Nine", "tt1")

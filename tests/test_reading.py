"""What `read` promises: ids and titles kept, and every bad cell named by file, line, column and way out."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whyrec.cells import Layout, layout_of, opened
from whyrec.dataset import Dataset
from whyrec.errors import BadInput, InvalidSetting
from whyrec.reading import dataset_of, read

LOG = "user,item,rating,time\nada,tt9,4,30\nbob,tt1,2.5,10\nada,tt1,1,20\n"


def write(folder: Path, content: str | bytes, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_parquet(folder: Path, query: str, name: str = "log.parquet") -> Path:
    path = folder / name
    with duckdb.connect() as database:
        database.execute(f"copy ({query}) to '{path}' (format parquet)")
    return path


def complaint(source: Path, **options: object) -> str:
    """The message of the error that `read` raises: ours, on one line, and about this file."""
    with pytest.raises(BadInput) as caught:
        read(source, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith(str(source))
    assert "\n" not in message
    assert caught.value.__cause__ is None
    return message.removeprefix(str(source))


def rows(data: Dataset) -> list[tuple[object, object, float]]:
    """The events by id, as the file tells them."""
    events = data.interactions
    users, items = data.users.vocabulary.ids(events.users), data.items.vocabulary.ids(events.items)
    return list(zip(users, items, [] if events.values is None else events.values.tolist(), strict=True))


def test_ids_ratings_and_times_come_back_as_they_stand_in_the_file(tmp_path: Path) -> None:
    data = read(write(tmp_path, LOG))
    assert rows(data) == [("ada", "tt9", 4.0), ("bob", "tt1", 2.5), ("ada", "tt1", 1.0)]
    assert data.users.vocabulary.ids() == ["ada", "bob"]  # in order of first appearance
    assert data.items.vocabulary.ids() == ["tt9", "tt1"]
    assert data.interactions.times is not None
    assert data.interactions.times.tolist() == [30, 10, 20]
    assert (data.interactions.user_count, data.interactions.item_count) == (2, 2)
    assert (data.name, data.source, data.findings) == ("log", str(tmp_path / "log.csv"), ())
    dtypes = [data.interactions.users.dtype, data.interactions.values.dtype, data.interactions.times.dtype]  # type: ignore[union-attr]
    assert dtypes == [np.int64, np.float32, np.int64]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|", "::"])
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz", ".TSV.GZ"])
def test_delimiter_and_packing_do_not_matter(tmp_path: Path, delimiter: str, ending: str) -> None:
    text = LOG.replace(",", delimiter).encode()
    path = write(tmp_path, gzip.compress(text) if ending.lower().endswith("gz") else text, f"log{ending}")
    assert rows(read(path)) == rows(read(write(tmp_path, LOG)))
    assert read(path).name == "log"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(LOG.replace("\n", "\r\n"), id="windows lines"),
        pytest.param("\ufeff" + LOG, id="byte order mark"),
        pytest.param("\n\n" + LOG.replace("\n", "\n\n"), id="blank lines"),
        pytest.param(LOG.rstrip("\n"), id="no last line end"),
        pytest.param(LOG.replace(",", " , "), id="blanks around cells"),
        pytest.param(LOG.replace("tt9", '"tt9"').replace("user", '"user"'), id="quotation marks"),
    ],
)
def test_habits_of_other_programs_do_not_matter(tmp_path: Path, text: str) -> None:
    assert rows(read(write(tmp_path, text, "other.csv"))) == rows(read(write(tmp_path, LOG)))


@pytest.mark.parametrize(
    "header", ["userId,movieId,rating,timestamp", "USER_ID,asin,Stars,Date", "customer-id,Item,score,time"]
)
def test_usual_column_names_are_recognised(tmp_path: Path, header: str) -> None:
    data = read(write(tmp_path, LOG.replace("user,item,rating,time", header)))
    assert rows(data)[0] == ("ada", "tt9", 4.0)
    assert data.interactions.times is not None


def test_named_columns_win_over_usual_names(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item,rating,who,liking\nx,y,1,ada,5\n")
    assert rows(read(path, user="who", rating="liking")) == [("ada", "y", 5.0)]
    assert read(path, time="rating").interactions.values is None  # one column is never two things


def test_ratings_and_times_may_be_absent(tmp_path: Path) -> None:
    events = read(write(tmp_path, "item,user\n1,2\n")).interactions
    assert events.values is None
    assert events.times is None


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (["7", "-3", "0"], [7, -3, 0]),
        (["7", "tt3"], ["7", "tt3"]),
        (["007", "7"], ["007", "7"]),
        (["+7", "8"], ["+7", "8"]),
        (["1.0", "2"], ["1.0", "2"]),
        (["1" * 19], ["1" * 19]),
    ],
)
def test_ids_are_integers_only_where_all_are_written_so(tmp_path: Path, written: list[str], kept: list[object]) -> None:
    data = read(write(tmp_path, "user,item\n" + "".join(f"{name},1\n" for name in written)))
    assert data.users.vocabulary.ids() == kept


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("881250949", 881250949),
        ("1.9", 1),
        ("-1.5", -2),
        ("1970-01-02", 86400),
        ("1970-01-01 00:01:00", 60),
        ("1970-01-01T00:01:00Z", 60),
        ("1970-01-01 02:01:00+02:00", 60),
    ],
)
def test_times_are_seconds_or_dates_in_utc(tmp_path: Path, written: str, seconds: int) -> None:
    events = read(write(tmp_path, f"user,item,time\n1,1,{written}\n")).interactions
    assert events.times is not None
    assert events.times.tolist() == [seconds]


ids = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=20))
def test_any_ids_survive_the_way_through_a_file(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    quoted = ['"' + '","'.join(name.replace('"', '""') for name in pair) + '"' for pair in pairs]
    data = read(write(tmp_path, "\n".join(["user,item", *quoted]) + "\n"), duplicates="keep")
    events = data.interactions
    found = zip(data.users.vocabulary.ids(events.users), data.items.vocabulary.ids(events.items), strict=True)
    assert [tuple(map(str, pair)) for pair in found] == pairs
    assert list(map(str, data.users.vocabulary.ids())) == list(dict.fromkeys(user for user, _ in pairs))


@pytest.mark.parametrize(("duplicates", "kept"), [("first", [5, 2]), ("last", [2, 7]), ("keep", [5, 6, 2, 7])])
def test_repeated_pairs_are_kept_as_asked(tmp_path: Path, duplicates: str, kept: list[float]) -> None:
    path = write(tmp_path, "user,item,rating\n1,2,5\n1,2,6\n2,2,2\n1,2,7\n")
    data = read(path, duplicates=duplicates)  # type: ignore[arg-type]
    assert data.interactions.values is not None
    assert data.interactions.values.tolist() == kept
    assert data.findings[0].startswith("2 ")


def test_the_kept_rows_are_those_of_a_slow_search(tmp_path: Path) -> None:
    pairs = np.random.default_rng(0).integers(0, 40, (5_000, 2)).tolist()
    path = write(tmp_path, "user,item,rating\n" + "".join(f"{u},{i},{row}\n" for row, (u, i) in enumerate(pairs)))
    rows_of: dict[tuple[int, int], list[int]] = {}
    for row, (user, item) in enumerate(pairs):
        rows_of.setdefault((user, item), []).append(row)
    first, last = read(path, duplicates="first"), read(path, duplicates="last")
    assert [row for _, _, row in rows(first)] == sorted(found[0] for found in rows_of.values())
    assert [row for _, _, row in rows(last)] == sorted(found[-1] for found in rows_of.values())


def test_a_repeated_pair_is_refused_with_both_lines_and_the_way_out(tmp_path: Path) -> None:
    path = write(tmp_path, "user,item\nada,7\nbob,7\n\nada,7\n")
    message = complaint(path)
    assert message.startswith(", line 5: user 'ada' and item '7' stand in line 2 already")
    assert 'duplicates="last"' in message
    assert "--duplicates last" in message
    with pytest.raises(InvalidSetting, match="'newest' is not one of error, first, last, keep"):
        read(path, duplicates="newest")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2,good,1", ", line 3, column 'rating': 'good' is no finite number"),
        ("1,2,nan,1", ", line 3, column 'rating': 'nan' is no finite number"),
        ("1,2,-inf,1", ", line 3, column 'rating': '-inf' is no finite number"),
        ("1,2,1e39,1", ", line 3, column 'rating': '1e39' is no finite number"),
        ("1,2,,1", ", line 3, column 'rating': an empty cell is no finite number"),
        (" ,2,3,1", ", line 3, column 'user': an empty cell is no id"),
        ('1,"",3,1', ", line 3, column 'item': an empty cell is no id"),
        ("1,2,3,soon", ", line 3, column 'time': 'soon' is no time"),
        ("1,2,3,", ", line 3, column 'time': an empty cell is no time"),
        ("1,2,3,1e300", ", line 3, column 'time': '1e300' is no time"),
        ("1,2,3,2024-02-31", ", line 3, column 'time': '2024-02-31' is no time"),
        ("1,2,3", ", line 3: 3 cells for 4 columns"),
        ("1,2,3,4,5", ", line 3: 5 cells for 4 columns"),
        ('1,"2,3,4', ", line 3: a quotation mark is not closed"),
    ],
)
def test_a_bad_row_is_refused_by_line_and_column(tmp_path: Path, text: str, expected: str) -> None:
    message = complaint(write(tmp_path, f"user,item,rating,time\n0,0,0,0\n{text}\n3,3,3,3\n"))
    assert message.startswith(expected)
    assert ";" in message  # what to do


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    text = '\nuser,item,rating\n\n"a\nb",1,1\r\n\n\n"c",2,x\n'
    assert complaint(write(tmp_path, text.replace("\r", ""))).startswith(", line 8, column 'rating': 'x'")
    assert complaint(write(tmp_path, "user::item::rating\n\na::b::c\n")).startswith(", line 3, column 'rating': 'c'")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("log.xlsx", LOG, "the ending must be .csv, .tsv"),
        ("log.csv", "", "the file is empty"),
        ("log.csv", "\n \n", "the file is empty"),
        ("log.csv", "user,item\n", "there are no rows below the header"),
        ("log.csv", LOG.replace("ada", "adé").encode("latin-1"), "line 2: this is not UTF-8 text"),
        ("log.csv", LOG.encode("utf-16"), "line 1: this is not UTF-8 text"),
        ("log.csv", "user,item,note\n1,2,café\n".encode("latin-1"), "line 2: this is not UTF-8 text"),
        ("log.csv", bytes(range(256)), "line 1: this is not UTF-8 text"),
        ("log.csv", "user,item,rating\r\n1,2,3\n4,5,6\r\n", "the lines end in different ways"),
        ("log.csv", "user,item,item\n1,2,3\n", "line 1: two columns are called 'item'"),
        ("log.csv.gz", LOG, "this cannot be read to its end"),
        ("log.csv.gz", gzip.compress(LOG.encode(), mtime=0)[:30], "this cannot be read to its end"),
        ("log.parquet", LOG, "this is not a whole Parquet file"),
        ("log.parquet", "", "this is not a whole Parquet file"),
    ],
)
def test_a_bad_file_is_refused_in_plain_words(tmp_path: Path, name: str, content: str | bytes, expected: str) -> None:
    assert expected in complaint(write(tmp_path, content, name))


def test_an_absent_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert complaint(tmp_path / "log.csv").startswith(": there is no such file")
    assert complaint(tmp_path).startswith(": this is a folder without a Parquet file")
    assert complaint(tmp_path / "log.parquet").startswith(": there is no such file")


def test_a_missing_column_is_refused_with_those_found_and_the_way_to_name_it(tmp_path: Path) -> None:
    message = complaint(write(tmp_path, "who,item\n1,2\n"))
    assert "no column is recognised as the user among 'who', 'item'" in message
    assert "pass user='...' (--user on the command line)" in message
    assert "there is no column 'rank' for the rating" in complaint(write(tmp_path, LOG), rating="rank")
    assert "there is no column 'user' for the item" in complaint(write(tmp_path, LOG), user="user", item="user")
    assert "put a header such as user,item,rating above" in complaint(write(tmp_path, "196\t242\t3\n", "u.tsv"))


def test_parquet_reads_as_the_same_text_would(tmp_path: Path) -> None:
    values = "(values ('ada', 'tt9', 4::double, 30), ('bob', 'tt1', 2.5, 10), ('ada', 'tt1', 1, 20))"
    data = read(write_parquet(tmp_path, f'from {values} t("User", item, rating, time)'))
    assert rows(data) == rows(read(write(tmp_path, LOG)))
    assert data.fingerprint() == read(write(tmp_path, LOG)).fingerprint()


def test_parquet_types_become_ids_times_and_lists(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, "select 42.0::double as user, 7 as item, timestamp '1970-01-01 00:01:00' as date")
    genres = write_parquet(tmp_path, "select 7 as item, ['A', 'B'] as genres, 0.5::float as share", "items.parquet")
    data = read(path, items=genres)
    assert data.users.vocabulary.ids() == [42]
    assert data.interactions.times is not None
    assert data.interactions.times.tolist() == [60]
    assert data.items.columns["genres"].values.tolist() == [("A", "B")]
    assert data.items.columns["share"].values.tolist() == [0.5]


def test_a_bad_row_of_parquet_is_refused_by_its_number(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, "select * from (values (1, 1, 1::double), (2, 2, 'nan')) t(user, item, rating)")
    assert complaint(path).startswith(", row 2, column 'rating': an empty cell is no finite number")
    whole = path.read_bytes()
    assert "not a whole Parquet file" in complaint(write(tmp_path, whole[:-20], "cut.parquet"))
    assert "there are no rows" in complaint(write_parquet(tmp_path, "select 1 as user, 2 as item limit 0"))


@pytest.mark.parametrize("name", ["a[1]*?.csv", "it's; drop table cells--.csv", "{b,c}.csv", "$1.csv"])
def test_a_file_name_is_only_ever_a_name(tmp_path: Path, name: str) -> None:
    write(tmp_path, "user,item\nwrong,1\n", "a1xx.csv")
    assert read(write(tmp_path, "user,item\nada,1\n", name)).users.vocabulary.ids() == ["ada"]


def test_a_column_name_is_only_ever_a_name(tmp_path: Path) -> None:
    strange = "a\"; drop table cells; --'"
    quoted = '"' + strange.replace('"', '""') + '"'
    path = write_parquet(tmp_path, f"select 'ada' as {quoted}, 1 as item, 'x' as \"#1\"")
    assert read(path, user=strange).users.vocabulary.ids() == ["ada"]
    assert read(write(tmp_path, f"{quoted},item\nada,1\n"), user=strange).users.vocabulary.ids() == ["ada"]


ITEMS = """movieId,title,genres,year,postcode,about,blank,
tt9,Nine,Comedy|Drama,1999,02139,"A keeper of bees finds letters, and answers one of them each night",,
tt5,Five,Drama,,55105,"Two sisters inherit a lighthouse and a debt that nobody can explain",,
"""


def test_titles_and_columns_come_from_the_table(tmp_path: Path) -> None:
    data = read(write(tmp_path, LOG), items=write(tmp_path, ITEMS, "movies.csv"))
    assert data.items.vocabulary.ids() == ["tt9", "tt1", "tt5"]  # the table's own come last
    assert data.items.titles == ("Nine", "tt1", "Five")
    assert data.interactions.item_count == 3
    columns = {name: (column.kind, column.values.tolist()) for name, column in data.items.columns.items()}
    assert columns.pop("about")[0] == "text"
    assert columns == {
        "genres": ("multi", [("Comedy", "Drama"), None, ("Drama",)]),
        "year": ("numeric", [1999.0, pytest.approx(np.nan, nan_ok=True), pytest.approx(np.nan, nan_ok=True)]),
        "postcode": ("category", ["02139", None, "55105"]),
    }
    assert data.findings == (
        "column 'blank' of movies.csv is empty and was left out",
        "1 items of movies.csv occur in no interaction",
        "1 items of the interactions have no row in movies.csv",
    )


def test_ids_of_a_table_and_of_the_events_are_of_one_kind(tmp_path: Path) -> None:
    log = write(tmp_path, "user,item\n1,2\n")
    assert read(log, users=write(tmp_path, "id,age\n1,30\n3,40\n", "users.csv")).users.vocabulary.ids() == [1, 3]
    assert read(log, users=write(tmp_path, "id,age\n1,30\nx,40\n", "users.csv")).users.vocabulary.ids() == ["1", "x"]


def test_the_id_column_of_a_table_is_guessed_or_the_first(tmp_path: Path) -> None:
    log = write(tmp_path, "cust,item\n1,2\n")
    for table in ("age,cust\n30,1\n", "age,user_id\n30,1\n", "age,id\n30,1\n", "number,age\n1,30\n"):
        data = read(log, user="cust", users=write(tmp_path, table, "users.csv"))
        assert data.users.columns["age"].values.tolist() == [30.0]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("item,title\ntt9,Nine\n\ntt9,Again\n", ", line 4, column 'item': 'tt9' stands in line 2 already"),
        ("item,title\ntt9,Nine\n,Nobody\n", ", line 3, column 'item': an empty cell is no id"),
        ("item\ntt9\n\n", ", line 3, column 'item': an empty cell is no id"),
    ],
)
def test_a_bad_table_is_refused_by_line(tmp_path: Path, table: str, expected: str) -> None:
    path = write(tmp_path, table, "items.csv")
    with pytest.raises(BadInput) as caught:
        read(write(tmp_path, LOG), items=path)
    assert str(caught.value).startswith(f"{path}{expected}")


def test_a_file_without_header_is_read_by_a_layout_written_by_hand(tmp_path: Path) -> None:
    path = write(tmp_path, 'ada::caf\xe9 "9"::3\n'.encode("latin-1"), "ratings.dat")
    with opened(Layout(path, ("user", "item", "rating"), delimiter="::", encoding="latin-1")) as cells:
        assert cells.encoded("item")[1] == ['café "9"']
        assert cells.numbers("rating").tolist() == [3.0]


def test_columns_of_a_table_may_be_of_a_known_kind(tmp_path: Path) -> None:
    users = replace(layout_of(write(tmp_path, "user,zip\nada,55105\n", "users.csv")), kinds={"zip": "category"})
    data = dataset_of(layout_of(write(tmp_path, LOG)), users=users)
    assert data.users.columns["zip"].values.tolist() == ["55105", None]


def test_the_order_of_many_rows_is_the_order_of_the_file(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    users, items = generator.integers(0, 500, 100_000), np.arange(100_000)
    text = "".join(f"u{user},{item},{item % 7}\n" for user, item in zip(users, items, strict=True))
    data = read(write(tmp_path, "user,item,rating\n" + text))
    assert data.items.vocabulary.ids() == items.tolist()
    _, first = np.unique(users, return_index=True)
    assert data.users.vocabulary.ids() == [f"u{user}" for user in users[np.sort(first)]]
    assert data.users.vocabulary.ids(data.interactions.users[:99]) == [f"u{user}" for user in users[:99]]
    assert np.array_equal(data.interactions.values, items % 7)  # type: ignore[arg-type]

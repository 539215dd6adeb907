"""What the loaders of published data sets promise: the numbers of the originals, and no half download."""

from __future__ import annotations

import gzip
import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from whyrec.datasets import movielens, ncf
from whyrec.errors import BadInput

SHARED = Path(os.environ.get("WHYREC_SHARED_DATA", Path(__file__).parents[1].parent / "shared" / "data"))

U_DATA = "196\t242\t3\t881250949\n186\t302\t2\t891717742\n196\t302\t4\t881250950\n"
U_USER = "186|39|F|executive|10001\n196|49|M|writer|55105\n"


def real(name: str) -> Path:
    if not (SHARED / name).is_dir():
        pytest.skip(f"no copy of {name} here; name the folder that holds it in WHYREC_SHARED_DATA")
    return SHARED / name


def item_line(number: int, title: str, released: str, *genres: str) -> str:
    flags = "|".join(str(int(genre in genres)) for genre in movielens.GENRES)
    return f"{number}|{title}|{released}||http://example.org/{number}|{flags}\n"


def small_movielens(folder: Path) -> Path:
    """Three ratings in the layout of MovieLens 100K, of films that were never made."""
    folder.mkdir()
    (folder / "u.data").write_text(U_DATA)
    (folder / "u.user").write_text(U_USER)
    films = item_line(242, 'Caf\xe9 "Nord" (1996)', "24-Jan-1997", "Comedy", "Film-Noir") + item_line(302, "Quay", "")
    (folder / "u.item").write_bytes(films.encode("latin-1"))
    return folder


def archive_of(folder: Path, packed: Path, top: str = "ml-100k/") -> Path:
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, top + file.name)
    return packed


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive on this machine in the place of the published one."""
    archive = archive_of(small_movielens(tmp_path / "original"), tmp_path / "published.zip")
    monkeypatch.setattr(movielens, "ADDRESS", archive.as_uri())
    monkeypatch.setattr(movielens, "MD5", hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest())
    return archive


def test_movielens_keeps_titles_genres_years_and_what_is_known_of_users(tmp_path: Path) -> None:
    data = movielens.load(small_movielens(tmp_path / "ml"))
    assert data.items.vocabulary.ids() == [242, 302]
    assert data.items.titles == ('Café "Nord" (1996)', "Quay")
    assert data.items.columns.keys() == {"genres", "year"}
    assert data.items.columns["genres"].kind == "multi"
    assert data.items.columns["genres"].values.tolist() == [("Comedy", "Film-Noir"), None]
    np.testing.assert_equal(data.items.columns["year"].values, [1997, np.nan])
    users = {name: (column.kind, column.values.tolist()) for name, column in data.users.columns.items()}
    assert users == {
        "age": ("numeric", [49.0, 39.0]),
        "gender": ("category", ["M", "F"]),
        "occupation": ("category", ["writer", "executive"]),
        "zip": ("category", ["55105", "10001"]),
    }
    assert data.interactions.values is not None
    assert data.interactions.values.tolist() == [3, 2, 4]
    assert data.name == "ml-100k"
    assert "GroupLens" in data.source
    assert "no redistribution" in data.licence
    assert data.findings == ()


def test_movielens_says_what_it_looked_for_and_which_line_is_bad(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"looked for u\.data \(beside u\.item and u\.user\).*download=True"):
        movielens.load(tmp_path)
    folder = small_movielens(tmp_path / "ml")
    with (folder / "u.item").open("a") as file:
        file.write("9|too few\n")
    with pytest.raises(BadInput, match=r"u\.item, line 3: 2 cells for 24 columns"):
        movielens.load(folder)
    (folder / "u.item").unlink()
    with pytest.raises(BadInput, match=r"u\.item: there is no such file"):
        movielens.load(folder)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_download_fills_an_absent_or_empty_folder(tmp_path: Path, published: Path, is_there: bool) -> None:
    folder = tmp_path / "deep" / "ml"
    if is_there:
        folder.mkdir(parents=True)
    assert len(movielens.load(folder, download=True).interactions) == 3
    assert [path.name for path in folder.parent.iterdir()] == ["ml"]
    published.unlink()
    assert len(movielens.load(folder, download=True).interactions) == 3  # from the folder, not from its source


def test_a_download_with_another_checksum_leaves_nothing(tmp_path: Path, published: Path) -> None:
    published.write_bytes(published.read_bytes()[:-1])
    with pytest.raises(BadInput, match=r"came with the checksum [0-9a-f]{32} in place of"):
        movielens.load(tmp_path / "new" / "ml", download=True)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_download_that_fails_leaves_nothing_and_says_why(tmp_path: Path, published: Path) -> None:
    published.unlink()
    with pytest.raises(BadInput, match=r"the download failed .*fetch and unzip it by hand"):
        movielens.load(tmp_path / "new" / "ml", download=True)
    assert list((tmp_path / "new").iterdir()) == []


def test_an_archive_cannot_write_outside_its_folder(
    tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive_of(tmp_path / "original", published, top="../../escaped-")
    monkeypatch.setattr(movielens, "MD5", hashlib.md5(published.read_bytes(), usedforsecurity=False).hexdigest())
    with pytest.raises(BadInput, match=r"outside its folder"):
        movielens.load(tmp_path / "new" / "ml", download=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "original", "published.zip"]
    assert list((tmp_path / "new").iterdir()) == []


def test_a_download_never_mixes_with_other_files(tmp_path: Path, published: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(BadInput, match="not empty"):
        movielens.load(tmp_path / "mine", download=True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    assert published.is_file()


def test_movielens_100k_has_its_published_numbers() -> None:
    data = movielens.load(real("ml-100k"))
    assert (len(data.interactions), len(data.users), len(data.items)) == (100_000, 943, 1_682)
    assert data.items.title(int(data.items.vocabulary.rows([1])[0])) == "Toy Story (1995)"
    assert data.findings == ()
    assert np.unique(data.interactions.values).tolist() == [1, 2, 3, 4, 5]  # type: ignore[arg-type]
    assert data.users.columns["zip"].kind == "category"


ML_1M = {
    "ratings.dat": "1::20::5::978300760\n2::10::3::978300761\n1::10::4::978300700\n",
    "users.dat": "1::F::1::10::48067\n2::M::56::0::02139\n",
    "movies.dat": '10::Caf\xe9 :Nord: "9" (1995)::Animation|Children\'s\n20::Quay::Drama\n30::Shed (1999)::War\n',
}
ML_CSV = {
    "ratings.csv": "userId,movieId,rating,timestamp\n1,20,4.0,964982703\n2,10,0.5,964982700\n",
    "movies.csv": 'movieId,title,genres\n10,"Reed, The (2006\u20132007)",Crime|Drama\n20,Quay,(no genres listed)\n',
    "tags.csv": "userId,movieId,tag,timestamp\n2,10,slow,1\n1,10,Slow,2\n9,99,x,3\n1,10,by night,3\n2,10,,4\n",
    "links.csv": "not looked at",
}


def written(folder: Path, files: dict[str, str], encoding: str = "utf-8") -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.replace("\n", "\r\n" * (encoding == "utf-8") or "\n").encode(encoding))
    return folder


def test_movielens_1m_writes_out_what_its_codes_mean(tmp_path: Path) -> None:
    data = movielens.load(written(tmp_path / "ml", ML_1M, "latin-1"))
    assert (data.users.vocabulary.ids(), data.items.vocabulary.ids()) == ([1, 2], [20, 10, 30])
    assert data.items.titles == ("Quay", 'Café :Nord: "9" (1995)', "Shed (1999)")
    assert data.items.columns["genres"].values.tolist() == [("Drama",), ("Animation", "Children's"), ("War",)]
    np.testing.assert_equal(data.items.columns["year"].values, [np.nan, 1995, 1999])
    users = {name: (column.kind, column.values.tolist()) for name, column in data.users.columns.items()}
    assert users == {
        "gender": ("category", ["F", "M"]),
        "age": ("category", ["under 18", "56 and more"]),
        "occupation": ("category", ["K-12 student", "other or not specified"]),
        "zip": ("category", ["48067", "02139"]),
    }
    assert data.interactions.values is not None
    assert data.interactions.values.tolist() == [5, 3, 4]
    assert data.interactions.times is not None
    assert data.interactions.times.tolist() == [978300760, 978300761, 978300700]
    assert (data.name, "no redistribution" in data.licence) == ("ml-1m", True)
    assert data.findings == ("1 items of movies.dat occur in no interaction",)


def test_movielens_1m_without_times_keeps_the_order_of_the_file_and_says_so(tmp_path: Path) -> None:
    folder = written(tmp_path / "ml", ML_1M, "latin-1")
    timed = movielens.load(folder)
    untimed = "".join(line.rpartition("::")[0] + "\n" for line in ML_1M["ratings.dat"].splitlines())
    (folder / "ratings_notime.dat.gz").write_bytes(gzip.compress(untimed.encode()))
    (folder / "ratings.dat").unlink()
    data = movielens.load(folder)
    assert data.interactions.times is None
    assert np.array_equal(data.interactions.values, timed.interactions.values)  # type: ignore[arg-type]
    assert data.findings[-1] == "this copy has no times: the order of the file stands for the order of events"


def test_movielens_in_csv_files_has_tags_and_years_of_its_films(tmp_path: Path) -> None:
    data = movielens.load(written(tmp_path / "ml-tiny", ML_CSV))
    assert (data.users.vocabulary.ids(), data.items.vocabulary.ids()) == ([1, 2], [20, 10])
    assert data.items.titles == ("Quay", "Reed, The (2006\u20132007)")
    columns = {name: (column.kind, column.values.tolist()) for name, column in data.items.columns.items()}
    assert columns == {
        "genres": ("multi", [None, ("Crime", "Drama")]),
        "tags": ("multi", [None, ("slow", "by night")]),
        "year": ("numeric", [pytest.approx(np.nan, nan_ok=True), 2006.0]),
    }
    assert (data.name, "may be redistributed" in data.licence) == ("ml-tiny", True)
    (tmp_path / "ml-tiny" / "tags.csv").unlink()
    assert movielens.load(tmp_path / "ml-tiny").items.columns.keys() == {"genres", "year"}


@pytest.mark.parametrize(
    ("files", "name", "text", "expected"),
    [
        (ML_1M, "users.dat", "1::F::2::10::48067\n2::M::1::1::1\n", r"users\.dat, column 'age': '2' is no code"),
        (
            ML_1M,
            "users.dat",
            "1::F::1::21::48067\n2::M::1::1::1\n",
            r"users\.dat, column 'occupation': '21' is no code",
        ),
        (ML_1M, "users.dat", "1::F::::1::48067\n", r"users\.dat, column 'age': all cells are empty"),
        (ML_1M, "users.dat", "1::F::1\n", r"users\.dat, line 1: 3 cells for 5 columns"),
        (ML_1M, "movies.dat", "10::Nord::\n", r"movies\.dat, column 'genres': all cells are empty"),
        (ML_1M, "ratings.dat", "1::10::5::x\n", r"ratings\.dat, line 1, column 'time': 'x' is no time"),
        (
            ML_CSV,
            "ratings.csv",
            "user,item\n1,2\n",
            r"ratings\.csv: the columns of MovieLens are userId,movieId,rating,",
        ),
        (
            ML_CSV,
            "movies.csv",
            "movieId,title\n1,2\n",
            r"movies\.csv: the columns of MovieLens are movieId,title,genres",
        ),
        (ML_CSV, "tags.csv", "movieId,tag\n1,2\n", r"tags\.csv: the columns of MovieLens are userId,movieId,tag"),
        (
            ML_CSV,
            "tags.csv",
            "userId,movieId,tag,timestamp\n1,,x,1\n",
            r"tags\.csv, line 2, column 'movieId': an empty",
        ),
    ],
)
def test_a_bad_movielens_file_is_refused_in_plain_words(
    tmp_path: Path, files: dict[str, str], name: str, text: str, expected: str
) -> None:
    folder = written(tmp_path / "ml", files | {name: text}, "latin-1" if files is ML_1M else "utf-8")
    with pytest.raises(BadInput, match=expected):
        movielens.load(folder)


def test_movielens_1m_has_its_published_numbers() -> None:
    data = movielens.load(real("ml-1m"))
    assert (len(data.interactions), len(data.users), len(data.items)) == (1_000_209, 6_040, 3_883)
    assert int((data.interactions.item_counts > 0).sum()) == 3_706
    assert np.unique(data.interactions.values).tolist() == [1, 2, 3, 4, 5]  # type: ignore[arg-type]
    assert set(data.users.columns["age"].values) == set(movielens.AGES.values())
    assert set(data.users.columns["occupation"].values) == set(movielens.OCCUPATIONS)
    assert (len(movielens.AGES), len(movielens.OCCUPATIONS)) == (7, 21)
    assert len({genre for genres in data.items.columns["genres"].values for genre in genres}) == 18
    assert data.items.title(int(data.items.vocabulary.rows([73])[0])) == "Misérables, Les (1995)"
    years = data.items.columns["year"].values
    assert (np.nanmin(years), np.nanmax(years), np.isnan(years).sum()) == (1919, 2000, 0)


def test_movielens_latest_small_has_its_published_numbers() -> None:
    data = movielens.load(real("ml-latest-small"))
    assert (len(data.interactions), len(data.users), len(data.items)) == (100_836, 610, 9_742)
    assert data.name == "ml-latest-small"
    assert int((data.interactions.item_counts > 0).sum()) == 9_724
    assert np.unique(data.interactions.values).tolist() == [half / 2 for half in range(1, 11)]  # type: ignore[arg-type]
    assert sum(tags is not None for tags in data.items.columns["tags"].values) == 1_572
    assert data.findings == ("18 items of movies.csv occur in no interaction",)


NCF = {
    "tiny.train.rating": "0\t0\t5\t10\n0\t1\t3\t11\n1\t4\t4\t12\n2\t1\t4\t12\n",
    "tiny.test.rating": "1\t0\t5\t20\n0\t2\t4\t21\n",
    "tiny.test.negative": "(0,2)\t3\t5\t2\n(1,0)\t3\n",
}


def small_ncf(folder: Path, changed: dict[str, str] | None = None) -> Path:
    for name, text in (NCF | (changed or {})).items():
        (folder / name).write_text(text)
    return folder


def test_an_ncf_split_keeps_its_parts_ids_and_candidates(tmp_path: Path) -> None:
    split = ncf.load(small_ncf(tmp_path))
    assert split.dataset.users.vocabulary.ids() == [0, 1, 2]
    assert split.dataset.items.vocabulary.ids() == [0, 1, 2, 3, 4, 5]
    for part in (split.train, split.validation, split.test, split.dataset.interactions):
        assert (part.user_count, part.item_count) == (3, 6)
    assert (split.test.users.tolist(), split.test.items.tolist()) == ([1, 0], [0, 2])
    assert split.candidates is not None
    assert split.candidates.dtype == np.int64
    assert split.candidates.tolist() == [[3, 5, 2], [3, -1, -1], [-1, -1, -1]]  # by user; 2 is its own held-out item
    assert (len(split.train), split.validation.users.tolist()) == (3, [0])
    assert split.dataset.findings == ("1 users have their held-out item among their negatives; it counts once",)
    assert (split.dataset.name, "Apache-2.0" in split.dataset.licence) == ("ncf-tiny", True)
    assert "Neural Collaborative Filtering" in split.dataset.source


def test_an_ncf_split_is_drawn_by_its_seed_only(tmp_path: Path) -> None:
    long = "".join(f"0\t{item}\t1\t0\n" for item in range(50))
    folder = small_ncf(tmp_path, {"tiny.train.rating": long})
    drawn = [ncf.load(folder, seed=seed).validation.items.tolist() for seed in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1]
    assert len(set(map(tuple, drawn))) > 1


def test_the_variant_without_times_has_the_same_events(tmp_path: Path) -> None:
    timed = ncf.load(small_ncf(tmp_path)).dataset
    lines = [line.rpartition("\t")[0] for line in NCF["tiny.train.rating"].splitlines()]
    (tmp_path / "tiny.train.notime.tsv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    (tmp_path / "tiny.train.rating").unlink()
    untimed = ncf.load(tmp_path).dataset
    assert untimed.interactions.times is None
    for field in ("users", "items", "values"):
        assert np.array_equal(getattr(untimed.interactions, field), getattr(timed.interactions, field))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("train.rating", "0\tx\t5\t1\n", r"train\.rating, line 1, column 'item': 'x' is no whole number"),
        ("train.rating", "0\t1\t5\t1\n-1\t1\t1\t1\n", r"train\.rating, line 2, column 'user': '-1' is no whole number"),
        ("train.rating", "0\t1\n", r"train\.rating, line 1: 2 cells for 4 columns"),
        ("test.rating", "0\t2\t4\t21\n0\t0\t4\t21\n", r"2 held-out rows for 1 users"),
        ("test.negative", "(0,2)\t3\n(1,0)\n", r"test\.negative, line 2: this is not \(user,item\) and its negatives"),
        ("test.negative", "(0,2)\t3\n(1,1)\t3\n", r"test\.negative, line 2: \(1,1\) must stand here once"),
        ("test.negative", "(0,2)\t3\n(0,2)\t3\n", r"test\.negative, line 2: \(0,2\) must stand here once"),
        ("test.negative", "(0,2)\t3\n", r"test\.negative: there is no line for user 1"),
    ],
)
def test_a_bad_ncf_file_is_refused_by_line(tmp_path: Path, name: str, text: str, expected: str) -> None:
    with pytest.raises(BadInput, match=expected):
        ncf.load(small_ncf(tmp_path, {f"tiny.{name}": text}))


def test_the_prefix_of_an_ncf_split_is_found_only_where_it_is_alone(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no file \*\.test\.rating"):
        ncf.load(tmp_path)
    small_ncf(tmp_path)
    assert len(ncf.load(tmp_path, "tiny").test) == 2
    (tmp_path / "other.test.rating").write_text("")
    with pytest.raises(BadInput, match="other, tiny"):
        ncf.load(tmp_path)
    (tmp_path / "tiny.test.negative").unlink()
    with pytest.raises(BadInput, match=r"tiny\.test\.negative: there is no such file"):
        ncf.load(tmp_path, "tiny")


def test_the_ncf_split_of_movielens_1m_has_its_published_numbers() -> None:
    split = ncf.load(real("ncf-ml-1m"))
    assert (len(split.dataset.interactions), len(split.dataset.users), len(split.dataset.items)) == (
        994_169,
        6_040,
        3_706,
    )
    assert len(split.train) + len(split.validation) == 994_169
    assert len(split.test) == len(split.validation) == 6_040
    assert split.candidates is not None
    assert split.candidates.shape == (6_040, 99)
    assert split.candidates.min() == 0
    among = (split.candidates[split.test.users] == split.test.items[:, None]).any(axis=1)
    assert among.sum() == 156

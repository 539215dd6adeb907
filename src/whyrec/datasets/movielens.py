"""MovieLens, the classic film ratings of GroupLens: 100K, 1M, and the sets of CSV files from latest-small to 32M."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import wrap_file

from whyrec.cells import Layout, layout_of, opened
from whyrec.dataset import Catalog, Column, ColumnKind, Dataset
from whyrec.errors import BadInput
from whyrec.reading import dataset_of

ADDRESS = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
MD5 = "0e33842e24a9c977be4e0107933c0723"

GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
AGES = {
    "1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44", "45": "45-49", "50": "50-55", "56": "56 and more",
}  # fmt: skip
OCCUPATIONS = (
    "other or not specified", "academic/educator", "artist", "clerical/admin", "college/grad student",
    "customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer",
    "programmer", "retired", "sales/marketing", "scientist", "self-employed", "technician/engineer",
    "tradesman/craftsman", "unemployed", "writer",
)  # fmt: skip
"""What 0 to 20 mean in users.dat of MovieLens 1M."""
RATINGS = ("userId", "movieId", "rating", "timestamp")
"""The header of ratings.csv since 2015."""
PAPER = (
    "F. Maxwell Harper and Joseph A. Konstan (2015), The MovieLens Datasets: History and Context, "
    "ACM Transactions on Interactive Intelligent Systems 5(4), https://doi.org/10.1145/2827872"
)
NO_REDISTRIBUTION = (
    "Research use; cite the paper; no redistribution and no commercial use without permission of GroupLens; "
    "state or imply no endorsement"
)


def load(folder: str | Path, *, download: bool = False) -> Dataset:
    """The MovieLens data set in `folder`, recognised by its files.

    100K and 1M have ratings from 1 to 5 with times, film titles, genres and years of release, and the gender, age,
    occupation and postcode of each user. The sets of CSV files (latest-small, latest, 25M, 32M) have ratings from 0.5
    to 5 and, in place of what is known of users, the tags that people gave to films. Of 1M a copy without times will
    do (`ratings_notime.dat.gz`); then `leave_last_out` takes the order of the file for the order of events.

    With `download`, a folder that is absent or empty is filled with MovieLens 100K from GroupLens, whose terms
    (`Dataset.licence`) then bind you.
    """
    folder = Path(folder)
    if download and not (folder / "u.data").is_file():
        _download(folder.absolute())
    if (folder / "u.data").is_file():
        return _ml_100k(folder)
    for ratings in ("ratings.dat", "ratings_notime.dat.gz"):
        if (folder / ratings).is_file():
            return _ml_1m(folder, folder / ratings)
    if (folder / "ratings.csv").is_file():
        return _ml_csv(folder)
    raise BadInput(
        f"{folder}: no MovieLens data; looked for u.data (beside u.item and u.user) of MovieLens 100K, ratings.dat "
        "(beside movies.dat and users.dat) of 1M, and ratings.csv (beside movies.csv) of the newer sets; "
        "name the unzipped folder, or pass download=True to fetch 100K"
    )


def _ml_100k(folder: Path) -> Dataset:
    data = dataset_of(
        Layout(folder / "u.data", ("user", "item", "rating", "time")),
        users=Layout(
            folder / "u.user",
            ("user", "age", "gender", "occupation", "zip"),
            delimiter="|",
            kinds={"zip": "category"},
        ),
        items=Layout(
            folder / "u.item",
            ("item", "title", "released", "", "", *GENRES),  # the nameless: a date that is never set, an old address
            delimiter="|",
            encoding="latin-1",
            kinds={"released": "category"},
        ),
    )
    return replace(
        data,
        name="ml-100k",
        items=_with_genres_and_year(data.items, folder / "u.item"),
        source=f"MovieLens 100K, GroupLens Research, grouplens.org/datasets/movielens/100k; {PAPER}",
        licence=NO_REDISTRIBUTION,
    )


def _ml_1m(folder: Path, ratings: Path) -> Dataset:
    """MovieLens 1M; codes of ages and occupations are written out as its README has them."""
    timed = ratings.name == "ratings.dat"
    written: Mapping[str, ColumnKind] = {"age": "category", "occupation": "category", "zip": "category"}
    data = dataset_of(
        Layout(ratings, ("user", "item", "rating", "time")[: 4 if timed else 3], delimiter="::"),
        users=Layout(
            folder / "users.dat", ("user", "gender", "age", "occupation", "zip"), delimiter="::", kinds=written
        ),
        items=Layout(
            folder / "movies.dat",
            ("item", "title", "genres"),
            delimiter="::",
            encoding="latin-1",
            kinds={"genres": "multi"},
        ),
    )
    codes = {"age": AGES, "occupation": {str(code): name for code, name in enumerate(OCCUPATIONS)}}
    untimed = "this copy has no times: the order of the file stands for the order of events"
    return replace(
        data,
        name="ml-1m",
        users=_written_out(data.users, codes, folder / "users.dat"),
        items=_with_year(data.items, folder / "movies.dat"),
        source=f"MovieLens 1M, GroupLens Research, grouplens.org/datasets/movielens/1m; {PAPER}",
        licence=NO_REDISTRIBUTION,
        findings=data.findings if timed else (*data.findings, untimed),
    )


def _ml_csv(folder: Path) -> Dataset:
    """A set of CSV files; links.csv, ids of the films elsewhere, is not looked at."""
    ratings, movies = layout_of(folder / "ratings.csv"), layout_of(folder / "movies.csv")
    _refuse_other_columns(ratings, RATINGS)
    _refuse_other_columns(movies, ("movieId", "title", "genres"))
    data = dataset_of(ratings, items=replace(movies, kinds={"genres": "multi"}))
    items = _with_year(data.items, movies.path)
    if (folder / "tags.csv").is_file():
        items = replace(items, columns={**items.columns, "tags": _tags(folder / "tags.csv", items)})
    return replace(
        data,
        name=folder.name if folder.name.startswith("ml-") else "movielens",
        items=items,
        source=f"MovieLens, GroupLens Research, grouplens.org/datasets/movielens; {PAPER}",
        licence=(
            "Research use; cite the paper; no commercial use without permission of GroupLens; may be redistributed "
            "under the same terms; state or imply no endorsement"
        ),
    )


def _tags(path: Path, items: Catalog) -> Column:
    """The tags that anybody gave to each film, in the order of the file; upper and lower case are one tag."""
    layout = layout_of(path)
    _refuse_other_columns(layout, ("userId", "movieId", "tag", "timestamp"))
    with opened(layout) as cells:
        rows, films = cells.encoded("movieId")
        texts = cells.texts("tag")[:-1]
    found: dict[str, dict[str, str]] = {film: {} for film in films}
    for row, tag in zip(rows, texts, strict=True):
        if tag is not None:
            found[films[row]].setdefault(tag.casefold(), tag)
    tags = (tuple(found.get(str(film), {}).values()) or None for film in items.vocabulary.ids())
    return Column("tags", "multi", np.fromiter(tags, dtype=object, count=len(items)))


def _refuse_other_columns(layout: Layout, expected: tuple[str, ...]) -> None:
    if layout.columns != expected:
        way = "read() takes logs with other columns"
        raise BadInput(f"{layout.path}: the columns of MovieLens are {','.join(expected)}; {way}")


def _filled(catalog: Catalog, names: Iterable[str], path: Path) -> list[Column]:
    """Columns of a file that has cells in each of them."""
    for empty in (name for name in names if name not in catalog.columns):
        raise BadInput(f"{path}, column {empty!r}: all cells are empty; copy the file again")
    return [catalog.columns[name] for name in names]


def _written_out(users: Catalog, codes: Mapping[str, Mapping[str, str]], path: Path) -> Catalog:
    """The same users with names in place of codes."""
    columns = dict(users.columns)
    for column, (name, names) in zip(_filled(users, codes, path), codes.items(), strict=True):
        values = column.values
        for unknown in sorted({value for value in values if value is not None} - names.keys()):
            raise BadInput(f"{path}, column {name!r}: {unknown!r} is no code of MovieLens 1M; copy the file again")
        columns[name] = replace(column, values=np.array([names.get(value) for value in values], dtype=object))
    return replace(users, columns=columns)


def _with_year(items: Catalog, path: Path) -> Catalog:
    """The year of release, which the titles end in, as a column; what lists no genre has none."""
    release = re.compile(r"\(([0-9]{4})(?:[-\u2013][0-9]{0,4})?\)\s*$")  # (1995), (2006-2007)
    ends = map(release.search, items.titles or ())
    years = np.array([np.nan if year is None else float(year[1]) for year in ends])
    (listed,) = _filled(items, ["genres"], path)
    named = (None if genres == ("(no genres listed)",) else genres for genres in listed.values)
    genres = replace(listed, values=np.fromiter(named, dtype=object, count=len(items)))
    return replace(items, columns={**items.columns, "genres": genres, "year": Column("year", "numeric", years)})


def _with_genres_and_year(items: Catalog, path: Path) -> Catalog:
    """One list of genres in place of nineteen flags, and the year in place of the date of release."""
    flags = np.stack([column.values == 1 for column in _filled(items, GENRES, path)], axis=1)  # (items, genres)
    genres = (tuple(np.array(GENRES)[row].tolist()) or None for row in flags)
    columns = {"genres": Column("genres", "multi", np.fromiter(genres, dtype=object, count=len(items)))}
    if "released" in items.columns:
        ends = (re.search(r"[0-9]{4}$", date or "") for date in items.columns["released"].values)  # 01-Jan-1995
        years = np.array([np.nan if year is None else float(year[0]) for year in ends])
        columns["year"] = Column("year", "numeric", years)
    return replace(items, columns=columns)


def _download(folder: Path) -> None:
    """Put MovieLens 100K at `folder`. All is made beside it and renamed, so that no half data set is ever found."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder}: this is not empty and holds no MovieLens data; name a new folder to download into")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        archive = Path(beside, "ml-100k.zip")
        _fetch(archive)
        _unzip(archive)
        if folder.exists():
            folder.rmdir()
        Path(beside, "ml-100k").rename(folder)


def _fetch(archive: Path) -> None:
    try:
        with urllib.request.urlopen(ADDRESS, timeout=60) as answer, archive.open("wb") as file:
            size = int(answer.headers.get("Content-Length", 0))
            shown = wrap_file(answer, size, description=archive.name, console=Console(stderr=True))
            with shown as body:
                shutil.copyfileobj(body, file)
    except OSError as problem:
        raise BadInput(
            f"{ADDRESS}: the download failed ({problem}); try again, or fetch and unzip it by hand and name the folder"
        ) from None
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != MD5:
        raise BadInput(f"{ADDRESS}: the file came with the checksum {found} in place of {MD5}; download it again")


def _unzip(archive: Path) -> None:
    folder = archive.parent.resolve()
    with zipfile.ZipFile(archive) as packed:
        for name in packed.namelist():
            if not (folder / name).resolve().is_relative_to(folder):
                raise BadInput(f"{ADDRESS}: the archive would write to {name!r}, outside its folder; nothing was kept")
        packed.extractall(folder)

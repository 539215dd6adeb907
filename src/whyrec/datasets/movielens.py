"""MovieLens, the classic film ratings of GroupLens: today the set of 100,000 ratings."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import urllib.request
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import wrap_file

from whyrec.cells import Layout
from whyrec.dataset import Catalog, Column, Dataset
from whyrec.errors import BadInput
from whyrec.reading import dataset_of

ADDRESS = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
MD5 = "0e33842e24a9c977be4e0107933c0723"

GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


def load(folder: str | Path, *, download: bool = False) -> Dataset:
    """The MovieLens data set in `folder`, recognised by its files.

    MovieLens 100K: ratings from 1 to 5 with times, film titles, genres and years of release, and the age, gender,
    occupation and postcode of each user. With `download`, a folder that is absent or empty is filled from GroupLens,
    whose terms (`Dataset.licence`) then bind you.
    """
    folder = Path(folder)
    if download and not (folder / "u.data").is_file():
        _download(folder.absolute())
    if (folder / "u.data").is_file():
        return _ml_100k(folder)
    raise BadInput(
        f"{folder}: no MovieLens data; looked for u.data (beside u.item and u.user) of MovieLens 100K; "
        "name the unzipped folder, or pass download=True to fetch it"
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
        items=_with_genres_and_year(data.items),
        source=(
            "MovieLens 100K, GroupLens Research at the University of Minnesota, grouplens.org/datasets/movielens/100k; "
            "F. Maxwell Harper and Joseph A. Konstan (2015), The MovieLens Datasets: History and Context, "
            "ACM Transactions on Interactive Intelligent Systems 5(4), https://doi.org/10.1145/2827872"
        ),
        licence=(
            "Research use; cite the paper; no redistribution and no commercial use without permission of GroupLens; "
            "state or imply no endorsement"
        ),
    )


def _with_genres_and_year(items: Catalog) -> Catalog:
    """One list of genres in place of nineteen flags, and the year in place of the date of release."""
    flags = np.stack([items.columns[genre].values == 1 for genre in GENRES], axis=1)  # (items, genres)
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

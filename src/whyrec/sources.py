"""What a person names on the command line to say where the data is: a file, a folder, `KIND:PATH`, or `planted`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from whyrec import kinds
from whyrec.dataset import Dataset
from whyrec.errors import BadInput
from whyrec.reading import Duplicates, read
from whyrec.split import Split, leave_last_out


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a file is what; None where it is to be guessed."""

    user: str | None = None
    item: str | None = None
    rating: str | None = None
    time: str | None = None


def open_split(
    source: str,
    *,
    columns: Columns | None = None,
    users: Path | None = None,
    items: Path | None = None,
    duplicates: Duplicates = "error",
) -> Split:
    """The data of `source`, split as published where it comes split, else by leaving each user's last event out."""
    found = open_data(source, columns=columns, users=users, items=items, duplicates=duplicates)
    return found if isinstance(found, Split) else leave_last_out(found)


def open_data(
    source: str,
    *,
    columns: Columns | None = None,
    users: Path | None = None,
    items: Path | None = None,
    duplicates: Duplicates = "error",
) -> Dataset | Split:
    """The data of `source`: a split where it was published as one, else a data set."""
    kind, colon, path = source.partition(":")
    if source == "planted":
        found = kinds.load("datasets", "planted")()
    elif kind == "planted" and colon:
        raise BadInput(f"{source}: the planted cinema is made, not read; write planted alone")
    elif colon and kind in kinds.names("datasets"):
        found = kinds.load("datasets", kind)(Path(path))
    elif Path(source).is_dir() and not any(Path(source).glob("*.parquet")):
        found = kinds.load("datasets", "movielens")(Path(source))
    else:
        columns = columns or Columns()
        found = read(
            source,
            user=columns.user,
            item=columns.item,
            rating=columns.rating,
            time=columns.time,
            users=users,
            items=items,
            duplicates=duplicates,
        )
    if not isinstance(found, Dataset | Split):
        raise BadInput(f"{source}: {kind} gives neither a data set nor a split")
    return found

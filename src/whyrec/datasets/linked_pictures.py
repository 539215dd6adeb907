"""Your own products: a folder of pictures, or features, and a table of which go together."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from whyrec.dataset import Catalog
from whyrec.errors import BadInput
from whyrec.interactions import Vocabulary
from whyrec.pictures import Looks, read_pictures, require_looks
from whyrec.product_links import NOBODY, ProductLinks

COLUMNS = ("query", "item")


def load(table: str | Path, looks: Looks | str | Path, *, size: int = 224) -> ProductLinks:
    """Links from a .csv file with the columns query and item, and perhaps relation and user.

    `looks` is a folder whose pictures are called as products are, or pictures or features at hand. Without a column of
    relations there is one, `goes_together`.

    Raises `BadInput` with file and line of a product without a picture.
    """
    path = Path(table)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            given, rows = list(reader.fieldnames or ()), list(reader)
    except (OSError, UnicodeDecodeError) as problem:
        raise BadInput(f"{path}: this table cannot be read ({problem})") from None
    for column in COLUMNS:
        if column not in given:
            raise BadInput(f"{path}: there is no column {column!r}; it has {', '.join(given) or 'nothing'}")
    if not rows:
        raise BadInput(f"{path}: there is no link in this table")
    seen = read_pictures(looks, size=size) if isinstance(looks, str | Path) else looks
    for number, row in enumerate(rows, 2):
        require_looks(seen, [row[column] for column in COLUMNS], f"{path}, row {number:,}")
    named = [row.get("relation") or "goes_together" for row in rows]
    relations = tuple(dict.fromkeys(named))
    whose = [row.get("user") or "" for row in rows]
    users = Catalog(Vocabulary(sorted(set(whose) - {""}), kind="user")) if "user" in given else NOBODY
    row_of = {"": -1} | {str(one): place for place, one in enumerate(users.vocabulary.ids())}
    query, item = (seen.items.vocabulary.rows([row[column] for row in rows]) for column in COLUMNS)
    relation = np.array([relations.index(one) for one in named])
    user = np.array([row_of[one] for one in whose]) if len(users) else None
    return ProductLinks(path.stem, seen, relations, query, item, relation, users, user, source=str(path))

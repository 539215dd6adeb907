"""Products that stand together in pictures of rooms: a folder of photos, and a table of which product is in which room.

The layout is that of the IKEA interior design dataset, Tautkute et al. 2017, What looks good with my sofa. Two products
that share a room complete each other. The files are taken from this machine; the pictures belong to IKEA and are for
non-commercial use.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

from whyrec.errors import BadInput
from whyrec.interactions import Id
from whyrec.pictures import ENDINGS, read_pictures
from whyrec.product_links import ProductLinks

RELATION = "same_room"


def load(folder: str | Path, *, size: int = 64) -> ProductLinks:
    """Pairs of products that share a room, from `images/`, `products.csv` and `item_room.csv` in a folder.

    `products.csv` has the columns id, name and type, `item_room.csv` id and room; a picture is called as its product
    is. A pair is a link for each room that shows both, with the room as its scene: `split_links` then parts the rooms.
    Products without a picture are left out and counted in `findings`. Needs pillow, the extra `whyrec[vision]`.
    """
    home = Path(folder)
    products = _table(home / "products.csv", "id name type")
    titles = {row["id"]: f"{row['name']} {row['type']}".strip() for row in products}
    shown = _table(home / "item_room.csv", "id room")
    files = {path.stem: path for path in sorted((home / "images").glob("*")) if path.suffix.lower() in ENDINGS}
    used = sorted({row["id"] for row in shown})
    there: dict[Id, Path] = {one: files[one] for one in used if one in files}
    if not there:
        raise BadInput(f"{home / 'images'}: no picture is called as a product of item_room.csv is, such as {used[:1]}")
    looks = read_pictures(there, size=size, titles={str(one): title for one, title in titles.items()})
    rooms = dict[str, set[int]]()
    row_of = {one: row for row, one in enumerate(there)}
    for row in shown:
        if row["id"] in row_of:
            rooms.setdefault(row["room"], set()).add(row_of[row["id"]])
    pairs = [(a, b, scene) for scene, inside in enumerate(rooms.values()) for a, b in combinations(sorted(inside), 2)]
    if not pairs:
        raise BadInput(f"{home / 'item_room.csv'}: no room holds two products with pictures, so nothing goes together")
    query, item, scene = np.array(pairs, dtype=np.int64).T
    lacking = len(used) - len(there)
    return ProductLinks(
        home.name,
        looks,
        (RELATION,),
        query,
        item,
        np.zeros_like(query),
        scene=scene,
        source=str(home),
        licence="pictures belong to IKEA; non-commercial use only",
        findings=(f"{lacking:,} of {len(used):,} products have no picture and were left out",) * bool(lacking),
    )


def _table(path: Path, columns: str) -> list[Mapping[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = set(columns.split()) - set(reader.fieldnames or ())
            if missing:
                raise BadInput(f"{path}: there is no column {sorted(missing)[0]!r}; it has {reader.fieldnames}")
            return list(reader)
    except (OSError, UnicodeDecodeError) as problem:
        raise BadInput(f"{path}: this table cannot be read ({problem})") from None

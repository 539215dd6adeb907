"""Amazon's product metadata of 2014: what was viewed and bought with what, and the features of product pictures.

McAuley et al. 2015, Image-based recommendations on styles and substitutes. A line of the metadata is a Python literal
or a JSON object, one product each; a file of features is a run of records, ten bytes of product id and 4096 numbers,
what the last layer but one of a network said of the product's picture. Both are taken from files on this machine.
"""

from __future__ import annotations

import ast
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from whyrec.dataset import Catalog
from whyrec.errors import BadInput
from whyrec.interactions import Vocabulary
from whyrec.pictures import Features, Looks, Pictures
from whyrec.product_links import RELATIONS, ProductLinks

ID_BYTES, FEATURES = 10, 4096
RECORD = np.dtype([("asin", f"S{ID_BYTES}"), ("values", "<f4", FEATURES)])


def load(metadata: str | Path, looks: Looks | str | Path) -> ProductLinks:
    """Links between the products of a metadata file that have a picture, or features.

    `metadata` is a .json file, gzipped or not. A gzip that ends early is read as far as it goes, and `findings` says
    so. `looks` are pictures or features at hand, or a file of features (.b), of which only products of the metadata are
    kept. Links to products outside are left out and counted in `findings`.

    Raises `BadInput` with file and line of what is no product.
    """
    path = Path(metadata)
    findings, products = list[str](), dict[str, Mapping[str, Any]]()
    for number, row in _rows(path, findings):
        asin = row.get("asin")
        if not isinstance(asin, str) or not isinstance(row.get("related", {}), dict):
            raise BadInput(f"{path}, line {number:,}: a product has an 'asin', and 'related' is a table of lists")
        products[asin] = row
    if not products:
        raise BadInput(f"{path}: there is no product in this file")
    seen = _features(Path(looks), products, findings) if isinstance(looks, str | Path) else looks
    known, outside, found = seen.items.vocabulary, 0, list[tuple[int, int, int]]()
    places = {str(name): row for row, name in enumerate(known.ids())}
    for asin, row in products.items():
        for relation, name in enumerate(RELATIONS):
            others = row.get("related", {}).get(name, ())
            inside = [places[one] for one in others if one in places and one != asin] if asin in places else []
            outside += len(others) - len(inside)
            found += [(places[asin], other, relation) for other in inside]
    if not found:
        raise BadInput(f"{path}: no two products of this file that have a picture or features are linked")
    without = sum(asin not in places for asin in products)
    lacking = f"{without:,} of {len(products):,} products have no picture or features and were left out"
    findings += [lacking] * bool(without)
    findings += [f"{outside:,} links to products outside were left out"] * bool(outside)
    query, item, relations = np.array(found, dtype=np.int64).T
    return ProductLinks(
        path.name.removesuffix(".gz").removesuffix(".json"),
        _titled(seen, products),
        RELATIONS,
        query,
        item,
        relations,
        source=str(path),
        licence="no explicit grant; cite McAuley et al. 2015",
        findings=tuple(findings),
    )


def _rows(path: Path, findings: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Number and content of each line; where a gzip ends early its last, broken line is left out."""
    unpacked = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with unpacked(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _row(path, number, line)
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such file of metadata") from None
    except (EOFError, zlib.error):
        findings.append(f"{path.name} ends early: {number:,} whole lines were read; get the whole file for the rest")
    except (gzip.BadGzipFile, UnicodeDecodeError) as problem:
        raise BadInput(f"{path}, line {number + 1:,}: this cannot be unpacked as text ({problem})") from None


def _row(path: Path, number: int, line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line) if line.startswith('{"') else ast.literal_eval(line)  # a literal, which runs nothing
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        row = None
    if not isinstance(row, dict):
        raise BadInput(f"{path}, line {number:,}: this is neither a JSON object nor a Python dictionary; mend the line")
    return row


def _features(path: Path, products: Mapping[str, object], findings: list[str]) -> Features:
    """The records of products that the metadata knows; a record that is cut off at the end is left out."""
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file of features")
    found = dict[str, NDArray[np.float32]]()
    whole, rest = divmod(path.stat().st_size, RECORD.itemsize)
    with path.open("rb") as file:
        for number in range(whole):
            record = np.frombuffer(file.read(RECORD.itemsize), dtype=RECORD)[0]
            asin = record["asin"].decode("ascii", "replace")
            if asin in products:
                if not np.isfinite(record["values"]).all():
                    raise BadInput(f"{path}, record {number + 1:,}: product {asin!r} has a feature that is no number")
                found[asin] = record["values"]
    if rest:
        findings.append(f"{path.name} ends early: {whole:,} whole records were read")
    if not found:
        raise BadInput(
            f"{path}: none of its {whole:,} records is of a product of the metadata; a record is {ID_BYTES} bytes of "
            f"id and {FEATURES} numbers of 4 bytes"
        )
    return Features(Catalog(Vocabulary(found, kind="product")), torch.from_numpy(np.stack(list(found.values()))))


def _titled(looks: Looks, products: Mapping[str, Mapping[str, Any]]) -> Looks:
    """The same looks, products called by their titles where they have one."""
    names = looks.items.vocabulary.ids()
    titles = tuple(str(products.get(str(one), {}).get("title") or one) for one in names)
    items = Catalog(looks.items.vocabulary, titles)
    return Features(items, looks.vectors) if isinstance(looks, Features) else Pictures(items, looks.pixels)

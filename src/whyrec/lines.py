"""Files as people see them: numbered lines, and the rows in them. Slow and plain; for first lines and for errors."""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from whyrec.errors import BadInput


def numbered_lines(path: Path, encoding: str = "utf-8-sig") -> Iterator[tuple[int, str]]:
    """Number and text of each line, unpacked where the file is; bytes that are no text are refused by line."""
    unpacked = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with unpacked(path, "rt", encoding=encoding, errors="surrogateescape", newline="") as lines:
            for number, line in enumerate(lines, 1):
                if re.search("[\0\ud800-\udfff]", line):  # bytes that are no text have become lone surrogates
                    raise BadInput(f"{path}, line {number:,}: this is not UTF-8 text; save the file with that encoding")
                yield number, line
    except (EOFError, OSError, zlib.error) as problem:
        raise BadInput(f"{path}: this cannot be read to its end; copy or make it again ({problem})") from None


def numbered_rows(
    path: Path, width: int, *, delimiter: str, quote: str, encoding: str, skip: int, strict: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line and cells of each row below `skip` lines, as DuckDB counts rows of `width` cells."""
    below = islice(numbered_lines(path, encoding), skip, None)
    if not quote:
        plain = ((number, line.rstrip("\r\n").split(delimiter)) for number, line in below)
        yield from ((number, cells) for number, cells in plain if cells != [""])
        return
    start = skip + 1
    reader = csv.reader((line for _, line in below), delimiter=delimiter, strict=strict)
    try:
        for cells in reader:
            if cells or width == 1:  # of a single column a blank line is a row, of more it is none
                yield start, cells or [""]
            start = skip + 1 + reader.line_num
    except csv.Error:
        raise BadInput(f"{path}, line {start:,}: a quotation mark is not closed; mend the row") from None


def numbered_objects(path: Path) -> Iterator[int]:
    """Number of each line of a file of JSON lines that is not blank; a line that is no object is refused."""
    for number, line in numbered_lines(path, "utf-8"):
        if not line.strip():
            continue
        try:
            is_object = isinstance(json.loads(line), dict)
        except (ValueError, RecursionError):
            is_object = False
        if not is_object:
            raise BadInput(
                f'{path}, line {number:,}: this is not one JSON object such as {{"user": "ada", "item": 7}}; '
                "write one object a line, with nothing around them"
            )
        yield number

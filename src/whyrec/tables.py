"""Columns in and out of Parquet, through DuckDB; written beside and renamed, so that no half file is ever found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from whyrec.errors import BadInput

Columns = Mapping[str, NDArray[Any]]


def connect() -> duckdb.DuckDBPyConnection:
    """A private in-memory DuckDB that never loads or fetches an extension of its own accord."""
    return duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})


def write_parquet(columns: Columns, path: Path) -> None:
    """Write equally long columns to `path`. None in a column of objects, and NaN, become nulls."""
    beside = path.with_name(f".{path.name}.writing")
    with connect() as connection:
        connection.register("columns", dict(columns))
        connection.execute(f"copy (from columns) to {quoted(beside)} (format parquet)")
    os.replace(beside, path)


def read_parquet(path: Path) -> dict[str, NDArray[Any]]:
    """All columns of `path`; nulls are None in a column of objects, and NaN or masked elsewhere."""
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file")
    try:
        with connect() as connection:
            found = connection.execute(f"from read_parquet({quoted(path)})").fetchnumpy()
    except duckdb.Error:
        raise BadInput(
            f"{path}: this is not a whole Parquet file; it may be cut short, copy or make it again"
        ) from None
    return {name: _plain(column) for name, column in found.items()}


def quoted(path: Path) -> str:
    """A path as an SQL string."""
    return "'" + str(path).replace("'", "''") + "'"


def _plain(column: Any) -> NDArray[Any]:
    if not isinstance(column, np.ma.MaskedArray):
        return np.asarray(column)
    if column.dtype == object:
        return np.array(column.tolist(), dtype=object)
    if column.dtype.kind == "f":
        return np.asarray(column.filled(np.nan))
    raise BadInput("a column of whole numbers or bools has empty cells, which it never has as whyrec writes it")

"""Frames of other libraries as something that DuckDB scans: Polars, pandas, PyArrow and kin, none of them imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from whyrec.errors import BadInput


class Frame(Protocol):
    """A table in memory that gives its columns as an Arrow C stream, as frames of every library by now do."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """A capsule that holds the stream; arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html"""


@dataclass(frozen=True)
class Stream:
    """A frame of which DuckDB sees the Arrow stream only, so that it asks for no other package."""

    frame: Frame

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.frame.__arrow_c_stream__(requested_schema)


def scannable(thing: Any) -> Any:
    """What DuckDB can register in the place of `thing`; what is no frame is refused."""
    is_pandas = hasattr(thing, "iloc") and hasattr(thing, "columns")
    names = list(thing.columns if is_pandas else getattr(thing, "column_names", ()))  # those of Polars are distinct
    for twice in (name for name in names if names.count(name) > 1):
        raise BadInput(f"two columns of a frame are called {twice!r}; rename one of them")
    if is_pandas:
        return thing  # DuckDB reads the arrays of pandas itself, whose own Arrow stream would ask for PyArrow
    if hasattr(thing, "__arrow_c_stream__"):
        return Stream(thing)
    raise BadInput(
        f"a thing of type {type(thing).__name__} is neither a path nor a frame; "
        "pass the path of a file, or a frame of Polars, pandas or PyArrow"
    )

"""Where `tune` looks for good settings: each model says so beside its settings, in plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from whyrec.errors import InvalidSetting

Range = (
    tuple[Literal["log", "linear"], float, float]
    | tuple[Literal["int"], int, int]
    | tuple[Literal["choice"], tuple[Any, ...]]
)
"""("log", low, high) and ("linear", low, high) of real numbers, ("int", low, high), or ("choice", (one, other))."""

SearchSpace = Mapping[str, Range]
"""Setting -> where to look; `history.dropout` is the field `dropout` of the record `history`."""


@runtime_checkable
class Searchable(Protocol):
    """A model that says where good settings of it may lie."""

    search_space: ClassVar[SearchSpace]


def require_ranges(space: SearchSpace) -> None:
    """Raise `InvalidSetting` where a range is not one.

    >>> require_ranges({"factors": ("int", 8, 256), "regularisation": ("log", 1.0, 1000.0)})
    """
    for name, found in space.items():
        if not _is_range(found):
            raise InvalidSetting(
                f"search space of {name}: {found!r} is no range; write ('log', low, high), ('linear', low, high), "
                "('int', low, high) or ('choice', (one, other)), with low < high, and low > 0 for 'log'"
            )


def _is_range(found: object) -> bool:
    match found:
        case ("choice", tuple(values)):
            return len(values) > 0
        case ("int", int(low), int(high)):
            return low < high
        case ("log" | "linear" as scale, float() | int() as low, float() | int() as high):
            return low < high and (scale == "linear" or low > 0)
    return False

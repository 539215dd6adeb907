"""Records of settings: frozen, checked on the way in, and able to become JSON, a command line and a page of docs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from whyrec.errors import InvalidSetting

Record = TypeVar("Record")


@dataclass_transform(frozen_default=True, field_specifiers=(Field,))
def settings(record: type[Record]) -> type[Record]:
    """Make a class a frozen record whose fields are checked, and documented by the string below each."""
    config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    return pydantic_dataclass(record, frozen=True, config=config)  # type: ignore[return-value]


def make(record: type[Record], values: Mapping[str, Any], *, owner: str) -> Record:
    """Build `record` from `values`; one readable line where a name or a value is wrong.

    `owner` is what the message calls the thing that has these settings, for example `NeuMF`.
    """
    try:
        return record(**values)
    except ValidationError as wrong:
        raise InvalidSetting(_say(wrong, record, owner)) from None


def to_json(record: object) -> dict[str, Any]:
    """The settings as plain JSON values."""
    adapter: TypeAdapter[object] = TypeAdapter(type(record))
    plain: dict[str, Any] = adapter.dump_python(record, mode="json")
    return plain


def _say(wrong: ValidationError, record: type, owner: str) -> str:
    problem = wrong.errors()[0]
    name = ".".join(map(str, problem["loc"]))
    known = [field.name for field in fields(record)]
    if problem["type"] == "unexpected_keyword_argument":
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known) or 'no settings'}"
        return f"{owner} has no setting {name!r}; {hint}"
    return f"{owner}: {name}={problem['input']!r} cannot be taken: {problem['msg'][0].lower()}{problem['msg'][1:]}"

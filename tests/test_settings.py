"""What settings promise: checked on the way in, unchangeable, one readable line where wrong, JSON and back."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest
from pydantic import Field

from whyrec.errors import InvalidSetting
from whyrec.settings import make, settings, to_json


@settings
class Oven:
    """How it is baked."""

    degrees: int = Field(default=220, ge=50, le=300)
    """Celsius."""
    fan: bool = False
    """Whether the air moves."""


@settings
class Bread:
    """How bread is made."""

    loaves: int = Field(default=1, ge=1)
    """How many."""
    oven: Oven = Oven()
    """How they are baked."""


@settings
class Nothing:
    """A record without settings."""


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Bread().loaves = 2  # type: ignore[misc]


def test_records_with_equal_values_are_equal() -> None:
    assert make(Bread, {"loaves": 2}, owner="Bread") == Bread(loaves=2) != Bread(loaves=3)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"loafs": 2}, "Bread has no setting 'loafs'; did you mean 'loaves'?"),
        ({"yeast": 2}, "Bread has no setting 'yeast'; it has loaves, oven"),
        ({"loaves": 0}, "Bread: loaves=0 cannot be taken: input should be greater than or equal to 1"),
        ({"loaves": "two"}, "Bread: loaves='two' cannot be taken: input should be a valid integer"),
        ({"oven": {"degrees": 400}}, "Bread: oven.degrees=400 cannot be taken: input should be less than"),
        ({"oven": {"degree": 200}}, "Bread has no setting 'oven.degree'; "),
    ],
)
def test_a_wrong_setting_is_named_in_one_line_with_the_way_out(values: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        make(Bread, values, owner="Bread")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_record_without_settings_says_so() -> None:
    with pytest.raises(InvalidSetting, match="Nothing has no setting 'x'; it has no settings"):
        make(Nothing, {"x": 1}, owner="Nothing")


def test_settings_become_json_and_come_back_equal() -> None:
    bread = Bread(loaves=3, oven=Oven(degrees=250, fan=True))
    plain = json.loads(json.dumps(to_json(bread)))
    assert plain == {"loaves": 3, "oven": {"degrees": 250, "fan": True}}
    assert make(Bread, plain, owner="Bread") == bread


def test_the_text_below_a_setting_documents_it() -> None:
    described = {name: field.description for name, field in Bread.__pydantic_fields__.items()}  # type: ignore[attr-defined]
    assert described == {"loaves": "How many.", "oven": "How they are baked."}

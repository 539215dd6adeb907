"""What the folders promise: one file is one thing, found by its name, and a name that is wrong gets a hint."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

import whyrec.models
from whyrec import kinds
from whyrec.errors import InvalidSetting

NEW = '''
"""A model made of nothing."""

from whyrec.recommender import Recommender


class Nought(Recommender):
    """Scores nothing."""


def _small_part() -> None: ...
'''


def test_adding_one_is_adding_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nought.py").write_text(NEW)
    (tmp_path / "_private.py").write_text("")
    monkeypatch.setattr(whyrec.models, "__path__", [*whyrec.models.__path__, str(tmp_path)])
    try:
        assert "nought" in kinds.names("models")
        assert kinds.names("models") == sorted(kinds.names("models"))
        assert "_private" not in kinds.names("models")
        found = kinds.load("models", "nought")
        assert found.__name__ == "Nought"
        assert kinds.name_of(found) == "nought"
    finally:
        sys.modules.pop("whyrec.models.nought", None)
        vars(whyrec.models).pop("nought", None)


def test_names_are_the_files_of_the_folder_in_order() -> None:
    folder = Path(whyrec.models.__path__[0])
    assert kinds.names("models") == sorted(file.stem for file in folder.glob("[!_]*.py"))


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in ("models", "rules", "explainers") for name in kinds.names(kind)]
)
def test_a_thing_is_chosen_by_the_name_of_its_file(kind: str, name: str) -> None:
    assert kinds.name_of(kinds.load(kind, name)) == name


def test_a_thing_from_elsewhere_is_chosen_by_module_and_name() -> None:
    assert kinds.load("models", "collections:OrderedDict").__name__ == "OrderedDict"
    assert kinds.name_of(kinds.load("models", "fractions:Fraction")) == "fractions:Fraction"
    assert kinds.name_of(kinds.load("models", "fractions:Fraction")(1, 2)) == "fractions:Fraction"
    theirs = type("Theirs", (), {"__module__": "theirs.models.mf"})
    assert kinds.name_of(theirs) == "theirs.models.mf:Theirs"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("neunf", "there is nothing called 'neunf' among the models; did you mean 'neumf'?"),
        ("zzz", "there is nothing called 'zzz' among the models; there are attention_ncf, autoencoder, "),
        ("no_such_package:Model", "'no_such_package:Model' cannot be imported: "),
        ("fractions:Friction", "'fractions:Friction' cannot be imported: "),
    ],
)
def test_a_wrong_name_is_answered_with_what_there_is(name: str, said: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        kinds.load("models", name)
    assert str(caught.value).startswith(said)


def _file_with(**contents: object) -> ModuleType:
    file = ModuleType("crowded")
    vars(file).update(contents)
    return file


def test_a_file_stands_for_exactly_one_public_thing() -> None:
    def public() -> None: ...
    def another() -> None: ...

    public.__module__ = another.__module__ = "crowded"
    borrowed, private = Path, another
    assert kinds.public_object(_file_with(public=public, Path=borrowed, _private=private, LABEL="x")) is public
    with pytest.raises(TypeError, match="crowded must define exactly one public class or function, and has 2"):
        kinds.public_object(_file_with(public=public, another=another))
    with pytest.raises(TypeError, match="and has 0"):
        kinds.public_object(_file_with(_private=private))

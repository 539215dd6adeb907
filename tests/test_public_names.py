"""What `import whyrec as wr` promises: every public name is there, and is the thing and not a file of that name."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import whyrec


@pytest.mark.parametrize("name", whyrec.__all__)
def test_a_public_name_is_the_thing_that_its_file_defines(name: str) -> None:
    found = getattr(whyrec, name)
    assert not isinstance(found, ModuleType)
    assert name in dir(whyrec)
    if name != "__version__":
        assert found.__module__.startswith("whyrec.")
        assert found.__doc__


@pytest.mark.parametrize("name", whyrec.__all__)
def test_no_file_takes_a_public_name(name: str) -> None:
    """Importing `whyrec.x` puts the file itself at `whyrec.x`, over whatever public thing was there."""
    assert importlib.util.find_spec(f"whyrec.{name}") is None


def test_type_checkers_see_the_same_names_from_the_same_files() -> None:
    tree = ast.parse(Path(whyrec.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(seen) == set(whyrec.__all__) - {"__version__"}
    for name, (home, original) in seen.items():
        assert home is not None
        assert getattr(whyrec, name) is getattr(importlib.import_module(home), original)


def test_type_checkers_can_read_which_names_are_public() -> None:
    tree = ast.parse(Path(whyrec.__file__).read_text("utf-8"))
    listed = next(node.value for node in tree.body if isinstance(node, ast.Assign) and "__all__" in ast.dump(node))
    assert isinstance(listed, ast.List), "write __all__ as a plain list of names: what is computed, they cannot see"
    assert ast.literal_eval(listed) == whyrec.__all__


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'whyrec' has no attribute 'recomend'"):
        whyrec.recomend  # noqa: B018

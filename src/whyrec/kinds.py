"""What there is to choose from: one file in a folder is one model, rule, explainer, data set, metric, check or figure.

The folders are the registry. A file's name is its name on the command line, and the one public class or function
defined in it is what it stands for. Adding one is adding one file.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from types import ModuleType
from typing import Any

from whyrec.errors import InvalidSetting

KINDS = ("datasets", "models", "metrics", "rules", "explainers", "faithfulness", "worlds", "figures")


def names(kind: str) -> list[str]:
    """Names of all things of one kind, in alphabetical order.

    >>> "ease" in names("models")
    True
    """
    folder = importlib.import_module(f"whyrec.{kind}")
    return sorted(module.name for module in pkgutil.iter_modules(folder.__path__) if not module.name.startswith("_"))


def load(kind: str, name: str) -> Any:
    """The class or function called `name`, or, written `package.module:Name`, one that lives elsewhere."""
    return _from_elsewhere(name) if ":" in name else public_object(module(kind, name))


def module(kind: str, name: str) -> ModuleType:
    """The file that defines the thing called `name`."""
    if name not in names(kind):
        near = difflib.get_close_matches(name, names(kind), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names(kind))}"
        raise InvalidSetting(f"there is nothing called {name!r} among the {kind}; {hint}")
    return importlib.import_module(f"whyrec.{kind}.{name}")


def name_of(thing: object) -> str:
    """What a model, explainer or rule is chosen by: its file's name, or `package.module:Name` from elsewhere."""
    owner = thing if isinstance(thing, type) else type(thing)
    place = owner.__module__.split(".")
    if len(place) == 3 and place[0] == "whyrec" and place[1] in KINDS:
        return place[2]
    return f"{owner.__module__}:{owner.__qualname__}"


def public_object(file: ModuleType) -> Any:
    """The one public class or function defined in a file."""
    found = [
        value
        for name, value in vars(file).items()
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", "") == file.__name__
    ]
    if len(found) != 1:
        raise TypeError(f"{file.__name__} must define exactly one public class or function, and has {len(found)}")
    return found[0]


def _from_elsewhere(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as missing:
        raise InvalidSetting(f"{name!r} cannot be imported: {missing}") from missing

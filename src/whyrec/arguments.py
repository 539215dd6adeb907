"""What the commands take: options that several of them share, and how their texts become values."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from whyrec import kinds
from whyrec.errors import InvalidSetting

if TYPE_CHECKING:  # PyTorch takes a second to import: only commands that need it should wait
    from whyrec.explanation import Explainer
    from whyrec.targets import Target

Folder = Annotated[Path, typer.Argument(help="A folder made by `whyrec fit` or `whyrec demo`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Seed = Annotated[int, typer.Option(help="Where all chance comes from.")]
User = Annotated[str | None, typer.Option(help="Id of a known user.")]
History = Annotated[str | None, typer.Option(help="Past items of somebody new, as ID,ID,...")]
Method = Annotated[str, typer.Option(help="How to explain; the name of a file in explainers/.")]
MethodSettings = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE, a setting of the method; may be given several times.")
]
About = Annotated[
    str, typer.Option("--target", help="What to explain: logit, margin (lead over the 10th), margin@K or contrast:ID.")
]
Operator = Annotated[
    Literal["mask", "delete", "replace", "marginal"], typer.Option(help="What taking a unit away means.")
]
UserColumn = Annotated[str | None, typer.Option(help="Column of user ids.")]
ItemColumn = Annotated[str | None, typer.Option(help="Column of item ids.")]
RatingColumn = Annotated[str | None, typer.Option(help="Column of ratings.")]
TimeColumn = Annotated[str | None, typer.Option(help="Column of times.")]
Users = Annotated[Path | None, typer.Option(help="Table of users.")]
Items = Annotated[Path | None, typer.Option(help="Table of items, with titles.")]
Source = Annotated[str, typer.Option(help="A file, a folder, KIND:PATH (movielens:..., ncf:...) or planted.")]
Model = Annotated[str, typer.Option(help="A file in models/, or package.module:Class.")]
Duplicates = Annotated[
    Literal["error", "first", "last", "keep"], typer.Option(help="What to do with a pair that stands twice.")
]


def sorted_settings(given: list[str], *records: type) -> list[dict[str, Any]]:
    """KEY=VALUE pairs, each to the first record that has such a field; dots open nested records.

    What no record has goes to the first, which says what it has instead.
    """
    known = [{field.name for field in fields(record)} for record in records]
    sorted_out: list[dict[str, Any]] = [{} for _ in records]
    for pair in given:
        key, equals, text = pair.partition("=")
        head, _, inner = key.partition(".")
        if not equals:
            raise InvalidSetting(f"--set {pair}: write KEY=VALUE, for example --set factors=32")
        home = next((place for place, names in zip(sorted_out, known, strict=True) if head in names), sorted_out[0])
        if inner:
            home.setdefault(head, {})[inner] = _value(text)
        else:
            home[head] = _value(text)
    return sorted_out


def require_one_of(user: str | None, history: str | None) -> None:
    """Wrong usage where neither or both are given."""
    if (user is None) == (history is None):
        raise typer.BadParameter("give either --user or --history")


def ids_of(history: str | None) -> list[str] | None:
    """The ids of ID,ID,...

    >>> ids_of("i3, i7,")
    ['i3', 'i7']
    """
    return None if history is None else listed(history)


def listed(text: str) -> list[str]:
    """The names of NAME,NAME,...; blanks around them do not count."""
    return [name.strip() for name in text.split(",") if name.strip()]


def target_of(text: str) -> Target:
    """What an explanation is about, as it is written on the command line.

    >>> target_of("margin@20"), target_of("contrast:i7")
    (Margin(k=20, among=100), Contrast(item='i7'))
    """
    from whyrec.targets import Contrast, Logit, Margin

    kind, _, rest = text.partition(":" if text.startswith("contrast") else "@")
    if kind == "contrast" and rest:
        return Contrast(rest)
    if kind == "margin" and (rest.isdigit() or text == "margin"):
        return Margin(int(rest or 10))
    if text == "logit":
        return Logit()
    raise InvalidSetting(f"--target {text}: write logit, margin, margin@K with a length K of the list, or contrast:ID")


def explainer_of(name: str, given: list[str] | None = None) -> Explainer:
    """A method by its file's name, set as KEY=VALUE says."""
    method = kinds.load("explainers", name)
    (values,) = sorted_settings(given or [], method)
    known = [field.name for field in fields(method)]
    if unknown := sorted(set(values) - set(known)):
        raise InvalidSetting(f"{name} has no setting {unknown[0]!r}; it has {', '.join(known) or 'no settings'}")
    explainer: Explainer = method(**values)
    return explainer


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

"""What was answered, to whom and why: the record of a list, an explanation or a what-if, complete enough to redo it.

A record names the user by a pseudonym, the model and the input by their digests, the past items that the model looked
at by their ids, and holds every relevance, so that whoever has the model can compute them again and compare.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import torch
from pydantic import TypeAdapter, ValidationError

from whyrec import __version__, kinds
from whyrec.arguments import target_of
from whyrec.errors import BadInput, InvalidSetting, NotApplicable, UnknownId
from whyrec.explanation import Explainer, Explanations, explain, settings_of
from whyrec.fingerprints import input_fingerprint, model_fingerprint
from whyrec.interactions import Id
from whyrec.pseudonyms import Pseudonyms
from whyrec.recommendations import Recommendations, list_for_row
from whyrec.recommender import Recommender

Kind = Literal["list", "explanation", "what-if"]


@dataclass(frozen=True, slots=True)
class Place:
    """One line of a list."""

    rank: int
    item: Id
    title: str
    score: float


@dataclass(frozen=True, slots=True)
class UnitShare:
    """What one unit brought."""

    part: str
    unit: Id
    title: str
    relevance: float  # in units of the target


@dataclass(frozen=True, slots=True)
class GivenReason:
    """A unit that was named as a reason, and how far the score fell without it."""

    unit: Id
    title: str
    drop: float


@dataclass(frozen=True, slots=True)
class Explained:
    """How one score was split, and what was said about it."""

    target: str
    """As it is asked for: logit, margin@10, contrast:ID."""
    target_name: str
    target_value: float
    method: str
    settings: Mapping[str, Any]
    seed: int
    parts: tuple[UnitShare, ...]
    ledger: Mapping[str, float]
    complete: bool
    verdict: str | None
    """What the report card says of the method; None where it was not judged yet."""
    reasons: tuple[GivenReason, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """One answer. Never changed: only its age, or an erasure, removes it."""

    kind: Kind
    user: str | None
    """A pseudonym; None for somebody new."""
    profiling: bool
    """Whether anything about the user went into the answer."""
    model: str
    data: str | None
    """The events the model knew, by their fingerprint."""
    input: str
    history: tuple[Id, ...]
    """Past items that the model looked at, oldest first."""
    places: tuple[Place, ...]
    """The list, or the one explained item with the rank it has in it."""
    explained: Explained | None = None
    counterfactual: Mapping[str, Any] | None = None
    what_if: Mapping[str, Any] | None = None
    language: str = "en"
    text: str = ""
    version: str = __version__
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    time: float = field(default_factory=time.time)  # seconds since 1970

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        plain: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return plain

    def to_text(self) -> str:
        """As it is stored."""
        return _adapter().dump_json(self).decode()


@dataclass(frozen=True, eq=False)
class Reproduction:
    """A recorded explanation, computed again."""

    explanations: Explanations
    largest_difference: float
    """Between a relevance now and then, in units of the target."""


def record_of(text: str) -> Record:
    """The record that `Record.to_text` wrote."""
    try:
        return _adapter().validate_json(text)
    except ValidationError as wrong:
        raise BadInput(f"this is no record: {wrong.errors()[0]['msg']}; it may be of another version") from None


def reproduce(
    model: Recommender, record: Record, pseudonyms: Pseudonyms | None = None, *, explainer: Explainer | None = None
) -> Reproduction:
    """Explain again what a record explains, from the record and the model alone.

    `pseudonyms` find the user among the model's, which models need that look at more than past items. `explainer` is
    needed only where a method was set to something that a record cannot hold, such as a rule of one's own.
    """
    explained = record.explained
    if explained is None:
        raise NotApplicable(f"record {record.id} holds a {record.kind} and no explanation, so there is none to redo")
    if model_fingerprint(model) != record.model:
        raise InvalidSetting(
            f"record {record.id} is about another model (digest {record.model}) than the one given; load that one"
        )
    row = _user_row(model, record, pseudonyms)
    if input_fingerprint(model, record.user, row, record.history) != record.input:
        raise InvalidSetting(
            f"what record {record.id} says went in is not what its digest says; the record was changed"
        )
    history = model.items.vocabulary.rows(record.history)
    item = int(model.items.vocabulary.rows([record.places[0].item])[0])
    lists = list_for_row(model, row, item, torch.from_numpy(history))
    again = explain(
        model, lists, explainer or _method(explained), target=target_of(explained.target), seed=explained.seed
    )
    return Reproduction(again, _largest_difference(explained.parts, units_of(again)))


def units_of(why: Explanations, place: int = 0) -> tuple[UnitShare, ...]:
    """Every unit of one place of the first list, the largest contribution first."""
    return tuple(UnitShare(one.part, one.unit, one.title, one.relevance) for one in why.contributions(0, place))


def places_of(lists: Recommendations, row: int = 0) -> tuple[Place, ...]:
    """One list as records hold it."""
    return tuple(Place(line.rank, line.item, line.title, line.score) for line in lists.lines(row))


def history_of(lists: Recommendations, row: int = 0) -> tuple[Id, ...]:
    """Ids of the past items that one list was made from, oldest first."""
    return tuple(lists.items.id(one) for one in lists.history[row].tolist() if one >= 0)


@cache
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def _user_row(model: Recommender, record: Record, pseudonyms: Pseudonyms | None) -> int:
    if record.user is None:
        return -1
    if pseudonyms is None:
        raise InvalidSetting(f"record {record.id} is about a known user; pass the pseudonyms it was written with")
    row = pseudonyms.row_of(record.user, model.users.vocabulary)
    if row is None:
        raise UnknownId(f"no user of this model has the pseudonym {record.user}; perhaps they were erased")
    return row


def _method(explained: Explained) -> Explainer:
    family = kinds.load("explainers", explained.method)
    plain = {name: value for name, value in explained.settings.items() if not isinstance(value, dict)}
    explainer: Explainer = family(**plain)
    if settings_of(explainer) != explained.settings:
        raise NotApplicable(
            f"{explained.method} was set to something that its record cannot bring back; pass it as explainer="
        )
    return explainer


def _largest_difference(then: Sequence[UnitShare], now: Sequence[UnitShare]) -> float:
    """Over all units by their names; a past item that stands twice is matched in order."""
    first, second = (sorted((one.part, str(one.unit), one.relevance) for one in units) for units in (then, now))
    if [one[:2] for one in first] != [one[:2] for one in second]:
        return float("inf")
    return max((abs(a[2] - b[2]) for a, b in zip(first, second, strict=True)), default=0.0)

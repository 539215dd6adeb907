"""Explanations: the numbers of an attribution with the names of what they stand for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec import kinds
from whyrec.attribution import Attribution, Ledger
from whyrec.errors import InvalidSetting, NotApplicable, UnknownId
from whyrec.explainers.lrp import LRP
from whyrec.interactions import Id
from whyrec.question import Question, ask
from whyrec.recommendations import Recommendations
from whyrec.recommender import Recommender, Request, UnitKind
from whyrec.tables import write_parquet
from whyrec.targets import Logit, Target, name_of

if TYPE_CHECKING:
    import shap

Explainer = Callable[[Question], Attribution]

BLOCK_USERS = 128
"""Users explained together: enough to fill matrix products, few enough to fit into memory."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """One named unit and what it brought to a score."""

    part: str
    unit: Id
    title: str
    kind: UnitKind
    relevance: float  # in units of the target, for a logit: logits


@dataclass(frozen=True, eq=False)
class Explanations:
    """Why these items stand in these lists, according to one method."""

    recommendations: Recommendations
    attribution: Attribution
    method: str
    settings: dict[str, Any]
    target: str
    kinds: dict[str, UnitKind]
    seconds: float
    unit_title: Callable[..., str] = field(repr=False)
    """How the model calls a unit: `Recommender.unit_title`."""

    @property
    def ledger(self) -> Ledger:
        """The account of every place of every list."""
        return self.attribution.ledger

    def contributions(self, row: int, place: int) -> list[Contribution]:
        """All units of the asked parts for one place of one list, the largest contribution first."""
        found = [
            self.contribution(part, row, place, unit)
            for part, present in self.attribution.present.items()
            for unit in present[row, place].flatten().nonzero()[:, 0].tolist()
        ]
        return sorted(found, key=lambda one: -one.relevance)

    def contribution(self, part: str, row: int, place: int, unit: int) -> Contribution:
        """One unit of one part, by its position."""
        relevance = float(self.attribution.relevance[part][row, place].flatten()[unit])
        return Contribution(part, *self._name(part, row, place, unit), self.kinds[part], relevance)

    def at(self, user: Id, item: Id) -> tuple[int, int]:
        """Which list, and which place in it; raises `UnknownId` where the item is not in the user's list."""
        lists = self.recommendations
        for row in range(len(lists)):
            if str(lists.user(row)) == str(user):
                for place, line in enumerate(lists.lines(row)):
                    if str(line.item) == str(item):
                        return row, place
        raise UnknownId(f"item {item!r} is not in the explained list of user {user!r}; recommend with a larger k")

    def columns(self) -> dict[str, np.ndarray]:
        """One row per user, item and unit: user, rank, item, title, part, unit, unit title, relevance."""
        lists, rows = self.recommendations, []
        for row in range(len(lists)):
            for place, line in enumerate(lists.lines(row)):
                head = (str(line.user), line.rank, str(line.item), line.title)
                rows += [
                    (*head, one.part, str(one.unit), one.title, one.relevance) for one in self.contributions(row, place)
                ]
        names = ("user", "rank", "item", "title", "part", "unit", "unit_title", "relevance")
        kinds_of = (object, np.int64, object, object, object, object, object, np.float64)
        columns = zip(*rows, strict=True) if rows else ([] for _ in names)
        return {
            name: np.array(list(column), dtype=kind)
            for name, kind, column in zip(names, kinds_of, columns, strict=True)
        }

    def to_parquet(self, path: str | Path) -> None:
        """Write `columns` with the method's name beside each row."""
        columns = self.columns()
        write_parquet({**columns, "method": np.full(len(columns["user"]), self.method, dtype=object)}, Path(path))

    def to_shap(self, row: int = 0, place: int = 0) -> shap.Explanation:
        """One place of one list as a `shap.Explanation`, for the plots of the shap package: waterfall, bar and others.

        A feature is a unit that is there, the largest contribution first; its data is its id. The base value is the
        reference and what biases took. What a stabiliser swallowed and what a method leaves in the gap stand as
        features of their own, where they are not zero, so that base value and values always add up to the target.
        """
        try:
            import shap
        except ImportError as missing:
            raise NotApplicable("to_shap() needs the shap package: pip install 'whyrec[peers]'") from missing
        units = self.contributions(row, place)
        at = {one.name: float(getattr(self.ledger, one.name)[row, place]) for one in fields(Ledger)}
        left = {"swallowed by the stabiliser": at["stabilizer"], "gap": float(self.ledger.gap[row, place])}
        rest = {name: amount for name, amount in left.items() if abs(amount) > 1e-6 * abs(at["target"])}
        return shap.Explanation(
            values=np.array([*(one.relevance for one in units), *rest.values()]),
            base_values=at["reference"] + at["bias"],
            data=np.array([*(str(one.unit) for one in units), *("ledger" for _ in rest)], dtype=object),
            feature_names=[*(one.title for one in units), *rest],
        )

    def _name(self, part: str, row: int, place: int, unit: int) -> tuple[Id, str]:
        lists = self.recommendations
        if self.kinds[part] == "past item":
            item = int(lists.history[row, unit])
            return lists.items.id(item), lists.items.title(item)
        user, item = int(lists.user_rows[row]), int(lists.item_rows[row, place])
        return unit, self.unit_title(part, unit, user=user, item=item)

    def __str__(self) -> str:
        lines = []
        for row in range(min(3, len(self.recommendations))):
            for place, line in enumerate(self.recommendations.lines(row)[:3]):
                best = ", ".join(f"{one.title} {one.relevance:+.2f}" for one in self.contributions(row, place)[:3])
                lines.append(f"{line.user}: {line.title} ({self.ledger.target[row, place]:.2f}) because of {best}")
        return "\n".join(lines)


def explain(
    model: Recommender,
    recommendations: Recommendations,
    explainer: Explainer | None = None,
    *,
    parts: tuple[str, ...] | None = None,
    target: Target | None = None,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Explanations:
    """Split every score of every list over the model's named inputs.

    `target` says what is split: the score (`Logit`) unless given; `Margin(k)`, its lead over the end of the list;
    `Contrast(item)`, its lead over one other item. `parts` names the inputs to split over; by default those whose units
    a person can name and remove. All others are constants: what they add is booked as bias. `dtype=torch.float64`
    explains in double precision.

    >>> import whyrec as wr
    >>> model = wr.fit(wr.EASE(), wr.leave_last_out(wr.planted(users=60, items=60)))
    >>> why = wr.explain(model, wr.recommend(model, users=["u0001"], k=1))
    >>> bool(why.ledger.gap.abs().max() < 1e-6)
    True
    """
    if not recommendations.profiled:
        raise NotApplicable(
            "these lists were made without the model, from what others took, so there is no score to explain; "
            "recommend without non_profiling to explain the lists"
        )
    explainer = explainer or LRP()
    request = recommendations.request(model.device)
    started = time.perf_counter()
    pieces, asked = [], parts
    for block in torch.arange(len(recommendations)).split(BLOCK_USERS):
        some = part_of(request, block.to(model.device))
        question = ask(model, some, parts=parts, target=target, seed=seed, dtype=dtype)
        asked = question.parts
        pieces.append(explainer(question))
    return Explanations(
        recommendations,
        _joined(pieces),
        method_name(explainer),
        settings_of(explainer),
        name_of(target or Logit(), model),
        {part: model.unit_kinds[part] for part in asked or ()},
        time.perf_counter() - started,
        model.unit_title,
    )


def method_name(explainer: Explainer) -> str:
    """What a method is called in tables: the name it is chosen by."""
    return kinds.name_of(explainer)


def by_name(explainers: Sequence[Explainer]) -> dict[str, Explainer]:
    """Each explainer by its method's name; by its settings where one method comes with several."""
    names = [method_name(explainer) for explainer in explainers]
    found = {}
    for name, explainer in zip(names, explainers, strict=True):
        shown = name if names.count(name) == 1 else repr(explainer)
        if shown in found:
            raise InvalidSetting(f"{shown} is asked twice; leave one out")
        found[shown] = explainer
    return found


def settings_of(explainer: object) -> dict[str, Any]:
    """What a method was set to; a method or rule inside it by its name and what that was set to."""
    if not is_dataclass(explainer) or isinstance(explainer, type):
        return {}
    inner = {one.name: getattr(explainer, one.name) for one in fields(explainer)}
    named = {name: {"name": kinds.name_of(one), **settings_of(one)} for name, one in inner.items() if callable(one)}
    return {**asdict(explainer), **named}


def part_of(request: Request, rows: Tensor) -> Request:
    """The same request for some of its users."""
    items = request.items if request.items.shape[0] == 1 else request.items[rows]
    hidden = None if request.hidden is None else request.hidden[rows]
    return Request(request.users[rows], items, request.history[rows], hidden, request.compact)


def _joined(pieces: list[Attribution]) -> Attribution:
    names = pieces[0].relevance
    ledgers = [piece.ledger for piece in pieces]
    return Attribution(
        {name: _below([piece.relevance[name].cpu() for piece in pieces]) for name in names},
        {name: _below([piece.present[name].cpu() for piece in pieces]) for name in names},
        Ledger(*(torch.cat([getattr(ledger, one.name).cpu() for ledger in ledgers]) for one in fields(Ledger))),
        pieces[0].complete,
        {name: torch.cat([piece.notes[name].cpu() for piece in pieces]) for name in pieces[0].notes},
    )


def _below(blocks: list[Tensor]) -> Tensor:
    """Blocks of users one below the other; some have fewer units, as texts have words, and nothing in their place."""
    most = [max(sizes) for sizes in zip(*(block.shape[2:] for block in blocks), strict=True)]
    padded = []
    for block in blocks:
        missing = [whole - own for whole, own in zip(most, block.shape[2:], strict=True)]
        padded.append(F.pad(block, [end for more in reversed(missing) for end in (0, more)]))
    return torch.cat(padded)

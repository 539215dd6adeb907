"""Which method can explain what of a model, found out before anybody waits for it.

Every method is tried on two users and two items, so a yes is a thing that happened, and a no has the method's reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whyrec import kinds
from whyrec.errors import NotExplainableByMasking, WhyrecError
from whyrec.explanation import Explainer, method_name
from whyrec.question import ask
from whyrec.recommender import Recommender, Request, UnitKind

TRIED = 2
"""Users and items of the trial."""

PAST = 3
"""Past items of somebody tried, where the model knows nobody's."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a method can explain a model by some of its parts."""

    method: str
    parts: tuple[str, ...]
    reason: str
    """Why it cannot, one sentence; empty where it can."""

    @property
    def can(self) -> bool:
        """Whether it can."""
        return not self.reason


@dataclass(frozen=True, eq=False)
class Support:
    """Answers for each method and each choice of parts; the first choice is what `explain` takes by default."""

    model: str
    kinds: dict[str, UnitKind]
    answers: tuple[Answer, ...]

    def answer(self, method: str, parts: tuple[str, ...] | None = None) -> Answer:
        """What is said of a method, by its name, for some parts; for those of `explain` where none are given."""
        choices = [one for one in self.answers if one.method == method and parts in (None, one.parts)]
        if not choices:
            asked = {" + ".join(one.parts) for one in self.answers}
            names = ", ".join(dict.fromkeys(one.method for one in self.answers))
            raise WhyrecError(f"{method!r} of {parts} was not tried; there are {names}, of {', '.join(sorted(asked))}")
        return choices[0]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"model": self.model, "kinds": self.kinds, "answers": [asdict(one) for one in self.answers]}

    def __str__(self) -> str:
        methods = list(dict.fromkeys(one.method for one in self.answers))
        choices = list(dict.fromkeys(one.parts for one in self.answers))
        reasons = list(dict.fromkeys(one.reason for one in self.answers if one.reason))
        heads = [self._head(parts) for parts in choices]
        wide = max(map(len, ("method", *methods)))
        lines = [f"{'method':<{wide}}  " + "  ".join(heads)]
        for method in methods:
            cells = [self.answer(method, parts) for parts in choices]
            words = ["yes" if one.can else f"no [{reasons.index(one.reason) + 1}]" for one in cells]
            shown = [f"{word:<{len(head)}}" for word, head in zip(words, heads, strict=True)]
            lines.append(f"{method:<{wide}}  {'  '.join(shown)}".rstrip())
        return "\n".join([*lines, *(f"[{number}] {reason}" for number, reason in enumerate(reasons, start=1))])

    def _head(self, parts: tuple[str, ...]) -> str:
        return " + ".join(f"{part} ({self.kinds[part]})" for part in parts) or "nothing to explain by"


def supported(model: Recommender, explainers: Sequence[Explainer] | None = None) -> Support:
    """What each of `explainers`, all of the library's unless given, can say of this model, with the reason for each no.

    Asked about are the parts that `explain` takes by default, and each part that can be explained by itself.

    >>> import whyrec as wr
    >>> model = wr.fit(wr.EASE(), wr.leave_last_out(wr.planted(users=60, items=60)))
    >>> print(supported(model, [wr.LRP(), wr.ByCosine()]))
    method  history (past item)
    lrp     yes
    cosine  yes
    """
    if explainers is None:
        explainers = [kinds.load("explainers", name)() for name in kinds.names("explainers")]
    request = _trial(model)
    answers = [
        Answer(method_name(explainer), parts, _refusal(model, request, explainer, parts))
        for explainer in explainers
        for parts in _choices(model, request)
    ]
    return Support(kinds.name_of(model), dict(model.unit_kinds), tuple(answers))


def _trial(model: Recommender) -> Request:
    """Some users, those with the most events where events are known, and some items."""
    known = model.require_built().known
    counts = np.zeros(len(model.users)) if known is None else known.user_counts
    users = torch.from_numpy(np.argsort(-counts, kind="stable")[:TRIED].copy()).to(model.device)
    items = torch.arange(min(TRIED, len(model.items)), device=model.device)
    return Request(users, items.expand(len(users), -1), _past(model, users))


def _past(model: Recommender, users: Tensor) -> Tensor:
    seen = model.seen_by(users)
    if model.history_limit == 0 or (seen >= 0).any():
        return seen
    return torch.arange(min(PAST, len(model.items)), device=users.device).expand(len(users), -1)


def _choices(model: Recommender, request: Request) -> Iterator[tuple[str, ...]]:
    """Parts to ask about: those by default, then each alone; nothing, once, where there is nothing."""
    try:
        question = ask(model, request)
    except NotExplainableByMasking:
        yield ()
        return
    yield question.parts
    yield from ((part,) for part in question.inputs if part in model.unit_kinds and (part,) != question.parts)


def _refusal(model: Recommender, request: Request, explainer: Explainer, parts: tuple[str, ...]) -> str:
    """Why an explainer cannot answer; empty where it did."""
    try:
        explainer(ask(model, request, parts=parts or None))
    except (WhyrecError, RuntimeError) as refused:  # what a module from elsewhere raises of itself is a reason, too
        return str(refused).splitlines()[0]
    return ""

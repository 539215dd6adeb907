"""What other users look like: the values that stand in for a removed unit where a baseline would mean nothing.

A removed unit takes the value it has for somebody else, and the score is averaged over several such people: the
marginal (interventional) game of Janzing, Minorics and Bloebaum 2020, Feature relevance quantification in explainable
AI. It needs units that mean the same for everybody, as columns do. Only what belongs to the user differs between the
rows: parts of the item are those of the explained item, and so get nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.question import Question
from whyrec.recommender import Inputs, Part, Request

ALIGNED = ("column", "factor", "patch")
"""Kinds of units that stand at the same place for every user."""

STREAM = 0x6261636B
"""Keeps this draw apart from others of the same seed."""


def background(question: Question, rows: int) -> Inputs:
    """The asked parts of `rows` known users, drawn by the question's seed, embedded for the question's items.

    Each part has one axis more than usual, in front: values are (rows, users | 1, items | 1, *unit, channel) and
    present the same without channel, so that row r of both is a part to score the asked users with. The same people
    stand in for every user asked about. Where no more than `rows` users are known, all of them stand in, once each.

    Raises `InvalidSetting` for less than one row, and `NotApplicable` where units have no fixed place.
    """
    if rows < 1:
        raise InvalidSetting(f"background={rows}: at least one row has to stand in; 0 rows is the baseline game")
    for name in question.parts:
        _require_aligned(question, name)
    people = _people(question, rows)
    lists = question.request.items
    parts = {name: [part] for name, part in _embedded(question, people, lists[0]).items()}
    if any(part.values.shape[1] > 1 or part.present.shape[1] > 1 for (part,) in parts.values()):
        for items in lists[1:]:
            for name, part in _embedded(question, people, items).items():
                parts[name].append(part)
    return {name: _stacked(found, question, name, len(people)) for name, found in parts.items()}


def _require_aligned(question: Question, name: str) -> None:
    kind = question.model.unit_kinds[name]
    if kind not in ALIGNED:
        raise NotApplicable(
            f"a background needs units that mean the same for every user, and {name!r} of "
            f"{type(question.model).__name__} has {kind}s, whose positions mean nothing to somebody else; "
            "use background=0, where a removed unit is taken away"
        )


def _people(question: Question, rows: int) -> Tensor:
    """Rows of known users, without repetition."""
    known = len(question.model.users)
    drawn = np.random.default_rng([question.seed, STREAM]).permutation(known)[:rows]
    return torch.from_numpy(drawn).to(question.request.users.device)


@torch.no_grad()
def _embedded(question: Question, people: Tensor, items: Tensor) -> Inputs:
    """The asked parts of other people before one list. A part that has one place belongs to the person alone."""
    places = items.repeat(2) if len(items) == 1 else items  # before a list of one, all parts have one place
    inputs = question.model.embed(Request(people, places[None], question.model.seen_by(people)))
    return {name: inputs[name] for name in question.parts}


def _stacked(parts: list[Part], question: Question, name: str, rows: int) -> Part:
    """One part before all lists: (rows | 1, items | 1, ...) of each -> (rows, users | 1, items | 1, ...)."""
    like, places = question.inputs[name], question.request.items.shape[1]
    values, present = (
        torch.stack([tensor[:, :places].expand(rows, *(-1 for _ in tensor.shape[1:])) for tensor in tensors], 1)
        for tensors in ([part.values for part in parts], [part.present for part in parts])
    )
    return replace(like, values=values.to(like.values.dtype), present=present)

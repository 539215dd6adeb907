"""Which subsets are worth an expert: those of a fitted mixture that nobody listens to are pruned, one after the other.

Without an expert its parents have one child less, so that others are listened to more; hence one at a time.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.interactions import Interactions
from whyrec.lattice import Lattice
from whyrec.mixture import LEAST, PRESETS, heard
from whyrec.models.masked_experts import MaskedExperts
from whyrec.recommender import Request

MOST_EVENTS = 20_000
"""Events that choose, drawn by the seed where there are more."""


def choose_subsets(
    model: MaskedExperts, *, most: int, at_least: float = 0.0, seed: int = 0
) -> tuple[tuple[str, ...], ...]:
    """At most `most` subsets of a fitted mixture, for a new one: the least listened to goes, until that many are left.

    With `at_least`, those go on going whose mean share of the model's own events is less than that. Of two that are
    listened to alike the one that stands later goes, as a larger subset does. One is always left.

    >>> import whyrec as wr
    >>> split = wr.leave_last_out(wr.planted(users=60, items=60))
    >>> everything = wr.fit(wr.MaskedExperts(subsets=3, hidden=(8,)), split, wr.Training(epochs=1))
    >>> chosen = choose_subsets(everything, most=3)
    >>> model = wr.fit(wr.MaskedExperts(subsets=chosen, hidden=(8,)), split, wr.Training(epochs=1))
    >>> len(chosen), model.expert_titles == tuple(" + ".join(one) for one in chosen)
    (3, True)
    """
    _refuse(model, most, at_least)
    said, left = _said(model, model.require_known(), seed), list(range(len(model.lattice)))
    while len(left) > 1:
        shares = _shares(model, said, left)
        if len(left) <= most and float(shares.min()) >= at_least:
            break
        left.pop(len(left) - 1 - int(shares.flip(0).argmin()))
    return tuple(model.lattice.subsets[place] for place in left)


def _refuse(model: MaskedExperts, most: int, at_least: float) -> None:
    if not isinstance(model, MaskedExperts):
        raise NotApplicable(f"{type(model).__name__} has no subsets of columns; choose MaskedExperts")
    if most < 1:
        raise InvalidSetting(f"most={most}: at least one subset has to be left")
    if not 0 <= at_least <= 1:
        raise InvalidSetting(f"at_least={at_least}: a share is from 0 to 1")
    if model.settings.gate == "constant":
        raise InvalidSetting(
            "with a constant gate all experts are added up, and none is listened to less; choose subsets by the "
            "importance that additive_shapes tells"
        )


@torch.no_grad()
def _said(model: MaskedExperts, events: Interactions, seed: int) -> Tensor:
    """What each expert says of the model's own events, in [-1, 1], (events, expert)."""
    chosen = np.arange(len(events))
    if len(events) > MOST_EVENTS:
        chosen = np.random.default_rng(seed).choice(len(events), MOST_EVENTS, replace=False)
    users, items = (torch.from_numpy(one[chosen]).to(model.device) for one in (events.users, events.items))
    found = []
    for some, wanted in zip(users.split(1024), items.split(1024), strict=True):
        request = Request(some, wanted[:, None], some.new_full((len(some), 0), -1))
        found.append(model.opinions(model.embed(request))[:, 0])
    return torch.cat(found)


def _shares(model: MaskedExperts, said: Tensor, left: list[int]) -> Tensor:
    """Mean share of each subset that is left, were there no others; an event that nobody has an opinion of has none."""
    lattice = Lattice(model.lattice.groups, tuple(model.lattice.subsets[place] for place in left))
    alpha = heard(said[:, left], lattice.children, PRESETS[model.settings.preset].confidence)
    return (alpha / (alpha.sum(-1, keepdim=True) + LEAST)).mean(0)

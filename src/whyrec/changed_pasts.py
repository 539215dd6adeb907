"""What would be recommended had somebody not taken some items, or taken others: two lists of one user, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.counterfactuals import past_of, past_parts
from whyrec.errors import InvalidSetting
from whyrec.interactions import Id, Rows
from whyrec.ranking import best_items
from whyrec.recommendations import Recommendations
from whyrec.recommender import Recommender, Request, scores_of


@dataclass(frozen=True, eq=False)
class ChangedPast:
    """The list as it is, and as it would be."""

    before: Recommendations
    after: Recommendations
    removed: tuple[Id, ...]
    added: tuple[Id, ...]

    @property
    def left(self) -> list[Id]:
        """Items of the first list that are not in the second, in their order."""
        return _missing(self.before, self.after)

    @property
    def entered(self) -> list[Id]:
        """Items of the second list that are not in the first, in their order."""
        return _missing(self.after, self.before)

    def __str__(self) -> str:
        return f"before\n{self.before}\nafter\n{self.after}"


def what_if(
    model: Recommender,
    user: Id | None,
    *,
    history: Sequence[Id] | None = None,
    remove: Sequence[Id] = (),
    add: Sequence[Id] = (),
    k: int = 10,
) -> ChangedPast:
    """The `k` best items for a user, or for somebody with a `history`, and those had the past been another.

    Items of `remove` go out of the past, those of `add` come behind it. The model is really run on the new past; what
    was trained stays. Neither removed nor added items are in any of the two lists, so that they differ by what the
    model makes of the past alone.

    >>> import whyrec as wr
    >>> model = wr.fit(wr.EASE(), wr.leave_last_out(wr.planted(users=60, items=60)))
    >>> past = model.items.vocabulary.ids([3, 5, 8])
    >>> changed = wr.what_if(model, None, history=past, remove=past[:1], k=3)
    >>> len(changed.left) == len(changed.entered), changed.before.history.shape, changed.after.history.shape
    (True, torch.Size([1, 3]), torch.Size([1, 2]))
    """
    past_parts(model.require_built())  # refuses models to which past items mean nothing
    if k < 1:
        raise InvalidSetting(f"k={k}: a list has at least one place")
    row, past = past_of(model, user, history)
    gone, new = (model.items.vocabulary.rows(list(ids)) for ids in (remove, add))
    _refuse_no_change(remove, add, gone, new, past)
    changed = [one for one in past.tolist() if one not in set(gone.tolist())] + new.tolist()
    out = torch.tensor(sorted({*past.tolist(), *new.tolist()}), dtype=torch.long)
    before, after = (_listed(model, row, seen, out, k) for seen in (past.tolist(), changed))
    return ChangedPast(before, after, tuple(remove), tuple(add))


@torch.no_grad()
def _listed(model: Recommender, row: int, past: list[int], out: Tensor, k: int) -> Recommendations:
    device = model.device
    seen = torch.tensor([past[max(0, len(past) - model.history_limit) :]], dtype=torch.long, device=device)
    rows = torch.tensor([row], device=device)
    everything = torch.arange(len(model.items), device=device)[None]
    scores = scores_of(model, Request(rows, everything, seen, compact=True))
    items, best = best_items(scores, out[None].to(device), k)
    return Recommendations(model.users, model.items, rows.cpu(), items.cpu(), best.cpu(), seen.cpu())


def _refuse_no_change(remove: Sequence[Id], add: Sequence[Id], gone: Rows, new: Rows, past: Rows) -> None:
    if not len(remove) and not len(add):
        raise InvalidSetting("nothing is removed and nothing added, so nothing changes; name items to remove or add")
    seen = set(past.tolist())
    for name, item in zip(remove, gone.tolist(), strict=True):
        if item not in seen:
            raise InvalidSetting(f"item {name!r} is not in the past, so it cannot be removed from it")
    for place, (name, item) in enumerate(zip(add, new.tolist(), strict=True)):
        if item in seen or item in new[:place]:
            raise InvalidSetting(f"item {name!r} is in the past already, so it cannot be added to it")


def _missing(one: Recommendations, other: Recommendations) -> list[Id]:
    there = {line.item for line in other.lines(0)}
    return [line.item for line in one.lines(0) if line.item not in there]

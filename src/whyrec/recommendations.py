"""Lists of items for known users, or for somebody new who names a few past items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from whyrec.dataset import Catalog
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.interactions import Id
from whyrec.ranking import Memory, best_in_catalogue, best_items, block_size
from whyrec.recommender import Recommender, Request, scores_of

NEW_USER = "new user"


@dataclass(frozen=True, slots=True)
class Recommended:
    """One line of somebody's list."""

    user: Id
    rank: int
    item: Id
    title: str
    score: float


@dataclass(frozen=True, eq=False)
class Recommendations:
    """Ranked lists, one row a user. Printing it shows titles."""

    users: Catalog
    items: Catalog
    user_rows: Tensor  # (users,) -1 for somebody new
    item_rows: Tensor  # (users, k) best first; -1 where nothing was left to recommend
    scores: Tensor  # (users, k) -inf where nothing was left
    history: Tensor  # (users, length) what each list was made from, as item rows, -1 where empty
    profiled: bool = True
    """Whether anything about the users went into their lists; see `recommend(non_profiling=True)`."""

    def __len__(self) -> int:
        return len(self.user_rows)

    @property
    def present(self) -> Tensor:
        """Which places of the lists hold an item, (users, k) bool."""
        return self.item_rows >= 0

    def user(self, row: int) -> Id:
        """What to call the owner of list `row`."""
        known = int(self.user_rows[row])
        return NEW_USER if known < 0 else self.users.id(known)

    def lines(self, row: int) -> list[Recommended]:
        """List `row`, best first."""
        pairs = zip(self.item_rows[row].tolist(), self.scores[row].tolist(), strict=True)
        return [
            Recommended(self.user(row), rank, self.items.id(item), self.items.title(item), score)
            for rank, (item, score) in enumerate(pairs, start=1)
            if item >= 0
        ]

    def best(self, k: int) -> Recommendations:
        """The first `k` places of every list."""
        return replace(self, item_rows=self.item_rows[:, :k], scores=self.scores[:, :k])

    def request(self, device: torch.device | None = None) -> Request:
        """What to ask a model to score these lists again, every unit apart."""
        device = device or self.item_rows.device
        return Request(self.user_rows.to(device), self.item_rows.clamp(min=0).to(device), self.history.to(device))

    def __str__(self) -> str:
        shown = [f"{self.user(row)}\n" + _table(self.lines(row)) for row in range(min(len(self), 5))]
        return "\n".join(shown) + (f"\n... and {len(self) - 5:,} more users" if len(self) > 5 else "")


def recommend(
    model: Recommender,
    users: Sequence[Id] | None = None,
    *,
    history: Sequence[Id] | None = None,
    k: int = 10,
    exclude_seen: bool = True,
    non_profiling: bool = False,
    max_memory: Memory = None,
) -> Recommendations:
    """The `k` best items for each of `users` (everybody where None), or for somebody new with this `history`.

    Items already seen are left out unless `exclude_seen` is False. A list is shorter than `k` only where fewer items
    are left. Scores are computed in blocks of users; `max_memory` is the most that one block may take, in bytes or as
    "256MB", and changes nothing but time.

    With `non_profiling` a list rests on nothing about its user: it is what everybody else took most often, whatever the
    user took themselves, seen items included, and scores are counts of events. No change of the user's data changes it.

    >>> import whyrec as wr
    >>> model = wr.fit(wr.EASE(), wr.leave_last_out(wr.planted(users=60, items=60)))
    >>> len(wr.recommend(model, history=model.items.vocabulary.ids([3, 5]), k=3).lines(0))
    3
    """
    model.require_built()
    if users is not None and len(users) == 0:
        raise InvalidSetting("users=[] names nobody; leave users out to recommend to everybody")
    if k < 1:
        raise InvalidSetting(f"k={k}: a list has at least one place")
    if history is not None and users is not None:
        raise InvalidSetting("recommend() takes users or a history, not both")
    if non_profiling:
        return _without_profiling(model, users, history, k)
    if history is not None:
        block_size(model, model.floats_to_rank(), max_memory)  # refuses what is too little for one user
        return _for_somebody_new(model, history, k, exclude_seen)
    known = model.require_known()
    rows = np.arange(len(model.users)) if users is None else model.users.vocabulary.rows(users)
    best, scores = best_in_catalogue(model, rows, known, k, exclude_seen=exclude_seen, max_memory=max_memory)
    owners = torch.from_numpy(rows)
    return Recommendations(model.users, model.items, owners, best, scores, model.seen_by(owners))


def list_of(model: Recommender, user: Id | None, item: Id, history: Sequence[Id] | None = None) -> Recommendations:
    """A list of one wanted item, to explain it whether or not it would have been recommended.

    Where the user has already seen the item, it is taken out of the history first: an item does not explain itself.
    """
    if history is None and user is None:
        raise InvalidSetting("an explanation needs a user or a history")
    seen = _rows_of_past(model, history) if history is not None else _past_of(model, user)
    known = -1 if history is not None or user is None else int(model.users.vocabulary.rows([user])[0])
    return list_for_row(model, known, int(model.items.vocabulary.rows([item])[0]), seen)


def list_for_row(model: Recommender, user: int, item: int, history: Tensor) -> Recommendations:
    """A list of one item for the user at row `user`, -1 for somebody new, with this history of item rows, (length,)."""
    wanted, past = torch.tensor([item], device=model.device), history.to(model.device)
    seen = _most_recent(model, past[past != item])[None]
    rows = torch.tensor([user], device=model.device)
    with torch.no_grad():
        score = scores_of(model, Request(rows, wanted[None], seen))
    return Recommendations(model.users, model.items, rows.cpu(), wanted[None].cpu(), score.cpu(), seen.cpu())


@torch.no_grad()
def _for_somebody_new(model: Recommender, history: Sequence[Id], k: int, exclude_seen: bool) -> Recommendations:
    seen = _rows_of_past(model, history)[None]
    rows = torch.tensor([-1], device=model.device)
    everything = torch.arange(len(model.items), device=model.device)[None]
    looked_at = _most_recent(model, seen[0])[None]
    found = scores_of(model, Request(rows, everything, looked_at, compact=True))
    items, scores = best_items(found, seen if exclude_seen else seen[:, :0], k)
    return Recommendations(model.users, model.items, rows.cpu(), items.cpu(), scores.cpu(), looked_at.cpu())


def _without_profiling(
    model: Recommender, users: Sequence[Id] | None, history: Sequence[Id] | None, k: int
) -> Recommendations:
    """What all others took most often: events of everybody less those of the user; equal counts by row."""
    known = model.require_known()
    rows = np.arange(len(model.users)) if users is None else model.users.vocabulary.rows(users)
    if history is not None:
        rows = np.array([-1])
    counts, best = known.item_counts, []
    for row in rows.tolist():
        taken = known.items_of(np.array([row]))[1] if row >= 0 else counts[:0]
        own = np.bincount(taken, minlength=len(counts))
        best.append(torch.from_numpy(counts - own).sort(descending=True, stable=True))
    items, scores = (torch.stack([one[side][:k] for one in best]) for side in (1, 0))
    nothing = torch.full((len(rows), 0), -1)
    return Recommendations(
        model.users, model.items, torch.from_numpy(rows), items, scores.double(), nothing, profiled=False
    )


def _most_recent(model: Recommender, seen: Tensor) -> Tensor:
    """The part of a past that the model looks at; (length,)."""
    return seen[len(seen) - min(len(seen), model.history_limit) :]


def _rows_of_past(model: Recommender, history: Sequence[Id]) -> Tensor:
    if model.unit_kinds.get("user") == "factor" and model.history_limit == 0:
        raise NotApplicable(
            f"this {type(model).__name__} knows users by id only, so it has nothing to say to somebody new; "
            f"{model.way_to_past_items}"
        )
    return torch.from_numpy(model.items.vocabulary.rows(list(history))).to(model.device)


def _past_of(model: Recommender, user: Id | None) -> Tensor:
    model.require_known()
    row = torch.from_numpy(model.users.vocabulary.rows([user if user is not None else ""])).to(model.device)
    seen = model.seen_by(row)[0]
    return seen[seen >= 0]


def _table(lines: list[Recommended]) -> str:
    width = max((len(line.title) for line in lines), default=0)
    return "\n".join(f"{line.rank:>4}  {line.title:<{width}}  {line.score:8.3f}" for line in lines)

"""What would have to be missing from somebody's past for an item to leave their list.

A greedy search gives a first set: past items go in the order of an explainer until the recommended one is out of the
list, then each that is not needed comes back. All smaller sets are tried after that, as long as they are not too many.
The history is really shortened and the model really run: what was trained stays, and what is computed from a history
(its length, its neighbours, a solved vector) is computed anew. Candidates stay those of the whole history, so what is
taken out of the past does not come back as a recommendation.

Tran et al. 2021, Counterfactual explanations for neural recommenders, ask for the same with the top item only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from whyrec.errors import InvalidSetting, NotExplainableByMasking
from whyrec.explainers.occlusion import LeaveOneOut
from whyrec.explanation import Explainer
from whyrec.interactions import Id, Rows
from whyrec.question import ask
from whyrec.ranking import block_size
from whyrec.recommendations import NEW_USER
from whyrec.recommender import Recommender, Request, scores_of
from whyrec.targets import Margin

ROUNDING = 1e-5
"""Scores that differ by less, relative to the largest, are as good as equal, and an equal score does not drop."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A recommended item, before and after."""

    item: Id
    title: str
    score: float
    rank: int
    score_after: float
    rank_after: int


@dataclass(frozen=True, slots=True)
class PastItem:
    """An item of somebody's past."""

    item: Id
    title: str


@dataclass(frozen=True)
class Counterfactual:
    """Past items without which the recommended item is not in the list; none where no such set was found."""

    user: Id
    k: int
    item: Standing
    removed: tuple[PastItem, ...]
    replacement: Standing | None
    """The best of the items that come into the list instead."""
    minimal: Literal["proven", "not proven"]
    """Proven: all smaller sets were tried and none does it. Not proven: none of the removed items can come back by
    itself, but a smaller set of others may do it."""
    searched: int
    """All sets of up to so many past items were tried."""

    def __str__(self) -> str:
        if self.replacement is None:
            return (
                f"No set of past items was found without which “{self.item.title}” leaves the first {self.k}; "
                f"all sets of up to {self.searched} were tried."
            )
        *others, last = (f"“{one.title}”" for one in self.removed)
        named, new = " and ".join([", ".join(others), last] if others else [last]), self.replacement
        return (
            f"Without {named}, “{self.item.title}” falls from rank {self.item.rank} to {self.item.rank_after} "
            f"(score {self.item.score:.2f} to {self.item.score_after:.2f}), and “{new.title}” comes in at rank "
            f"{new.rank_after} (score {new.score:.2f} to {new.score_after:.2f}). "
            f"That no fewer would do is {self.minimal}."
        )


def counterfactual(
    model: Recommender,
    user: Id | None,
    item: Id,
    *,
    history: Sequence[Id] | None = None,
    k: int = 10,
    explainer: Explainer | None = None,
    budget: int = 5000,
    seed: int = 0,
) -> Counterfactual:
    """The fewest past items without which `item` is not among the `k` best of `user`, or of somebody with a `history`.

    `explainer` gives the order of the greedy search, by its explanation of the item's margin; leave-one-out unless
    given. `budget` is how many histories may be run to look for a smaller set: with 50 past items, 5,000 cover all
    single ones and pairs. Raises `InvalidSetting` where the item is not in the list to begin with.

    >>> import whyrec as wr
    >>> model = wr.fit(wr.EASE(), wr.leave_last_out(wr.planted(users=60, items=60)))
    >>> first = wr.recommend(model, users=["u0001"], k=1).lines(0)[0]
    >>> found = wr.counterfactual(model, "u0001", first.item, k=1)
    >>> found.minimal, found.replacement.rank_after
    ('proven', 1)
    """
    search = _Search(model.require_built(), user, item, history, k)
    chosen = search.greedily(search.order(explainer or LeaveOneOut(), seed))
    smaller, searched = search.exhaustively(len(chosen) - 1 if chosen else len(search.shown), budget)
    chosen = smaller or chosen
    proven = searched == (len(chosen) - 1 if chosen else len(search.shown))
    return search.told(chosen, "proven" if proven else "not proven", searched)


class _Search:
    """One user, one recommended item, and what becomes of it as the past gets shorter."""

    def __init__(self, model: Recommender, user: Id | None, item: Id, history: Sequence[Id] | None, k: int) -> None:
        self.model, self.k = model, k
        self.parts = past_parts(model)
        self.user = NEW_USER if history is not None or user is None else user
        row, past = past_of(model, user, history)
        self.row, self.past = row, torch.from_numpy(past)  # (events,), oldest first
        self.item = int(model.items.vocabulary.rows([item])[0])
        self.candidates = torch.ones(len(model.items), dtype=torch.bool)
        self.candidates[self.past] = False
        shown = self.past[max(0, len(past) - model.history_limit) :]
        self.shown = list(dict.fromkeys(shown.tolist()))  # past items that the model looks at, each once
        self.whole = self.scores([()])[0]
        self._refuse_what_is_not_in_the_list(item)

    def scores(self, sets: Sequence[Iterable[int]]) -> Tensor:
        """Scores of every item without each of the sets, by the model itself; (sets, items), -inf for seen items."""
        gone = torch.zeros(len(sets), len(self.model.items), dtype=torch.bool)
        for row, items in enumerate(sets):
            gone[row, list(items)] = True
        history = _shortened(self.past, ~gone[:, self.past], self.model.history_limit).to(self.model.device)
        users = torch.full((len(sets),), self.row, device=self.model.device)
        everything = torch.arange(len(self.model.items), device=self.model.device)[None]
        with torch.no_grad():
            found = scores_of(self.model, Request(users, everything, history, compact=True))
        return found.cpu().masked_fill(~self.candidates, -torch.inf)

    def margins(self, sets: Sequence[Iterable[int]]) -> Tensor:
        """Score above the k-th best other candidate, without each of the sets; negative where the item drops."""
        size = block_size(self.model, self.model.floats_to_rank())
        found = []
        for start in range(0, len(sets), size):
            scores = self.scores(sets[start : start + size])
            own = scores[:, self.item].clone()
            largest = scores[:, self.candidates].abs().amax(1)
            scores[:, self.item] = -torch.inf
            lead = own - scores.topk(self.k, dim=1).values[:, -1]
            found.append(torch.where(lead < -ROUNDING * largest, lead, lead.clamp(min=0)))
        return torch.cat(found)

    def order(self, explainer: Explainer, seed: int) -> list[int]:
        """Past items by their share of the margin, the largest first."""
        history = _shortened(self.past, torch.ones(1, len(self.past), dtype=torch.bool), self.model.history_limit)
        device = self.model.device
        request = Request(
            torch.tensor([self.row], device=device), torch.tensor([[self.item]], device=device), history.to(device)
        )
        question = ask(
            self.model, request, parts=self.parts, target=Margin(self.k, among=max(100, 2 * self.k)), seed=seed
        )
        relevance = torch.stack([part[0, 0].cpu() for part in explainer(question).relevance.values()]).sum(0)
        total = torch.zeros(len(self.model.items), dtype=torch.float64).index_add_(0, history[0], relevance)
        return sorted(self.shown, key=lambda one: -float(total[one]))

    def greedily(self, order: list[int]) -> tuple[int, ...]:
        """The first past items that do it together, without those that are not needed; empty where none do."""
        dropped = (self.margins([order[: size + 1] for size in range(len(order))]) < 0).nonzero()[:, 0]
        if len(dropped) == 0:
            return ()
        chosen = order[: int(dropped[0]) + 1]
        for one in reversed(chosen.copy()):
            rest = [other for other in chosen if other != one]
            if rest and self.margins([rest])[0] < 0:
                chosen = rest
        return tuple(chosen)

    def exhaustively(self, most: int, budget: int) -> tuple[tuple[int, ...], int]:
        """A set of the least size up to `most`, and the size below which all sets were tried in vain."""
        for size in range(1, most + 1):
            count = math.comb(len(self.shown), size)
            if count > budget:
                return (), size - 1
            budget -= count
            sets = list(combinations(self.shown, size))
            margins = self.margins(sets)
            best = int(margins.argmin())
            if margins[best] < 0:
                return sets[best], size - 1
        return (), most

    def told(self, chosen: tuple[int, ...], minimal: Literal["proven", "not proven"], searched: int) -> Counterfactual:
        """The finding in names, from one more run without the chosen items."""
        after = self.scores([chosen])[0]
        titles = tuple(PastItem(self.model.items.id(one), self.model.items.title(one)) for one in chosen)
        return Counterfactual(
            self.user,
            self.k,
            self._standing(self.item, after),
            titles,
            self._standing(self._replacement(after), after) if chosen else None,
            minimal,
            searched,
        )

    def _replacement(self, after: Tensor) -> int:
        lifted = self.whole.clone()
        lifted[self.item] = torch.inf  # it is in the list, whoever ties with it
        before = set(lifted.topk(self.k).indices.tolist())
        listed: list[int] = after.topk(self.k).indices.tolist()
        return next(one for one in listed if one not in before)

    def _standing(self, item: int, after: Tensor) -> Standing:
        score, score_after = float(self.whole[item]), float(after[item])
        ranks = (1 + int((self.whole > score).sum()), 1 + int((after > score_after).sum()))
        items = self.model.items
        return Standing(items.id(item), items.title(item), score, ranks[0], score_after, ranks[1])

    def _refuse_what_is_not_in_the_list(self, item: Id) -> None:
        if self.k < 1:
            raise InvalidSetting(f"k={self.k}: a list has at least one place")
        if not self.candidates[self.item]:
            raise InvalidSetting(f"item {item!r} is in the past of {self.user!r}, so it is in no list of theirs")
        left = int(self.candidates.sum())
        if left <= self.k:
            raise InvalidSetting(
                f"only {left} items are left to recommend, so none can leave a list of {self.k}; choose a smaller k"
            )
        rank = self._standing(self.item, self.whole).rank
        if rank > self.k:
            raise InvalidSetting(
                f"item {item!r} has rank {rank:,} for {self.user!r}, so it is not in a list of {self.k} to begin with; "
                f"pass k={rank} or more"
            )


def past_parts(model: Recommender) -> tuple[str, ...]:
    """The parts whose units are past items; raises where a model has none."""
    found = tuple(name for name, kind in model.unit_kinds.items() if kind == "past item")
    if found:
        return found
    way_out = model.way_to_past_items if "user" in model.unit_kinds else "choose a model that looks at what a user took"
    raise NotExplainableByMasking(
        f"a score of {type(model).__name__} does not depend on past items, so taking some away changes nothing; "
        f"{way_out}"
    )


def past_of(model: Recommender, user: Id | None, history: Sequence[Id] | None) -> tuple[int, Rows]:
    """Row of the user, -1 for somebody new, and all past items, oldest first."""
    if history is not None:
        return -1, model.items.vocabulary.rows(list(history))
    if user is None:
        raise InvalidSetting("a counterfactual needs a user or a history")
    known = model.require_known()
    rows = model.users.vocabulary.rows([user])
    return int(rows[0]), known.histories(rows, len(known))[0]


def _shortened(past: Tensor, kept: Tensor, limit: int) -> Tensor:
    """Histories of the most recent `limit` kept events, oldest first; kept (sets, events) -> (sets, longest), -1."""
    newer = kept.flip(1).cumsum(1).flip(1)  # kept events from here on
    kept = kept & (newer <= limit)
    front = (~kept).long().argsort(dim=1, stable=True)
    history = torch.where(kept.gather(1, front), past[front], -1)
    return history[:, : int(kept.sum(1).max())]

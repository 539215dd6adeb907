"""Which training events a score rests on: how far it would fall had one of them not happened.

    drop = g' H^-1 d,    g   slope of the score in the user's and the item's own weights
                         H   curvature of the loss in these weights, plus damping
                         d   change of the loss's slope when the event is left out

Influence functions (Koh and Liang 2017) restricted to the weights of one pair, as Cheng et al. 2019 (FIA) do for latent
factor models: everybody else stays as trained. The loss is the one of training, in expectation: an event brings its
negatives along, and without it the item is one of those that may be drawn. The curvature is Gauss-Newton's, which is
never negative, whatever the model. What all other weights would learn instead stays out of sight: for six
users of a world of 16, the order of the drops agreed with fitting the pair alone anew by .94 (mean Spearman), with
fitting everything anew by .86. These fits were to the expected loss; training draws its negatives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.interactions import Id, Interactions, Rows
from whyrec.recommender import Inputs, Part, Recommender, Request


@dataclass(frozen=True, slots=True)
class TrainingEvent:
    """Something that happened, and how far the score would fall had it not."""

    user: Id
    item: Id
    title: str
    drop: float  # in units of the score; negative: the event holds it down


@dataclass(frozen=True)
class Influences:
    """What a score owes to training events, the strongest first."""

    user: Id
    item: Id
    title: str
    score: float
    past_items: tuple[TrainingEvent, ...]
    """What the user took."""
    takers: tuple[TrainingEvent, ...]
    """Who else took the item."""

    def __str__(self) -> str:
        past = ", ".join(f"“{one.title}” {one.drop:+.3f}" for one in self.past_items[:5])
        takers = ", ".join(f"{one.user} {one.drop:+.3f}" for one in self.takers[:5])
        return (
            f"“{self.title}” for {self.user} (score {self.score:.3f}) rests on what {self.user} took: "
            f"{past or 'nothing'}; and on who else took it: {takers or 'nobody'}"
        )


def influence(
    model: Recommender, user: Id, item: Id, *, train: Interactions | None = None, damping: float = 1.0
) -> Influences:
    """How far the score of `item` for `user` would fall without each training event of either.

    For models that know users by id and were trained by log loss. In a model of histories past items are inputs, and
    `explain` and `counterfactual` take them away. `train` holds the events of training, where they are not all those
    that the model recommends from. `damping` is curvature that the loss is given beside its own, such as weight decay
    gives it; with less of it, events of which there are few weigh more.
    """
    train = model.require_built().require_known() if train is None else train
    pair = _Pair(model, train, user, item, _negatives(model))
    past, takers = pair.row.taken.nonzero()[:, 0], pair.column.taken.nonzero()[:, 0]
    if not damping > 0:
        raise InvalidSetting(f"damping={damping}: the loss may be flat in some direction, so it needs some curvature")
    curvature = pair.row.curvature() + pair.column.curvature()
    curvature.diagonal().add_(damping)
    changes = torch.cat([pair.row.without(past) + pair.fewer_negatives(past), pair.column.without(takers)])
    drops = (changes @ torch.linalg.solve(curvature, pair.row.slopes[pair.item])).tolist()
    users, items = model.users, model.items
    whose = [(pair.user, at) for at in past.tolist()] + [(at, pair.item) for at in takers.tolist()]
    events = [
        TrainingEvent(users.id(one), items.id(other), items.title(other), drop)
        for (one, other), drop in zip(whose, drops, strict=True)
    ]
    return Influences(
        users.id(pair.user),
        items.id(pair.item),
        items.title(pair.item),
        pair.score,
        _strongest_first(events[: len(past)]),
        _strongest_first(events[len(past) :]),
    )


@dataclass(frozen=True, eq=False)
class _Side:
    """The user with every item, or the item with every user, float64."""

    taken: Tensor  # (others,) events
    spent: Tensor  # (others,) how often each is drawn as a negative in an epoch, in expectation
    spent_without: Tensor  # (others,) the same, had the events of this pair not happened
    probability: Tensor  # (others,) sigmoid of the score
    slopes: Tensor  # (others, weights) of the scores

    def curvature(self) -> Tensor:
        """Of the loss, without that of the scores; (weights, weights)."""
        weight = (self.taken + self.spent) * self.probability * (1 - self.probability)
        return self.slopes.T @ (weight[:, None] * self.slopes)

    def without(self, others: Tensor) -> Tensor:
        """Change of the loss's slope when these are not taken but may be drawn, each by itself; (others, weights)."""
        probability = self.probability[others]
        change = self.taken[others] * (1 - probability) + self.spent_without[others] * probability
        return change[:, None] * self.slopes[others]


class _Pair:
    """One user and one item: their own weights, and the training loss as far as these enter it."""

    def __init__(self, model: Recommender, train: Interactions, user: Id, item: Id, negatives: int) -> None:
        self.model = model
        self.user, self.item = int(model.users.vocabulary.rows([user])[0]), int(model.items.vocabulary.rows([item])[0])
        self.of_user = self._embedded([self.user], range(len(model.items)))
        self.of_item = self._embedded(range(len(model.users)), [self.item])
        own = {name: part.values[0, self._place(part)] for name, part in self.of_user.items()}
        self.shapes = {name: value.shape for name, value in own.items()}
        self.start = torch.cat([value.flatten() for value in own.values()])
        counts = torch.from_numpy(train.user_counts).double()
        unseen = train.item_count - torch.from_numpy(_distinct_counts(train)).double()  # (users,) items
        each = negatives * counts / unseen.clamp(min=1)  # (users,) draws of each unseen item
        taken = _counts(train.items[train.users == self.user], train.item_count)
        fewer = negatives * (counts[self.user] - taken) / (unseen[self.user] + 1)
        self.row = self._side(self._row, taken, each[self.user] * (taken == 0), fewer)
        takers = _counts(train.users[train.items == self.item], train.user_count)
        spent = each * (takers == 0)
        takers[self.user] = spent[self.user] = 0.0  # that pair is in the row already
        self.column = self._side(self._column, takers, spent, negatives * (counts - takers) / (unseen + 1))

    @property
    def score(self) -> float:
        """The pair's score."""
        with torch.no_grad():
            return float(self._row(self.start.expand(len(self.row.taken), -1))[self.item])

    def fewer_negatives(self, items: Tensor) -> Tensor:
        """Change of the slope as fewer of the user's unseen items are drawn without each of `items`."""
        unseen = self.row.taken == 0
        change = self.row.spent_without[items] - self.row.spent.max()
        return change[:, None] * (self.row.probability[unseen] @ self.row.slopes[unseen])

    def _row(self, weights: Tensor) -> Tensor:
        """Scores of every item for the user, (items,), each by a copy of the pair's weights, (items, weights)."""
        return self.model.score(self._placed(self.of_user, weights.unsqueeze(0), self.item, axis=1))[0]

    def _column(self, weights: Tensor) -> Tensor:
        """Scores of the item for every user, (users,), each by a copy of the pair's weights, (users, weights)."""
        return self.model.score(self._placed(self.of_item, weights.unsqueeze(1), self.user, axis=0))[:, 0]

    def _placed(self, inputs: Inputs, weights: Tensor, place: int, *, axis: int) -> Inputs:
        """The inputs with the pair's weights where they belong: at one place of an axis, or wherever there is one."""
        own = weights.split([shape.numel() for shape in self.shapes.values()], dim=-1)
        placed = {}
        for (name, part), value in zip(inputs.items(), own, strict=True):
            values, count = part.values, part.values.shape[axis]
            here = torch.arange(count, device=values.device) == (place if count > 1 else 0)
            mask = here.view(-1, *(1 for _ in values.shape[axis + 1 :]))
            found = torch.where(mask, value.unflatten(-1, self.shapes[name]), values)
            placed[name] = replace(part, values=found, present=part.present.expand(found.shape[:-1]))
        return placed

    def _side(self, scores: Callable[[Tensor], Tensor], taken: Tensor, spent: Tensor, without: Tensor) -> _Side:
        copies = self.start.expand(len(taken), -1).clone().requires_grad_()  # so that one backward pass serves all
        with torch.enable_grad():
            found = scores(copies)
            slopes = torch.autograd.grad(found.sum(), copies)[0]
        return _Side(taken, spent, without, torch.sigmoid(found).detach().double().cpu(), slopes.double().cpu())

    def _embedded(self, users: Sequence[int], items: Sequence[int]) -> Inputs:
        rows, wanted = (torch.tensor(list(some), device=self.model.device) for some in (users, items))
        with torch.no_grad():
            inputs = self.model.embed(Request(rows, wanted[None], rows.new_empty(len(rows), 0)))
        return {name: replace(part, values=part.values.detach()) for name, part in inputs.items()}

    def _place(self, part: Part) -> int:
        """Where the pair's own values of a part stand in the user's row."""
        return 0 if part.values.shape[1] == 1 else self.item


def _negatives(model: Recommender) -> int:
    """Negatives for each event of training; raises where the model or its training is of another kind."""
    name, training = type(model).__name__, model.trained_by
    if "user" not in model.unit_kinds:
        raise NotApplicable(
            f"{name} has no weights of one user alone; past items are its inputs, so see what becomes of a score "
            "without them: explain with LeaveOneOut(), or counterfactual()"
        )
    if training is None or training.loss != "log":
        raise NotApplicable(
            f"influence follows the log loss, and this {name} was not trained by it; fit it with Training(loss='log')"
        )
    return training.negatives


def _distinct_counts(train: Interactions) -> Rows:
    """How many different items each user took; (users,)."""
    pairs = np.unique(train.pairs)
    return np.bincount(pairs // train.item_count, minlength=train.user_count).astype(np.int64)


def _counts(rows: Rows, size: int) -> Tensor:
    return torch.from_numpy(np.bincount(rows, minlength=size)).double()


def _strongest_first(events: Iterable[TrainingEvent]) -> tuple[TrainingEvent, ...]:
    return tuple(sorted(events, key=lambda one: -one.drop))

"""The one interface: a recommender embeds what it is asked into named parts, and scores from those parts alone.

Training, ranking, explaining and verifying all go through `embed` and `score`, so a model that has these two methods
has every explainer and every check. Shapes are written with words: `users` and `items` are the two axes of a scored
list, `unit` is what a person can name (a past item, a column, a word, a factor), `channel` is machinery, always last.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec import settings as records
from whyrec.chance import seeded
from whyrec.dataset import Catalog
from whyrec.errors import NotFitted
from whyrec.interactions import Interactions
from whyrec.training import Epoch, Loss, Training

SHARED_FROM = 1024
"""Fewer rows than this are embedded one by one even where some are the same: finding that out would cost more."""

MARKS_PER_ROW = 64
"""Up to so many possible rows for each given one, marking the rows is faster than sorting them."""

UnitKind = Literal["past item", "column", "word", "patch", "factor", "expert"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked: score these items for these users, who have seen this."""

    users: Tensor  # (users,) rows; -1 for somebody the model has never met
    items: Tensor  # (users | 1, items) rows
    history: Tensor  # (users, length) item rows, -1 where empty
    hidden: Tensor | None = None  # (users, length) bool: still counted, but out of sight (history dropout)
    compact: bool = False
    """Embed each distinct item once, and units that `score` only sums as one already-summed unit. Same scores, less
    memory; for training and ranking. Explanations need the units apart."""

    @property
    def in_sight(self) -> Tensor:
        """Which places of `history` hold a past item that is not hidden, (users, length) bool."""
        there = self.history >= 0
        return there if self.hidden is None else there & ~self.hidden

    def item_rows(self) -> tuple[Tensor, Tensor | None]:
        """Items to embed, (users | 1, items), and the index that spreads them: None where they stand as asked."""
        if not self.compact or self.items.shape[0] == 1 or self.items.numel() < SHARED_FROM:
            return self.items, None
        rows, index = distinct(self.items)
        return rows[None], index

    def user_rows(self) -> tuple[Tensor, Tensor | None]:
        """Users to embed, (users, 1), or (1, distinct) with the index that spreads them, (users, 1)."""
        if not self.compact or self.users.numel() < SHARED_FROM:
            return self.users[:, None], None
        rows, index = distinct(self.users + 1)  # -1, somebody never met, is a row like any other here
        return rows[None] - 1, index[:, None]


def distinct(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The different rows in rising order, and where each of `rows` stands among them; as `torch.unique`, mostly faster.

    >>> distinct(torch.tensor([[7, 2], [2, 9]]))
    (tensor([2, 7, 9]), tensor([[1, 0], [0, 2]]))
    """
    largest = int(rows.max()) + 1 if rows.numel() else 0
    if largest > MARKS_PER_ROW * rows.numel():
        found: tuple[Tensor, Tensor] = torch.unique(rows, return_inverse=True)
        return found
    place = rows.new_zeros(largest)
    place[rows.reshape(-1)] = 1  # marks instead of sorting
    different = place.nonzero()[:, 0]
    place[different] = torch.arange(len(different), device=rows.device)
    return different, place[rows]


@dataclass(frozen=True, slots=True)
class Part:
    """One named input of a scored list."""

    values: Tensor  # (users | 1, items | 1, *unit, channel); (1, distinct, *unit, channel) where index is set
    present: Tensor  # the same without channel, bool: False is padding, never attributed, never removed
    baseline: Tensor  # broadcasts to values: what stands in for a removed unit
    index: Tensor | None = None  # (users, items) rows into distinct; in training and ranking only
    summed: bool = False
    """Whether `score` only ever sums the units (one unit axis): lets coalitions be a matrix product."""

    @classmethod
    def of(
        cls, values: Tensor, *, present: Tensor | None = None, index: Tensor | None = None, summed: bool = False
    ) -> Part:
        """A part whose units are all there unless `present` says otherwise, and whose baseline is zero."""
        if present is None:
            present = torch.ones(values.shape[:-1], dtype=torch.bool, device=values.device)
        return cls(values, present, values.new_zeros(()), index, summed)


Inputs = Mapping[str, Part]


def keep_only(inputs: Inputs, keep: Mapping[str, Tensor]) -> Inputs:
    """The inputs with every unit outside `keep` removed: put at its baseline and marked as not there.

    `keep` holds bools that broadcast to each part's `present`; parts it does not name stay whole. A normaliser that
    must not move, such as 1/n of a pooled history, is folded into the values by `embed`, so it stays.
    """
    return {name: _thin(part, keep[name]) if name in keep else part for name, part in inputs.items()}


def _thin(part: Part, keep: Tensor) -> Part:
    values = torch.where(keep.unsqueeze(-1), part.values, part.baseline)
    return replace(part, values=values, present=part.present & keep)


def vector(part: Part) -> Tensor:
    """All units of a part as one vector of channels: (users | 1, items | 1, unit * channel)."""
    return part.values.flatten(start_dim=2)


def spread(x: Tensor, index: Tensor | None) -> Tensor:
    """Distinct items' rows where the list wants them: (1, distinct, channel) -> (users, items, channel)."""
    return x if index is None else F.embedding(index, x[0])


class Recommender(nn.Module, ABC):
    """A model that scores items for users. Subclasses hold a `Settings` record and write `make`, `embed` and `score`.

    Constructing one keeps its settings only: `fit` (or `build`) gives it users, items and weights.
    """

    Settings: ClassVar[type]
    settings: Any

    users: Catalog
    items: Catalog
    known: Interactions | None
    """What is known of each user when it recommends: histories come from here, and seen items are left out."""

    usual_loss: ClassVar[Loss] = "log"
    """What `fit` trains it by where nobody says otherwise."""
    way_to_past_items: ClassVar[str] = "call whyrec.fold_in(model), or train it with user='history'"
    """What to do, where it knows users by id only, for it to look at what they took."""
    belongs_elsewhere: ClassVar[bool] = False
    """Whether it takes somebody else's code to make the model, so that a folder cannot bring it back."""
    reads_columns: ClassVar[bool] = False
    """Whether it scores from the columns of users and items, so that a folder without them cannot bring it back."""

    log: tuple[Epoch, ...]
    """One record per training epoch; empty for closed forms."""
    trained_by: Training | None
    """The training settings `fit` used."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = records.make(self.Settings, settings, owner=type(self).__name__)
        self.known = None
        self.log = ()
        self.trained_by = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "Settings" in vars(cls):  # so that help() and notebooks show what can be set
            cls.__signature__ = inspect.signature(cls.Settings)  # type: ignore[attr-defined]

    def build(self, users: Catalog, items: Catalog, *, seed: int = 0) -> Self:
        """Give the model its users and items, and weights drawn from `seed`. Global random state is left as found."""
        self.users, self.items = users, items
        with seeded(seed):
            self.make(len(users), len(items))
        return self.eval()

    @property
    def is_built(self) -> bool:
        """Whether the model has users, items and weights."""
        return hasattr(self, "items")

    def require_built(self) -> Self:
        """The model itself; raises `NotFitted` where it has no weights yet."""
        if not self.is_built:
            raise NotFitted(f"this {type(self).__name__} has no weights yet: call whyrec.fit(model, split) first")
        return self

    def require_known(self) -> Interactions:
        """What the model knows of its users; raises `NotFitted` where it was saved without that."""
        if self.known is None:
            raise NotFitted(
                "this model was saved without its data, so it knows no user's past; pass a history, or save with data"
            )
        return self.known

    def usually(self, training: Training | None) -> Training:
        """Training settings with what they leave to the model filled in."""
        training = training or Training()
        return replace(training, loss=training.loss or self.usual_loss)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(chain(self.parameters(), self.buffers()), torch.empty(0)).device

    @abstractmethod
    def make(self, user_count: int, item_count: int) -> None:
        """Create weights and buffers."""

    def prepare(self, train: Interactions) -> None:
        """Set what is read off the training events before the first step, such as their mean; nothing by itself."""

    @abstractmethod
    def embed(self, request: Request) -> Inputs:
        """Named inputs of the asked list; the only place that sees ids."""

    @abstractmethod
    def score(self, inputs: Inputs) -> Tensor:
        """Scores, (users, items): logits or ratings. Pure: no sampling, no state, nothing but `inputs` and weights.

        The result is a tensor of its own, no view of weights: ranking writes into it.
        """

    def forward(self, inputs: Inputs) -> Tensor:
        """PyTorch's name for `score`."""
        return self.score(inputs)

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        """What the units of each part are; parts not named here are never explained."""
        return {}

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        """What to call a unit of a part, by its position, in the score of an item for a user.

        `user` and `item` are rows, -1 for nobody and nothing in particular. Past items are called by their own
        titles, whatever stands here.
        """
        return f"{part} {self.unit_kinds[part]} {unit}"

    @property
    def history_limit(self) -> int:
        """How many past items the model looks at, the most recent first to stay; 0 where it looks at none."""
        return 0

    @property
    def max_trained_drop(self) -> float:
        """The largest share of a user's history that was hidden in training: removal beyond it is unfamiliar."""
        return 0.0

    def floats_per_user(self, items: int) -> int:
        """How many numbers `score` of `items` items for one user holds at its widest; sizes blocks."""
        return items

    def floats_to_rank(self) -> tuple[int, int]:
        """How many numbers ranking the catalogue holds at its widest: once a block of users, and for each user."""
        return 0, self.floats_per_user(len(self.items))

    def seen_by(self, users: Tensor, known: Interactions | None = None) -> Tensor:
        """The histories of `users` (rows) as this model wants them, (users, length), -1 where empty."""
        known = self.known if known is None else known
        if known is None or self.history_limit == 0:
            return users.new_full((len(users), 0), -1)
        rows = users.cpu().numpy()
        found = known.histories(np.maximum(rows, 0), self.history_limit)
        found[rows < 0] = -1  # nothing is known of somebody new
        return torch.from_numpy(found).to(users.device)


@runtime_checkable
class Solved(Protocol):
    """A model with a closed form: it is solved, not trained."""

    def solve(self, train: Interactions) -> None:
        """Set the weights from the training events."""


@runtime_checkable
class Ranker(Protocol):
    """A model that can score many items faster than `score(embed(request))`, to the same numbers."""

    def rank_scores(self, request: Request) -> Tensor:
        """Scores, (users, items), a tensor of its own."""


@runtime_checkable
class Attending(Protocol):
    """A model that weighs some of its units before it sums them."""

    def attention(self, inputs: Inputs) -> Mapping[str, Tensor]:
        """The weights of each part that it attends to, (users, items, *unit), the mean over heads; padding has 0."""


@runtime_checkable
class Penalised(Protocol):
    """A model that is trained with a penalty on what it reads, beside the loss."""

    def penalty(self, inputs: Inputs) -> Tensor:
        """What is added to the loss of a batch, one number."""


@runtime_checkable
class OwnLoss(Protocol):
    """A model that is taught by more than its score, such as one whose experts learn each by itself."""

    def own_loss(self, inputs: Inputs, wanted: Tensor, loss: Loss) -> Tensor:
        """How wrong the model is about a batch in the sense of `loss`, one number; wanted is (users, items)."""


def scores_of(model: Recommender, request: Request) -> Tensor:
    """Scores by the model's fastest way, (users, items)."""
    return model.rank_scores(request) if isinstance(model, Ranker) else model.score(model.embed(request))

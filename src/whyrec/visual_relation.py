"""Which products go together by their looks: a network looks at both pictures, a distance for each relation decides.

    score = threshold_r - d_r(a, b),      probability = sigmoid(score)      (a shifted sigmoid)

    d_r(a, b) = sum_k u_k ((a - b) Y_r)_k^2      low-rank Mahalanobis, rank D
    d_r(a, b) = sum_k u_k w_rk (a_k - b_k)^2     weighted nearest neighbour, rank None

a and b are what one network says of the two pictures, u how much a user cares for each direction. McAuley et al. 2015,
Image-based recommendations on styles and substitutes, with features that others computed; Bharadhwaj 2018, Layer-wise
relevance propagation for explainable recommendations, with the network trained end to end.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import torch
from einops import rearrange
from pydantic import PositiveInt
from torch import Tensor, nn

from whyrec.dataset import Catalog
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.interactions import Id, Interactions
from whyrec.pictures import Features, Looks, Pictures
from whyrec.product_links import ProductLinks
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind
from whyrec.settings import settings
from whyrec.training import Loss, Training

USUALLY = Training(epochs=20, batch_size=512, learning_rate=1e-3, patience=3, loss="log")

BLOCK = 64
"""Pictures that are looked at together where all are."""

WIDEST = 64
"""About how many numbers a network holds for each number of a picture; sizes blocks of users."""


class VisualRelation(Recommender):
    """Scores how well a product goes with another. `fit_relations` trains it, `under` chooses what is asked.

    `network` makes features, (pictures, features), of normalised pictures; None takes what it is given as features.
    Queries are users of the one interface and candidates are items, so lists, explanations and checks are those of any
    recommender. Pictures are data: a network of one's own is saved by its own code.
    """

    @settings
    class Settings:
        """Shape of the distance, and what a unit of a picture is."""

        rank: PositiveInt | None = 16
        """Directions in which features are compared, D; None weighs each feature by itself."""
        personal: bool = False
        """Whether each user weighs the directions in a way of their own."""
        patch: PositiveInt = 8
        """Side in pixels of the squares that explanations are about; 1 for single pixels."""

    usual_loss: ClassVar[Loss] = "log"
    belongs_elsewhere = True
    looks: Looks
    relations: tuple[str, ...]
    people: Catalog
    """Whose links it learned from."""
    usual: Tensor
    """What the network says of products on average, (features,): a match is what two have beyond that."""
    asked: int = 0
    """Which relation is asked about."""
    whose: int = -1
    """Who asks: a row of `people`, -1 for nobody in particular."""
    table: Tensor | None = None
    """What the network says of all products, (products, features), where somebody looked."""

    def __init__(
        self, network: nn.Module | None = None, *, rank: int | None = 16, personal: bool = False, patch: int = 8
    ) -> None:
        super().__init__(rank=rank, personal=personal, patch=patch)
        self.network = network

    def build_for(self, links: ProductLinks, *, seed: int = 0) -> Self:
        """Give the model its products, relations and users, and its distances random weights from `seed`."""
        self.looks, self.relations, self.people = links.looks, links.relations, links.users
        self.asked, self.whose = 0, -1
        if isinstance(self.looks, Pictures) and self.network is None:
            raise InvalidSetting("VisualRelation: pictures need a network; give ImageNetwork.small(), or features")
        if isinstance(self.looks, Features) and self.network is not None:
            raise InvalidSetting("VisualRelation: features need no network in front of them; leave it out")
        if self.settings.personal and not len(self.people):
            raise InvalidSetting(f"VisualRelation: personal=True, but no link of {links.name} says whose it is")
        self._require_whole_patches()
        self.build(self.looks.items, self.looks.items, seed=seed)
        self._show(links.looks)
        return self

    def make(self, user_count: int, item_count: int) -> None:
        """Create the distances; the network brings its own weights."""
        width, relations, rank = self._probed(), len(self.relations), self.settings.rank
        if rank is None:
            self.log_weights = nn.Parameter(torch.full((relations, width), -float(np.log(width))))
        else:
            self.projection = nn.Parameter(torch.randn(relations, width, rank) / (width * rank) ** 0.5)
        self.threshold = nn.Parameter(torch.ones(relations))
        self.register_buffer("usual", torch.zeros(width))
        if self.settings.personal:
            self.tastes = nn.Parameter(torch.zeros(len(self.people) + 1, rank or width))  # the last one is nobody's

    def under(self, relation: str, *, user: Id | None = None) -> Self:
        """The same model, weights shared, asked about one relation, for one user where the distance is personal."""
        self.require_built()
        if relation not in self.relations:
            raise InvalidSetting(f"there is no relation {relation!r}; there are {', '.join(self.relations)}")
        if user is not None and not self.settings.personal:
            raise NotApplicable("this VisualRelation knows no users; leave user out, or train it with personal=True")
        other = copy.copy(self)
        other.asked = self.relations.index(relation)
        other.whose = -1 if user is None else int(self.people.vocabulary.rows([user])[0])
        return other

    def on(self, looks: Looks) -> Self:
        """The same model, weights shared, with other products to look at."""
        self.require_built()
        other = copy.copy(self)
        other._show(looks)
        return other

    def looked(self) -> Self:
        """The same model, having looked at all products once: lists are then made from what it saw."""
        other = copy.copy(self)
        other.table = self.seen()
        return other

    @torch.no_grad()
    def seen(self) -> Tensor:
        """What the network says of all products, (products, features)."""
        if self.table is not None:
            return self.table
        rows = torch.arange(len(self.looks), device=self.device).split(BLOCK)
        return torch.cat([self.features(self.looks.of(part).to(self._numbers)) for part in rows])

    def settle_usual(self) -> None:
        """Keep in `usual` the mean of what the network says of all products; `fit_relations` does so at its end."""
        self.usual.copy_(self.seen().mean(0))

    def features(self, seen: Tensor) -> Tensor:
        """What the network says of pictures, (pictures, features); features stay as they are."""
        if self.network is None:
            return seen
        found: Tensor = self.network(seen)
        return found

    def directions(self, features: Tensor, relation: int | Tensor) -> Tensor:
        """Features as they are compared under a relation: (..., features) -> (..., direction).

        `relation` is a place in `relations`, or one for each row, (rows,).
        """
        if self.settings.rank is None:
            return features * self.log_weights[relation].mul(0.5).exp()
        if isinstance(relation, int):
            return features @ self.projection[relation]
        found = features.new_zeros(len(features), self.settings.rank)
        for one in relation.unique().tolist():
            rows = (relation == one).nonzero()[:, 0]
            found = found.index_put((rows,), features[rows] @ self.projection[one])
        return found

    def care(self, user: int | Tensor) -> Tensor | float:
        """How much a user cares for each direction, (direction,), above 0; 1 for nobody in particular."""
        if not self.settings.personal:
            return 1.0
        found = self.tastes[user].exp()
        if isinstance(user, int):
            return found if user >= 0 else 1.0
        return torch.where((user >= 0).unsqueeze(-1), found, 1.0)

    def distance(self, first: Tensor, second: Tensor, relation: int | Tensor, user: int | Tensor = -1) -> Tensor:
        """How far apart two products are, from their features, (..., features) -> (...)."""
        apart = self.directions(first - second, relation)
        return (apart.square() * self.care(user)).sum(-1)

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        kind: UnitKind = "patch" if isinstance(self.looks, Pictures) else "factor"
        return {"query": kind, "item": kind}

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        """Where a patch stands, for example `item, rows 1-8, columns 9-16`."""
        if isinstance(self.looks, Features):
            return f"{part} feature {unit}"
        size = self.settings.patch
        down, across = divmod(unit, self.looks.pixels.shape[3] // size)
        top, left = down * size + 1, across * size + 1
        return f"{part}, rows {top}-{top + size - 1}, columns {left}-{left + size - 1}"

    def embed(self, request: Request) -> Inputs:
        """Both pictures of each pair, cut into patches: (users, items, down, across, channel); or features as units."""
        if (request.users < 0).any():
            raise NotApplicable("somebody new is no product; ask for a product that has a picture")
        queries = request.users[:, None]
        items = request.items.expand(len(queries), -1)
        if not request.compact:  # so that both pictures of a pair are looked at and explained in one pass
            queries = queries.expand_as(items)
        return {"query": self.part(queries), "item": self.part(items)}

    def part(self, rows: Tensor) -> Part:
        """Units of some products, (*rows, *unit, channel)."""
        values = self._cut(self.looks.of(rows).to(self._numbers))
        present = torch.ones(values.shape[:-1], dtype=torch.bool, device=rows.device)
        return Part(values, present, self._cut(self.looks.middle.to(values)))

    def pieced(self, values: Tensor) -> Tensor:
        """What the network takes: (rows, *unit, channel) -> (rows, 3, height, width), or (rows, features)."""
        if isinstance(self.looks, Features):
            return values[..., 0]
        size = self.settings.patch
        whole = "row down across (colour high wide) -> row colour (down high) (across wide)"
        return rearrange(values, whole, high=size, wide=size)

    def score(self, inputs: Inputs) -> Tensor:
        query, item = inputs["query"].values, inputs["item"].values
        if query.shape[:2] == item.shape[:2]:
            both = torch.stack([query, item], dim=2)  # one batch, a pair together, so that relevance stays with it
            found = self.features(self.pieced(both.flatten(0, 2))).unflatten(0, both.shape[:3])
            first, second = found.unbind(2)
        else:
            first, second = (
                self.features(self.pieced(one.flatten(0, 1))).unflatten(0, one.shape[:2]) for one in (query, item)
            )
        return self.threshold[self.asked] - self.distance(first, second, self.asked, self.whose)

    def rank_scores(self, request: Request) -> Tensor:
        """Scores from what `looked` saw, or from looking now; (users, items), exact to rounding."""
        table = self.seen()
        weighed = self.directions(table, self.asked) * self.care(self.whose) ** 0.5
        items = request.items.expand(len(request.users), -1)
        if len(request.items) == 1:  # squares of differences, not of norms, which would cancel
            apart = torch.cdist(
                weighed[request.users], weighed[request.items[0]], compute_mode="donot_use_mm_for_euclid_dist"
            ).square()
        else:
            apart = (weighed[request.users, None] - weighed[items]).square().sum(-1)
        return self.threshold[self.asked] - apart

    def floats_per_user(self, items: int) -> int:
        return items * WIDEST * int(np.prod(self.looks.middle.shape)) * 2

    def floats_to_rank(self) -> tuple[int, int]:
        return 0, len(self.items) * 2

    def require_looks(self) -> Pictures:
        """The pictures that it looks at; raises `NotApplicable` where it was given features."""
        if isinstance(self.looks, Features):
            raise NotApplicable("this VisualRelation was given features and no pictures, so there is no pixel to show")
        return self.looks

    @property
    def _numbers(self) -> torch.dtype:
        return self.threshold.dtype if hasattr(self, "threshold") else torch.float32

    def _show(self, looks: Looks) -> None:
        """Other products to look at; what was seen of those before is forgotten."""
        self.looks, self.table, self.users, self.items = looks, None, looks.items, looks.items
        rows = np.arange(len(looks))  # a product is not recommended to go with itself
        self.known = Interactions(rows, rows, user_count=len(rows), item_count=len(rows))

    @torch.no_grad()
    def _probed(self) -> int:
        """How many features the network gives."""
        given = self.looks.of(torch.tensor([0], device=self.device))
        was_training = self.training
        found = self.eval().features(given)
        self.train(was_training)
        if found.ndim != 2:
            raise InvalidSetting(
                f"VisualRelation: the network gives {tuple(found.shape)} of one picture; it gives (pictures, features)"
            )
        return found.shape[1]

    def _cut(self, seen: Tensor) -> Tensor:
        """(..., 3, height, width) -> (..., down, across, channel), or features as units of one channel."""
        if isinstance(self.looks, Features):
            return seen.unsqueeze(-1)
        size = self.settings.patch
        cut = "... colour (down high) (across wide) -> ... down across (colour high wide)"
        return rearrange(seen, cut, high=size, wide=size)

    def _require_whole_patches(self) -> None:
        if isinstance(self.looks, Pictures):
            height, width = self.looks.pixels.shape[2:]
            if height % self.settings.patch or width % self.settings.patch:
                raise InvalidSetting(
                    f"VisualRelation: patch={self.settings.patch} does not divide pictures of {height} x {width}; "
                    "choose one that does"
                )

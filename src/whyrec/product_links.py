"""Which products go together: links of one or several relations, for somebody or everybody, and what they look like.

A link says that people who viewed, or bought, one product did so with another. There are no links that say no, so pairs
that nobody linked stand in for them, drawn at random, as many as there are links (McAuley et al. 2015, Image-based
recommendations on styles and substitutes).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from whyrec.dataset import Catalog
from whyrec.errors import BadInput, InvalidSetting
from whyrec.interactions import Rows, Vocabulary
from whyrec.pictures import Looks

ALSO_VIEWED, BUY_AFTER_VIEWING, ALSO_BOUGHT, BOUGHT_TOGETHER = RELATIONS = (
    "also_viewed",
    "buy_after_viewing",
    "also_bought",
    "bought_together",
)
"""Those of the large shops: the first two link what replaces each other, the others what completes each other."""

NOBODY = Catalog(Vocabulary((), kind="user"))

TRIES = 50
"""How often a pair is drawn anew that turns out to be linked."""


@dataclass(frozen=True, eq=False)
class MotifTruth:
    """Where in planted pictures it stands what makes them go together."""

    causes: Tensor  # (relations, items, height, width) bool
    decoys: Tensor  # (items, height, width) bool: marks that cause nothing


@dataclass(frozen=True, eq=False)
class ProductLinks:
    """Links between products, one a row. Products are rows of `looks`."""

    name: str
    looks: Looks
    relations: tuple[str, ...]
    query: Rows  # (links,)
    item: Rows  # (links,)
    relation: Rows  # (links,) places in `relations`
    users: Catalog = NOBODY
    user: Rows | None = None  # (links,) whose link it is, -1 for nobody in particular
    scene: Rows | None = None  # (links,) the picture of a room that shows both, where there is one
    source: str = ""
    licence: str = ""
    findings: tuple[str, ...] = ()
    truth: MotifTruth | None = None

    def __post_init__(self) -> None:
        if not len(self.query) == len(self.item) == len(self.relation):
            raise BadInput(
                f"{self.name}: {len(self.query):,} queries, {len(self.item):,} items and {len(self.relation):,} "
                "relations; a link has one of each"
            )

    def __len__(self) -> int:
        return len(self.query)

    def where(self, keep: NDArray[np.bool_] | Rows) -> ProductLinks:
        """Some of the links, with everything that belongs to them."""
        return replace(
            self,
            query=self.query[keep],
            item=self.item[keep],
            relation=self.relation[keep],
            user=None if self.user is None else self.user[keep],
            scene=None if self.scene is None else self.scene[keep],
        )

    def under(self, relation: str) -> ProductLinks:
        """The links of one relation."""
        return self.where(self.relation == self.place_of(relation))

    def place_of(self, relation: str) -> int:
        """Where a relation stands among `relations`."""
        if relation not in self.relations:
            known = ", ".join(self.relations)
            raise InvalidSetting(f"{self.name}: there is no relation {relation!r}; there are {known}")
        return self.relations.index(relation)

    @property
    def members(self) -> Rows:
        """Whose each link is, (links,), -1 for nobody in particular."""
        return np.full(len(self), -1) if self.user is None else self.user

    @property
    def keys(self) -> Rows:
        """A number for each link that tells its relation and its two products, whichever is asked about; (links,)."""
        return link_keys(self.query, self.item, self.relation, len(self.looks))

    def counts(self) -> dict[str, int]:
        """How many links each relation has."""
        found = np.bincount(self.relation, minlength=len(self.relations))
        return dict(zip(self.relations, found.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class LinkSplit:
    """Links to learn from, to choose the epoch by, and to judge by. `how` says how they were parted."""

    train: ProductLinks
    validation: ProductLinks
    test: ProductLinks
    how: str


def split_links(links: ProductLinks, *, validation: float = 0.1, test: float = 0.1, seed: int = 0) -> LinkSplit:
    """Part links 80 : 10 : 10 at random: by scene where links have scenes, else by pair of products.

    A pair is in one part only, with all its relations and in either direction. Of scenes the rooms are parted, and a
    pair that stands in rooms of several parts belongs to the first of train, validation and test; its other rooms are
    left out, so that no room that is judged by was learned from. A link that stands there twice is counted once.
    """
    if not (0 <= validation < 1 and 0 < test < 1 and validation + test < 1):
        raise InvalidSetting(f"validation={validation}, test={test}: shares from 0 to 1 that leave some to train on")
    pair = link_keys(links.query, links.item, np.zeros_like(links.query), len(links.looks))
    group = pair if links.scene is None else links.scene
    names, place = np.unique(group, return_inverse=True)
    drawn = np.random.default_rng(seed).permutation(len(names)) / max(1, len(names))
    part = np.digitize(drawn, [1 - validation - test, 1 - test])[place]
    pairs, at = np.unique(pair, return_inverse=True)
    first = np.full(len(pairs), 2)
    np.minimum.at(first, at, part)
    parts = [_each_once(links.where((first[at] == one) & (part == one))) for one in range(3)]
    what = "pair of products" if links.scene is None else "room"
    how = f"{1 - validation - test:.0%} / {validation:.0%} / {test:.0%} at random by {what}, seed {seed}"
    return LinkSplit(parts[0], parts[1], parts[2], how)


def unlinked(links: ProductLinks, known: ProductLinks, *, seed: int = 0) -> ProductLinks:
    """As many pairs that nobody linked, of the same relations and users; products at random, none with itself.

    `known` are all links there are, those held out as well: a pair of them is never drawn.

    >>> import whyrec as wr
    >>> made = wr.planted_pictures(pictures=40, links=30)
    >>> drawn = unlinked(made, made)
    >>> len(drawn) == len(made), len(set(drawn.keys) & set(made.keys))
    (True, 0)
    """
    chance, count = np.random.default_rng(seed), len(links.looks)
    if count < 3:
        raise BadInput(f"{links.name}: {count} products leave no pair that nobody linked; read more of them")
    taken = np.unique(known.keys)
    query, item = chance.integers(0, count, (2, len(links)))
    for _ in range(TRIES):
        wrong = (query == item) | np.isin(link_keys(query, item, links.relation, count), taken)
        if not wrong.any():
            return replace(links, query=query, item=item, scene=None)
        query[wrong], item[wrong] = chance.integers(0, count, (2, int(wrong.sum())))
    raise BadInput(f"{links.name}: nearly all pairs of its {count:,} products are linked, so none are left to tell")


def link_keys(query: Rows, item: Rows, relation: Rows, count: int) -> Rows:
    """A number for each link, the same in either direction; (links,)."""
    low, high = np.minimum(query, item), np.maximum(query, item)
    found: Rows = (relation.astype(np.int64) * count + low) * count + high
    return found


def _each_once(links: ProductLinks) -> ProductLinks:
    """Links without those that stand there twice, in their order."""
    names = (links.members + 1) * (len(links.relations) * len(links.looks) ** 2) + links.keys
    return links.where(np.sort(np.unique(names, return_index=True)[1]))

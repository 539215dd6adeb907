"""Which subsets of the inputs were enough: for one recommendation, for everybody, and by what a column says.

The share of a subset is how far its expert was listened to, alpha / sum of alpha; shares of a place sum to one, or are
all nothing where no expert had an opinion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from whyrec.dataset import Catalog
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.explanation import part_of
from whyrec.mixture import Mixing
from whyrec.recommendations import Recommendations
from whyrec.recommender import Recommender
from whyrec.statistics import Estimate, mean_interval

BLOCK_USERS = 256
"""Users asked about together."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SubsetShares:
    """Shares of all subsets for each place of each list. Printing it shows the table."""

    recommendations: Recommendations
    titles: tuple[str, ...]
    shares: Array  # (users, items, subset)
    decided: NDArray[np.bool_]  # (users, items) False where no expert had an opinion, and where a list is shorter

    def best(self, row: int, place: int) -> str:
        """The subset that was listened to most."""
        return self.titles[int(self.shares[row, place].argmax())]

    def by(self, categories: Mapping[str, Sequence[str]]) -> dict[str, Array]:
        """Shares of categories of subsets, (users, items) each: those of the subsets in each, added up."""
        named = [title for some in categories.values() for title in some]
        if unknown := [title for title in named if title not in self.titles]:
            raise InvalidSetting(f"there is no subset {unknown[0]!r}; there are {', '.join(map(repr, self.titles))}")
        return {
            name: self.shares[..., [self.titles.index(title) for title in some]].sum(-1)
            for name, some in categories.items()
        }

    def over_users(self) -> dict[str, Estimate]:
        """The mean share of each subset, each user's list counting as one; 95 % intervals over users."""
        there = self.decided.any(1)
        if not there.any():
            raise NotApplicable("no expert had an opinion about any of these items, so there are no shares to average")
        counts = self.decided[there].sum(1)
        means = self.shares[there].sum(1) / counts[:, None]  # (users, subset)
        return {title: mean_interval(means[:, place]) for place, title in enumerate(self.titles)}

    def by_column(self, name: str) -> dict[str, dict[str, float]]:
        """The mean share of each subset for each value or word of a column of the users or the items."""
        lists = self.recommendations
        found: dict[str, list[Array]] = {}
        for row, place in np.argwhere(self.decided):
            at = (int(lists.user_rows[row]), int(lists.item_rows[row, place]))
            for word in _words(lists.users, lists.items, name, *at):
                found.setdefault(word, []).append(self.shares[row, place])
        return {
            word: dict(zip(self.titles, np.mean(rows, axis=0).tolist(), strict=True))
            for word, rows in sorted(found.items())
        }

    def __str__(self) -> str:
        wide = max(map(len, self.titles))
        lines = [f"{'subset':<{wide}}  share"]
        lines += [f"{title:<{wide}}  {share}" for title, share in self.over_users().items()]
        silent = 1 - self.decided[self.recommendations.present.numpy()].mean()
        return "\n".join([*lines, f"{len(self.recommendations):,} users; undecided: {silent:.1%} of places"])


def subset_shares(model: Recommender, recommendations: Recommendations) -> SubsetShares:
    """How far each expert of a mixture was listened to, for each place of each list.

    >>> import whyrec as wr
    >>> split = wr.leave_last_out(wr.planted(users=60, items=60))
    >>> model = wr.fit(wr.MaskedExperts(hidden=(8,)), split, wr.Training(epochs=1))
    >>> shares = subset_shares(model, wr.recommend(model, k=3))
    >>> shares.titles
    ('content', 'content + item', 'content + user', 'content + item + user')
    """
    if not isinstance(model, Mixing):
        raise NotApplicable(f"{type(model).__name__} is no mixture of experts; choose MaskedExperts")
    request, found = recommendations.request(model.device), []
    with torch.no_grad():
        for rows in torch.arange(len(recommendations)).split(BLOCK_USERS):
            some = part_of(request, rows.to(model.device))
            voices = model.voices(model.embed(some))
            found.append(voices.shares.double().expand(len(rows), some.items.shape[1], -1).cpu())
    listened = torch.cat(found).numpy()
    total = listened.sum(-1)
    decided = (total > 0.5) & recommendations.present.numpy()  # shares sum to one but for a rounding, or to nothing
    shares = np.where(decided[..., None], listened / np.where(decided, total, 1.0)[..., None], 0.0)
    return SubsetShares(recommendations, model.expert_titles, shares, decided)


def _words(users: Catalog, items: Catalog, name: str, user: int, item: int) -> tuple[str, ...]:
    """What a column says of the user or the item of a recommendation."""
    for catalog, row in ((users, user), (items, item)):
        if name in catalog.columns:
            value = catalog.columns[name].values[row] if row >= 0 else None
            if value is None:
                return ()
            return tuple(map(str, value)) if isinstance(value, tuple) else (str(value),)
    known = ", ".join((*users.columns, *items.columns))
    raise InvalidSetting(f"there is no column {name!r}; there are {known}")

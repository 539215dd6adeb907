"""Which subsets of the inputs were enough: for one recommendation, for everybody, and by what a column says.

The share of a subset is how far its expert was listened to, alpha / sum of alpha; shares of a place sum to one, or are
all nothing where no expert had an opinion worth the name (`Voices.undecided`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.explanation import part_of
from whyrec.mixture import Mixing
from whyrec.recommendations import Recommendations
from whyrec.recommender import Recommender
from whyrec.statistics import Estimate, mean_interval

BLOCK_USERS = 256
"""Users asked about together."""

ROUNDING = 1e-3
"""How far shares of single precision may sum to more than one."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SubsetShares:
    """Shares of all subsets for each place of each list. Printing it shows the table."""

    recommendations: Recommendations
    titles: tuple[str, ...]
    shares: Array  # (users, items, subset)
    decided: NDArray[np.bool_]  # (users, items) False where no expert had an opinion, and where a list is shorter

    def best(self, row: int, place: int) -> str | None:
        """The subset that was listened to most; None where no expert had an opinion."""
        return self.titles[int(self.shares[row, place].argmax())] if self.decided[row, place] else None

    def by(self, categories: Mapping[str, Sequence[str]]) -> dict[str, Array]:
        """Shares of categories of subsets, (users, items) each: those of the subsets in each, added up."""
        named = [title for some in categories.values() for title in some]
        if unknown := [title for title in named if title not in self.titles]:
            raise InvalidSetting(f"there is no subset {unknown[0]!r}; there are {', '.join(map(repr, self.titles))}")
        return {
            name: self.shares[..., [self.titles.index(title) for title in set(some)]].sum(-1)
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
        """The mean share of each subset for each value or word of a column of the users or the items.

        `user age` and `item age` tell columns of one name apart. Places where the column says nothing are left out.
        """
        lists, (side, name) = self.recommendations, _column(self.recommendations, name)
        catalog, rows = (lists.users, lists.user_rows[:, None]) if side == "user" else (lists.items, lists.item_rows)
        rows = rows.expand(self.decided.shape)
        words = [_words(value) for value in catalog.columns[name].values.tolist()]
        found: dict[str, list[Array]] = {}
        for row, place in np.argwhere(self.decided & (rows >= 0).numpy()):
            for word in words[int(rows[row, place])]:
                found.setdefault(word, []).append(self.shares[row, place])
        return {
            word: dict(zip(self.titles, np.mean(rows, axis=0).tolist(), strict=True))
            for word, rows in sorted(found.items())
        }

    def __str__(self) -> str:
        wide, places = max(map(len, ("subset", *self.titles))), int(self.recommendations.present.sum())
        lines = [f"{'subset':<{wide}}  share"]
        if self.decided.any():
            lines += [f"{title:<{wide}}  {share}" for title, share in self.over_users().items()]
        silent = (places - self.decided.sum()) / max(places, 1)
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
    found = list(_listened(model, recommendations))
    listened = torch.cat([shares for shares, _ in found]).numpy()
    decided = torch.cat([decided for _, decided in found]).numpy() & recommendations.present.numpy()
    total = listened.sum(-1)
    if (total > 1 + ROUNDING).any():
        raise NotApplicable(
            f"this {type(model).__name__} adds its experts up, so it listens to all of them alike; see additive_shapes"
        )
    decided &= total > 0
    shares = np.where(decided[..., None], listened / np.where(decided, total, 1.0)[..., None], 0.0)
    return SubsetShares(recommendations, model.expert_titles, shares, decided)


@torch.no_grad()
def _listened(model: Recommender, recommendations: Recommendations) -> Iterator[tuple[Tensor, Tensor]]:
    """Shares of each place, (users, items, subset), and where somebody had an opinion, by blocks of users."""
    request = recommendations.request(model.device)
    for rows in torch.arange(len(recommendations)).split(BLOCK_USERS):
        some = part_of(request, rows.to(model.device))
        voices = cast(Mixing, model).voices(model.embed(some))
        shares = voices.shares.double().expand(len(rows), some.items.shape[1], -1)
        silent = torch.zeros_like(shares[..., 0], dtype=torch.bool) if voices.undecided is None else voices.undecided
        yield shares.cpu(), ~silent.expand(shares.shape[:2]).cpu()


def _column(lists: Recommendations, name: str) -> tuple[str, str]:
    """The side and the name of a column of the catalogs."""
    sides = {"user": lists.users.columns, "item": lists.items.columns}
    found = [(side, name) for side, columns in sides.items() if name in columns]
    found = found or [
        (side, name.removeprefix(f"{side} "))
        for side, columns in sides.items()
        if name.startswith(f"{side} ") and name.removeprefix(f"{side} ") in columns
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidSetting(f"users and items both have a column {name!r}; say 'user {name}' or 'item {name}'")
    raise InvalidSetting(f"there is no column {name!r}; there are {', '.join((*sides['user'], *sides['item']))}")


def _words(value: Any) -> tuple[str, ...]:
    """What a column says of a row, nothing where it is missing."""
    if value is None or value != value:  # NaN is not itself
        return ()
    return tuple(dict.fromkeys(map(str, value))) if isinstance(value, tuple) else (str(value),)

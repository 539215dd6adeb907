"""Scores for many users against many items, in blocks of bounded memory; ranks of held-out items; best items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.errors import WhyrecError
from whyrec.interactions import Interactions, Rows
from whyrec.recommender import Recommender, Request, scores_of

BLOCK_FLOATS = 1 << 23
"""Numbers that one block of scores may hold at its widest: 32 MiB in single precision."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where each user's held-out items stand. A tie is never in favour of the held-out item."""

    users: Rows  # (users,)
    ranks: Tensor  # (users, held out) int64; 1 is the top, 0 is padding
    candidates: Tensor  # (users,) how many items were ranked


def block_size(model: Recommender, items: int) -> int:
    """Users whose scores for `items` items fit into one block."""
    return max(1, BLOCK_FLOATS // max(1, model.floats_per_user(items)))


@torch.no_grad()
def catalogue_scores(model: Recommender, users: Rows, known: Interactions | None) -> Iterator[tuple[Rows, Tensor]]:
    """Blocks of users and their scores for every item, (block, items), histories taken from `known`."""
    model.require_built()
    items = torch.arange(len(model.items), device=model.device)[None]
    size = block_size(model, len(model.items))
    for start in range(0, len(users), size):
        block = users[start : start + size]
        rows = torch.from_numpy(block).to(model.device)
        request = Request(rows, items, model.seen_by(rows, known), compact=True)
        yield block, _finite(model, scores_of(model, request))


def rank_in_catalogue(model: Recommender, known: Interactions, held_out: Interactions) -> Ranks:
    """Ranks of held-out items among all items the user does not know yet (the full protocol)."""
    users = torch.from_numpy(held_out.users).unique().numpy()
    found, candidates = [], []
    wanted = held_out.histories(users, length=held_out.item_count)  # (users, held out), -1 padded
    start = 0
    for block, scores in catalogue_scores(model, users, known):
        positives = torch.from_numpy(wanted[start : start + len(block)]).to(scores.device)
        others = torch.ones_like(scores, dtype=torch.bool)
        _clear(others, torch.from_numpy(known.histories(block, known.item_count)).to(scores.device))
        _clear(others, positives)
        found.append(_ranks(scores, positives, others))
        candidates.append(others.sum(1).cpu() + (positives >= 0).sum(1).cpu())
        start += len(block)
    return Ranks(users, torch.cat(found), torch.cat(candidates))


@torch.no_grad()
def rank_among(model: Recommender, known: Interactions, held_out: Interactions, negatives: Tensor) -> Ranks:
    """Ranks of held-out items among given negatives, (users, negatives), row = user, -1 padded (the sampled protocol).

    A negative that is one of the user's own held-out items collapses with it, as in the reference implementation of
    He et al. 2017, which scores into a dictionary.
    """
    users = torch.from_numpy(held_out.users).unique().numpy()
    wanted = torch.from_numpy(held_out.histories(users, length=held_out.item_count))
    size = block_size(model, wanted.shape[1] + negatives.shape[1])
    found, candidates = [], []
    for start in range(0, len(users), size):
        block = users[start : start + size]
        positives = wanted[start : start + size].to(model.device)
        drawn = negatives[torch.from_numpy(block)].to(model.device)
        items = torch.cat([positives, drawn], dim=1)
        rows = torch.from_numpy(block).to(model.device)
        request = Request(rows, items.clamp(min=0), model.seen_by(rows, known), compact=True)
        scores = _finite(model, scores_of(model, request))
        place = torch.arange(positives.shape[1], device=scores.device).expand_as(positives)
        others = items >= 0
        others[:, : positives.shape[1]] = False
        others &= ~_repeated(items)
        found.append(_ranks(scores, torch.where(positives >= 0, place, -1), others))
        candidates.append(others.sum(1).cpu() + (positives >= 0).sum(1).cpu())
    return Ranks(users, torch.cat(found), torch.cat(candidates))


def best_items(scores: Tensor, seen: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best unseen items of each user and their scores, (users, k); -1 and -inf where fewer are left.

    `seen` is (users, length) item rows, -1 padded.
    """
    left = scores.clone()
    left.scatter_reduce_(1, seen.clamp(min=0), torch.where(seen >= 0, -torch.inf, torch.inf).to(left), reduce="amin")
    top = left.topk(min(k, left.shape[1]), dim=1)
    return torch.where(top.values > -torch.inf, top.indices, -1), top.values


def _ranks(scores: Tensor, positives: Tensor, others: Tensor) -> Tensor:
    """Rank of each positive (columns of `scores`, -1 padded) among `others` and the positives themselves."""
    there = positives >= 0
    own = scores.gather(1, positives.clamp(min=0)).masked_fill(~there, -torch.inf)
    own = own.sort(dim=1, descending=True).values  # (users, held out)
    rivals = scores.masked_fill(~others, -torch.inf)
    ahead = torch.stack([(rivals >= own[:, place, None]).sum(1) for place in range(own.shape[1])], dim=1)
    place = torch.arange(1, own.shape[1] + 1, device=scores.device)
    return torch.where(torch.isfinite(own), ahead + place, 0).cpu()


def _repeated(items: Tensor) -> Tensor:
    """Which places of each row hold an item that stands further left, too; (users, items) bool."""
    ordered, places = items.sort(dim=1, stable=True)
    again = torch.zeros_like(ordered, dtype=torch.bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return torch.zeros_like(again).scatter_(1, places, again)


def _clear(mask: Tensor, items: Tensor) -> None:
    """Put False at each user's `items`, (users, length), -1 padded."""
    kept = torch.ones(mask.shape[0], mask.shape[1] + 1, dtype=torch.bool, device=mask.device)
    kept.scatter_(1, torch.where(items >= 0, items, mask.shape[1]), False)
    mask &= kept[:, :-1]


def _finite(model: Recommender, scores: Tensor) -> Tensor:
    if not torch.isfinite(scores).all():
        raise WhyrecError(f"{type(model).__name__} gave a score that is not a finite number; its training diverged")
    return scores

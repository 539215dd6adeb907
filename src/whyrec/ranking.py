"""Scores for many users against many items, in blocks of bounded memory; ranks of held-out items; best items."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from whyrec.errors import InvalidSetting, WhyrecError
from whyrec.interactions import Interactions, Rows
from whyrec.recommender import Recommender, Request, scores_of

BLOCK_BYTES = 1 << 22
"""What one block of scores takes at its widest unless somebody says otherwise. Of 1 to 32 MiB this ranked fastest:
smaller blocks repeat what is done for items, larger ones leave the processor's cache."""

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}

Memory = str | int | None
"""The most memory one block of scores may take: bytes, or "256MB"; None for the usual."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where each user's held-out items stand. A tie is never in favour of the held-out item."""

    users: Rows  # (users,)
    ranks: Tensor  # (users, held out) int64; 1 is the top, 0 is padding
    candidates: Tensor  # (users,) how many items were ranked


@torch.no_grad()
def catalogue_scores(
    model: Recommender, users: Rows, known: Interactions | None, *, max_memory: Memory = None
) -> Iterator[tuple[Rows, Tensor]]:
    """Blocks of users and their scores for every item, (block, items), histories taken from `known`.

    A block is nobody else's: whoever is given it may change it. Nothing looks at the numbers yet.
    """
    model.require_built()
    items = torch.arange(len(model.items), device=model.device)[None]
    size = block_size(model, model.floats_to_rank(), max_memory)
    for start in range(0, len(users), size):
        block = users[start : start + size]
        rows = torch.from_numpy(block).to(model.device)
        request = Request(rows, items, model.seen_by(rows, known), compact=True)
        yield block, scores_of(model, request)


def best_in_catalogue(
    model: Recommender,
    users: Rows,
    known: Interactions,
    k: int,
    *,
    exclude_seen: bool = True,
    max_memory: Memory = None,
) -> tuple[Tensor, Tensor]:
    """The k best items of each user that are not in `known`, and their scores, (users, k); as `best_items`.

    An item that a model scores with -inf is left out. NaN and +inf stand before all numbers, so looking at the lists
    alone finds them.
    """
    items, scores = [], []
    for block, found in catalogue_scores(model, users, known, max_memory=max_memory):
        if exclude_seen:
            _leave_out(found, known, block)
        best, value = _best(found, k)
        items.append(best.cpu())
        scores.append(value.cpu())
        _refuse_no_numbers(model, value.masked_fill(value == -torch.inf, 0.0))
        del found  # before the next block is made: one at a time
    return torch.cat(items), torch.cat(scores)


def best_items(scores: Tensor, seen: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best unseen items of each user and their scores, (users, k); -1 and -inf where fewer are left.

    `seen` is (users, length) item rows, -1 padded.
    """
    left = torch.cat([scores, scores[:, :1]], dim=1)  # padding is put into a column of its own
    left = left.scatter(1, torch.where(seen >= 0, seen, scores.shape[1]), -torch.inf)[:, :-1]
    return _best(left, k)


def rank_in_catalogue(
    model: Recommender, known: Interactions, held_out: Interactions, *, max_memory: Memory = None
) -> Ranks:
    """Ranks of held-out items among all items the user does not know yet (the full protocol)."""
    users = torch.from_numpy(held_out.users).unique().numpy()
    found, candidates = [], []
    wanted = held_out.histories(users, length=held_out.item_count)  # (users, held out), -1 padded
    start = 0
    for block, scores in catalogue_scores(model, users, known, max_memory=max_memory):
        _refuse_no_numbers(model, scores)
        positives = torch.from_numpy(wanted[start : start + len(block)]).to(scores.device)
        own = _own(scores, positives)
        _leave_out(scores, known, block)
        _leave_out(scores, held_out, block)
        found.append(_ranks(own, scores))
        candidates.append((scores > -torch.inf).sum(1).cpu() + (positives >= 0).sum(1).cpu())
        start += len(block)
        del scores
    return Ranks(users, torch.cat(found), torch.cat(candidates))


@torch.no_grad()
def rank_among(
    model: Recommender, known: Interactions, held_out: Interactions, negatives: Tensor, *, max_memory: Memory = None
) -> Ranks:
    """Ranks of held-out items among given negatives, (users, negatives), row = user, -1 padded (the sampled protocol).

    A negative that is one of the user's own held-out items collapses with it, as in the reference implementation of
    He et al. 2017, which scores into a dictionary.
    """
    users = torch.from_numpy(held_out.users).unique().numpy()
    wanted = torch.from_numpy(held_out.histories(users, length=held_out.item_count))
    width = wanted.shape[1] + negatives.shape[1]
    size = block_size(model, (0, model.floats_per_user(width)), max_memory)
    found, candidates = [], []
    for start in range(0, len(users), size):
        block = users[start : start + size]
        positives = wanted[start : start + size].to(model.device)
        drawn = negatives[torch.from_numpy(block)].to(model.device)
        items = torch.cat([positives, drawn], dim=1)
        rows = torch.from_numpy(block).to(model.device)
        request = Request(rows, items.clamp(min=0), model.seen_by(rows, known), compact=True)
        scores = scores_of(model, request)
        _refuse_no_numbers(model, scores)
        place = torch.arange(positives.shape[1], device=scores.device).expand_as(positives)
        others = items >= 0
        others[:, : positives.shape[1]] = False
        others &= ~_repeated(items)
        own = _own(scores, torch.where(positives >= 0, place, -1))
        found.append(_ranks(own, scores.masked_fill(~others, -torch.inf)))
        candidates.append(others.sum(1).cpu() + (positives >= 0).sum(1).cpu())
    return Ranks(users, torch.cat(found), torch.cat(candidates))


def block_size(model: Recommender, floats: tuple[int, int], max_memory: Memory = None) -> int:
    """Users that fit into one block, where scoring holds so many numbers: once a block, and for each user.

    Raises `InvalidSetting` where not even one user fits into what was asked for.
    """
    once, each = (amount * _bytes_of_a_number(model) for amount in floats)
    if max_memory is None:  # what is done anew for each block should not be most of the work
        return max(1, max(BLOCK_BYTES, once) // max(1, each))
    most = in_bytes(max_memory)
    if most < once + each:
        raise InvalidSetting(
            f"max_memory={max_memory!r} is too little: to score for one user alone, {type(model).__name__} takes "
            f"{once + each:,} bytes; give at least that"
        )
    return (most - once) // max(1, each)


def in_bytes(memory: str | int) -> int:
    """Bytes, given as such or with a unit: KB, MB and GB are powers of 1000, KiB, MiB and GiB of 1024.

    >>> in_bytes("1.5 MB"), in_bytes("2GiB"), in_bytes(4096)
    (1500000, 2147483648, 4096)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(\w*)", str(memory).strip().upper())
    if found is None or found[2] not in UNITS:
        raise InvalidSetting(f"max_memory={memory!r} is no amount of memory; write bytes, or a text such as '256MB'")
    return int(float(found[1]) * UNITS[found[2]])


def _bytes_of_a_number(model: Recommender) -> int:
    """Of the model's own numbers: 4 in single precision, 8 in double."""
    numbers = chain(model.parameters(), model.buffers())
    return next((tensor.element_size() for tensor in numbers if tensor.is_floating_point()), 4)


def _best(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k highest of each row and where they stand; -1 where only what is left out remains."""
    top = scores.topk(min(k, scores.shape[1]), dim=1)
    return torch.where(top.values > -torch.inf, top.indices, -1), top.values


def _leave_out(scores: Tensor, events: Interactions, users: Rows) -> None:
    """Put -inf at all items that `events` has of these users, the rows of `scores`. Changes them in place."""
    places, items = (torch.from_numpy(rows).to(scores.device) for rows in events.items_of(users))
    scores[places, items] = -torch.inf


def _own(scores: Tensor, positives: Tensor) -> Tensor:
    """Scores of each user's held-out items (columns of `scores`, -1 padded), the best first; -inf is padding."""
    found = scores.gather(1, positives.clamp(min=0)).masked_fill(positives < 0, -torch.inf)
    return found.sort(dim=1, descending=True).values


def _ranks(own: Tensor, rivals: Tensor) -> Tensor:
    """Rank of each of `own`, (users, held out), among themselves and `rivals`, (users, items); 0 is padding."""
    ahead = torch.stack([(rivals >= own[:, place, None]).sum(1) for place in range(own.shape[1])], dim=1)
    place = torch.arange(1, own.shape[1] + 1, device=own.device)
    return torch.where(own > -torch.inf, ahead + place, 0).cpu()


def _repeated(items: Tensor) -> Tensor:
    """Which places of each row hold an item that stands further left, too; (users, items) bool."""
    ordered, places = items.sort(dim=1, stable=True)
    again = torch.zeros_like(ordered, dtype=torch.bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return torch.zeros_like(again).scatter_(1, places, again)


def _refuse_no_numbers(model: Recommender, scores: Tensor) -> None:
    """One pass finds the least, the largest, and NaN where it is."""
    if not all(math.isfinite(extreme.item()) for extreme in scores.aminmax()):
        raise WhyrecError(f"{type(model).__name__} gave a score that is not a finite number; its training diverged")

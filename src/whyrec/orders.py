"""Orders in which units are taken away: by relevance with ties drawn, at random, and by greedy search."""

from __future__ import annotations

import torch
from torch import Tensor

from whyrec.attribution import Attribution
from whyrec.coalitions import Players

BLOCK_BOOLS = 1 << 20
"""Places in sets of units that are looked at together. With one set at a time a small network waits for Python."""

TIE_DRAWS = 8
"""Orders drawn where relevances tie; a check is averaged over them, so that no index decides."""


def by_relevance(players: Players, attribution: Attribution, generator: torch.Generator) -> Tensor:
    """Rank of every player, 0 the most relevant: (orders, users, items, players). Absent players come last.

    One order where all relevances differ, `TIE_DRAWS` where some tie.
    """
    relevance = players.join(attribution.relevance).masked_fill(~players.present, -torch.inf)
    if tied_share(relevance, players.present) == 0:
        return _ranks(relevance)[None]
    return torch.stack([_ranked(relevance, generator) for _ in range(TIE_DRAWS)])


def at_random(players: Players, count: int, generator: torch.Generator) -> Tensor:
    """`count` random orders of the present players, absent ones last."""
    luck = torch.rand(count, *players.present.shape, generator=generator, dtype=torch.float64)
    return _ranks(luck.masked_fill(~players.present, -torch.inf))


def tied_share(relevance: Tensor, present: Tensor) -> float:
    """Share of present players whose relevance is exactly another present player's of the same list."""
    ordered = relevance.masked_fill(~present, torch.nan).sort(dim=-1).values
    same = ordered[..., 1:] == ordered[..., :-1]
    none = torch.zeros_like(same[..., :1])
    tied = torch.cat([none, same], dim=-1) | torch.cat([same, none], dim=-1)
    return float(tied.sum() / present.sum().clamp(min=1))


def greedy(players: Players, steps: int, *, remove: bool) -> Tensor:
    """A ceiling by search: step by step the player whose removal lowers the target most (or arrival lifts it most).

    Rank of every player, (1, users, items, players); those not chosen within `steps` share the ranks behind. Exact for
    affine scores, a lower bound of the true ceiling elsewhere, and blind to causes that stand in for each other.
    """
    left = players.present.clone()
    ranks = torch.full(left.shape, steps, dtype=torch.int64, device=left.device)
    one_hot = torch.eye(players.count, dtype=torch.bool, device=left.device)[:, None, None, :]
    for step in range(steps):
        chosen = players.present & ~left
        tried = chosen[None] | one_hot  # the set taken out, or the set put in
        worth = players.worth(players.present & ~tried if remove else tried & players.present).permute(1, 2, 0).double()
        gain = (-worth if remove else worth).masked_fill(~left, -torch.inf)
        best = gain.argmax(-1, keepdim=True)
        possible = left.gather(-1, best)
        ranks.scatter_(-1, best, torch.where(possible, step, ranks.gather(-1, best)))
        left.scatter_(-1, best, False)
    return ranks[None]


def removal_curve(players: Players, ranks: Tensor, steps: int) -> Tensor:
    """The target after 0, 1/steps, ... of all units went, rank 0 first; (steps + 1, orders, users, items)."""
    count = players.present.sum(-1, keepdim=True)
    gone = torch.round(count * torch.arange(steps + 1, device=count.device).view(-1, 1, 1, 1) / steps)
    size = max(1, BLOCK_BOOLS // max(1, ranks.numel()))
    blocks = [players.present & (ranks >= some.unsqueeze(1)) for some in gone.split(size)]
    return torch.cat([players.worth(keep.flatten(0, 1)).unflatten(0, keep.shape[:2]) for keep in blocks])


def _ranked(relevance: Tensor, generator: torch.Generator) -> Tensor:
    """Ranks by relevance, equal values in a random order."""
    shuffled = torch.rand(relevance.shape, generator=generator).argsort(dim=-1).to(relevance.device)
    place = relevance.gather(-1, shuffled).argsort(dim=-1, descending=True, stable=True)
    return _inverse(shuffled.gather(-1, place))


def _ranks(values: Tensor) -> Tensor:
    return _inverse(values.argsort(dim=-1, descending=True, stable=True))


def _inverse(order: Tensor) -> Tensor:
    places = torch.arange(order.shape[-1], device=order.device).expand(order.shape)
    return torch.empty_like(order).scatter_(-1, order, places)

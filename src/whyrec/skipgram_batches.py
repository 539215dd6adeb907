"""Skip-gram with negative sampling in PyTorch, for GPUs: the same loss as `skipgram`, descended to by batches of walks.

The pairs of a batch move the vectors together, each by what it would have moved them alone. On a CPU the compiled loop
is much faster.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from whyrec.skipgram import (
    NOISE_EXPONENT,
    Embedded,
    SkipGram,
    SkipGramEpoch,
    chance_to_stay,
    epoch_of,
    first_vectors,
    frequencies,
    rates,
    refuse_no_numbers,
)

WALKS_AT_ONCE = 1024
"""Walks whose pairs are made, and mixed, together."""
PAIRS_PER_NODE = 2
"""Pairs of a batch for each node of the graph: with many more, all move one vector at once, and throw it too far."""


def skipgram_loss(
    vectors: Tensor, contexts: Tensor, centres: Tensor, near: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """The loss of each pair and of each of its noise nodes, (pairs,) and (pairs, negatives), in nats.

    `vectors` and `contexts` are (nodes, factors), `centres` and `near` (pairs,) and `noise` (pairs, negatives) rows.
    Noise that is the context itself is left out: its loss is 0, as in the compiled loop.
    """
    centre = vectors[centres]
    lure = torch.einsum("pf,pnf->pn", centre, contexts[noise])
    positives = -F.logsigmoid((centre * contexts[near]).sum(-1))
    return positives, -F.logsigmoid(-lure) * (noise != near[:, None])


def embed_walks_by_batches(
    walks: NDArray[np.int32],
    node_count: int,
    skipgram: SkipGram | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
) -> Embedded:
    """Vectors of all nodes, learned from `walks` on `device`; as `embed_walks`, without Numba.

    >>> two_cliques = np.array([[0, 1, 2, 0, 2, 1], [3, 4, 5, 4, 3, 5]] * 50, dtype=np.int32)
    >>> x = embed_walks_by_batches(two_cliques, 6, SkipGram(factors=8, window=2, epochs=20)).vectors
    >>> bool(x[0] @ x[1] > x[0] @ x[3])
    True
    """
    asked = skipgram or SkipGram()
    counts = frequencies(walks, node_count)
    vectors, contexts = (
        torch.from_numpy(table).to(device).requires_grad_() for table in first_vectors(node_count, asked.factors, seed)
    )
    noise = torch.from_numpy(counts**NOISE_EXPONENT).to(device)
    stays = torch.from_numpy(chance_to_stay(counts, asked.subsample)).to(device)
    chance = torch.Generator(device).manual_seed(seed)
    optimizer = torch.optim.SGD([vectors, contexts], lr=asked.learning_rate)
    log: list[SkipGramEpoch] = []
    for epoch in range(asked.epochs):
        first, last = rates(asked, epoch)
        losses = torch.zeros(4, dtype=torch.float64, device=device)
        for start in range(0, len(walks), WALKS_AT_ONCE):
            optimizer.param_groups[0]["lr"] = first + (last - first) * start / len(walks)
            batch = torch.from_numpy(walks[start : start + WALKS_AT_ONCE]).to(device, torch.int64)
            pairs = _pairs(_thinned(batch, stays, chance), asked.window, chance)
            for centres, near in zip(*(part.split(PAIRS_PER_NODE * node_count) for part in pairs), strict=True):
                size = len(near), asked.negatives
                lures = torch.multinomial(noise, size[0] * size[1], replacement=True, generator=chance).reshape(size)
                positives, negatives = skipgram_loss(vectors, contexts, centres, near, lures)
                optimizer.zero_grad()
                (positives.sum() + negatives.sum()).backward()
                optimizer.step()
                with torch.no_grad():
                    pairs_of = near.new_tensor(size[0]), (lures != near[:, None]).sum()
                    losses += torch.stack([positives.sum(), pairs_of[0], negatives.sum(), pairs_of[1]]).double()
        log.append(epoch_of(epoch, losses.cpu().numpy()))
    found = [table.detach().cpu().numpy() for table in (vectors, contexts)]
    refuse_no_numbers(found[0])
    return Embedded(found[0], found[1], tuple(log), threads=1)


def _thinned(walks: Tensor, stays: Tensor, chance: torch.Generator) -> Tensor:
    """Frequent nodes left out by chance, the others moved up; -1 behind the end."""
    there = walks >= 0
    there &= torch.rand(walks.shape, generator=chance, device=walks.device) < stays[walks.clamp(min=0)]
    order = (~there).long().argsort(dim=1, stable=True)
    return torch.where(there, walks, -1).gather(1, order)


def _pairs(walks: Tensor, window: int, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each node of the walks with those within its reach, drawn from 1 to `window`, in any order; (pairs,) each."""
    reach = torch.randint(1, window + 1, walks.shape, generator=chance, device=walks.device)
    centres, near = [], []
    for step in range(1, window + 1):
        early, late = walks[:, :-step], walks[:, step:]
        both = late >= 0
        for one, other, far in ((early, late, reach[:, :-step]), (late, early, reach[:, step:])):
            meant = both & (far >= step)
            centres.append(one[meant])
            near.append(other[meant])
    ends = torch.stack([torch.cat(centres), torch.cat(near)])
    mixed = ends[:, torch.randperm(ends.shape[1], generator=chance, device=walks.device)]
    return mixed[0], mixed[1]

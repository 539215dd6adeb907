"""Relevance of distances in closed form, without a division: each squared difference is shared by what makes it.

    d = sum_k w_k (a_k - b_k)^2:   R_a = w a (a - b),   R_b = -w b (a - b),   R_a + R_b = d

This is what rules give a score written with plain operations (differences share by value, squares are products of two
equal factors); here it costs one pass over the features. Relevance of a distance speaks against similarity: for a
score c - d change the sign, and leave c to the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.errors import InvalidSetting


@dataclass(frozen=True, slots=True)
class StrongestFeatures:
    """The features that contribute most, and how much of the whole they are."""

    kept: Tensor  # (..., features) bool
    retained: Tensor  # (...): their share of the sum of all sizes, from 0 to 1


def weighted_distance(a: Tensor, b: Tensor, weights: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """Relevance of both sides of sum w (a - b)^2, each like `a`: (..., features).

    >>> a, b = torch.tensor([2.0, 1.0]), torch.tensor([1.0, 3.0])
    >>> [one.tolist() for one in weighted_distance(a, b)]
    [[2.0, -2.0], [-1.0, 6.0]]
    """
    pull = weights * (a - b)
    return a * pull, -b * pull


def personal_distance(a: Tensor, b: Tensor, projection: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Relevance of both sides of sum_l u_l ((a - b) Y)_l^2, a low-rank Mahalanobis distance with a user's weights u.

    `projection` Y is (features, rank), `weights` u is (..., rank).
    """
    pull = (weights * ((a - b) @ projection)) @ projection.mT
    return a * pull, -b * pull


def strongest_features(contributions: Tensor, k: int) -> StrongestFeatures:
    """The k features with the largest contributions, by size, and the share of all sizes that they retain."""
    if not 1 <= k <= contributions.shape[-1]:
        raise InvalidSetting(f"k={k}: from 1 to {contributions.shape[-1]} of the features can be kept")
    sizes = contributions.abs()
    places = sizes.topk(k, dim=-1).indices
    kept = torch.zeros_like(sizes, dtype=torch.bool).scatter(-1, places, True)
    whole = sizes.sum(-1)
    retained = torch.where(whole == 0, 0.0, torch.where(kept, sizes, 0.0).sum(-1) / whole)
    return StrongestFeatures(kept, retained.clamp(max=1.0))

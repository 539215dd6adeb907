"""Checks of an explanation, one a file.

A check of an *order* looks at what the target does when units go in that order; a check of an *explainer* looks at what
the explanation does when the model or the user changes; a check of an *attribution* looks at its account; a check of
*relevance* holds sums of it against what removing sets of units does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from whyrec.coalitions import Players

SETS = 200
SHARES = (0.05, 0.1, 0.2)
"""Share of the units in a set, in turn."""


def said_and_fell(players: Players, relevance: Tensor, purpose: str) -> tuple[Tensor, Tensor]:
    """What random sets of units are said to bring, and how far the target falls without each.

    Both are (sets, users, items) float64. `relevance` is (users, items, players), as `Players.join` gives it.
    """
    share = torch.tensor(SHARES, dtype=torch.float64, device=relevance.device)[torch.arange(SETS) % len(SHARES)]
    sizes = (players.present.sum(-1) * share[:, None, None]).ceil()
    removed = players.random_sets(sizes, purpose)  # (sets, users, items, players)
    fell = players.worth(players.present[None]) - players.worth(players.present & ~removed)
    return (relevance * removed).sum(-1).double(), fell.double()

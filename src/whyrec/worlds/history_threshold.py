"""Past items that stand in for each other: so many of a group are enough.

    f = b 1[at least t of the group's items are there],   s of them are          phi_j = b / s for each of the s

With more than t of them, no single removal changes anything: leave-one-out sees nothing, and greedy search is lost. The
step is a ramp between whole numbers, so gradients exist, and vanish just as well.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.planted_histories import PAST, USERS_PER_LIST, HistoryModel, ask_lists, basket, build, of_past
from whyrec.planted_truth import ITEMS, UNITS, PlantedTruth, World, nothing_like, sizes
from whyrec.recommender import Inputs

GROUP = PAST // ITEMS
"""Past items in the group of each recommended one."""

MEMBERS = (2, 3, 4)
"""How many of a group's items are there, where they are enough."""


class _Threshold(HistoryModel):
    members: Tensor  # (ITEMS, PAST) 1 for those of the group
    enough: Tensor  # (ITEMS,) 1 or 2
    gains: Tensor  # (ITEMS,)

    def make(self, user_count: int, item_count: int) -> None:
        recommended = item_count - PAST
        self.register_buffer("members", torch.eye(recommended, dtype=torch.float64).repeat_interleave(GROUP, dim=1))
        self.register_buffer("enough", 1.0 + torch.arange(recommended, dtype=torch.float64) % 2)
        self.register_buffer("gains", sizes(recommended, least=2.0, most=4.0))

    def planted(self, inputs: Inputs) -> Tensor:
        beyond = F.linear(basket(inputs), self.members) - self.enough
        return self.gains * (F.relu(beyond + 1) - F.relu(beyond))


def history_threshold(lists: int = 100, *, seed: int = 0) -> World:
    """A few items of a group are enough, and there are more: single removals and gradients are blind."""
    generator, model = np.random.default_rng(seed), _Threshold()
    taken = torch.from_numpy(generator.integers(PAST, PAST + ITEMS, size=lists * USERS_PER_LIST))
    build(model, len(taken), seed)
    request = ask_lists(model, _histories(taken, generator), taken, generator)
    members = of_past(model.members, request)  # (users, items, length)
    counts = members.sum(-1)
    wanted = request.items - PAST
    reached = counts >= model.enough[wanted]
    share = torch.where(reached, model.gains[wanted] / counts.clamp(min=1), 0.0)
    shapley = {"history": members * share.unsqueeze(-1)}
    causes = {"history": shapley["history"] != 0}
    return World("history_threshold", model, request, PlantedTruth(shapley, causes, nothing_like(shapley)))


def _histories(taken: Tensor, generator: np.random.Generator) -> Tensor:
    """Twelve past items, two to four from the group of what was taken, two or three from each other one they meet."""
    histories = np.empty((len(taken), UNITS), dtype=np.int64)
    for user, item in enumerate((taken - PAST).tolist()):
        others = generator.permutation([one for one in range(ITEMS) if one != item])
        found = [generator.permutation(GROUP)[: generator.choice(MEMBERS)] + item * GROUP]
        found += [generator.permutation(GROUP)[: generator.integers(2, 4)] + other * GROUP for other in others]
        histories[user] = generator.permutation(np.concatenate(found)[:UNITS])
    return torch.from_numpy(histories)

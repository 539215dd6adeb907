"""Whether answers are right, as they were given, and given again while the model cannot see some units.

An answer is one place of one list. Lists are made again from the whole catalogue, so that a unit that was out of sight
may let a better item in.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyrec.errors import BadInput, InvalidSetting
from whyrec.interactions import Interactions, Rows
from whyrec.ranking import best_items, block_size
from whyrec.recommendations import Recommendations
from whyrec.recommender import Inputs, Recommender, Request, keep_only, scores_of
from whyrec.statistics import Array, Estimate, mean_interval
from whyrec.targets import seen_of

Right = Interactions | Tensor | NDArray[np.bool_]
"""What would have been right, as held-out events; or whether each answer is right, (lists,) or (lists, places) bool."""

Mask = NDArray[np.bool_]


def answers_that_count(lists: Recommendations, right: Right) -> tuple[Array, Mask]:
    """Which places are right, 1 or 0, and which can be judged at all; (lists, places) each.

    Empty places cannot, nor, where `right` is events, lists of users who have none.
    """
    there = lists.present.numpy()
    if isinstance(right, Interactions):
        users = _known_users(lists, right)
        has = right.user_counts[users] > 0
        return _among(right, users, lists.item_rows.numpy()).astype(np.float64), there & has[:, None]
    given = np.asarray(right.cpu() if isinstance(right, Tensor) else right)
    if given.dtype != np.bool_ or given.shape not in (there.shape, there.shape[:1]):
        raise InvalidSetting(
            f"right is {given.dtype} of shape {given.shape}; give held-out events, or bools of shape {there.shape}: "
            "whether each place of each list is right"
        )
    return np.broadcast_to(given.reshape(len(given), -1), there.shape).astype(np.float64), there


def accuracy(right: Array, lists: Rows, *, seed: int = 0) -> Estimate:
    """Share of right answers: of each list first, then the mean over lists, which are users; (answers,) each."""
    _, user, count = np.unique(lists, return_inverse=True, return_counts=True)
    return mean_interval(np.bincount(user, right, minlength=len(count)) / np.maximum(count, 1), seed=seed)


@torch.no_grad()
def right_without(
    model: Recommender, lists: Recommendations, held_out: Interactions, rows: Rows, part: str, gone: Mask
) -> Array:
    """Which places are right, (rows, places) of 1 and 0, when some lists are made again without units of a part.

    `rows` says which lists, and `gone` (rows, units) which units, their axes flattened. Candidates are the items that
    were in the list and all that its owner has not seen.
    """
    chosen, hidden = torch.from_numpy(rows), torch.from_numpy(gone)
    found = []
    for block in torch.arange(len(rows)).split(block_size(model, (0, model.floats_per_user(len(model.items))))):
        request, listed = _request(model, lists, chosen[block]), lists.item_rows[chosen[block]].to(model.device)
        scores = _scores_without(model, request, part, hidden[block].to(model.device))
        seen = seen_of(model, request)
        back = (seen[:, :, None] == listed[:, None, :]).any(-1)
        found.append(best_items(scores, seen.masked_fill(back, -1), listed.shape[1])[0].cpu())
    return _among(held_out, _known_users(lists, held_out)[rows], torch.cat(found).numpy()).astype(np.float64)


def can_be_taken_away(model: Recommender, lists: Recommendations, part: str) -> bool:
    """Whether units of a part are the user's: one that each item brings for itself is no one unit for all of them."""
    if model.unit_kinds[part] == "past item":
        return True
    inputs: Inputs = model.embed(_request(model, lists, torch.zeros(1, dtype=torch.int64)))
    return inputs[part].values.shape[1] == 1


def _scores_without(model: Recommender, request: Request, part: str, gone: Tensor) -> Tensor:
    if model.unit_kinds[part] == "past item":
        return scores_of(model, Request(request.users, request.items, request.history, gone, compact=True))
    inputs = model.embed(request)
    keep = ~gone.reshape(len(gone), 1, *inputs[part].present.shape[2:])
    return model.score(keep_only(inputs, {part: keep}))


def _request(model: Recommender, lists: Recommendations, rows: Tensor) -> Request:
    """The whole catalogue for the owners of some lists."""
    everything = torch.arange(len(model.items), device=model.device)[None]
    return Request(lists.user_rows[rows].to(model.device), everything, lists.history[rows].to(model.device))


def _known_users(lists: Recommendations, events: Interactions) -> Rows:
    """Rows of the lists' owners; raises where somebody new is among them, or the events are of another model."""
    users: Rows = lists.user_rows.numpy()
    if (users < 0).any():
        raise BadInput("a list is of somebody new, who has no held-out events; say what is right with bools")
    if (events.user_count, events.item_count) != (len(lists.users), len(lists.items)):
        raise BadInput(
            f"the events are of {events.user_count:,} users and {events.item_count:,} items, and the lists of "
            f"{len(lists.users):,} and {len(lists.items):,}; count rows as the model does"
        )
    return users


def _among(events: Interactions, users: Rows, items: Rows) -> Mask:
    """Which items are among the events of their user, (users, places); False for an empty place."""
    pairs = users[:, None] * events.item_count + np.maximum(items, 0)
    return np.isin(pairs, events.pairs) & (items >= 0)

"""Two pictures that go together because both show a motif; a watermark that both may show, too.

    z = b + alpha 1[motif in A] 1[motif in B] + w 1[watermark in A] 1[watermark in B]

    phi = alpha / 2 for the patch with the motif in each picture, w / 2 for the two with the watermark

By default w is 0: most pictures of the left side and most of the right one carry the watermark, and it moves nothing.
With w > 0 a true explanation has to move. Motifs stand anywhere, so the middle of a picture is no good guess, and other
patches resemble the motif without being one.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from whyrec.planted_truth import ITEMS, PlantedModel, PlantedTruth, World, numbered, random_lists
from whyrec.recommender import Inputs, Part, Request, UnitKind

HIGH, WIDE, PIXELS = 2, 3, 9
"""Patches of a picture, and pixels of a patch."""

MARKED = 0.7
"""Share of the pictures with a watermark."""

ALPHA, BIAS = 3.0, -1.0


class _MotifPair(PlantedModel):
    left: Tensor  # (users, HIGH, WIDE, PIXELS)
    right: Tensor  # (ITEMS, HIGH, WIDE, PIXELS)
    signs: Tensor  # (2, PIXELS) the motif and the watermark, at right angles and of length one

    def __init__(self, watermark: float) -> None:
        super().__init__()
        self.watermark = watermark

    def make(self, user_count: int, item_count: int) -> None:
        self.register_buffer("signs", torch.linalg.qr(torch.randn(PIXELS, 2, dtype=torch.float64))[0].T.contiguous())
        self.register_buffer("left", _pictures(user_count, self.signs))
        self.register_buffer("right", _pictures(item_count, self.signs))

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {"left": "patch", "right": "patch"}

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        return f"{part} picture, row {unit // WIDE + 1}, column {unit % WIDE + 1}"

    def units(self, request: Request) -> Inputs:
        right = self.right[request.items.expand(len(request.users), -1)]
        return {"left": Part.of(self.left[request.users][:, None]), "right": Part.of(right)}

    def planted(self, inputs: Inputs) -> Tensor:
        seen = [_shown(inputs[side].values, self.signs).sum((2, 3)) for side in ("left", "right")]  # (users, items, 2)
        motif, watermark = (seen[0] * seen[1]).unbind(-1)
        return (BIAS + ALPHA * motif + self.watermark * watermark).unsqueeze(-1)

    def score(self, inputs: Inputs) -> Tensor:
        """The same function of two pictures, whichever item the right one shows."""
        return self.planted(inputs).squeeze(-1)


def image_motif_pair(lists: int = 100, *, seed: int = 0, watermark: float = 0.0) -> World:
    """Two pictures with a motif in common, and a watermark that the model ignores unless it is given a weight."""
    model = _MotifPair(watermark).build(numbered(lists, "user"), numbered(ITEMS, "item"), seed=seed)
    request = random_lists(lists, seed)
    inputs = model.units(request)
    shape = (lists, request.items.shape[1], HIGH, WIDE)
    motif, mark = ({}, {})
    for side, part in inputs.items():
        motif[side], mark[side] = (_shown(part.values, model.signs) > 0.5).expand(*shape, 2).unbind(-1)
    both = torch.stack([mark[side].flatten(2).any(-1) for side in mark]).all(0)[..., None, None]
    moves = both & (watermark != 0)
    shapley = {side: ALPHA / 2 * motif[side].double() + watermark / 2 * (mark[side] & both) for side in motif}
    causes = {side: motif[side] | (mark[side] & moves) for side in motif}
    decoys = {side: mark[side] & ~moves for side in motif}
    return World("image_motif_pair", model, request, PlantedTruth(shapley, causes, decoys))


def _shown(patches: Tensor, signs: Tensor) -> Tensor:
    """1 where a patch shows the motif, or the watermark, 0 where it does not: (..., PIXELS) -> (..., 2)."""
    return F.relu(F.linear(patches, signs) * 2 - 1)


def _pictures(count: int, signs: Tensor) -> Tensor:
    """Pictures of noise, (count, HIGH, WIDE, PIXELS): one patch has the motif, in most another the watermark."""
    patches = HIGH * WIDE
    noise = torch.randn(count, patches, PIXELS, dtype=torch.float64) / 3
    noise = noise - noise @ signs.T @ signs
    likeness = torch.rand(count, patches, 2, dtype=torch.float64) * 0.8 - 0.4  # below what counts as shown
    places = torch.rand(count, patches).argsort(1)
    likeness[torch.arange(count), places[:, 0]] = torch.tensor([1.0, 0.0], dtype=torch.float64)
    marked = torch.rand(count) < MARKED
    likeness[marked, places[marked, 1]] = torch.tensor([0.0, 1.0], dtype=torch.float64)
    pictures: Tensor = (noise + likeness @ signs).unflatten(1, (HIGH, WIDE))
    return pictures

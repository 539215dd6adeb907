"""Do maps tell the truth: regions are replaced by noise in their order, and score and relation are watched.

Samek et al. 2017, Evaluating the visualization of what a deep neural network has learned: squares of pixels, replaced
by uniform noise, the most relevant first, the least relevant first, or at random. Which relation survives is the
question of Bharadhwaj 2018, who perturbs one picture and asks what it still has to do with the other as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from whyrec.errors import InvalidSetting
from whyrec.pictures import MEAN, SPREAD
from whyrec.relation_maps import RelationMaps
from whyrec.visual_relation import BLOCK, VisualRelation

Order = Literal["most relevant first", "random", "least relevant first"]
Side = Literal["query", "item", "both"]
SIDES: dict[Side, tuple[int, ...]] = {"query": (0,), "item": (1,), "both": (0, 1)}
ORDERS: tuple[Order, ...] = ("most relevant first", "random", "least relevant first")

NONE = "none"
"""What survives where no score is above 0."""

Curve = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RelationSurvival:
    """What is left of a relation while regions are replaced; averages over pairs. Step 0 is the whole picture."""

    relation: str
    pairs: int
    region: int
    """Pixels from edge to edge of a region."""
    side: Side
    """Which pictures of the pairs are perturbed."""
    replaced: Curve  # (steps + 1,) share of their regions
    scores: Mapping[Order, Curve]  # order -> (steps + 1,) mean score of the relation
    survives: Mapping[Order, Mapping[str, Curve]]
    """Order -> relation, or none -> (steps + 1,) share of the pairs whose highest score is that relation's."""

    def fall(self, order: Order) -> float:
        """How far the score falls on average over all steps: the area over the perturbation curve."""
        curve = self.scores[order]
        return float((curve[0] - curve[1:]).mean())

    @property
    def between(self) -> float:
        """The area between both orders: above 0 where maps tell what matters, 0 for a map that says nothing."""
        return self.fall("most relevant first") - self.fall("least relevant first")


@torch.no_grad()
def perturb_pairs(
    model: VisualRelation,
    maps: RelationMaps,
    *,
    region: int = 8,
    steps: int | None = None,
    side: Side = "query",
    seed: int = 0,
) -> RelationSurvival:
    """Replace regions of a picture of each pair, one after the other, by uniform noise.

    Regions of both pictures, where both are perturbed, stand in one order. Two pictures that have both lost what they
    had in common may look alike again, so that is another question. All orders get the same noise, drawn from `seed`.
    `steps` is how many regions are replaced, all of them where it is not given.
    """
    height, width = maps.query.shape[1:]
    if region < 1 or height % region or width % region:
        raise InvalidSetting(f"region={region} does not divide pictures of {height} x {width}; choose one that does")
    if side not in SIDES:
        raise InvalidSetting(f"side={side!r}: there are {', '.join(SIDES)}")
    asked = list(SIDES[side])
    amounts = F.avg_pool2d(maps.both[:, asked], region).flatten(1)  # (pairs, regions)
    count = amounts.shape[1] if steps is None else min(steps, amounts.shape[1])
    if count < 1:
        raise InvalidSetting(f"steps={steps}: replace at least one region")
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(len(maps), 2, 3, height, width, generator=generator)
    mean, spread = (torch.tensor(one)[:, None, None] for one in (MEAN, SPREAD))
    noise, whole = (noise - mean) / spread, model.require_looks().of(maps.rows)
    ranks: dict[Order, Tensor] = {
        "most relevant first": (-amounts).argsort(dim=1, stable=True).argsort(1),
        "random": torch.rand(amounts.shape, generator=generator).argsort(1).argsort(1),
        "least relevant first": amounts.argsort(dim=1, stable=True).argsort(1),
    }
    found = dict[Order, Tensor]()  # (steps + 1, pairs, relations)
    for order in ORDERS:
        steps_taken = list[Tensor]()
        for step in range(count + 1):
            shown = whole.clone()
            gone = _gone(ranks[order], step, len(asked), height // region, region)
            shown[:, asked] = torch.where(gone, noise[:, asked], whole[:, asked])
            steps_taken.append(_scores(model, shown))
        found[order] = torch.stack(steps_taken)
    place = model.relations.index(maps.relation)
    return RelationSurvival(
        maps.relation,
        len(maps),
        region,
        side,
        np.arange(count + 1) / amounts.shape[1],
        {order: scores[:, :, place].mean(1).double().numpy() for order, scores in found.items()},
        {order: _survivors(scores, model.relations) for order, scores in found.items()},
    )


def _gone(ranks: Tensor, step: int, sides: int, down: int, region: int) -> Tensor:
    """Which pixels are replaced after some steps, (pairs, sides, 1, height, width) bool."""
    cut = "pair (side one down across) -> pair side one down across"
    gone = rearrange(ranks < step, cut, side=sides, one=1, down=down)
    return gone.repeat_interleave(region, 3).repeat_interleave(region, 4)


def _scores(model: VisualRelation, pictures: Tensor) -> Tensor:
    """Scores of pairs of pictures under each relation, (pairs, relations)."""
    flat = pictures.flatten(0, 1).to(model.threshold)
    seen = torch.cat([model.features(part) for part in flat.split(BLOCK)]).unflatten(0, (len(pictures), 2))
    first, second = seen.unbind(1)
    far = [model.distance(first, second, place, model.whose) for place in range(len(model.relations))]
    return (model.threshold - torch.stack(far, dim=1)).cpu()


def _survivors(scores: Tensor, relations: tuple[str, ...]) -> dict[str, Curve]:
    best = torch.where(scores.amax(2) > 0, scores.argmax(2), len(relations))  # (steps + 1, pairs)
    return {name: (best == place).double().mean(1).numpy() for place, name in enumerate((*relations, NONE))}

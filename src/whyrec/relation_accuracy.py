"""How often a model is right about which products go together, beside as many pairs that nobody linked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyrec.product_links import ProductLinks, unlinked
from whyrec.statistics import Estimate, wilson
from whyrec.visual_relation import VisualRelation


@dataclass(frozen=True, eq=False)
class RelationAccuracy:
    """Accuracy of each relation with its 95 % interval; chance is .5. Printing it shows a table."""

    by_relation: Mapping[str, Estimate]

    @property
    def mean(self) -> float:
        """The mean over relations."""
        return float(np.mean([one.value for one in self.by_relation.values()]))

    def __str__(self) -> str:
        wide = max(map(len, self.by_relation), default=0)
        return "\n".join(
            f"{name:<{wide}}  {one.value:.3f} ({one.low:.3f} to {one.high:.3f}, {one.n:,} pairs)"
            for name, one in self.by_relation.items()
        )


def evaluate_relations(
    model: VisualRelation, links: ProductLinks, known: ProductLinks | None = None, *, seed: int = 0
) -> RelationAccuracy:
    """The share of pairs told right, half of them linked and half drawn at random: McAuley et al. 2015, section 4.1.

    A pair is said to be linked where its score is above 0, that is its distance below the threshold. `known` are all
    links there are, so that none of them is taken for a pair that nobody linked; `links` alone where it is not given.
    """
    others = unlinked(links, links if known is None else known, seed=seed)
    right = np.stack([pair_scores(model, links) > 0, pair_scores(model, others) <= 0])  # (2, links)
    found = {}
    for place, name in enumerate(links.relations):
        asked: NDArray[np.bool_] = right[:, links.relation == place]
        if asked.size:
            found[name] = wilson(int(asked.sum()), asked.size)
    return RelationAccuracy(found)


@torch.no_grad()
def pair_scores(model: VisualRelation, links: ProductLinks) -> NDArray[np.float64]:
    """The score of each pair under its own relation, for its own user, (links,)."""
    table, device = model.eval().seen(), model.device
    found = list[Tensor]()
    for rows in np.array_split(np.arange(len(links)), max(1, len(links) // 4096)):
        query, item, relation, user = (
            torch.from_numpy(one[rows]).to(device) for one in (links.query, links.item, links.relation, links.members)
        )
        far = model.distance(table[query], table[item], relation, user)
        found.append(model.threshold[relation] - far)
    return torch.cat(found).double().cpu().numpy()

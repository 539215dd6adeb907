"""Lists for a product, one for each relation: what goes together with it, in which sense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.interactions import Id
from whyrec.pictures import Pictures
from whyrec.ranking import Memory
from whyrec.recommendations import Recommendations, recommend
from whyrec.relation_maps import Evidence, RelationMaps, explain_pairs
from whyrec.visual_relation import VisualRelation


@dataclass(frozen=True, eq=False)
class RelatedProducts:
    """One product and the best others under each relation. Printing it shows the lists."""

    query: Id
    title: str
    lists: Mapping[str, Recommendations]
    pictures: Mapping[Id, Tensor]
    """Of the product and all that is recommended, (3, height, width) uint8; empty for a model of features."""
    maps: Mapping[str, RelationMaps]
    """Relation -> why, one pair for each place of its list; empty where nobody asked."""

    def __str__(self) -> str:
        lists = "\n".join(f"{relation}\n{str(found).split(chr(10), 1)[1]}" for relation, found in self.lists.items())
        return f"{self.title}\n{lists}"


def recommend_related(
    model: VisualRelation,
    query: Id,
    *,
    k: int = 3,
    user: Id | None = None,
    explained: bool = False,
    evidence: Evidence = "match",
    max_memory: Memory = None,
) -> RelatedProducts:
    """The `k` best products to go with `query` under each relation, for one user where the distance is personal.

    All products are compared, in blocks. With `explained` each pair comes with its maps.

    >>> import whyrec as wr
    >>> made = wr.planted_pictures(pictures=40, links=30)
    >>> model = wr.VisualRelation(wr.ImageNetwork.small(width=4, depth=2))
    >>> model = wr.fit_relations(model, made, training=wr.Training(epochs=1))
    >>> found = recommend_related(model, "p3", k=2)
    >>> {name: len(lists.lines(0)) for name, lists in found.lists.items()}["also_bought"]
    2
    """
    model.require_built()
    seen, users = model.looked(), [query]
    with torch.no_grad():
        lists = {
            one: recommend(seen.under(one, user=user), users, k=k, max_memory=max_memory) for one in model.relations
        }
    maps = {
        one: explain_pairs(
            seen, [(query, line.item) for line in lists[one].lines(0)], one, user=user, evidence=evidence
        )
        for one in (model.relations if explained else ())
    }
    shown = [query, *(line.item for found in lists.values() for line in found.lines(0))]
    title = model.items.title(int(model.items.vocabulary.rows([query])[0]))
    return RelatedProducts(query, title, lists, _pictures(model, shown), maps)


def _pictures(model: VisualRelation, ids: list[Id]) -> dict[Id, Tensor]:
    if not isinstance(model.looks, Pictures):
        return {}
    rows = model.items.vocabulary.rows(ids)
    return {one: model.looks.pixels[int(row)] for one, row in zip(ids, rows, strict=True)}

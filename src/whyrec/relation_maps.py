"""Why two products go together, pixel by pixel: relevance of both pictures for the score of a relation.

A distance says what keeps two pictures apart: where they agree it is zero, and so is its relevance. What brings them
together stands in its cross term, and the rest is what each picture has by itself,

    threshold - d(a, b)  =  threshold - sum u s_a^2 - sum u s_b^2  +  2 sum u s_a s_b

    evidence="match"       relevance of the cross term, half to either picture; the rest is in the ledger, as bias
    evidence="distance"    relevance of the whole distance, which speaks against

with s = Y (a - what products have on average) the directions that are compared and u how much a user cares: distances
do not see where their middle is, so it is where all products have it. Both are handed back through the network by a
plan of `composites`, and their ledgers close to rounding. Eberle et al. 2020 explain the cross term by pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor

from whyrec.attribution import Ledger, account
from whyrec.calls import Plan
from whyrec.composites import COMPOSITES, counts_layers
from whyrec.errors import InvalidSetting
from whyrec.interactions import Id
from whyrec.pair_relevance import bilrp
from whyrec.relevance import Relevance, Taken
from whyrec.visual_relation import VisualRelation

Evidence = Literal["match", "distance"]


@dataclass(frozen=True, eq=False)
class RelationMaps:
    """Relevance of the pixels of both pictures of some pairs, in units of the score. Positive speaks for it."""

    relation: str
    evidence: Evidence
    pairs: tuple[tuple[str, str], ...]
    """What the products are called."""
    rows: Tensor  # (pairs, 2) query and item
    query: Tensor  # (pairs, height, width) float64
    item: Tensor  # the same
    score: Tensor  # (pairs,) float64, above 0 where the model says that they go together
    apart: Tensor  # (pairs,) float64, their distance
    ledger: Ledger  # each (pairs, 1): where the score went
    pictures: Tensor  # (pairs, 2, 3, height, width) uint8

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def both(self) -> Tensor:
        """Maps of query and item, (pairs, 2, height, width)."""
        return torch.stack([self.query, self.item], dim=1)


@dataclass(frozen=True, eq=False)
class PatchPairs:
    """How much each pair of patches brings to the match of two products, in units of the score."""

    relation: str
    pairs: tuple[tuple[str, str], ...]
    rows: Tensor  # (pairs, 2)
    relevance: Tensor  # (pairs, down, across, down, across) float64; query first
    match: Tensor  # (pairs,) float64: the cross term, of which `relevance` is the part that pixels hold
    pictures: Tensor  # (pairs, 2, 3, height, width) uint8

    def strongest(self, pair: int, k: int) -> list[tuple[int, int, float]]:
        """The k pairs of patches that bring most, (patch of the query, patch of the item, relevance), best first."""
        table = self.relevance[pair].flatten(2).flatten(0, 1)
        top = table.flatten().topk(min(k, table.numel()))
        return [
            (place // table.shape[1], place % table.shape[1], value)
            for place, value in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        ]


def explain_pairs(
    model: VisualRelation,
    pairs: Sequence[tuple[Id, Id]],
    relation: str,
    *,
    user: Id | None = None,
    evidence: Evidence = "match",
    plan: str | Plan = "image",
) -> RelationMaps:
    """Explain why a model says that the products of each pair, query and item, go together or do not.

    `plan` is a name of `composites` or a plan of one's own. Pairs are explained together, a pair at no other's cost.

    >>> import whyrec as wr
    >>> made = wr.planted_pictures(pictures=40, links=30)
    >>> model = wr.VisualRelation(wr.ImageNetwork.small(width=4, depth=2))
    >>> model = wr.fit_relations(model, made, training=wr.Training(epochs=1))
    >>> why = explain_pairs(model, [("p1", "p2")], "also_viewed")
    >>> why.query.shape, bool(why.ledger.gap.abs().max() < 1e-4)
    (torch.Size([1, 24, 24]), True)
    """
    chosen = _plan(plan)
    if evidence not in ("match", "distance"):
        raise InvalidSetting(f"evidence={evidence!r}: there are 'match' and 'distance'")
    asked, rows = model.under(relation, user=user), _rows(model, pairs)
    pictures = asked.require_looks()
    leaf = pictures.of(rows.to(asked.device)).to(asked.threshold.dtype).requires_grad_()
    taken = Taken((len(rows),), leaf.device)
    with torch.enable_grad(), Relevance(chosen, taken) as mode:
        mode.follow(leaf)
        seen = asked.features(leaf.flatten(0, 1)).unflatten(0, (len(rows), 2))
        target = _target(asked, seen, evidence)
    relevance = _handed_back(mode, leaf, target).sum(2)  # (pairs, 2, height, width)
    spent = [one.unsqueeze(1) for one in taken.settle()]
    with torch.no_grad():
        first, second = seen.detach().unbind(1)
        apart = asked.distance(first, second, asked.asked, asked.whose).double()
    return RelationMaps(
        relation,
        evidence,
        _names(model, rows),
        rows,
        relevance[:, 0],
        relevance[:, 1],
        target.detach().double(),
        apart,
        account(
            target.unsqueeze(1),
            {"pictures": relevance.unsqueeze(1)},
            bias=spent[0],
            stabilizer=spent[1],
            reference=spent[2],
        ),
        pictures.pixels[rows],
    )


def patch_pairs(
    model: VisualRelation,
    pairs: Sequence[tuple[Id, Id]],
    relation: str,
    *,
    user: Id | None = None,
    plan: str | Plan = "image",
) -> PatchPairs:
    """BiLRP: which patch of the one picture matches which of the other, 2 sum u s_a s_b split over pairs of patches.

    One forward and D backward passes a picture, D the rank of the distance (Eberle et al. 2020).
    """
    asked, rows = model.under(relation, user=user), _rows(model, pairs)
    pictures = asked.require_looks()
    values = asked.part(rows.to(asked.device)).values.detach()  # (pairs, 2, down, across, channel)

    def compared(patches: Tensor) -> Tensor:
        found = asked.directions(asked.features(asked.pieced(patches)), asked.asked)
        return found * asked.care(asked.whose) ** 0.5

    found = bilrp(compared, values[:, 0], compared, values[:, 1], plan=_plan(plan))
    return PatchPairs(
        relation, _names(model, rows), rows, 2 * found.relevance, 2 * found.similarity, pictures.pixels[rows]
    )


def compare_relations(
    model: VisualRelation,
    pair: tuple[Id, Id],
    *,
    user: Id | None = None,
    evidence: Evidence = "match",
    plan: str | Plan = "image",
) -> dict[str, RelationMaps]:
    """The same two products under each relation: relation -> their maps, in the order that the model has them."""
    return {one: explain_pairs(model, [pair], one, user=user, evidence=evidence, plan=plan) for one in model.relations}


def _target(model: VisualRelation, seen: Tensor, evidence: Evidence) -> Tensor:
    """The score of each pair, (pairs,), written so that its relevance is that of the evidence."""
    first, second = seen.unbind(1)
    threshold = model.threshold[model.asked]
    if evidence == "distance":
        return threshold - model.distance(first, second, model.asked, model.whose)
    care = model.care(model.whose)
    usual = model.directions(model.usual, model.asked)
    one, other = (model.directions(side, model.asked) - usual for side in (first, second))
    alone = (one.square() * care + other.square() * care).sum(-1).detach()
    return threshold - alone + 2 * (one * other * care).sum(-1)


def _handed_back(mode: Relevance, leaf: Tensor, target: Tensor) -> Tensor:
    """Relevance of every number of the pictures, float64, with what rules wrote on a carrier."""
    (carrier,) = mode.carriers([leaf])
    asked = [leaf] if carrier is None else [leaf, carrier]
    gradient, *written = torch.autograd.grad(target.sum(), asked, materialize_grads=True)
    relevance = leaf.detach().double() * gradient.double()
    for one in written:
        relevance = relevance + one.double()
    return relevance


def _plan(plan: str | Plan) -> Plan:
    if isinstance(plan, str) and plan not in COMPOSITES:
        raise InvalidSetting(f"there is no composite called {plan!r}; there are {', '.join(COMPOSITES)}")
    found = COMPOSITES[plan] if isinstance(plan, str) else plan
    if counts_layers(found):
        raise InvalidSetting("maps of pairs take no plan with rules for the last layers; choose 'image'")
    return found


def _rows(model: VisualRelation, pairs: Sequence[tuple[Id, Id]]) -> Tensor:
    model.require_built()
    if any(module.training for module in model.modules()):
        raise InvalidSetting("the model is in train mode, where dropout makes scores random; call model.eval() first")
    if not pairs:
        raise InvalidSetting("pairs=[] names no products; give pairs of a query and an item")
    flat = [one for pair in pairs for one in pair]
    return rearrange(torch.from_numpy(model.items.vocabulary.rows(flat)), "(pair side) -> pair side", side=2)


def _names(model: VisualRelation, rows: Tensor) -> tuple[tuple[str, str], ...]:
    return tuple((model.items.title(query), model.items.title(item)) for query, item in rows.tolist())

"""Reasons in plain words, made only of units that were taken away and missed.

A unit becomes a reason when (1) its method's verdict on the report card is *faithful* or *weak*, (2) all units together
lift the score, else the item is there for what everybody takes, (3) the score falls when the unit alone is taken away,
by at least the root mean square over all units of that user, which is how far it moves for a random one in whatever
direction, (4) that fall is at least a third of what the strongest reason brings, so that crumbs are not named, and
(5) the reasons of an item together matter more than 99 % of other random sets of the same size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.coalitions import Players
from whyrec.dataset import Truth
from whyrec.errors import NotApplicable
from whyrec.explanation import BLOCK_USERS, Contribution, Explanations, part_of
from whyrec.question import ask
from whyrec.recommender import Recommender
from whyrec.report_card import ReportCard
from whyrec.targets import SCORE_NAMES
from whyrec.verification import Verdict

RANDOM_SETS = 200
SIGNIFICANCE = 0.01
MATERIAL = 1 / 3
ROUNDING = 1e-6
"""Units that all bring the same are all reasons, whatever the last bits say."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A unit that was found to matter, and how far the score fell without it."""

    contribution: Contribution
    drop: float  # in units of the target


@dataclass(frozen=True, eq=False)
class VerifiedReasons:
    """Reasons of every place of every list; none where nothing passed."""

    explanations: Explanations
    found: tuple[tuple[tuple[Reason, ...], ...], ...]
    withheld: str
    """Why there are none at all, in plain words; empty where reasons were looked for."""

    def at(self, row: int, place: int) -> tuple[Reason, ...]:
        """The reasons of one place of one list, the strongest first."""
        return self.found[row][place]

    def sentence(self, row: int, place: int) -> str:
        """One plain sentence."""
        reasons = self.at(row, place)
        if not reasons:
            return self.withheld or "No single past item was found to matter enough."
        titles = [f"“{one.contribution.title}”" for one in reasons]
        named = titles[0] if len(titles) == 1 else ", ".join(titles[:-1]) + " and " + titles[-1]
        return f"Because of {named}."


def verified_reasons(
    model: Recommender, explanations: Explanations, card: ReportCard, *, most: int = 3, seed: int = 0
) -> VerifiedReasons:
    """Re-run every candidate reason: the `most` units with the largest positive relevance of every item."""
    return reasons_by_verdict(model, explanations, card.row(explanations.method).verdict, most=most, seed=seed)


def reasons_by_verdict(
    model: Recommender, explanations: Explanations, verdict: Verdict, *, most: int = 3, seed: int = 0
) -> VerifiedReasons:
    """The same, where of the report card only its verdict on the method is at hand."""
    if explanations.target not in SCORE_NAMES:
        raise NotApplicable(
            f"reasons are re-run on scores, and these explanations are about {explanations.target!r}; "
            "explain and verify without target= to get reasons"
        )
    lists = explanations.recommendations
    if verdict not in ("faithful", "weak"):
        nothing = tuple(tuple(() for _ in range(lists.item_rows.shape[1])) for _ in range(len(lists)))
        return VerifiedReasons(
            explanations, nothing, f"No reasons are given: {explanations.method} was found to be {verdict}."
        )
    found = []
    request = lists.request(model.device)
    for block in torch.arange(len(lists)).split(BLOCK_USERS):
        question = ask(model, part_of(request, block.to(model.device)), parts=tuple(explanations.kinds), seed=seed)
        relevance = {name: part[block].to(model.device) for name, part in explanations.attribution.relevance.items()}
        passed, drops = _passed(Players(question), relevance, most, seed)
        for offset, row in enumerate(block.tolist()):
            found.append(
                tuple(
                    _named(explanations, row, place, passed[offset, place], drops[offset, place])
                    for place in range(lists.item_rows.shape[1])
                )
            )
    return VerifiedReasons(explanations, tuple(found), "")


def recovered(reasons: VerifiedReasons, truth: Truth) -> dict[str, float]:
    """Against a planted truth: of the items that have a planted cause in the user's history, how many have one among
    their reasons; of those items' reasons, how many are planted causes; and how often any reason is the decoy."""
    lists = reasons.explanations.recommendations
    explainable = named = given = right = decoys = total = 0
    for row in range(len(lists)):
        past = set(lists.history[row].tolist())
        for place, item in enumerate(lists.item_rows[row].tolist()):
            causes = set(truth.causes_of(item)) & past
            rows = {int(lists.items.vocabulary.rows([one.contribution.unit])[0]) for one in reasons.at(row, place)}
            total, decoys = total + len(rows), decoys + (truth.decoy in rows)
            if causes:
                explainable, named = explainable + 1, named + bool(causes & rows)
                given, right = given + len(rows), right + len(causes & rows)
    return {
        "items_with_a_planted_cause": explainable,
        "of_which_named": named / max(explainable, 1),
        "share_of_their_reasons_that_are_causes": right / max(given, 1),
        "reasons": total,
        "decoy_named": decoys,
    }


@torch.no_grad()
def _passed(players: Players, relevance: dict[str, Tensor], most: int, seed: int) -> tuple[Tensor, Tensor]:
    """Which players are reasons, (users, items, players) bool, and how far the target falls without each."""
    drops = players.single_drops()
    there = players.present
    if not there.shape[-1]:  # nobody has a past
        return there, drops
    noise = (drops.square().sum(-1, keepdim=True) / there.sum(-1, keepdim=True).clamp(min=1)).sqrt()
    candidates = _largest(players.join(relevance).masked_fill(~there, -torch.inf), most)
    passed = candidates & (drops > 0) & (drops >= noise * (1 - ROUNDING)) & _lifted(players).unsqueeze(-1)
    strongest = drops.masked_fill(~passed, 0.0).amax(-1, keepdim=True)
    passed &= drops >= MATERIAL * strongest
    beaten = _share_of_random_sets_beaten(players, passed, seed)
    return passed & (beaten >= 1 - SIGNIFICANCE).unsqueeze(-1), drops


def _lifted(players: Players) -> Tensor:
    """Whether all units together raise the target, (users, items) bool."""
    whole, nothing = players.worth(torch.stack([players.present, torch.zeros_like(players.present)]))
    lifted: Tensor = whole > nothing
    return lifted


def _largest(relevance: Tensor, most: int) -> Tensor:
    best = relevance.topk(min(most, relevance.shape[-1]), dim=-1)
    return torch.zeros_like(relevance, dtype=torch.bool).scatter_(-1, best.indices, best.values > 0)


def _share_of_random_sets_beaten(players: Players, chosen: Tensor, seed: int) -> Tensor:
    """How many random sets of the same size cost less when taken away, (users, items); the set itself is no rival."""
    own = players.worth((players.present & ~chosen)[None])
    sizes = chosen.sum(-1).expand(RANDOM_SETS, -1, -1)
    sets = players.random_sets(sizes, f"set{seed}")
    less = own < players.worth(players.present & ~sets)
    return (less | (sets == chosen).all(-1)).double().mean(0)


def _named(explanations: Explanations, row: int, place: int, passed: Tensor, drops: Tensor) -> tuple[Reason, ...]:
    units = [
        (part, unit)
        for part, relevance in explanations.attribution.relevance.items()
        for unit in range(relevance[row, place].numel())
    ]
    chosen = {units[player]: float(drops[player]) for player in passed.nonzero()[:, 0].tolist()}
    named = [Reason(explanations.contribution(part, row, place, unit), drop) for (part, unit), drop in chosen.items()]
    return tuple(sorted(named, key=lambda one: -one.contribution.relevance))

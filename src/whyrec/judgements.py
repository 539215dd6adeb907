"""Which methods may be quoted: verdicts of report cards made by one set of settings, kept beside the records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from whyrec import kinds
from whyrec.arguments import target_of
from whyrec.console import finite
from whyrec.errors import WhyrecError
from whyrec.explanation import Explainer
from whyrec.recommendations import recommend
from whyrec.recommender import Recommender
from whyrec.record_store import RecordStore
from whyrec.report_card import verify
from whyrec.settings import to_json
from whyrec.verification import Verdict, Verification

HOUSE = Verification(users=100)
"""How methods are judged whose reasons are quoted. One set of settings, so that nobody's choice makes a verdict."""

DRAWN = 4
"""Times as many users are drawn as are judged, since some have too short a past."""


@dataclass(frozen=True, eq=False)
class Judgements:
    """Verdicts on explanation methods for one model."""

    model: Recommender
    fingerprint: str
    store: RecordStore

    def verdict(self, method: str) -> Verdict | None:
        """What was found of a method; None where it was not judged yet."""
        card = self.store.card(self.fingerprint, method, _HOUSE)
        verdict: Verdict | None = None if card is None else card["rows"][0]["verdict"]
        return verdict

    def judge(self, method: str) -> dict[str, Any]:
        """The report card of a method by the house settings: the kept one, or a new one, which is then kept."""
        kept = self.store.card(self.fingerprint, method, _HOUSE)
        if kept is None:
            self.store.keep_card(self.fingerprint, method, _HOUSE, self.card([method], HOUSE))
            kept = self.store.card(self.fingerprint, method, _HOUSE)
        return kept or {}

    def card(self, methods: list[str], settings: Verification, target: str = "logit") -> dict[str, Any]:
        """A report card of any methods, by any settings, that nothing else rests on."""
        judged = [explainer_called(method) for method in methods]
        lists = recommend(self.model, self.model.users.vocabulary.ids(self._drawn(settings)), k=1)
        card = verify(self.model, lists, judged, target=target_of(target), settings=settings)
        document: dict[str, Any] = finite(card.to_json())
        return document

    def judge_quietly(self, method: str) -> None:
        """Judge a method; one that cannot be judged stays without a verdict, as its reasons then say."""
        try:
            self.judge(method)
        except WhyrecError:
            return

    def _drawn(self, settings: Verification) -> np.ndarray[Any, Any]:
        there = np.flatnonzero(self.model.require_known().user_counts)
        most = min(len(there), DRAWN * settings.users)
        return np.sort(np.random.default_rng(settings.seed).choice(there, most, replace=False))


def explainer_called(method: str) -> Explainer:
    """A method of the library as it comes, by its name. Nothing from elsewhere is imported for a stranger."""
    explainer: Explainer = kinds.public_object(kinds.module("explainers", method))()
    return explainer


_HOUSE = json.dumps(to_json(HOUSE), sort_keys=True)

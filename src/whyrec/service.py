"""Answers from one model, each with its record: lists, explanations, what-ifs. Knows nothing of HTTP."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
import torch

from whyrec import __version__, kinds
from whyrec.arguments import target_of
from whyrec.attribution import Ledger
from whyrec.changed_pasts import what_if
from whyrec.console import finite
from whyrec.counterfactuals import Counterfactual, counterfactual
from whyrec.explanation import Explanations, explain
from whyrec.fingerprints import input_fingerprint, model_fingerprint
from whyrec.interactions import Id
from whyrec.item_similarity import similar
from whyrec.judgements import HOUSE, Judgements, explainer_called
from whyrec.people import Asked, People, matches, require_items
from whyrec.pseudonyms import Pseudonyms
from whyrec.reasons import Reason, reasons_by_verdict
from whyrec.recommendations import Recommendations, list_of, recommend
from whyrec.recommender import Recommender, Request, scores_of
from whyrec.record_store import RecordStore
from whyrec.records import Explained, GivenReason, Place, Record, history_of, places_of, units_of
from whyrec.service_schemas import (
    ExplainBody,
    OptOutBody,
    ParametersBody,
    RecommendBody,
    SimilarBody,
    VerifyBody,
    WhatIfBody,
)
from whyrec.settings import to_json
from whyrec.shares import parameter_shares
from whyrec.targets import SCORE_NAMES
from whyrec.verification import Verification
from whyrec.wording import Wording, languages, wording

COUNTERFACTUAL_BUDGET = 500
"""Histories that one request may run to look for a smaller set."""

TIDY_EVERY = 3600.0
"""Seconds between two looks at which records are too old."""

Answer = dict[str, Any]


class Service:
    """One model with its records. Every answer about a person is on disk before it is given.

    `until` is the time, by `time.monotonic`, when an answer is no longer waited for: it then leaves no record.
    """

    def __init__(
        self, model: Recommender, store: RecordStore, pseudonyms: Pseudonyms, *, retention_days: float = 180.0
    ) -> None:
        self.model, self.store = model.require_built(), store
        self.people = People(model.users, pseudonyms, store)
        self.fingerprint = model_fingerprint(model)
        self.data = None if model.known is None else model.known.fingerprint()
        self.judgements = Judgements(model, self.fingerprint, store)
        self.retention_days = retention_days
        self._tidied = 0.0

    def recommend(self, body: RecommendBody, until: float) -> Answer:
        """A list for each user, or for somebody new."""
        words = wording(body.language)
        asked = [self.people.asked(user, new_is_fine=body.non_profiling) for user in (body.users or (None,))]
        profiled = [one.profiled and not body.non_profiling for one in asked]
        personal = self._lists([one.user for one in asked if one.profiled and not body.non_profiling], body)
        lists, records = [], []
        for one, is_personal in zip(asked, profiled, strict=True):
            found, row = next(personal) if is_personal else (self._impersonal(one, body.k), 0)
            text = "" if is_personal else words.says("without profiling")
            record = self._record("list", one, history_of(found, row), places_of(found, row), is_personal)
            record = replace(record, language=body.language, text=text)
            records.append(record)
            lists.append(self._list_answer(one, found, row, record))
        self._keep(records, until)
        return {"model": self.fingerprint, "lists": lists}

    def explain(self, body: ExplainBody, until: float) -> Answer:
        """Why these items, one by one: each explanation and each record stands by itself."""
        one = self.people.profiled(body.user)
        require_items(self.model.items, [*(body.history or ()), *body.items])
        answers, records = [], []
        for item in body.items:
            answer, record = self._explained(one, item, body)
            answers.append(answer)
            records.append(record)
        self._keep(records, until)
        return {"model": self.fingerprint, "explanations": answers}

    def what_if(self, body: WhatIfBody, until: float) -> Answer:
        """Two lists of one user: as it is, and had the past been another."""
        one, words = self.people.profiled(body.user), wording(body.language)
        require_items(self.model.items, [*(body.history or ()), *body.remove, *body.add])
        changed = what_if(self.model, one.user, history=body.history, remove=body.remove, add=body.add, k=body.k)
        verdict = self.judgements.verdict(body.method)
        before, after = (self._reasoned(lists, body, verdict) for lists in (changed.before, changed.after))
        left, entered = (self._named(ids) for ids in (changed.left, changed.entered))
        text = words.change([item["title"] for item in left], [item["title"] for item in entered])
        record = self._record("what-if", one, history_of(changed.before), places_of(changed.before), True)
        told = {"removed": list(changed.removed), "added": list(changed.added), "before": before, "after": after}
        record = replace(record, what_if=told, language=body.language, text=text)
        self._keep([record], until)
        return {
            "user": one.user,
            "model": self.fingerprint,
            "verdict": verdict,
            "removed": self._named(changed.removed),
            "added": self._named(changed.added),
            "before": before,
            "after": after,
            "left": left,
            "entered": entered,
            "text": text,
            "record": record.id,
        }

    def verify(self, body: VerifyBody) -> Answer:
        """A report card; by the house settings, the one that verdicts come from."""
        settings = Verification(users=body.users, k=body.k, operator=body.operator, seed=body.seed)
        if settings == HOUSE and body.target == "logit" and len(body.methods) == 1:
            return self.judgements.judge(body.methods[0])
        return self.judgements.card(body.methods, settings, body.target)

    def similar(self, body: SimilarBody) -> Answer:
        """Items like an item."""
        require_items(self.model.items, [body.item])
        found = similar(self.model, body.item, body.k)
        return {"item": found.item, "title": found.title, "by": found.by, "items": [asdict(one) for one in found.lines]}

    def main_parameters(self, body: ParametersBody) -> Answer:
        """What recommendations rest on."""
        wording(body.language)  # refuses before the work, not after it
        explainer = explainer_called(body.method)
        found = parameter_shares(
            self.model, explainer=explainer, users=body.users, k=body.k, most=body.most, seed=body.seed
        )
        document: Answer = finite({**found.to_json(), "text": found.sentences(body.language)})
        return document

    def opt_out(self, body: OptOutBody) -> Answer:
        """Note an objection to profiling, or that it no longer stands; the next call heeds it."""
        one = self.people.asked(body.user)
        self.store.set_objection(one.pseudonym or "", objects=body.opted_out)
        return {"user": body.user, "opted_out": body.opted_out}

    def record(self, record: str) -> Answer:
        """One record."""
        found: Answer = finite(self.store.get(record).to_json())
        return found

    def about(self) -> Answer:
        """What is served."""
        methods = kinds.names("explainers")
        return {
            "family": kinds.name_of(self.model),
            "fingerprint": self.fingerprint,
            "version": __version__,
            "settings": to_json(self.model.settings),
            "users": len(self.model.users),
            "items": len(self.model.items),
            "parts": dict(self.model.unit_kinds),
            "methods": methods,
            "verdicts": {method: self.judgements.verdict(method) for method in methods},
            "languages": languages(),
        }

    def items(self, search: str, limit: int) -> Answer:
        """Items whose title or id holds a text, in the order of the catalogue."""
        found = matches(self.model.items, search, limit)
        return {"matches": [{"item": one["id"], "title": one["title"]} for one in found]}

    def users(self, search: str, limit: int) -> Answer:
        """Users whose id or title holds a text, in the order of the catalogue; none that were erased."""
        return {"matches": self.people.matches(search, limit)}

    def ready(self) -> Answer:
        """Raises where records cannot be read."""
        self.store.count()
        return {"status": "ok"}

    def warm_up(self) -> None:
        """Do once what the first request would wait for."""
        self._tidy()
        if self.model.known is not None and len(self.model.users):
            recommend(self.model, [self.model.users.id(0)], k=1)

    def _lists(self, users: Sequence[Id | None], body: RecommendBody) -> Any:
        """The personal lists one after the other, as (lists, row); all known users are ranked together."""
        if body.history is not None:
            require_items(self.model.items, body.history)
            yield recommend(self.model, history=body.history, k=body.k, exclude_seen=body.exclude_seen), 0
        elif users:
            known = [user for user in users if user is not None]
            lists = recommend(self.model, known, k=body.k, exclude_seen=body.exclude_seen)
            yield from ((lists, row) for row in range(len(known)))

    def _impersonal(self, one: Asked, k: int) -> Recommendations:
        known = [one.user] if one.user is not None and one.row >= 0 else None
        return recommend(self.model, known, history=None if known else [], k=k, non_profiling=True)

    def _explained(self, one: Asked, item: Id, body: ExplainBody) -> tuple[Answer, Record]:
        words = wording(body.language)
        lists = list_of(self.model, one.user, item, body.history)
        why = explain(self.model, lists, explainer_called(body.method), target=target_of(body.target), seed=body.seed)
        verdict = self.judgements.verdict(body.method)
        reasons = self._reasons(why, verdict, body.seed)[0]
        place = replace(places_of(lists)[0], rank=self._rank(one, lists, body.history))
        found = self._counterfactual(one, item, body)
        text = words.reasons(reasons, verdict, body.method, why.target)
        explained = _explained(why, body, verdict, reasons)
        told = None if found is None else _told(found, words)
        record = self._record("explanation", one, history_of(lists), (place,), True)
        record = replace(record, explained=explained, counterfactual=told, language=body.language, text=text)
        answer = {
            "user": one.user,
            **asdict(place),
            **finite(asdict(explained)),
            "text": text,
            "counterfactual": told,
            "record": record.id,
            "seconds": why.seconds,
        }
        return answer, record

    def _counterfactual(self, one: Asked, item: Id, body: ExplainBody) -> Counterfactual | None:
        if not body.counterfactual:
            return None
        return counterfactual(
            self.model, one.user, item, history=body.history, k=body.k, budget=COUNTERFACTUAL_BUDGET, seed=body.seed
        )

    def _reasons(self, why: Explanations, verdict: Any, seed: int) -> list[Sequence[Reason]]:
        """The reasons of each place of the first list; none where the method was not found to be true."""
        places = int(why.recommendations.present[0].sum())
        if verdict not in ("faithful", "weak") or why.target not in SCORE_NAMES:
            return [() for _ in range(places)]
        found = reasons_by_verdict(self.model, why, verdict, seed=seed)
        return [found.at(0, place) for place in range(places)]

    def _reasoned(self, lists: Recommendations, body: WhatIfBody, verdict: Any) -> list[Answer]:
        """A list's lines, the first ones with their reasons."""
        answer = [{**asdict(place), "reasons": [], "text": ""} for place in places_of(lists)]
        shown = min(body.explained, len(answer))
        if shown == 0:
            return answer
        why = explain(self.model, lists.best(shown), explainer_called(body.method), seed=body.seed)
        words = wording(body.language)
        for line, reasons in zip(answer, self._reasons(why, verdict, body.seed), strict=False):
            line["reasons"] = [asdict(one) for one in _given(reasons)]
            line["text"] = words.reasons(reasons, verdict, body.method, why.target)
        return answer

    @torch.no_grad()
    def _rank(self, one: Asked, lists: Recommendations, history: Sequence[Id] | None) -> int:
        """The rank of the one item among all that the user has not seen."""
        device, item = self.model.device, int(lists.item_rows[0, 0])
        everything = torch.arange(len(self.model.items), device=device)[None]
        request = Request(lists.user_rows.to(device), everything, lists.history.to(device), compact=True)
        scores = scores_of(self.model, request)[0].cpu()
        own = scores[item].clone()
        if history is not None:
            seen = self.model.items.vocabulary.rows(list(history))
        else:
            seen = self.model.require_known().items_of(np.array([one.row]))[1]
        scores[torch.from_numpy(seen)] = -torch.inf
        scores[item] = -torch.inf
        return 1 + int((scores > own).sum())

    def _record(
        self, kind: Any, one: Asked, history: tuple[Id, ...], places: tuple[Place, ...], profiling: bool
    ) -> Record:
        row = one.row if profiling else -1
        return Record(
            kind=kind,
            user=one.pseudonym,
            profiling=profiling,
            model=self.fingerprint,
            data=self.data,
            input=input_fingerprint(self.model, one.pseudonym, row, history),
            history=history,
            places=places,
        )

    def _list_answer(self, one: Asked, lists: Recommendations, row: int, record: Record) -> Answer:
        return {
            "user": one.user,
            "profiling": record.profiling,
            "history": self._named(history_of(lists, row)),
            "items": [asdict(place) for place in record.places],
            "text": record.text,
            "record": record.id,
        }

    def _keep(self, records: Sequence[Record], until: float) -> None:
        if time.monotonic() > until:
            raise TimeoutError
        self.store.append(records)
        if time.monotonic() > self._tidied + TIDY_EVERY:
            self._tidy()

    def _tidy(self) -> None:
        self._tidied = time.monotonic()
        self.store.delete_older_than(self.retention_days)

    def _named(self, ids: Sequence[Id]) -> list[Answer]:
        items = self.model.items
        rows = items.vocabulary.rows(list(ids)).tolist()
        return [{"item": items.id(row), "title": items.title(row)} for row in rows]


def _explained(why: Explanations, body: ExplainBody, verdict: str | None, reasons: Sequence[Reason]) -> Explained:
    """The first place of the first list, as records hold it."""
    ledger = {one.name: float(getattr(why.ledger, one.name)[0, 0]) for one in fields(Ledger) if one.name != "target"}
    return Explained(
        target=body.target,
        target_name=why.target,
        target_value=float(why.ledger.target[0, 0]),
        method=why.method,
        settings=why.settings,
        seed=body.seed,
        parts=units_of(why),
        ledger={**ledger, "gap": float(why.ledger.gap[0, 0])},
        complete=why.attribution.complete,
        verdict=verdict,
        reasons=_given(reasons),
    )


def _given(reasons: Sequence[Reason]) -> tuple[GivenReason, ...]:
    return tuple(GivenReason(one.contribution.unit, one.contribution.title, one.drop) for one in reasons)


def _told(found: Counterfactual, words: Wording) -> Answer:
    """A counterfactual as a document without its user; it was re-run, wherever one was found."""
    document = {name: value for name, value in asdict(found).items() if name != "user"}
    return {**document, "verified": found.replacement is not None, "text": words.counterfactual(found)}

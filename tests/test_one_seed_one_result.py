"""Two runs with one seed give identical metrics, explanations and verdicts, to the last bit."""

from __future__ import annotations

import dataclasses

import torch

import whyrec as wr
from whyrec.explanation import Explanations
from whyrec.report_card import ReportCard


def run(seed: int) -> tuple[dict[str, object], Explanations, ReportCard]:
    split = wr.leave_last_out(wr.planted(users=100, items=60, seed=seed))
    model = wr.fit(wr.NeuMF(factors=8), split, wr.Training(epochs=4, seed=seed))
    lists = wr.recommend(model, k=5)
    card = wr.verify(model, lists, [wr.LRP(), wr.Random()], settings=wr.Verification(seed=seed, resamples=200))
    sampled = wr.evaluate(model, split, protocol="sampled", baselines=("popularity", "mf"), seed=seed)
    return sampled.to_json(), wr.explain(model, lists, seed=seed), card


def test_one_seed_gives_one_result_and_another_seed_another() -> None:
    metrics, why, card = run(seed=3)
    again, why_again, card_again = run(seed=3)
    assert metrics == again
    assert torch.equal(why.attribution.relevance["history"], why_again.attribution.relevance["history"])
    for row, other in zip(card.rows, card_again.rows, strict=True):
        assert dataclasses.replace(row, cost_ms=0) == dataclasses.replace(other, cost_ms=0)
    assert run(seed=4)[0] != metrics

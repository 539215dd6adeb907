"""The whole main job on the bundled world, offline: data, training, lists, reasons, verdicts, one report."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyrec.checkpoint import save
from whyrec.datasets import planted
from whyrec.errors import BadInput
from whyrec.evaluation import evaluate
from whyrec.explainers.gradient import GradientTimesInput
from whyrec.explainers.lrp import LRP
from whyrec.explainers.occlusion import LeaveOneOut
from whyrec.explainers.random import Random
from whyrec.explanation import explain
from whyrec.html_report import report
from whyrec.models.neumf import NeuMF
from whyrec.reasons import recovered, verified_reasons
from whyrec.recommendations import recommend
from whyrec.report_card import verify
from whyrec.split import leave_last_out
from whyrec.train import fit
from whyrec.training import Training
from whyrec.verification import Verification

EXPLAINED = 3
"""Places of every list that are explained."""


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo found."""

    folder: Path
    metrics: dict[str, Any]
    card: dict[str, Any]
    seconds: float


def demo(folder: str | Path, *, seed: int = 0, tell: Callable[[str], None] = lambda _line: None) -> Demo:
    """Train NeuMF on the planted cinema, recommend, explain with LRP, verify, and leave everything in `folder`.

    `tell` is given a line for each step.
    """
    started = time.perf_counter()
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file; name a folder for the demo's results")
    folder.mkdir(parents=True, exist_ok=True)
    data = planted.load(seed=seed)
    split = leave_last_out(data)
    events = data.interactions
    tell(f"data      {len(events):,} visits of {len(data.users):,} people to {len(data.items):,} invented films")
    model = fit(NeuMF(factors=32), split, Training(seed=seed))
    tell(f"trained   NeuMF in {len(model.log)} epochs")
    evaluation = evaluate(model, split, baselines=("popularity", "mf", "ease"), seed=seed)
    tell(f"evaluated HR@10 {evaluation.metrics['HR@10']}, popularity {evaluation.baselines['popularity']['HR@10']}")
    lists = recommend(model, k=10)
    card = verify(
        model, lists, [LRP(), LeaveOneOut(), GradientTimesInput(), Random()], settings=Verification(seed=seed)
    )
    for row in card.rows:
        tell(f"verified  {row.method}: {row.verdict}")
    why = explain(model, lists.best(EXPLAINED), LRP(), seed=seed)
    reasons = verified_reasons(model, why, card, seed=seed)
    truth = recovered(reasons, data.truth) if data.truth is not None else {}
    tell(
        f"reasons   {truth['of_which_named']:.0%} of the films with a planted cause name one; "
        f"the decoy is named {truth['decoy_named']:.0f} times"
    )
    save(model, folder / "model", split=split)
    why.to_parquet(folder / "explanations.parquet")
    metrics = {**evaluation.to_json(), "planted_truth": truth}
    write_json(metrics, folder / "metrics.json")
    write_json(card.to_json(), folder / "card.json")
    report(
        model,
        lists,
        why,
        card,
        to=folder / "report.html",
        evaluation=evaluation,
        reasons=reasons,
        split=split,
        seed=seed,
    )
    return Demo(folder, metrics, card.to_json(), time.perf_counter() - started)


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write beside, then rename."""
    beside = path.with_name(f".{path.name}.writing")
    beside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(beside, path)

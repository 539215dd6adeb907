"""Classic models on the NCF paper's split of MovieLens 1M, its 99 negatives: settings chosen on validation.

python benchmarks/classic_on_ncf.py     needs ncf-ml-1m in the folder of public data; about ten minutes

The result is written after each row. Run again, it goes on with the rows that are missing.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from record import DATA, recorded

import whyrec as wr
from whyrec.split import Split

CLAIM = "Classic models on ML-1M, NCF split: HR@10 and NDCG@10 against the paper's 99 negatives"
RESULT = Path(__file__).parent / "results" / f"{Path(__file__).stem}.json"

Choice = Mapping[str, Any]


def grid(**values: Iterable[Any]) -> list[Choice]:
    """Every combination of the values."""
    return [dict(zip(values, one, strict=True)) for one in itertools.product(*values.values())]


# Around what Dacrema et al. (TOIS 2021) and Rendle et al. (RecSys 2022) publish for these files.
ROWS: dict[str, tuple[type[wr.Recommender], list[Choice]]] = {
    "ItemKNN": (wr.ItemKNN, grid(neighbours=(20, 50, 100), shrink=(0, 100), alpha=(0.1, 0.3, 0.5))),
    "UserKNN": (wr.UserKNN, grid(neighbours=(25, 50, 100, 200), shrink=(0,), alpha=(0.1, 0.3, 0.5), limit=(4000,))),
    "ItemGraph": (wr.ItemGraph, grid(min_common_users=(5, 20, 50), neighbours=(50, 100))),
    "EASE": (wr.EASE, grid(regularisation=(300, 500, 1000, 2000))),
    "iALS, 64 factors": (
        wr.IALS,
        grid(factors=(64,), regularisation=(0.004, 0.007, 0.01), unobserved_weight=(0.2, 0.3, 0.5), epochs=(12,)),
    ),
    "iALS, 192 factors": (
        wr.IALS,
        grid(factors=(192,), regularisation=(0.005, 0.007, 0.01), unobserved_weight=(0.3,), epochs=(12,)),
    ),
}


def choose(family: type[wr.Recommender], choices: list[Choice], split: Split) -> tuple[Choice, list[Choice]]:
    """The settings that validation likes best, and what it said of each. The test part is not touched."""
    empty = split.test.where(split.test.users < 0)
    choosing = dataclasses.replace(split, validation=empty, test=split.validation, candidates=None)
    tried = []
    for settings in choices:
        found = wr.evaluate(wr.fit(family(**settings), choosing), choosing, protocol="sampled", baselines=())
        tried.append({**settings, "validation NDCG@10": found.metrics["NDCG@10"].value})
        print(tried[-1], flush=True)
    best = max(range(len(tried)), key=lambda place: tried[place]["validation NDCG@10"])
    return choices[best], tried


def measure(name: str, split: Split) -> dict[str, Any]:
    """One row: settings chosen, the model solved once more on train and validation, the test part seen once."""
    started = time.perf_counter()
    family, choices = ROWS[name]
    settings, tried = choose(family, choices, split)
    model = wr.fit(family(**settings), split, wr.Training(refit=True))
    final = wr.evaluate(model, split, protocol="sampled")
    print(name, final, sep="\n", flush=True)
    return {
        "settings": settings,
        "tried": tried,
        "test": final.to_json(),
        "seconds": round(time.perf_counter() - started, 1),
    }


if __name__ == "__main__":
    split = wr.ncf(DATA / "ncf-ml-1m")
    rows = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else {}
    for name in ROWS:
        if name not in rows:
            with recorded(__file__, CLAIM) as found:
                rows[name] = measure(name, split)
                rows = {one: rows[one] for one in ROWS if one in rows}
                found["rows"], found["seconds"] = rows, sum(row["seconds"] for row in rows.values())

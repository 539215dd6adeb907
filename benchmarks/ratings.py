"""Errors of predicted ratings: five folds of MovieLens 100K and latest-small, a random tenth of 1M. Resumable.

    python benchmarks/ratings.py [--data ml-100k ml-latest-small ml-1m] [--models biased-mf svd++ ...] [--folds 1 2 ...]

Settings were found once, on the validation part of fold 1 of 100K (of 1M on its own). Of every fit the epoch is chosen
on the validation part, a tenth of what is not test, and then the model is trained anew on train and validation together
for so many epochs. The test part is measured once. The model with the least error on validation is the one named.

`--curves` instead: on the validation part of fold 1 of 100K, from three seeds, the hybrid by its alpha, and
NCFRegressor by width, batch norm and dropout. What is in the result file already is not run again, and a run that was
interrupted goes on from its last epoch.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from record import DATA, recorded

import whyrec as wr
from whyrec.vectors import History

RESULTS = Path(__file__).parent / "results" / "ratings.json"
RUNS = Path(__file__).parent / "runs"
CLAIM = "RMSE and MAE of predicted ratings, selection on validation, test touched once"
PUBLISHED = {
    "ml-100k": {"Surprise, SVD": 0.934, "Surprise, SVD++": 0.919},
    "ml-1m": {"Surprise, SVD": 0.873, "Surprise, SVD++": 0.862},
}
"""The table in the README of Surprise: five folds and default settings, of 1M as well."""

NOBODY = 1e12
"""A damping that leaves nothing of a bias."""
PAST = History(limit=2500, dropout=0.0)
ALPHAS = (None, 0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0, "learned")
WIDTHS, NORMS, DROPOUTS = (16, 100, 400), (False, True), (0.0, 0.3)
SEEDS = (0, 1, 2)
Begin = Callable[[], wr.Recommender]


def models(data: str) -> dict[str, tuple[Begin, dict[str, Any]]]:
    """What is measured, by name: how to make it, and how it is trained."""
    large = data == "ml-1m"
    steps = {"batch_size": 4096 if large else 1024, "learning_rate": 2e-3 if large else 1e-3, "patience": 6}
    factors, ridge = (128, 0.05) if large else (16, 0.08)
    shape = {"factors": factors, "regularisation": ridge}
    return {
        "global-mean": (lambda: wr.BiasOnly(user_damping=NOBODY, item_damping=NOBODY), {}),
        "bias-only": (wr.BiasOnly, {}),
        "item-knn": (lambda: wr.RatingItemKNN(neighbours=40, shrink=10, damping=0.05), {}),
        "user-knn": (lambda: wr.RatingUserKNN(neighbours=30, damping=0.1), {}),
        "biased-mf": (lambda: wr.BiasedMF(**shape), steps),
        "ncf-regressor": (lambda: wr.NCFRegressor(factors=32, regularisation=ridge, dropout=0.3), steps),
        "hybrid": (lambda: wr.ResidualHybrid(**shape, dropout=0.3), steps),
        "svd++": (lambda: wr.BiasedMF(**shape, implicit=True, history=PAST), steps),
    }


def splits(name: str) -> list[wr.Split]:
    data = wr.movielens(DATA / name)
    if name == "ml-1m":
        return [wr.by_ratio(data, test=0.1, validation=0.09, per_user=False)]
    return wr.k_fold(data, folds=5, validation=0.1)


def measured(name: str, begin: Begin, training: dict[str, Any], split: wr.Split) -> dict[str, Any]:
    """One model on one split: chosen on validation, refitted, and its errors on the test part."""
    started = time.perf_counter()
    how = wr.Training(epochs=100, refit=True, **training)
    model = wr.fit(begin(), split, how, progress=False, checkpoint=RUNS / f"ratings-{name}.safetensors")
    found = wr.evaluate_ratings(model, split)
    best = min(model.log, key=lambda epoch: epoch.rmse) if model.log else None
    return {
        "split": split.how,
        "RMSE": found.rmse.to_json(),
        "MAE": found.mae.to_json(),
        "validation RMSE": best and best.rmse,
        "epochs": best and best.number,
        "seconds": round(time.perf_counter() - started, 1),
    }


def summed_up(folds: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The mean over folds, as Surprise reports it."""
    chosen = [one["validation RMSE"] for one in folds.values()]
    return {
        "folds": len(folds),
        "RMSE": float(np.mean([one["RMSE"]["value"] for one in folds.values()])),
        "MAE": float(np.mean([one["MAE"]["value"] for one in folds.values()])),
        "validation RMSE": None if None in chosen else float(np.mean(chosen)),
        "seconds a fold": float(np.mean([one["seconds"] for one in folds.values()])),
    }


def named(table: dict[str, Any]) -> str | None:
    """The model that validation likes best, of those that were measured on as many folds as any."""
    most = max(one["mean"]["folds"] for one in table.values())
    judged = {
        name: one["mean"]["validation RMSE"]
        for name, one in table.items()
        if one["mean"]["folds"] == most and one["mean"]["validation RMSE"] is not None
    }
    return min(judged, key=lambda name: judged[name]) if judged else None


def of_alpha(split: wr.Split, alpha: Any, seed: int) -> dict[str, Any]:
    shape = {"factors": 16, "regularisation": 0.08, "dropout": 0.3}
    return chosen(lambda: wr.ResidualHybrid(**shape, alpha=alpha), split, seed, f"alpha-{alpha}-{seed}")


def of_network(split: wr.Split, width: int, norm: bool, dropout: float, seed: int) -> dict[str, Any]:
    shape = {"factors": 32, "regularisation": 0.08, "width": width, "batch_norm": norm, "dropout": dropout}
    return chosen(lambda: wr.NCFRegressor(**shape), split, seed, f"network-{width}-{norm}-{dropout}-{seed}")


def chosen(begin: Begin, split: wr.Split, seed: int, name: str) -> dict[str, Any]:
    """What validation says of the best epoch."""
    started = time.perf_counter()
    training = wr.Training(epochs=100, batch_size=1024, learning_rate=1e-3, patience=6, seed=seed)
    model: Any = wr.fit(
        begin(), split.for_training(), training, progress=False, checkpoint=RUNS / f"ratings-{name}.safetensors"
    )
    best = min(model.log, key=lambda epoch: epoch.rmse)
    alpha = getattr(model, "alpha", None)
    return {
        "validation RMSE": best.rmse,
        "epochs": best.number,
        "seconds": round(time.perf_counter() - started, 1),
        "alpha": None if alpha is None else round(alpha, 3),
    }


def found_before() -> dict[str, Any]:
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return {part: kept.get(part, {}) for part in ("tables", "alpha", "network")}


def add(part: str, place: Iterable[str], run: Callable[[], dict[str, Any]]) -> None:
    """Run what is not there yet, and write the whole file; it is read anew, so that two rows can run side by side."""
    *path, last = place
    if last in at(found_before()[part], path):
        return
    with recorded(__file__, CLAIM) as file:
        one, result = run(), found_before()
        at(result[part], path)[last] = one
        for table in result["tables"].values():
            for row in table["rows"].values():
                row["mean"] = summed_up(row["folds"])
            table["named"] = named(table["rows"])
        file.update(result)
        file["published"] = PUBLISHED
    said = one["RMSE"]["value"] if "RMSE" in one else one["validation RMSE"]
    print(part, *path, last, f"RMSE {said:.4f}", flush=True)


def at(home: dict[str, Any], path: Iterable[str]) -> dict[str, Any]:
    """The dictionary at the end of a path, made where it is not there."""
    for name in path:
        home = home.setdefault(name, {})
    return home


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["ml-100k", "ml-latest-small", "ml-1m"])
    parser.add_argument("--models", nargs="+", default=list(models("")))
    parser.add_argument("--folds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--curves", action="store_true")
    asked = parser.parse_args()
    RUNS.mkdir(exist_ok=True)
    if asked.curves:
        split = splits("ml-100k")[0]
        for seed, alpha in itertools.product(SEEDS, ALPHAS):
            add("alpha", (str(alpha), str(seed)), lambda a=alpha, s=seed: of_alpha(split, a, s))
        for seed, *shape in itertools.product(SEEDS, WIDTHS, NORMS, DROPOUTS):
            width, norm, dropout = shape
            name = f"width {width}, batch norm {'on' if norm else 'off'}, dropout {dropout:g}"
            add("network", (name, str(seed)), lambda p=shape, s=seed: of_network(split, *p, s))
        return
    for data in asked.data:
        parts = list(enumerate(splits(data), start=1))
        for name, (number, split) in itertools.product(asked.models, parts):
            if number in asked.folds:
                begin, training = models(data)[name]
                run = f"{data}-{name}-{number}"
                add(
                    "tables",
                    (data, "rows", name, "folds", str(number)),
                    lambda r=run, b=begin, t=training, s=split: measured(r, b, t, s),
                )


if __name__ == "__main__":
    main()

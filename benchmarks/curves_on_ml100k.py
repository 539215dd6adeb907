"""NeuMF on MovieLens 100K, measured after every epoch: HR@10 and NDCG@10 for 8, 16, 32 and 64 factors.

    python benchmarks/curves_on_ml100k.py        needs ml-100k in the folder of public data; about five minutes

The protocol of the NCF paper: each user's last rating is the test, ranked against 99 items the user did not rate; the
rating before it is put aside to choose settings by, then given back, because the paper trains on all but the last.
All choices (learning rate, weight decay, regularisation, number of epochs) are made on that validation part, ranked
like the test. The test part is measured after every epoch for the figure only: nothing is chosen by it, and the table
takes the number of epochs that validation chose.

The last rows say which pairs of HR@10 and NDCG@10 are possible. With one held-out item a hit at rank 1 adds 1 to
NDCG and one further down at most 1 / log2(3), so NDCG <= HR@1 + 0.631 (HR - HR@1), which bounds HR@1 from below.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from record import DATA, recorded

import whyrec as wr
from whyrec.evaluation import Evaluation
from whyrec.figures.by_epoch import by_epoch
from whyrec.figures.learning import learning
from whyrec.training import Epoch

CLAIM = "NeuMF on ML-100K by the NCF protocol reaches HR@10 .65, and NDCG@10 .38: .55 beside .65 is not plausible"
IMAGES = Path(__file__).parents[1] / "docs" / "images"
FACTORS = (8, 16, 32, 64)
EPOCHS = 20
METRICS = ("HR@10", "NDCG@10")
GRID = {"learning_rate": (1e-3, 3e-3), "weight_decay": (0.1, 0.3, 0.5)}
"""Where the trained models look, at 16 factors."""
REGULARISATION = (50.0, 100.0, 200.0, 400.0, 800.0)
CLAIMED = ((0.45, 0.40), (0.65, 0.55))
"""HR@10 and NDCG@10 at the beginning and the end of a run that was reported for this protocol."""
SECOND = 1 / math.log2(3)
"""What a hit at rank 2 adds to NDCG, where one at rank 1 adds 1."""


def everything(split: wr.Split) -> wr.Split:
    """Train and validation together, and nothing left to choose by."""
    return dataclasses.replace(split, train=split.known, validation=split.validation.where(split.validation.users < 0))


def on_test(model: wr.Recommender, split: wr.Split) -> Evaluation:
    return wr.evaluate(model, split, protocol="sampled", baselines=())


def on_validation(model: wr.Recommender, split: wr.Split) -> dict[str, float]:
    """The metrics of the validation part, by the protocol of the test; of the test part nothing is known."""
    choosing = dataclasses.replace(split, test=split.validation, validation=everything(split).validation)
    found = wr.evaluate(model, choosing, protocol="sampled", baselines=())
    return {metric: found.metrics[metric].value for metric in METRICS}


def neumf(factors: int) -> wr.Recommender:
    return wr.NeuMF(factors=factors, depth=3, user="id")


def mf(factors: int) -> wr.Recommender:
    return wr.MF(factors=factors, user="id")


def judged(family: Any, factors: int, split: wr.Split, training: wr.Training) -> tuple[wr.Recommender, list[Any]]:
    """A model trained on the training part alone, and the validation metrics after each of its epochs."""
    model, found = family(factors), []
    wr.fit(model, split, training, progress=False, watchers=(lambda _: found.append(on_validation(model, split)),))
    return model, found


def best_epoch(found: list[dict[str, float]]) -> int:
    return 1 + max(range(len(found)), key=lambda place: found[place]["NDCG@10"])


def chosen(family: Any, split: wr.Split) -> tuple[wr.Training, list[dict[str, Any]]]:
    """The training that validation likes best at 16 factors, and what it said of each."""
    tried = []
    for point in itertools.product(*GRID.values()):
        values = dict(zip(GRID, point, strict=True))
        _, found = judged(family, 16, split, wr.Training(epochs=EPOCHS, patience=EPOCHS, **values))
        tried.append({**values, "epoch": best_epoch(found), **found[best_epoch(found) - 1]})
        print(family.__name__, tried[-1], flush=True)
    best = max(tried, key=lambda one: one["NDCG@10"])
    return wr.Training(epochs=EPOCHS, patience=EPOCHS, **{name: best[name] for name in GRID}), tried


def curve(family: Any, factors: int, split: wr.Split, training: wr.Training) -> dict[str, Any]:
    """One run for validation, which chooses the epoch, and one on all but the test, measured after every epoch."""
    first, validation = judged(family, factors, split, training)
    model, measured, whole = family(factors), [], everything(split)
    wr.fit(model, whole, training, progress=False, watchers=(lambda _: measured.append(on_test(model, whole)),))
    epoch = best_epoch(validation)
    print(family.__name__, factors, "epoch", epoch, measured[epoch - 1], flush=True)
    return {
        "epoch that validation chose": epoch,
        "test at that epoch": row(measured[epoch - 1]),
        "test by epoch, for the figure only": by_metric(
            [{metric: found.metrics[metric].value for metric in METRICS} for found in measured]
        ),
        "validation by epoch": by_metric(validation),
        "log of the run for validation": [dataclasses.asdict(one) for one in first.log],
    }


def by_metric(found: list[dict[str, float]]) -> dict[str, list[float]]:
    return {metric: [one[metric] for one in found] for metric in METRICS}


def row(found: Evaluation) -> dict[str, Any]:
    """The metrics of a model, and how its NDCG@10 comes about."""
    hits, gain = (found.metrics[metric].value for metric in METRICS)
    firsts = float((found.ranks.ranks[:, 0] == 1).double().mean())
    return {
        **{metric: estimate.to_json() for metric, estimate in found.metrics.items()},
        "HR@1": firsts,
        "NDCG@10 / HR@10": gain / hits,
        "HR@1 that these two ask for": least_firsts(hits, gain),
        "NDCG@10 with natural logarithms": gain / math.log(2),
    }


def least_firsts(hits: float, gain: float) -> float:
    """The smallest HR@1 with which this HR@10 and NDCG@10 can stand side by side."""
    return max(0.0, (gain - SECOND * hits) / (1 - SECOND))


def closed_forms(split: wr.Split) -> dict[str, Any]:
    """Popularity and EASE, the latter's regularisation chosen on validation."""
    tried = {one: on_validation(wr.fit(wr.EASE(regularisation=one), split), split) for one in REGULARISATION}
    best = max(tried, key=lambda one: tried[one]["NDCG@10"])
    models = {"popularity": wr.Popularity(), f"EASE, regularisation {best:g}": wr.EASE(regularisation=best)}
    return {name: row(on_test(wr.fit(model, everything(split)), split)) for name, model in models.items()}


def drawn(found: dict[str, Any]) -> Figure:
    runs = {
        f"NeuMF, {factors} factors": one["test by epoch, for the figure only"]
        for factors, one in found["NeuMF"].items()
    }
    baselines = {
        name.split(",")[0]: {metric: one[metric]["value"] for metric in METRICS}
        for name, one in {**found["closed forms"], "MF": best_mf(found)}.items()
    }
    note = "MovieLens 100K, last rating of 943 users against 99 unrated items; nothing was chosen on this part"
    return by_epoch(runs, baselines=baselines, measured=note)


def best_mf(found: dict[str, Any]) -> dict[str, Any]:
    """The MF of the size that validation likes best."""
    best = max(found["MF"].values(), key=lambda one: max(one["validation by epoch"]["NDCG@10"]))
    return best["test at that epoch"]


def possible() -> list[dict[str, float]]:
    """What the claimed pairs ask of HR@1."""
    return [
        {
            "HR@10": hits,
            "NDCG@10": gain,
            "NDCG@10 / HR@10": gain / hits,
            "HR@1 that these two ask for": least_firsts(hits, gain),
            "NDCG@10 if it was taken with natural logarithms": gain * math.log(2),
        }
        for hits, gain in CLAIMED
    ]


def main() -> None:
    split = wr.leave_last_out(wr.movielens(DATA / "ml-100k"))
    with recorded(__file__, CLAIM) as found:
        found["split"] = split.how
        found["closed forms"] = closed_forms(split)
        for name, family in (("NeuMF", neumf), ("MF", mf)):
            training, found[f"{name}, tried at 16 factors"] = chosen(family, split)
            found[name] = {str(factors): curve(family, factors, split, training) for factors in FACTORS}
        found["claimed pairs"] = possible()
    IMAGES.mkdir(parents=True, exist_ok=True)
    drawn(found).savefig(IMAGES / "curves_on_ml100k.png", dpi=160)
    log = [Epoch(**one) for one in found["NeuMF"][str(FACTORS[2])]["log of the run for validation"]]
    learning(log).savefig(IMAGES / "learning_on_ml100k.png", dpi=160)


if __name__ == "__main__":
    main()

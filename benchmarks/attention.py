"""AttentionNCF beside NeuMF and FeatureMLP on MovieLens 100K, by the protocol of the NCF paper.

    python benchmarks/attention.py        needs ml-100k in the folder of public data; about an hour and a half

Each user's last rating is the test, ranked against 99 items the user did not rate; settings and the number of epochs
are chosen on the rating before it, ranked in the same way, which is then given back for training. Whether attention
helps is a paired question: the same users and the same 99 items, once for the model with attention and once without.

FeatureMLP stands in the same table twice: trained on what was taken, and trained on ratings, of which the ranks of
unrated items know little.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import torch
from curves_on_ml100k import best_epoch, everything, on_test, on_validation, row
from record import DATA, recorded

import whyrec as wr
from whyrec.evaluation import Evaluation
from whyrec.models.attention_ncf import AttentionNCF
from whyrec.settings import to_json
from whyrec.statistics import holm

CLAIM = "AttentionNCF on ML-100K by the NCF protocol: HR@10 at least .65 and NDCG@10 at least .38, beside NeuMF"
EPOCHS = 20
FACTORS, DECAYS = (16, 32), (0.1, 0.3)
RATINGS = wr.Training(loss="squared", epochs=EPOCHS, patience=EPOCHS, learning_rate=2e-3)
HISTORY = wr.History(limit=100, dropout=0.5)

MODELS: dict[str, Callable[[int], wr.Recommender]] = {
    "NeuMF, ids": lambda factors: wr.NeuMF(factors=factors, user="id"),
    "AttentionNCF, ids": lambda factors: wr.AttentionNCF(factors=factors, user="id"),
    "AttentionNCF, ids, dense layers alone": lambda factors: wr.AttentionNCF(
        factors=factors, user="id", product=False, residual=False
    ),
    "NeuMF, past items": lambda factors: wr.NeuMF(factors=factors, user="history", history=HISTORY),
    "AttentionNCF, past items": lambda factors: wr.AttentionNCF(factors=factors, user="history", history=HISTORY),
    "FeatureMLP, taken": lambda factors: wr.FeatureMLP(width=factors, column_dropout=0.25),
}
PAIRS = (
    ("AttentionNCF, ids", "NeuMF, ids"),
    ("AttentionNCF, ids, dense layers alone", "NeuMF, ids"),
    ("AttentionNCF, past items", "NeuMF, past items"),
    ("AttentionNCF, past items", "AttentionNCF, ids"),
)


def judged(model: wr.Recommender, split: wr.Split, training: wr.Training) -> list[dict[str, float]]:
    """The validation metrics after each epoch of a model trained on the training part alone."""
    found: list[dict[str, float]] = []
    wr.fit(model, split, training, progress=False, watchers=(lambda _: found.append(on_validation(model, split)),))
    return found


def trained(
    name: str, make: Callable[[int], wr.Recommender], split: wr.Split, trainings: list[wr.Training]
) -> tuple[wr.Recommender, Evaluation, dict[str, Any]]:
    """A model of the size and training that validation likes best, for as many epochs, on all but the test part."""
    tried = []
    for factors, training in itertools.product(FACTORS, trainings):
        found = judged(make(factors), split, training)
        epoch = best_epoch(found)
        tried.append({"factors": factors, "training": training, "epoch": epoch, "by epoch": found})
        print(name, factors, training.weight_decay, epoch, found[epoch - 1], flush=True)
    best = max(tried, key=lambda one: float(one["by epoch"][one["epoch"] - 1]["NDCG@10"]))
    last = dataclasses.replace(best["training"], epochs=best["epoch"])
    model = wr.fit(make(best["factors"]), everything(split), last, progress=False)
    on_the_test = on_test(model, split)
    print(name, on_the_test, flush=True)
    said = [{**one, "training": to_json(one["training"])} for one in tried]
    chosen = {"factors": best["factors"], "weight decay": last.weight_decay, "epochs": last.epochs}
    return model, on_the_test, {"chosen": chosen, "tried": said, "test": row(on_the_test)}


def looked_at(model: AttentionNCF) -> dict[str, Any]:
    """What the weights are after training: how uneven, and how much they differ between items; 1 is an equal share."""
    rows, items = torch.arange(len(model.users)), torch.arange(100)[None]
    inputs = model.embed(wr.Request(rows, items, model.seen_by(rows)))
    found = {}
    for part, weights in model.attention(inputs).items():
        units = inputs[part].present.sum(-1).clamp(min=1)  # (users | 1, items | 1)
        shares = weights / weights.sum(-1, keepdim=True).clamp(min=1e-12) * units.unsqueeze(-1)
        found[part] = {
            "sum of weights, mean": float(weights.sum(-1).mean()),
            "largest share, mean": float(shares.amax(-1).mean()),
            "standard deviation of a share between items, mean": float(shares.std(1).mean()),
        }
    return found


def compared(found: dict[str, Evaluation]) -> list[dict[str, Any]]:
    """Paired differences; p-values of hits corrected for how many were asked (Holm)."""
    rows = []
    for one, other in PAIRS:
        for metric in ("HR@10", "NDCG@10"):
            difference = wr.compare(found[one], found[other], metric)
            rows.append({**difference.to_json(), "one": one, "other": other})
    tested = [place for place, one in enumerate(rows) if one["p_value"] is not None]
    for place, p_value in zip(tested, holm([rows[place]["p_value"] for place in tested]), strict=True):
        rows[place]["p_value, corrected"] = p_value
    return rows


def main() -> None:
    split = wr.leave_last_out(wr.movielens(DATA / "ml-100k"))
    usual = [wr.Training(epochs=EPOCHS, patience=EPOCHS, learning_rate=3e-3, weight_decay=one) for one in DECAYS]
    with recorded(__file__, CLAIM) as found:
        found["split"], found["seed"] = split.how, 0
        evaluations = {}
        for name, make in MODELS.items():
            model, evaluations[name], found[name] = trained(name, make, split, usual)
            if isinstance(model, AttentionNCF):
                found[name]["attention"] = looked_at(model)
        _, _, found["FeatureMLP, ratings"] = trained(
            "FeatureMLP, ratings", MODELS["FeatureMLP, taken"], split, [RATINGS]
        )
        found["paired"] = compared(evaluations)


if __name__ == "__main__":
    main()

"""FeatureMLP on MovieLens 100K: ratings from columns, with ids and without; what each group of columns is worth.

    python benchmarks/features.py        needs ml-100k in the folder of public data; about a quarter of an hour

Settings are chosen by the RMSE of the validation part of one split (a fifth of each user's ratings for test, a tenth
for validation), once with ids and once without; its test part is measured after that, for groups of columns, and five
other splits (five-fold) give the numbers of the first table, each with its own validation part to choose the epoch.

The last part is about a number that says nothing. A report has HR@10 = 1.0 and NDCG@10 = .93 for such a model. With
values that are all multiples of .1 and go up and down from epoch to epoch, they can only have been computed over about
ten ratings; here are the same two numbers of ten test ratings, for this model and for random numbers.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from curves_on_ml100k import METRICS, on_validation
from numpy.typing import NDArray
from record import DATA, recorded

import whyrec as wr
from whyrec.explanation import Explainer, Explanations
from whyrec.figures.by_epoch import by_epoch
from whyrec.figures.contributions import contributions
from whyrec.figures.waterfall import waterfall
from whyrec.method_table import by_value, first_layer, side_by_side
from whyrec.ratings import RatingErrors
from whyrec.recommendations import Recommendations, list_of
from whyrec.statistics import bootstrap

CLAIM = "FeatureMLP on ML-100K: RMSE with ids at most .945, without at most 1.03; what each group of columns is worth"
IMAGES = Path(__file__).parents[1] / "docs" / "images"
EPOCHS, PATIENCE, FOLDS = 40, 4, 5
GRID: dict[str, tuple[Any, ...]] = {
    "hidden": ((64, 32), (256, 64)),
    "column_dropout": (0.0, 0.25, 0.5),
    "dropout": (0.0, 0.2),
}
MODELS: dict[str, dict[str, Any]] = {
    "with ids": {},
    "without ids": {"ids": False},
    "without ids, postcodes of one person learned": {"ids": False, "fewest": 1},
}
PEOPLE = ("age", "gender", "occupation", "zip")
ITEMS = {"genres", "year"}
GROUPS = {
    "what people are": PEOPLE,
    "age and gender": ("age", "gender"),
    "occupation and postcode": ("occupation", "zip"),
    "genres": ("genres",),
    "year": ("year",),
    "genres and year": ("genres", "year"),
}
EXPLAINED, HIDDEN = 300, 0.5
"""Users whose first test rating is explained, and the column dropout of the model that is asked: one that never missed
a column has no score to start from."""
METHODS: dict[str, Explainer] = {
    "LRP": wr.LRP(),
    "LIME": wr.LIME(),
    "SHAP": wr.PermutationShapley(),
    "IG": wr.IntegratedGradients(),
    "Gradient SHAP": wr.ExpectedGradients(),
    "Smooth Grad": wr.SmoothGrad(),
    "DeepLIFT": wr.DeepLIFT(),
    "gradient × input": wr.GradientTimesInput(),
    "ablation": wr.LeaveOneOut(),
    "first layer": first_layer,
}
CLAIMED = {"HR@10": 1.0, "NDCG@10": 0.9312606617215708}
LIKED = 3.0
"""Ratings from here up count as hits where the report's numbers are computed again."""


def training(seed: int = 0) -> wr.Training:
    return wr.Training(loss="squared", epochs=EPOCHS, patience=PATIENCE, learning_rate=2e-3, seed=seed)


def fitted(split: wr.Split, settings: dict[str, Any], seed: int = 0) -> wr.Recommender:
    return wr.fit(wr.FeatureMLP(**settings), split, training(seed), progress=False)


def chosen(split: wr.Split, base: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The settings that validation likes best, and what it said of each."""
    tried = []
    for point in itertools.product(*GRID.values()):
        settings = {**base, **dict(zip(GRID, point, strict=True))}
        rmse = min(epoch.rmse for epoch in fitted(split, settings).log if epoch.rmse is not None)
        tried.append({**settings, "RMSE": rmse})
        print(tried[-1], flush=True)
    best = min(tried, key=lambda one: float(one["RMSE"]))
    return {name: value for name, value in best.items() if name != "RMSE"}, tried


def in_folds(data: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """RMSE and MAE of each fold, and over the ratings of all folds, with intervals over users."""
    found = [
        wr.evaluate_ratings(fitted(split, settings), split, baselines=())
        for split in wr.k_fold(data, folds=FOLDS, validation=0.1)
    ]
    sums = np.zeros((len(data.users), 3))
    for one in found:
        sums[one.users] += one.per_user
    everybody = sums[sums[:, 2] > 0]
    whole = {
        "RMSE": bootstrap(everybody, lambda means: np.sqrt(means[:, 0] / means[:, 2])),
        "MAE": bootstrap(everybody, lambda means: means[:, 1] / means[:, 2]),
    }
    print(settings, whole["RMSE"], flush=True)
    return {"folds": [one.rmse.value for one in found], **{name: one.to_json() for name, one in whole.items()}}


def without_groups(split: wr.Split, settings: dict[str, Any]) -> dict[str, Any]:
    """RMSE without each group of columns, and how much more that is, on the same users."""
    whole = wr.evaluate_ratings(fitted(split, settings), split, baselines=())
    rows: dict[str, Any] = {"all columns": {"RMSE": whole.rmse.to_json()}}
    for name, group in GROUPS.items():
        if not settings.get("ids", True) and set(group) >= ITEMS:
            continue  # nothing would be left of the items
        if not settings.get("ids", True) and set(group) >= set(PEOPLE):
            continue  # nothing would be left of the people
        found: RatingErrors = wr.evaluate_ratings(fitted(split, {**settings, "exclude": group}), split)
        rows[f"without {name}"] = {"RMSE": found.rmse.to_json(), "more": found.minus(whole).to_json()}
        print(name, found.rmse, found.minus(whole), flush=True)
    return rows


def epochs(split: wr.Split, settings: dict[str, Any]) -> dict[str, list[float]]:
    """RMSE, HR@10 and NDCG@10 of the validation part after each epoch, the last two against 99 unrated items."""
    model, found = wr.FeatureMLP(**settings), []
    wr.fit(model, split, training(), progress=False, watchers=(lambda _: found.append(on_validation(model, split)),))
    curves = {metric: [one[metric] for one in found] for metric in METRICS}
    return {"RMSE": [float(epoch.rmse or np.nan) for epoch in model.log], **curves}


def ten_items(scores: NDArray[Any], ratings: NDArray[Any]) -> dict[str, float]:
    """Share of hits among the ten ratings with the highest scores, and NDCG of these ten against their best order."""
    best = np.argsort(-scores, kind="stable")[:10]
    gains, discounts = ratings[best], 1 / np.log2(np.arange(2, 12))
    ideal = (np.sort(gains)[::-1] * discounts).sum()
    return {"HR@10": float((gains >= LIKED).mean()), "NDCG@10": float((gains * discounts).sum() / ideal)}


def over_ten(split: wr.Split, model: wr.Recommender, *, draws: int = 1000) -> dict[str, Any]:
    """The two numbers over ten ratings: of the best scored ones of the test part, and of ten drawn by chance."""
    test = split.test
    users, items = split.dataset.users.vocabulary.ids(test.users), split.dataset.items.vocabulary.ids(test.items)
    scores, ratings = wr.predict(model, users, items, clip=False), np.asarray(test.values, dtype=np.float64)
    chance = np.random.default_rng(0)
    batches = [chance.choice(len(ratings), 10, replace=False) for _ in range(draws)]
    ways = {
        "ten drawn, this model": [ten_items(scores[some], ratings[some]) for some in batches],
        "ten drawn, random numbers": [ten_items(chance.random(10), ratings[some]) for some in batches],
        "ten best of all, random numbers": [ten_items(chance.random(len(ratings)), ratings) for _ in range(draws)],
    }
    found: dict[str, Any] = {"ten best of all, this model": ten_items(scores, ratings), "claimed": CLAIMED}
    for name, numbers in ways.items():
        found[name] = {
            metric: {
                "mean": float(np.mean(values := [one[metric] for one in numbers])),
                "middle 95 %": np.quantile(values, (0.025, 0.975)).tolist(),
                "draws that reach the claim": float(np.mean(np.array(values) >= CLAIMED[metric])),
            }
            for metric in METRICS
        }
    return found


def pairs_of(model: wr.Recommender, split: wr.Split) -> Recommendations:
    """The first test rating of some users, as lists of one: what people rated, not what the model likes best."""
    test = split.test
    _, first = np.unique(test.users, return_index=True)
    drawn = np.sort(np.random.default_rng(0).permutation(first)[:EXPLAINED])
    users, items = model.users.vocabulary.ids(test.users[drawn]), model.items.vocabulary.ids(test.items[drawn])
    lists = [list_of(model, user, item) for user, item in zip(users, items, strict=True)]
    joined = {name: torch.cat([getattr(one, name) for one in lists]) for name in ("user_rows", "item_rows", "scores")}
    return dataclasses.replace(lists[0], history=torch.cat([one.history for one in lists]), **joined)


def explained(model: wr.Recommender, split: wr.Split) -> dict[str, Explanations]:
    pairs = pairs_of(model, split)
    return {name: wr.explain(model, pairs, method) for name, method in METHODS.items()}


def draw(found: dict[str, Any], why: dict[str, Explanations]) -> None:
    """The figures of the page."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    note = "MovieLens 100K, validation part: RMSE of the rating, rank of the rated item against 99 unrated ones"
    by_epoch(found["by epoch"], measured=note).savefig(IMAGES / "features_by_epoch.png", dpi=160)
    contributions(side_by_side(why)).savefig(IMAGES / "methods_by_column.png", dpi=160)
    contributions(by_value(why, "genres", most=18)).savefig(IMAGES / "methods_by_genre.png", dpi=160)
    lrp, ledger = why["LRP"], why["LRP"].ledger
    start = float(ledger.reference[0, 0] + ledger.bias[0, 0])
    waterfall(lrp.contributions(0, 0), start=start, target="stars").savefig(IMAGES / "waterfall.png", dpi=160)


def main() -> None:
    data = wr.movielens(DATA / "ml-100k")
    split, last = wr.by_ratio(data, seed=0), wr.leave_last_out(data)
    with recorded(__file__, CLAIM) as found:
        found["split of the choice and of the groups"], found["seed"] = split.how, 0
        settings = {}
        for name, base in MODELS.items():
            settings[name], found[f"tried, {name}"] = chosen(split, base)
            found[name] = {"settings": settings[name], **in_folds(data, settings[name])}
        for name in ("with ids", "without ids"):
            found[f"groups, {name}"] = without_groups(split, settings[name])
        found["by epoch"] = {name: epochs(last, settings[name]) for name in ("with ids", "without ids")}
        model = fitted(split, settings["with ids"])
        found["over ten ratings"] = over_ten(split, model)
        asked = fitted(split, {**settings["with ids"], "column_dropout": HIDDEN})
        found["RMSE of the explained model"] = wr.evaluate_ratings(asked, split).rmse.to_json()
        found["sensitive"] = wr.sensitive_share(asked).to_json()
        why = explained(asked, split)
        found["methods by column"] = side_by_side(why).to_json()
        found["methods by genre"] = by_value(why, "genres", most=18).to_json()
    draw(found, why)


if __name__ == "__main__":
    main()

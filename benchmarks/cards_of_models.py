"""Each model with each method on MovieLens 100K: whose explanations can be believed, in one table.

    python benchmarks/cards_of_models.py        needs ml-100k in the folder of public data; about an hour

Every model is trained with the same split (each user's last event for test, the one before it to choose the epoch), and
its first recommendation for up to 100 users explained by LRP, integrated gradients, Shapley values, LIME and, where a
score is a sum, its own terms; models that attend also by their attention weights, beside leave-one-out. A model that
rates by user ids alone has nothing that can be taken away, and says so. Columns are fewer than past items: there the
verdict is about three of them, elsewhere about five.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from record import DATA, recorded

import whyrec as wr
from whyrec import kinds
from whyrec.errors import NotApplicable
from whyrec.explanation import Explainer
from whyrec.recommender import Attending

CLAIM = "Report cards on ML-100K: every model with LRP, IG, Shapley, LIME and its own terms"
USERS = 100
EPOCHS = 20
HISTORY = wr.History(limit=100)
METHODS: dict[str, Explainer] = {
    "LRP": wr.LRP(),
    "IG": wr.IntegratedGradients(),
    "Shapley": wr.PermutationShapley(),
    "LIME": wr.LIME(),
    "own terms": wr.Intrinsic(),
    "leave one out": wr.LeaveOneOut(),
}
ATTENTION = {"attention weights": wr.AttentionWeights()}
MODELS: dict[str, Callable[[], wr.Recommender]] = {
    "ease": lambda: wr.EASE(regularisation=400.0),
    "item_knn": lambda: wr.ItemKNN(),
    "ials": lambda: wr.IALS(),
    "mf": lambda: wr.MF(history=HISTORY),
    "mlp": lambda: wr.MLP(history=HISTORY),
    "neumf": lambda: wr.NeuMF(history=HISTORY),
    "autoencoder": lambda: wr.Autoencoder(),
    "attention_ncf": lambda: wr.AttentionNCF(history=HISTORY),
    "feature_mlp": lambda: wr.FeatureMLP(column_dropout=0.75),
    "feature_mlp, ratings": lambda: wr.FeatureMLP(column_dropout=0.75),
    "biased_mf, past items": lambda: kinds.load("models", "biased_mf")(implicit=True),
    "ncf_regressor, past items": lambda: kinds.load("models", "ncf_regressor")(implicit=True),
    "residual_hybrid, past items": lambda: kinds.load("models", "residual_hybrid")(implicit=True),
}
OF_COLUMNS, OF_RATINGS = ("feature_mlp", "feature_mlp, ratings"), ("feature_mlp, ratings",)


def fitted(name: str, split: wr.Split) -> wr.Recommender:
    """A model with its usual training."""
    loss: Any = "squared" if name in OF_RATINGS else None
    training = wr.Training(epochs=EPOCHS, loss=loss, learning_rate=2e-3 if name in OF_COLUMNS else 5e-3)
    return wr.fit(MODELS[name](), split, training, progress=False)


def cards(name: str, model: wr.Recommender) -> dict[str, Any]:
    """A row of one report card for each method that applies, and why each other one does not."""
    lists = wr.recommend(model, k=10)
    settings = wr.Verification(users=USERS, k=3 if name in OF_COLUMNS else 5, also=(1,))
    methods = {**METHODS, **(ATTENTION if isinstance(model, Attending) else {})}
    found: dict[str, Any] = {}
    few = wr.recommend(model, users=model.users.vocabulary.ids(range(5)), k=1)
    for method, explainer in methods.items():
        try:
            wr.explain(model, few, explainer)
        except NotApplicable as why:
            found[method] = {"not applicable": str(why)}
    applied = {method: explainer for method, explainer in methods.items() if method not in found}
    card = wr.verify(model, lists, list(applied.values()), settings=settings)
    print(name, card, sep="\n", flush=True)
    return {**found, **{method: row.to_json() for method, row in zip(applied, card.rows, strict=True)}}


def table(found: dict[str, Any]) -> str:
    """Models down, methods across: deletion between random, 0, and the best order found, 1, and the verdict."""
    names = [*METHODS, *ATTENTION]
    lines = ["| model | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for model, rows in found.items():
        lines.append(f"| {model} | " + " | ".join(_cell(rows.get(method)) for method in names) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any] | None) -> str:
    if row is None or "not applicable" in row:
        return ""
    deleted = row["deletion"]["normalised"]
    number = "" if deleted is None else f"{deleted['value']:.2f} [{deleted['low']:.2f}, {deleted['high']:.2f}], "
    return f"{number}{row['verdict']}"


def main() -> None:
    split = wr.leave_last_out(wr.movielens(DATA / "ml-100k"))
    with recorded(__file__, CLAIM) as found:
        found["split"], found["seed"] = split.how, 0
        found["models"] = {name: cards(name, fitted(name, split)) for name in MODELS}
    page = Path(__file__).parent / "results" / "cards_of_models.md"
    page.write_text("# Report cards of models on MovieLens 100K\n\n" + table(found["models"]), encoding="utf-8")
    print(f"wrote {page}")


if __name__ == "__main__":
    main()

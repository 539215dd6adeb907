"""Is SHAP stable and dear, LIME fast and variable? Both at equal numbers of evaluations, on MovieLens 100K.

python benchmarks/shap_and_lime_stability.py   needs ml-100k in the folder of public data; about ten minutes

NeuMF on histories of at most 50 past items, 200 users, their first recommendation. Each method may evaluate the model
as often as the row says for each explanation. Stability is the overlap of the five strongest reasons: with another
seed, and with a user who lacks one past item. Exact methods, which draw nothing, stand below.
"""

from __future__ import annotations

from record import DATA, recorded

import whyrec as wr
from whyrec.explanation import Explainer

PAST = 50
BUDGETS = (200, 1000, 5000)
EXACT = {"lrp": wr.LRP(), "integrated gradients": wr.IntegratedGradients(), "leave one out": wr.LeaveOneOut()}


def drawn(evaluations: int) -> dict[str, Explainer]:
    """The methods that draw coalitions, each with so many evaluations of the model."""
    orders = max(1, evaluations // (PAST + 1))
    return {
        f"kernel shap, {evaluations:,}": wr.KernelSHAP(samples=evaluations),
        f"permutation shapley, {evaluations:,}": wr.PermutationShapley(permutations=orders),
        f"lime, {evaluations:,}": wr.LIME(samples=evaluations),
    }


def main() -> None:
    split = wr.leave_last_out(wr.movielens(DATA / "ml-100k"))
    with recorded(__file__, "Stability, cost and deletion of SHAP and LIME at equal budgets") as found:
        model = wr.fit(wr.NeuMF(history=wr.History(limit=PAST)), split, progress=False)
        methods = {name: one for budget in BUDGETS for name, one in drawn(budget).items()} | EXACT
        lists, settings = wr.recommend(model, k=1), wr.Verification(users=200)
        card = wr.verify(model, lists, list(methods.values()), settings=settings)
        found["split"], found["seed"], found["users"] = split.how, 0, card.users
        found["rows"] = {name: row.to_json() for name, row in zip(methods, card.rows, strict=True)}
    print(f"{'':<28} {'other seed':<22} {'one past item less':<22} {'deletion@5, 0 to 1':<22} {'ms each':>8}  verdict")
    for name, row in zip(methods, card.rows, strict=True):
        own = row.deletion.normalised
        print(f"{name:<28} {row.other_seed!s:<22} {row.stability!s:<22} {own!s:<22} {row.cost_ms:8.2f}  {row.verdict}")


if __name__ == "__main__":
    main()

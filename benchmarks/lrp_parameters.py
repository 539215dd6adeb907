"""What the settings of LRP do on a trained recommender: reasons, their strength, and how firm they are.

python benchmarks/lrp_parameters.py   needs ml-100k in the folder of public data; about four minutes;
in small: python benchmarks/lrp_parameters.py 20 2   (users, epochs)

For each setting, over the top-10 lists of some users of NeuMF on histories: how many past items bring more than 2 % of
the score, the effective number of reasons, the share that speaks against, the strongest reason, what biases and the
stabiliser took, and the rank correlation with the same explanation of a model from another seed (by user and item) and
with neighbouring settings of the same rule. Drawn as one figure beside the numbers.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from record import DATA, recorded
from torch import Tensor

import whyrec as wr
from whyrec.attribution import Attribution
from whyrec.question import Question, ask
from whyrec.recommender import Recommender, Request
from whyrec.spearman import unit_correlation

EPSILONS = [0.0, 1e-6, 1e-3, 1e-2, 0.1, 0.25, 0.5, 1.0]
GAMMAS = [0.0, 0.1, 0.25, 0.5, 1.0, 10.0]
ALPHAS = [1.0, 1.5, 2.0]
USERS, EPOCHS = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) > 2 else (100, 20)

RULES = {
    "epsilon": [(epsilon, wr.LRP(epsilon)) for epsilon in EPSILONS],
    "gamma": [(gamma, wr.LRP(gamma=gamma)) for gamma in GAMMAS],
    "alpha": [(alpha, wr.LRP(alpha=alpha, beta=alpha - 1)) for alpha in ALPHAS],
}


def asked(model: Recommender, items: Tensor) -> Question:
    """The same users and items for every model, in float64."""
    users = torch.arange(len(items))
    return ask(model, Request(users, items, model.seen_by(users)), dtype=torch.float64)


def described(answer: Attribution) -> dict[str, float]:
    """Means over users and items."""
    relevance, target = answer.relevance["history"], answer.ledger.target
    sizes = relevance.abs()
    whole = sizes.sum(-1).clamp(min=1e-30)
    return {
        "reasons above 2 %": float((sizes > 0.02 * target.abs()[..., None]).sum(-1).double().mean()),
        "effective reasons": float((whole.square() / sizes.square().sum(-1).clamp(min=1e-30)).mean()),
        "share against": float((-relevance.clamp(max=0).sum(-1) / whole).mean()),
        "strongest / |score|": float((sizes.amax(-1) / target.abs().clamp(min=1e-9)).median()),
        "bias / |score|": float((answer.ledger.bias.abs() / target.abs().clamp(min=1e-9)).median()),
        "stabiliser / |score|": float((answer.ledger.stabilizer.abs() / target.abs().clamp(min=1e-9)).median()),
    }


def agreement(one: Attribution, other: Attribution) -> float:
    """Mean rank correlation of two explanations, over users and items with at least three past items."""
    return float(unit_correlation(one, other).nanmean())


def main() -> None:
    """Train two models, explain the first one's lists by every setting, and draw."""
    split = wr.leave_last_out(wr.movielens(DATA / "ml-100k"))
    models = [wr.fit(wr.NeuMF(user="history"), split, wr.Training(seed=seed, epochs=EPOCHS)) for seed in (0, 1)]
    lists = wr.recommend(models[0], k=10)
    first, second = (asked(model, lists.item_rows[:USERS]) for model in models)
    with recorded(__file__, "NeuMF on ML-100K histories: what epsilon, gamma and alpha do to explanations") as found:
        figure, axes = plt.subplots(2, len(RULES), figsize=(12, 6), constrained_layout=True)
        for column, (name, settings) in enumerate(RULES.items()):
            answers = [explainer(first) for _, explainer in settings]
            seeds = [
                agreement(answer, explainer(second)) for answer, (_, explainer) in zip(answers, settings, strict=True)
            ]
            steps = [1.0, *(agreement(*pair) for pair in pairwise(answers))]
            rows = [
                {name: value, **described(answer), "same with another seed": seed, "same as the setting before": step}
                for (value, _), answer, seed, step in zip(settings, answers, seeds, steps, strict=True)
            ]
            found[name] = rows
            for row, keys in enumerate((tuple(rows[0])[1:3], tuple(rows[0])[3:4] + tuple(rows[0])[-2:])):
                for key in keys:
                    axes[row, column].plot(range(len(rows)), [one[key] for one in rows], marker="o", label=key)
                axes[row, column].set_xticks(range(len(rows)), [f"{value:g}" for value, _ in settings])
                axes[row, column].set_xlabel(name)
                axes[row, column].legend(fontsize=7)
        figure.savefig(Path(__file__).parent / "results" / "lrp_parameters.png", dpi=120)


if __name__ == "__main__":
    main()

"""MovieLens 100K: models on history beside the simple baselines, and whether their explanations can be believed.

python benchmarks/verdicts_on_ml100k.py   needs ml-100k in the folder of public data; about three minutes
"""

from __future__ import annotations

from record import DATA, recorded

import whyrec as wr

MODELS = {"neumf": wr.NeuMF(), "mf": wr.MF(), "ease": wr.EASE()}
METHODS = [wr.LRP(), wr.LeaveOneOut(), wr.GradientTimesInput(), wr.Random()]

with recorded(__file__, "ML-100K, leave-last-out: HR@10 and NDCG@10, and report cards of four methods") as found:
    split = wr.leave_last_out(wr.movielens(DATA / "ml-100k"))
    found["split"], found["seed"] = split.how, 0
    for name, model in MODELS.items():
        wr.fit(model, split)
        card = wr.verify(model, wr.recommend(model, k=10), METHODS, settings=wr.Verification(users=500))
        print(name, card, sep="\n")
        found[name] = {
            "epochs": len(model.log),
            "full": wr.evaluate(model, split).to_json(),
            "sampled": wr.evaluate(model, split, protocol="sampled").to_json(),
            "card": card.to_json(),
        }

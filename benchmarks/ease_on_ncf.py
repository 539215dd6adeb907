"""EASE on the NCF paper's split of MovieLens 1M, its 99 negatives: regularisation chosen on validation, test seen once.

python benchmarks/ease_on_ncf.py          needs ncf-ml-1m in the folder of public data; about a minute
"""

from __future__ import annotations

import dataclasses

from record import DATA, recorded

import whyrec as wr

CHOICES = (100.0, 300.0, 500.0, 1000.0, 2000.0)

with recorded(__file__, "EASE on ML-1M, NCF split: HR@10 and NDCG@10 against the paper's 99 negatives") as found:
    split = wr.ncf(DATA / "ncf-ml-1m")
    # The validation part in the place of the test part, 99 fresh negatives: the test part is not touched here.
    empty = split.test.where(split.test.users < 0)
    choosing = dataclasses.replace(split, validation=empty, test=split.validation, candidates=None)
    tried = {}
    for regularisation in CHOICES:
        model = wr.fit(wr.EASE(regularisation=regularisation), choosing)
        chosen = wr.evaluate(model, choosing, protocol="sampled", baselines=())
        tried[regularisation] = chosen.metrics["NDCG@10"].value
        print(f"regularisation {regularisation:g}: validation NDCG@10 {tried[regularisation]:.4f}")
    best = max(tried, key=lambda one: tried[one])
    final = wr.evaluate(wr.fit(wr.EASE(regularisation=best), split, wr.Training(refit=True)), split, protocol="sampled")
    print(final)
    found["validation NDCG@10 by regularisation"] = tried
    found["regularisation"] = best
    found["test"] = final.to_json()

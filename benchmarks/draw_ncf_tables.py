"""The NCF tables as figures, and which sizes differ: models of 8 to 64 factors compared user by user.

    python benchmarks/draw_ncf_tables.py         reads what ncf_tables.py and classic_on_ncf.py wrote; a minute

Rows and models that are not there yet are left out, so it may be run while the tables are being filled. Figures show
the models refitted on train and validation; the comparisons are of these, and of those as validation chose them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from record import DATA, recorded

import whyrec as wr
from whyrec.evaluation import Evaluation
from whyrec.figures.by_setting import by_setting
from whyrec.statistics import Estimate, holm

RESULTS = Path(__file__).parent / "results"
RUNS = Path(__file__).parent / "runs"
IMAGES = Path(__file__).parents[1] / "docs" / "images"
FACTORS, DEPTHS = (8, 16, 32, 64), (0, 1, 2, 3, 4)
STAGES = ("refitted", "chosen")
METRICS = ("HR@10", "NDCG@10")
FAMILIES = {
    "MF": "mf-{}",
    "GMF": "gmf-{}",
    "MLP": "mlp-depth3-{}",
    "NeuMF": "neumf-{}",
    "NeuMF, pre-trained": "neumf-pretrained-{}",
}
"""What a family's rows are called, by factors."""
BY_DEPTH = {f"MLP, {factors} factors": f"mlp-depth{{}}-{factors}" for factors in FACTORS}
"""What the rows of one size are called, by depth."""
CLASSICS = {"ItemKNN": "ItemKNN", "iALS": "iALS, 192 factors", "EASE": "EASE"}
"""Models without factors to vary, or with their own best, and their rows."""
NOTE = "MovieLens 1M, the NCF paper's split and its 99 negatives of 6,040 users; bars and bands are 95 % intervals"

Found = Mapping[str, Mapping[int, Mapping[str, Estimate]]]


def tables(names: Mapping[str, str], values: tuple[int, ...]) -> Found:
    """The rows that are there: family -> value -> metric -> estimate."""
    rows = json.loads((RESULTS / "ncf_tables.json").read_text())["rows"]
    found = {
        family: {value: of_json(rows[name.format(value)]["refitted"]) for value in values if name.format(value) in rows}
        for family, name in names.items()
    }
    return {family: by_value for family, by_value in found.items() if by_value}


def of_json(metrics: Mapping[str, Any]) -> dict[str, Estimate]:
    return {metric: Estimate(**metrics[metric]) for metric in METRICS}


def classics() -> dict[str, Mapping[str, Estimate]]:
    rows = json.loads((RESULTS / "classic_on_ncf.json").read_text())["rows"]
    found = {name: of_json(rows[row]["test"]["metrics"]) for name, row in CLASSICS.items() if row in rows}
    popularity = next(iter(rows.values()))["test"]["baselines"]["popularity"]
    return {"popularity": of_json(popularity), **found}


def draw() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    for what, names, values, setting in (
        ("ncf_by_factors", FAMILIES, FACTORS, "factors"),
        ("ncf_by_depth", BY_DEPTH, DEPTHS, "hidden layers"),
    ):
        found = tables(names, values)
        if found:
            figure = by_setting(found, setting=setting, baselines=classics(), measured=NOTE)
            figure.savefig(IMAGES / f"{what}.png", dpi=160)
            print(f"drew {what} from {sum(map(len, found.values()))} rows")


def evaluated(name: str, values: tuple[int, ...], stage: str, split: wr.Split) -> dict[int, Evaluation]:
    """The saved models of one family, each on the test part."""
    folders = {value: RUNS / f"{name.format(value)}-{stage}" for value in values}
    return {
        value: wr.evaluate(wr.load(folder), split, protocol="sampled", baselines=())
        for value, folder in folders.items()
        if folder.is_dir()
    }


def pairs(found: Mapping[int, Evaluation]) -> Iterator[dict[str, Any]]:
    """Every larger model against every smaller one; Holm's p-values are over the pairs of this family and stage."""
    larger = [(one, other) for other, one in itertools.combinations(sorted(found), 2)]
    for metric in METRICS:
        compared = [wr.compare(found[one], found[other], metric) for one, other in larger]
        tested = [one.p_value for one in compared if one.p_value is not None]
        raised = iter(holm(tested))
        for (one, other), told in zip(larger, compared, strict=True):
            p_value = None if told.p_value is None else next(raised)
            yield {"larger": one, "smaller": other, **told.to_json(), "p_value by Holm": p_value}


def main() -> None:
    draw()
    split = wr.ncf(DATA / "ncf-ml-1m")
    claim = "NCF on ML-1M: whether larger models are better, user by user on the same 99 negatives"
    with recorded(__file__, claim, to="ncf_pairs") as result:
        result["split"] = split.how
        for stage, (family, name) in itertools.product(STAGES, FAMILIES.items()):
            found = evaluated(name, FACTORS, stage, split)
            result[f"{family} by factors, {stage}"] = list(pairs(found))
        for stage, (family, name) in itertools.product(STAGES, BY_DEPTH.items()):
            found = evaluated(name, DEPTHS, stage, split)
            result[f"{family} by depth, {stage}"] = list(pairs(found))


if __name__ == "__main__":
    main()

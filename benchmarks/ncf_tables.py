"""The tables of the NCF paper on MovieLens 1M, its split and its 99 negatives, chosen on validation only. Resumable.

    python benchmarks/ncf_tables.py [--factors 8 64 16 32]      needs ncf-ml-1m in the folder of public data; hours

GMF, MLP (by depth), NeuMF and NeuMF pre-trained. Each row tries a small grid, keeps what the validation part likes best
(one training interaction of each user, ranked among 99 other items, as the test part is), and is then measured twice on
the test part: as chosen, and after a refit on train and validation together for the chosen number of epochs. Rows that
are in the result file already are not run again, and a run that was interrupted goes on from its last epoch.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import time
from pathlib import Path
from typing import Any

from record import DATA, recorded

import whyrec as wr

RESULTS = Path(__file__).parent / "results" / "ncf_tables.json"
RUNS = Path(__file__).parent / "runs"
Grid = dict[str, tuple[Any, ...]]
SMALL: dict[str, Grid] = {
    "mf": {"init_std": (0.01, 0.1), "learning_rate": (1e-3, 3e-3), "weight_decay": (0.3,)},
    "gmf": {"init_std": (0.01, 0.1), "learning_rate": (1e-3, 3e-3), "weight_decay": (0.3,)},
    "mlp": {"init_std": (0.01,), "learning_rate": (1e-3, 3e-3), "weight_decay": (0.0, 0.3)},
    "neumf": {"init_std": (0.01,), "learning_rate": (1e-3, 3e-3), "weight_decay": (0.0, 0.3)},
    "neumf-pretrained": {"learning_rate": (3e-4, 1e-3), "weight_decay": (0.0, 0.3)},
}
"""Where each family looks, in batches of 1,024 positives."""
OF_MODELS = ("init_std", "alpha")
"""What of this is no setting of training."""
LARGE: dict[str, Grid] = {
    "mf": SMALL["mf"],
    "gmf": SMALL["gmf"],
    "mlp": {"init_std": (0.01,), "batch_size": (4096,), "learning_rate": (2e-3,), "weight_decay": (0.0, 0.3, 1.0)},
    "neumf": {"init_std": (0.01,), "batch_size": (4096,), "learning_rate": (2e-3,), "weight_decay": (0.0, 0.3, 1.0)},
    "neumf-pretrained": {
        "alpha": (0.5, 0.7),
        "batch_size": (4096,),
        "learning_rate": (3e-5, 2e-4),
        "weight_decay": (1.0,),
    },
}
"""The same from 32 factors on, where networks are wide: larger batches share more items. Two trained parts of that size
are near their best when they are joined, so what follows takes small steps."""


def trained(model: wr.Recommender, split: wr.Split, training: wr.Training, name: str) -> wr.Recommender:
    """Train under a name; one that was finished before is read back, one that was interrupted goes on."""
    if not (RUNS / name).exists():
        wr.fit(model, split, training, checkpoint=RUNS / f"{name}.safetensors", progress=False)
        wr.save(model, RUNS / name)
    return wr.load(RUNS / name)


def everything(split: wr.Split) -> wr.Split:
    """Train and validation together, and nothing left to choose by."""
    return dataclasses.replace(split, train=split.known, validation=split.validation.where(split.validation.users < 0))


def chosen_of(model: wr.Recommender) -> Any:
    return max(model.log, key=lambda epoch: epoch.validation)


def row(name: str, begin: Any, split: wr.Split, grid: Grid) -> dict[str, Any]:
    """Try the grid, measure the best as chosen and after a refit. `begin(refit, **settings)` makes a model to train."""
    started, best, values = time.perf_counter(), None, {}
    grid_points = [dict(zip(grid, point, strict=True)) for point in itertools.product(*grid.values())]
    for place, some in enumerate(grid_points, start=1):
        model = trained(begin(False, **of_model(some)), split, training(some, epochs=60), f"{name}-try{place}")
        if best is None or chosen_of(model).validation > chosen_of(best).validation:
            best, values = model, some
    wr.save(best, RUNS / f"{name}-chosen")
    epoch = chosen_of(best)
    again = training(values, epochs=epoch.number)
    refitted = trained(begin(True, **of_model(values)), everything(split), again, f"{name}-refitted")
    return {
        "epochs": epoch.number,
        "validation NDCG@10": epoch.validation,
        **values,
        "chosen": measured(best, split),
        "refitted": measured(refitted, split),
        "seconds": round(time.perf_counter() - started),
    }


def of_model(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in OF_MODELS}


def training(values: dict[str, Any], epochs: int) -> wr.Training:
    asked = {name: value for name, value in values.items() if name not in OF_MODELS}
    return wr.Training(**{"epochs": epochs, "batch_size": 1024, "patience": 3, "validation_negatives": 99, **asked})


def measured(model: wr.Recommender, split: wr.Split) -> dict[str, Any]:
    found = wr.evaluate(model, split, protocol="sampled", baselines=())
    return {name: estimate.to_json() for name, estimate in found.metrics.items()}


def rows(factors: int) -> dict[str, Any]:
    """The rows of one size, by name; what makes the model of each, chosen or to be refitted."""
    size = {"factors": factors, "user": "id"}

    def fused(refit: bool, alpha: float = 0.5) -> wr.Recommender:
        stage = "refitted" if refit else "chosen"
        parts = [wr.load(RUNS / f"{name}-{factors}-{stage}") for name in ("gmf", "mlp-depth3")]
        return wr.NeuMF.from_pretrained(*parts, alpha=alpha)

    return {
        f"gmf-{factors}": lambda _refit, **more: wr.GMF(**size, **more),
        f"mlp-depth3-{factors}": lambda _refit, **more: wr.MLP(depth=3, **size, **more),
        f"neumf-{factors}": lambda _refit, **more: wr.NeuMF(depth=3, **size, **more),
        f"neumf-pretrained-{factors}": fused,
        f"mf-{factors}": lambda _refit, **more: wr.MF(**size, **more),
    }


def rows_by_depth(factors: int) -> dict[str, Any]:
    """The rows of the MLP's other depths."""
    size = {"factors": factors, "user": "id"}
    return {
        f"mlp-depth{depth}-{factors}": lambda _refit, d=depth, **more: wr.MLP(depth=d, **size, **more)
        for depth in (0, 1, 2, 4)
    }


def grid_of(name: str) -> Grid:
    family, factors = "neumf-pretrained" if "pretrained" in name else name.split("-")[0], int(name.split("-")[-1])
    return (LARGE if factors >= 32 else SMALL)[family]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--factors", type=int, nargs="+", default=[8, 64, 16, 32])
    asked = parser.parse_args()
    split = wr.ncf(DATA / "ncf-ml-1m")
    RUNS.mkdir(exist_ok=True)
    done: dict[str, Any] = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else {}
    for kind in (rows, rows_by_depth):
        for name, begin in (named for factors in asked.factors for named in kind(factors).items()):
            if name in done:
                continue
            with recorded(__file__, "NCF tables on ML-1M, selection on validation, test touched once") as found:
                done[name] = row(name, begin, split, grid_of(name))
                found["split"], found["rows"] = split.how, done
                found["grids"] = {"up to 16 factors": SMALL, "from 32 factors": LARGE}
            print(
                name,
                {
                    stage: {m: round(v["value"], 4) for m, v in done[name][stage].items()}
                    for stage in ("chosen", "refitted")
                },
                flush=True,
            )


if __name__ == "__main__":
    main()

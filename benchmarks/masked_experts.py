"""Masked experts: the toy experiments over three seeds, and MovieLens 1M on the NCF split beside its black-box twin.

    python benchmarks/masked_experts.py toy       about a quarter of an hour
    python benchmarks/masked_experts.py films     needs ml-1m and ncf-ml-1m in the folder of public data; some hours

The toy experiments are those of Afchar and Hennequin 2020: accuracy beside the best possible one and a black box of the
same width, how often the subset that is listened to most is the deciding one, and the mean share of each subset where
each decides. Films: four experts on content, content and user, content and item, and everything; the twin has the same
inputs in one network. Settings are chosen on the validation part; the test part is seen once by each. Then what nobody
published: attributions of recommendations, shares over users and genres, what muting a group does, a report card.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import DATA, recorded
from torch import Tensor, nn

import whyrec as wr
from whyrec.dataset import Catalog, Column
from whyrec.expert_blocks import Dense
from whyrec.mixture import PRESETS, Preset
from whyrec.models.masked_experts import MaskedExperts
from whyrec.point_experts import PointExperts, teach
from whyrec.question import ask
from whyrec.recommendations import Recommendations
from whyrec.recommender import keep_only
from whyrec.settings import to_json
from whyrec.split import Split
from whyrec.toy_points import BEST, Experiment, lattice_of, points

CLAIM = "A mixture of masked experts is within two points of its black-box twin and says which inputs were enough"
SEEDS, STEPS, RATE, ROWS, HELD_OUT = (0, 1, 2), 15_000, 1e-3, 256, 50_000
TOYS: tuple[tuple[Experiment, Preset, int], ...] = (
    ("A", "toy", 8),
    ("C", "toy", 16),
    ("C", "library", 16),
    ("D", "toy", 16),
)

CONTENT = ("gender", "age", "occupation", "genres", "year")
GROUPS = {"content": CONTENT, "user": ("user id",), "item": ("item id",)}
SUBSETS = (("content",), ("content", "user"), ("content", "item"), ("content", "user", "item"))
TRAINING = wr.Training(
    epochs=30, batch_size=2048, negatives=4, learning_rate=1e-3, patience=4, loss="log", validation_negatives=99
)
CHOICES: dict[str, dict[str, Any]] = {
    "the four subsets": {"subsets": SUBSETS},
    "user and item without content, too": {"subsets": (*SUBSETS, ("user", "item"))},
    "taught as library": {"subsets": SUBSETS, "preset": "library"},
}
"""Which are tried; validation chooses."""
SHAPE: dict[str, Any] = {"width": 32, "hidden": (128, 64, 32, 16), "column_dropout": 0.0}
TWIN: dict[str, Any] = {"width": 32, "hidden": (512, 256, 128, 64), "column_dropout": 0.0, "exclude": ("zip",)}


def toy() -> dict[str, Any]:
    """Every experiment with every seed, at 3,000 steps and at the end."""
    found: dict[str, Any] = {}
    for experiment, preset, width in TOYS:
        runs = [_toy_run(experiment, preset, width, seed) for seed in SEEDS]
        found[f"{experiment}, taught as {preset}"] = {"best possible": BEST[experiment], "seeds": runs}
        shown = {name: [run[name] for run in runs] for name in runs[0] if isinstance(runs[0][name], float)}
        print(experiment, preset, shown, flush=True)
    return found


def _toy_run(experiment: Experiment, preset: Preset, width: int, seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1000 + seed)

    def draw() -> tuple[Tensor, Tensor]:
        some = points(experiment, ROWS, generator)
        return some.x, some.label

    lattice, held_out = lattice_of(experiment), points(experiment, HELD_OUT, torch.Generator().manual_seed(seed))
    torch.manual_seed(seed)
    mixture = PointExperts(lattice, [Dense(width)] * 2, PRESETS[preset], lateral=False)
    sizes = (len(lattice.groups), width, width)
    layers = [one for wide, narrow in itertools.pairwise(sizes) for one in (nn.Linear(wide, narrow), nn.ReLU())]
    twin = nn.Sequential(*layers, nn.Linear(width, 1))
    early = 3000
    teach(mixture, draw, steps=early, learning_rate=RATE)
    found: dict[str, Any] = {f"{name}, {early} steps": value for name, value in _judged(mixture, held_out).items()}
    teach(mixture, draw, steps=STEPS - early, learning_rate=RATE)
    teach(twin, draw, steps=STEPS, learning_rate=RATE)
    found |= _judged(mixture, held_out)
    return {**found, "black box": _accuracy(twin, held_out)}


@torch.no_grad()
def _accuracy(module: nn.Module, held_out: Any) -> float:
    return float((module(held_out.x)[:, 0] * held_out.label > 0).double().mean())


@torch.no_grad()
def _judged(mixture: PointExperts, held_out: Any) -> dict[str, Any]:
    alpha = mixture.attribution(held_out.x)
    shares = alpha / alpha.sum(1, keepdim=True)
    decides = {mixture.lattice.titles[place]: place for place in held_out.truth.unique().tolist()}
    return {
        "accuracy": _accuracy(mixture, held_out),
        "deciding subset listened to most": float((alpha.argmax(1) == held_out.truth).double().mean()),
        "mean shares where it decides": {
            title: shares[held_out.truth == place].mean(0).tolist() for title, place in decides.items()
        },
    }


def with_columns() -> Split:
    """The NCF split with what MovieLens 1M knows of people and films, under the ids of the split."""
    split, films = wr.ncf(DATA / "ncf-ml-1m"), wr.movielens(DATA / "ml-1m")
    lines = (DATA / "ncf-ml-1m" / "ml-1m.itemmap.tsv").read_text().splitlines()[1:]
    of_item = dict(tuple(map(int, line.split("\t"))) for line in lines)
    people = films.users.vocabulary.rows([user + 1 for user in split.dataset.users.vocabulary.ids(range(6040))])
    shown = films.items.vocabulary.rows([of_item[item] for item in split.dataset.items.vocabulary.ids(range(3706))])
    users, items = _rows(split.dataset.users, films.users, people), _rows(split.dataset.items, films.items, shown)
    return dataclasses.replace(split, dataset=dataclasses.replace(split.dataset, users=users, items=items))


def _rows(ids: Catalog, known: Catalog, rows: np.ndarray) -> Catalog:
    columns = {name: Column(name, one.kind, one.values[rows]) for name, one in known.columns.items()}
    titles = None if known.titles is None else tuple(known.titles[row] for row in rows)
    return Catalog(ids.vocabulary, titles, columns)


def films() -> dict[str, Any]:
    """Both models on the published negatives, with intervals; then what the mixture says of itself."""
    split, tried = with_columns(), {}
    best: wr.Recommender | None = None
    for name, choice in CHOICES.items():
        model = wr.fit(MaskedExperts(groups=GROUPS, **SHAPE, **choice), split, TRAINING)
        tried[name] = max(epoch.validation or 0.0 for epoch in model.log)
        print(name, tried[name], flush=True)
        best = model if tried[name] == max(tried.values()) else best
    assert isinstance(best, MaskedExperts)
    twin = wr.fit(wr.FeatureMLP(**TWIN), split, TRAINING)
    models = {"mixture": best, "twin": twin}
    results = {name: wr.evaluate(model, split, protocol="sampled") for name, model in models.items()}
    found: dict[str, Any] = {
        "validation NDCG@10": tried,
        "settings": {"mixture": to_json(best.settings), "twin": to_json(twin.settings)},
        **{name: result.to_json() for name, result in results.items()},
    }
    for name, result in results.items():
        print(name, result, sep="\n", flush=True)
    return {**found, "attribution": _attribution(best)}


def _attribution(model: MaskedExperts) -> dict[str, Any]:
    some = model.users.vocabulary.ids(range(0, len(model.users), 6))
    lists = wr.recommend(model, users=some, k=10)
    shares = wr.subset_shares(model, lists)
    shown = [
        {
            "user": str(lists.user(row)),
            "title": lists.lines(row)[0].title,
            "mostly": shares.best(row, 0),
            "shares": dict(zip(shares.titles, shares.shares[row, 0].tolist(), strict=True)),
        }
        for row in range(5)
    ]
    muted = {group: wr.recommend(model.steered({group: 0.0}), users=some, k=10) for group in ("user", "item")}
    kept = {
        group: statistics.mean(
            len(set(one) & set(other)) / 10
            for one, other in zip(lists.item_rows.tolist(), quiet.item_rows.tolist(), strict=True)
        )
        for group, quiet in muted.items()
    }
    methods = [wr.ExpertShares(), wr.LeaveOneOut(), wr.LRP(), wr.IntegratedGradients(), wr.Random()]
    card = wr.verify(model, lists.best(3), methods, settings=wr.Verification(users=100, k=3))
    why = wr.explain(model, lists.best(3), wr.ExpertShares())
    print(shares, card, sep="\n", flush=True)
    places = shares.decided[..., None] & (shares.shares == shares.shares.max(-1, keepdims=True))
    return {
        "examples": shown,
        "over users": {title: one.to_json() for title, one in shares.over_users().items()},
        "listened to most": dict(zip(shares.titles, (places.sum((0, 1)) / shares.decided.sum()).tolist(), strict=True)),
        "by genre": shares.by_column("genres"),
        "kept when muted": kept,
        "mean gate share": float(why.attribution.notes["gate share"].mean()),
        "group named first is the largest by Shapley value": _agreement(model, lists.best(3)),
        "card": card.to_json(),
    }


@torch.no_grad()
def _agreement(model: MaskedExperts, lists: Recommendations) -> dict[str, float]:
    """How often a method's largest group is that of the exact Shapley values of groups, all 2^groups sets tried."""
    groups, question = model.lattice.groups, ask(model, lists.request())
    of_part = {name: one.group for name, one in model.columns.slices.items()}
    worth = {}
    for some in itertools.product((False, True), repeat=len(groups)):
        keep = {name: question.inputs[name].present & some[group] for name, group in of_part.items()}
        worth[some] = model.score(keep_only(question.inputs, keep)).double()
    shapley = torch.stack([_shapley(worth, place) for place in range(len(groups))], -1)
    found = {}
    for name, method in {"expert_shares": wr.ExpertShares(), "lrp": wr.LRP(), "occlusion": wr.LeaveOneOut()}.items():
        answer, sums = method(question).relevance, torch.zeros_like(shapley)
        for part, group in of_part.items():
            sums[..., group] += answer[part].sum(-1)
        found[name] = float((sums.abs().argmax(-1) == shapley.abs().argmax(-1)).double().mean())
    return found


def _shapley(worth: dict[tuple[bool, ...], Tensor], place: int) -> Tensor:
    """A group's value: what it adds, on average over all orders of the groups."""
    total, count = torch.zeros_like(next(iter(worth.values()))), len(next(iter(worth)))
    for some in worth:
        if some[place]:
            without = tuple(one and other != place for other, one in enumerate(some))
            total += (worth[some] - worth[without]) / (count * math.comb(count - 1, sum(without)))
    return total


if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) > 1 else "toy"
    parts = {"toy": toy, "films": films}
    if asked not in parts:
        sys.exit(f"say one of {', '.join(parts)}")
    torch.set_num_threads(1 if asked == "toy" else torch.get_num_threads())
    with recorded(__file__, CLAIM, to=f"{Path(__file__).stem}_{asked}") as result:
        result[asked] = parts[asked]()

"""Everybody's ten best items out of the whole catalogue, beside the same in plain PyTorch, in the same run.

    python benchmarks/ranking_speed.py      a few minutes; takes ncf-ml-1m from the folder of public data where it is
                                            there, and else draws events of the same shape
    python benchmarks/ranking_speed.py --users 400 --repetitions 2      a small trial, which writes no result

Weights are random: ranking takes as long with any. Ours is `whyrec.recommend`, which looks up ids and histories,
checks scores and leaves out seen items. What it is measured against takes tensors and gives tensors:

    MF        matrix product, seen items put at -inf, topk, in blocks of users; with histories, after an EmbeddingBag
    NeuMF     pairs of a user and an item, as a network for pairs is written: 256 at a time, and all of 16 users'

Repetitions of all ways take turns, so that whatever else the machine does hits all. Peak memory is that of a process
that does nothing else.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from record import DATA, recorded
from torch import Tensor
from torch.nn import functional as F

import whyrec as wr
from whyrec.dataset import Catalog
from whyrec.interactions import Interactions, Vocabulary

USERS, ITEMS, EVENTS, K = 6040, 3706, 994_169, 10
SETTINGS: Mapping[str, wr.Recommender] = {
    "MF by id": wr.MF(factors=64, user="id"),
    "MF by history": wr.MF(factors=64),
    "NeuMF": wr.NeuMF(factors=16, depth=3, user="id"),
}
BLOCK = 256
"""Users of a block of the plain way: of 64 to 6,040, among the fastest, and without fresh memory for each block."""
FEW = 48
"""Users for whom all pairs are scored one by one; the time is given for all users."""

Way = Callable[[], Tensor]


def events() -> Interactions:
    """What each user knows: the real log, or one of its shape."""
    if (DATA / "ncf-ml-1m").is_dir():
        return wr.ncf(DATA / "ncf-ml-1m").known
    random = np.random.default_rng(0)
    popular = 1 / np.arange(1, ITEMS + 1) ** 0.8
    share = random.lognormal(sigma=1.0, size=USERS)
    users = random.choice(USERS, EVENTS, p=share / share.sum())
    items = random.choice(ITEMS, EVENTS, p=popular / popular.sum())
    pairs = np.unique(np.stack([users, items]), axis=1)
    return Interactions(pairs[0], pairs[1], user_count=USERS, item_count=ITEMS)


def built(name: str, known: Interactions) -> wr.Recommender:
    """The model with random weights, large enough that no two scores are the same."""
    model = SETTINGS[name]
    people, things = Vocabulary(range(known.user_count), kind="user"), Vocabulary(range(known.item_count), kind="item")
    model.build(Catalog(people), Catalog(things))
    model.known = known
    with torch.no_grad():
        for one in model.parameters():
            one.normal_(std=0.3)
        if name.startswith("MF"):
            model.item_bias.weight.zero_()  # the plain way has none
    return model


def ours(model: wr.Recommender, users: int) -> Way:
    asked = None if users == len(model.users) else list(range(users))
    return lambda: wr.recommend(model, asked, k=K).item_rows


def best(scores: Tensor, rows: Tensor, items: Tensor) -> Tensor:
    scores[rows, items] = -torch.inf
    return scores.topk(K, dim=1).indices


def seen(known: Interactions) -> tuple[Tensor, Tensor, np.ndarray]:
    """Rows and items of all that is known, by user, and where each user's begin; made once, outside of all timing."""
    order = np.argsort(known.users, kind="stable")
    return torch.from_numpy(known.users[order]), torch.from_numpy(known.items[order]), known.offsets


def plain_products(model: wr.Recommender, known: Interactions, users: int) -> Way:
    rows, items, offsets = seen(known)
    tables = [table.weight.detach() for table in (model.user_table, model.item_table)]
    history = torch.from_numpy(known.histories(np.arange(users), 200))
    there = history >= 0
    weights = there * there.sum(1, keepdim=True).clamp(min=1) ** -0.5

    def rank() -> Tensor:
        found = []
        for start in range(0, users, BLOCK):
            end = min(start + BLOCK, users)
            if model.settings.user == "id":
                vectors = tables[0][start:end]
            else:
                past = history[start:end].clamp(min=0)
                vectors = F.embedding_bag(past, tables[0], mode="sum", per_sample_weights=weights[start:end])
            some = slice(offsets[start], offsets[end])
            found.append(best(vectors @ tables[1].T, rows[some] - start, items[some]))
        return torch.cat(found)

    return rank


def plain_pairs(model: wr.Recommender, known: Interactions, users: int, pairs: int) -> Way:
    """A network for pairs, `pairs` at a time, all of a user's or of several users' pairs in a row."""
    rows, items, offsets = seen(known)
    factors = model.settings.factors
    tables = [table.weight.detach() for table in (model.user_table, model.item_table)]
    product, network = zip(*((table[:, :factors].clone(), table[:, factors:].clone()) for table in tables), strict=True)
    halves = [model.network.user_half.weight, model.network.item_half.weight]
    first, bias = torch.cat(halves, dim=1).detach(), model.network.user_half.bias.detach()

    def score(u: Tensor, i: Tensor) -> Tensor:
        tower = model.network.tower(F.linear(torch.cat([network[0][u], network[1][i]], dim=1), first, bias))
        return model.output(torch.cat([product[0][u] * product[1][i], tower], dim=1))[:, 0]

    @torch.no_grad()
    def rank() -> Tensor:
        count = known.item_count
        everything = torch.arange(users * count)
        scores = torch.cat([score(some // count, some % count) for some in everything.split(pairs)])
        return best(scores.view(users, count), rows[: offsets[users]], items[: offsets[users]])

    return rank


def ways(name: str, users: int) -> dict[str, tuple[Way, int]]:
    """What is timed, and for how many users."""
    known = events()
    model = built(name, known)
    few = min(FEW, users)
    if name != "NeuMF":
        return {"whyrec": (ours(model, users), users), "plain": (plain_products(model, known, users), users)}
    return {
        "whyrec": (ours(model, users), users),
        "256 pairs": (plain_pairs(model, known, few, 256), few),
        "pairs of 16 users": (plain_pairs(model, known, few, 16 * known.item_count), few),
    }


def timed(way: Way, users: int) -> float:
    """Seconds for all 6,040 users."""
    started = time.perf_counter()
    way()
    return (time.perf_counter() - started) * USERS / users


def speed(name: str, users: int, repetitions: int) -> dict[str, Any]:
    """Seconds of each way, and how many times as long as ours each takes, both with their spread."""
    there = ways(name, users)
    lists = {way: run() for way, (run, _) in there.items()}
    for way, found in lists.items():
        same = (found == lists["whyrec"][: len(found)]).double().mean()
        assert same > 0.999, f"{way} gives other lists than whyrec: {same:.4f} of the places agree"
    took = np.array([[timed(*one) for one in there.values()] for _ in range(repetitions)])
    spread = {way: quantiles(took[:, place]) for place, way in enumerate(there)}
    ratios = {way: quantiles(took[:, place] / took[:, 0]) for place, way in enumerate(there) if place > 0}
    print(name, spread, ratios, sep="\n", flush=True)
    return {"seconds": spread, "times as long as whyrec": ratios, "MiB": {way: peak(name, way, users) for way in there}}


def quantiles(found: np.ndarray) -> dict[str, float]:
    levels = {"lowest": 0.0, "median": 0.5, "highest": 1.0}
    return {name: round(float(np.quantile(found, level)), 4) for name, level in levels.items()}


def peak(name: str, way: str, users: int) -> float:
    """The most memory that a process takes that ranks once this way and does nothing else; MiB."""
    words = [sys.executable, __file__, "--users", str(users), "--peak", name, way]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peak:
        ways(asked.peak[0], asked.users)[asked.peak[1]][0]()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    claim = (
        "Full ranking of ML-1M: a factor model and NeuMF beside plain PyTorch, seconds for all users and peak memory"
    )
    with recorded(__file__, claim) if asked.users == USERS else nullcontext({}) as found:
        for name in SETTINGS:
            found[name] = speed(name, asked.users, asked.repetitions)


if __name__ == "__main__":
    main()

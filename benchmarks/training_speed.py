"""Rows per second of a training step, beside a plain tensor NeuMF in the same run, and what both models are worth.

    python benchmarks/training_speed.py [--without-quality]      needs ncf-ml-1m in the folder of public data; minutes

Both train the network that peers are measured with (GMF 32, embeddings of 128 for the MLP, 256-128-64-32) by log-loss
with four negatives to a positive and Adam at 0.001. The plain one has vectorised negatives, no data loader, and dense
fused Adam: what a bare PyTorch loop reaches. Blocks of steps take turns, so that whatever else the machine does hits
both; each pair of blocks gives one ratio. Measured on all threads and on one: dense Adam walks through whole tables on
all of them, steps over few rows have little to share.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from record import DATA, recorded
from torch import Tensor, nn

import whyrec as wr
from whyrec.epochs import step
from whyrec.lazy_adam import LazyAdam
from whyrec.objectives import Pairs

NEGATIVES = 4
SIZES = {256: (51, 300), 16_384: (3277, 20)}
"""Rows of a step -> positives of a step, and steps in a timed block."""
PAIRS = 12
SEEDS = range(5)


class Plain(nn.Module):
    """NeuMF as a tutorial writes it, with one table for each branch and side."""

    def __init__(self, users: int, items: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(rows, width) for width in (32, 128) for rows in (users, items)])
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.01)
        widths = (256, 128, 64, 32)
        self.tower = nn.Sequential(
            *itertools.chain.from_iterable((nn.Linear(a, b), nn.ReLU()) for a, b in itertools.pairwise(widths))
        )
        self.output = nn.Linear(64, 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        product = self.tables[0](users) * self.tables[1](items)
        network = self.tower(torch.cat([self.tables[2](users), self.tables[3](items)], dim=-1))
        scores: Tensor = self.output(torch.cat([product, network], dim=-1)).squeeze(-1)
        return scores


def plain_batches(split: wr.Split, positives: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """One pass over the training events in a random order: users and items of each row, a positive first."""
    users, items = torch.from_numpy(split.train.users), torch.from_numpy(split.train.items)
    count = split.train.item_count
    taken = torch.zeros(split.train.user_count * count, dtype=torch.bool)
    taken[users * count + items] = True
    for chosen in torch.randperm(len(users), generator=generator).split(positives):
        rows = users[chosen]
        drawn = torch.randint(count, (len(rows), NEGATIVES), generator=generator)
        while (wrong := taken[rows[:, None] * count + drawn]).any():
            drawn[wrong] = torch.randint(count, (int(wrong.sum()),), generator=generator)
        asked = torch.cat([items[chosen][:, None], drawn], dim=1)
        yield rows[:, None].expand_as(asked).reshape(-1), asked.reshape(-1)


def plain_steps(split: wr.Split, positives: int, model: Plain | None = None, seed: int = 0) -> Iterator[None]:
    """Endless training of the plain model; one step for each `next`."""
    torch.manual_seed(seed)
    model = model or Plain(split.train.user_count, split.train.item_count)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    wrong, generator = nn.BCEWithLogitsLoss(), torch.Generator().manual_seed(seed)
    while True:
        for users, items in plain_batches(split, positives, generator):
            labels = torch.zeros(len(items))
            labels[:: 1 + NEGATIVES] = 1
            optimizer.zero_grad()
            wrong(model(users, items), labels).backward()
            optimizer.step()
            yield


def our_model(split: wr.Split, seed: int = 0) -> wr.Recommender:
    data = split.for_training()
    return wr.NeuMF(factors=32, depth=3, user="id", init_std=0.01).build(data.users, data.items, seed=seed)


def our_steps(split: wr.Split, positives: int, model: wr.Recommender | None = None, seed: int = 0) -> Iterator[None]:
    """Endless training by the library's own batches and step."""
    model = (model or our_model(split)).train()
    aim = Pairs(split.for_training(), wr.Training(batch_size=positives, learning_rate=1e-3, negatives=NEGATIVES))
    optimizer = LazyAdam(model.parameters(), learning_rate=1e-3, weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    while True:
        for batch in aim.batches(model, generator):
            step(model, batch, optimizer, aim)
            yield


def seconds(steps: Iterator[None], count: int) -> float:
    started = time.perf_counter()
    for _ in itertools.islice(steps, count):
        pass
    return time.perf_counter() - started


def speed(split: wr.Split, rows: int) -> dict[str, Any]:
    """Rows per second of both, medians over blocks that take turns, and the ratio with its spread."""
    positives, count = SIZES[rows]
    plain, ours = plain_steps(split, positives), our_steps(split, positives)
    for steps in (plain, ours, plain, ours):
        seconds(steps, count)  # fresh memory is slow
    took = np.array([[seconds(plain, count), seconds(ours, count)] for _ in range(PAIRS)])
    rates = count * positives * (1 + NEGATIVES) / np.median(took, axis=0)
    ratios = took[:, 0] / took[:, 1]
    return {
        "plain rows/s": round(rates[0]),
        "whyrec rows/s": round(rates[1]),
        "ratio": {name: round(float(np.quantile(ratios, q)), 3) for name, q in QUANTILES.items()},
    }


QUANTILES = {"lowest": 0.0, "lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75, "highest": 1.0}


def quality(split: wr.Split, epochs: int = 3) -> dict[str, Any]:
    """HR@10 on the given negatives after some epochs at 16,384 rows, from several starts, and how far it differs."""
    found = [hit_rates(split, epochs, seed) for seed in SEEDS]
    difference = np.array([one["whyrec"] - one["plain"] for one in found])
    return {
        "by seed": found,
        "difference": {
            "mean": round(float(difference.mean()), 4),
            "standard error": round(float(difference.std(ddof=1) / len(SEEDS) ** 0.5), 4),
        },
    }


def hit_rates(split: wr.Split, epochs: int, seed: int) -> dict[str, float]:
    positives = SIZES[16_384][0]
    passes = epochs * -(-len(split.train) // positives)
    torch.manual_seed(seed)
    plain, ours = Plain(split.train.user_count, split.train.item_count), our_model(split, seed)
    seconds(plain_steps(split, positives, plain, seed), passes)
    seconds(our_steps(split, positives, ours, seed), passes)
    borrowed = our_model(split)  # the plain weights in the library's model, so that one evaluation measures both
    with torch.no_grad():
        borrowed.user_table.weight.copy_(torch.cat([plain.tables[0].weight, plain.tables[2].weight], dim=1))
        borrowed.item_table.weight.copy_(torch.cat([plain.tables[1].weight, plain.tables[3].weight], dim=1))
        first, *others = (layer for layer in plain.tower if isinstance(layer, nn.Linear))
        borrowed.network.user_half.weight.copy_(first.weight[:, :128])
        borrowed.network.user_half.bias.copy_(first.bias)
        borrowed.network.item_half.weight.copy_(first.weight[:, 128:])
        for own, other in zip(
            (one for one in borrowed.network.tower if isinstance(one, nn.Linear)), others, strict=True
        ):
            own.load_state_dict(other.state_dict())
        borrowed.output.load_state_dict(plain.output.state_dict())
    found = {}
    for name, model in (("plain", borrowed), ("whyrec", ours)):
        model.known = split.known
        found[name] = wr.evaluate(model.eval(), split, protocol="sampled", baselines=()).metrics["HR@10"].value
    return found


def peak_memory(whose: str) -> float:
    """MiB that a process of its own holds at most while it trains some steps of 16,384 rows."""
    done = subprocess.run([sys.executable, __file__, "--memory-of", whose], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without-quality", action="store_true", help="only the speed")
    parser.add_argument("--memory-of", choices=("plain", "whyrec"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    split = wr.ncf(DATA / "ncf-ml-1m")
    if asked.memory_of:
        makers: dict[str, Callable[..., Iterator[None]]] = {"plain": plain_steps, "whyrec": our_steps}
        seconds(makers[asked.memory_of](split, SIZES[16_384][0]), 20)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    all_threads = torch.get_num_threads()
    with recorded(__file__, "rows per second of a NeuMF training step beside a plain tensor loop") as found:
        for threads, rows in itertools.product((all_threads, 1), SIZES):
            torch.set_num_threads(threads)
            case = f"{rows} rows" if threads > 1 else f"{rows} rows, one thread"
            found[case] = speed(split, rows)
            print(case, found[case], flush=True)
        torch.set_num_threads(all_threads)
        found["peak memory, MiB"] = {whose: round(peak_memory(whose)) for whose in ("plain", "whyrec")}
        if not asked.without_quality:
            found["after 3 epochs of 16,384 rows"] = quality(split)


if __name__ == "__main__":
    main()

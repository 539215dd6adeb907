"""Kernel SHAP, sampled Shapley values and LIME beside captum, shap and lime: time at equal work, and at equal error.

python benchmarks/shapley_and_lime.py [--rounds 5]      needs captum, shap, lime (the extra `peers`); some minutes

A network 48-128-64-1 is trained on slopes, bends and pairwise interactions, and rows of its table are explained.
Errors are relative (L2, over all rows), against a truth that is neither side's: Shapley values from long antithetic
permutations in plain torch. LIME's truth is each side's own limit, from very many samples, because their neighbourhoods
differ. At equal error ours takes the fewest samples of a fixed row of choices whose error is not above the peer's,
chosen on another seed than the one reported. Each round runs both sides, the one that is first in turn changing, and
gives one ratio of times. Where every evaluation is needed, no method is faster than the network, whose time stands
beside.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from record import recorded
from torch import Tensor, nn
from turns import in_turns

import whyrec as wr
from whyrec.background import background
from whyrec.named_inputs import Columns
from whyrec.question import Question, ask
from whyrec.trained_module import adapt

COLUMNS, PEOPLE, BACKGROUND = 48, 2000, 100
SAMPLES = (192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 2048, 3072, 4096, 6144, 8192)
ORDERS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24)
SEED = 7
"""Of what is reported; SEED + 1 chooses how many samples are enough."""

Answer = Callable[[], Tensor]
Method = Callable[[Question], Any]


def trained() -> tuple[nn.Sequential, Tensor]:
    """A network and the correlated columns it has learned from."""
    torch.manual_seed(0)
    x = torch.randn(PEOPLE, COLUMNS) @ (torch.eye(COLUMNS) + 0.3 * torch.randn(COLUMNS, COLUMNS) / COLUMNS**0.5)
    y = x @ torch.randn(COLUMNS) / 4 + torch.sin(2 * x[:, :12]).sum(1) + (x[:, 12:18] * x[:, 18:24]).sum(1)
    net = nn.Sequential(nn.Linear(COLUMNS, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1))
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for step in range(600):
        rows = torch.randint(PEOPLE, (256,), generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        nn.functional.mse_loss(net(x[rows]).squeeze(1), y[rows]).backward()
        optimiser.step()
    return net.eval().requires_grad_(requires_grad=False), x


class Bench:
    """The network, its rows, and both games: against the mean row, and against a hundred others."""

    def __init__(self, rounds: int) -> None:
        self.net, self.x = trained()
        self.one_number = nn.Sequential(self.net, nn.Flatten(0))
        self.rounds = rounds
        names = [f"x{number}" for number in range(COLUMNS)]
        self.model = adapt(self.net, {"row": Columns(self.x, names)})
        self.mean = self.x.mean(0, keepdim=True)
        self.others = background(self.asked(1), BACKGROUND)["row"].values[:, 0, 0, :, 0]

    def asked(self, rows: int, seed: int = SEED) -> Question:
        """The first rows of the table, each asked for its one score. The seed also draws the background."""
        users = torch.arange(rows)
        return ask(
            self.model, wr.Request(users, torch.zeros(1, 1, dtype=torch.int64), users[:, None][:, :0]), seed=seed
        )

    def ours(self, method: Method, rows: int, seed: int = SEED) -> Answer:
        question = self.asked(rows, seed)
        return lambda: method(question).relevance["row"][:, 0]

    def score(self, x: np.ndarray) -> np.ndarray:
        """The network as peers call it."""
        return self.net(torch.from_numpy(x).float()).squeeze(1).numpy()

    def truth(self, rows: int, others: Tensor, orders: int) -> Tensor:
        """Shapley values by permutations and their reverses, each against one other row in turn; (rows, columns)."""
        luck = torch.Generator().manual_seed(1234)
        found = torch.zeros(rows, COLUMNS, dtype=torch.float64)
        for number in range(orders):
            order = torch.randperm(COLUMNS, generator=luck)
            for one in (order, order.flip(0)):
                there = torch.zeros(COLUMNS + 1, COLUMNS, dtype=torch.bool)
                there[1:, one] = torch.ones(COLUMNS, COLUMNS, dtype=torch.bool).tril()
                mixed = torch.where(there, self.x[:rows, None], others[number % len(others)])
                gains = self.net(mixed).squeeze(-1).double().diff(dim=1)
                found[:, one] += gains / (2 * orders)
        return found

    def compare(self, ours: Answer, theirs: Answer, rows: int, **errors: float) -> dict[str, Any]:
        """Seconds for each 1,000 rows of both sides, and theirs over ours, round by round."""
        times = in_turns(ours, theirs, self.rounds)
        return {
            "whyrec seconds per 1,000 rows": round(times.ours * 1000 / rows, 4),
            "peer seconds per 1,000 rows": round(times.theirs * 1000 / rows, 4),
            "peer over whyrec": {
                "median": round(float(np.median(times.ratios)), 1),
                "lowest": round(float(times.ratios.min()), 1),
                "highest": round(float(times.ratios.max()), 1),
                "rounds": self.rounds,
            },
            "rows": rows,
            **{name.replace("_", " "): round(value, 5) for name, value in errors.items()},
        }

    def enough(self, methods: Iterable[Method], rows: int, truth: Callable[[int], Tensor], error: float) -> Method:
        """The first method, the cheapest first, whose error on another seed is not above `error`; else the last."""
        for method in methods:
            if distance(self.ours(method, rows, SEED + 1)(), truth(SEED + 1)) <= error:
                break
        return method


def distance(found: Tensor, truth: Tensor) -> float:
    return float((found - truth).norm() / truth.norm())


def kernel_shap_and_captum(bench: Bench, attr: Any) -> dict[str, Any]:
    """The game where a missing column takes its mean."""
    rows = 20
    x, truth = bench.x[:rows], bench.truth(rows, bench.mean, 2000)
    peer = attr.KernelShap(bench.one_number)

    def theirs() -> Tensor:
        return torch.cat(
            [
                peer.attribute(x[row : row + 1], baselines=bench.mean, n_samples=500, perturbations_per_eval=500)
                for row in range(rows)
            ]
        )

    torch.manual_seed(SEED)
    error = distance(theirs(), truth)
    method = bench.enough(map(wr.KernelSHAP, SAMPLES), rows, lambda seed: truth, error)
    ours = bench.ours(method, rows)
    return {
        "samples": method.samples,
        **bench.compare(ours, theirs, rows, whyrec_error=distance(ours(), truth), peer_error=error),
    }


def permutations_and_captum(bench: Bench, attr: Any) -> dict[str, Any]:
    """The same game, by permutations on both sides; captum's default of 25, all rows at once."""
    rows = 100
    truth = bench.truth(rows, bench.mean, 1000)
    peer = attr.ShapleyValueSampling(bench.one_number)

    def theirs() -> Tensor:
        return peer.attribute(bench.x[:rows], baselines=bench.mean, n_samples=25)

    torch.manual_seed(SEED)
    error = distance(theirs(), truth)
    method = bench.enough(map(wr.PermutationShapley, ORDERS), rows, lambda seed: truth, error)
    ours = bench.ours(method, rows)
    compared = bench.compare(ours, theirs, rows, whyrec_error=distance(ours(), truth), peer_error=error)
    return {"permutations, each with its reverse": method.permutations, **compared}


def kernel_shap_and_shap(bench: Bench, shap: Any) -> dict[str, Any]:
    """The game where a missing column takes the values of a hundred others, shap's own number of samples."""
    rows, samples = 8, 2 * COLUMNS + 2048
    peer = shap.KernelExplainer(bench.score, bench.others.numpy())
    x = bench.x[:rows].numpy()

    def theirs() -> Tensor:
        np.random.seed(SEED)  # noqa: NPY002 (shap draws from the global state)
        return torch.from_numpy(peer.shap_values(x, nsamples=samples, l1_reg=False, silent=True))

    by_seed: dict[int, Tensor] = {}

    def truth(seed: int) -> Tensor:
        if seed not in by_seed:
            others = background(bench.asked(rows, seed), BACKGROUND)["row"].values[:, 0, 0, :, 0]
            by_seed[seed] = bench.truth(rows, others, 20_000)
        return by_seed[seed]

    error = distance(theirs(), truth(SEED))
    kernels = (wr.KernelSHAP(count, background=BACKGROUND) for count in SAMPLES)
    orders = (wr.PermutationShapley(count * BACKGROUND, background=BACKGROUND) for count in ORDERS)
    equal = wr.KernelSHAP(samples, background=BACKGROUND)
    named = {
        "equal evaluations": equal,
        "equal error, Kernel SHAP": bench.enough(kernels, rows, truth, error),
        "equal error, permutations": bench.enough(orders, rows, truth, error),
    }
    found: dict[str, Any] = {"samples": samples, "background": BACKGROUND}
    for name, method in named.items():
        ours = bench.ours(method, rows)
        compared = bench.compare(ours, theirs, rows, whyrec_error=distance(ours(), truth(SEED)), peer_error=error)
        found[name] = {"whyrec": repr(method), **compared}
    found["the network alone, seconds per 1,000 rows"] = bare_network(bench, samples * BACKGROUND)
    return found


def bare_network(bench: Bench, evaluations: int) -> float:
    """Seconds of so many evaluations for each of 1,000 rows, in blocks that stay in the cache: no method is faster."""
    block, times = torch.randn(8192, COLUMNS), []
    for _ in range(9):
        started = time.perf_counter()
        for _ in range(10):
            bench.net(block)
        times.append(time.perf_counter() - started)
    return round(float(np.median(times)) / (10 * len(block)) * evaluations * 1000, 1)


def lime_and_lime(bench: Bench, lime_tabular: Any) -> dict[str, Any]:
    """LIME's default of 5,000 samples, without the discretisation and choice of columns that come before its fit."""
    rows, samples, limit = 40, 5000, 200_000
    table = bench.x.numpy()
    settings = {"mode": "regression", "discretize_continuous": False, "feature_selection": "none"}
    peer = lime_tabular.LimeTabularExplainer(table, random_state=SEED, **settings)
    scale = table.std(0)

    def contributions(explainer: Any, count: int) -> Tensor:
        """Its slopes times how far each column is from its mean."""
        found = np.zeros((rows, COLUMNS))
        for row in range(rows):
            slopes = explainer.explain_instance(table[row], bench.score, num_features=COLUMNS, num_samples=count)
            for column, slope in slopes.local_exp[1]:
                found[row, column] = slope * (table[row, column] - table[:, column].mean()) / scale[column]
        return torch.from_numpy(found)

    their_limit = contributions(lime_tabular.LimeTabularExplainer(table, random_state=99, **settings), limit)
    our_limit = bench.ours(wr.LIME(limit), rows, 99)()
    error = distance(contributions(peer, samples), their_limit)
    close = bench.enough(map(wr.LIME, SAMPLES), rows, lambda seed: our_limit, error)
    found = {}
    for name, method in {"equal samples": wr.LIME(samples), "equal error": close}.items():
        ours = bench.ours(method, rows)
        errors = {"whyrec_error": distance(ours(), our_limit), "peer_error": error}
        found[name] = {
            "whyrec": repr(method),
            **bench.compare(ours, lambda: contributions(peer, samples), rows, **errors),
        }
    return found


COMPARISONS: dict[str, tuple[Callable[[Bench, Any], dict[str, Any]], str]] = {
    "Kernel SHAP and captum's KernelShap(500)": (kernel_shap_and_captum, "captum.attr"),
    "permutations and captum's ShapleyValueSampling(25)": (permutations_and_captum, "captum.attr"),
    "Kernel SHAP and shap's KernelExplainer": (kernel_shap_and_shap, "shap"),
    "LIME and lime's tabular explainer": (lime_and_lime, "lime.lime_tabular"),
}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=5)
    bench = Bench(asked.parse_args().rounds)
    warnings.simplefilter("ignore")  # what peers say while they run
    with recorded(__file__, "Shapley values and LIME on an MLP 48-128-64-1 beside captum, shap and lime") as found:
        for name, (comparison, peer) in COMPARISONS.items():
            package = peer.split(".")[0]
            if find_spec(package) is None:
                found[name] = f"{package} is not installed"
            else:
                found[package] = version(package)
                found[name] = comparison(bench, import_module(peer))
            print(name, found[name])


if __name__ == "__main__":
    main()

"""LRP against one forward and backward pass in the same process, interleaved, and beside captum and zennit.

python benchmarks/lrp_speed.py [repetitions] [users]    needs ml-1m in the folder of public data for the lists

Times are processor time, the lower quartile over repetitions, one thread; all of ours keep their ledger. captum and
zennit are measured where they are installed (`pip install -e ".[peers]"`, and zennit as CONTRIBUTING.md says). Lists:
NeuMF on histories with random weights, since what is learned does not change what it costs; two threads, wall time.
"""

from __future__ import annotations

import importlib.util
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from record import DATA, recorded
from torch import Tensor, nn

import whyrec as wr
from whyrec.calls import Plan
from whyrec.composites import plan_with
from whyrec.question import ask
from whyrec.recommender import Request
from whyrec.relevance import Relevance, Taken
from whyrec.rules.alpha_beta import AlphaBeta
from whyrec.rules.epsilon import Epsilon
from whyrec.rules.gamma import Gamma

REPETITIONS, USERS = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) > 2 else (60, 1000)
PLANS = {
    "LRP-0": plan_with(Epsilon(0.0)),
    "epsilon": plan_with(Epsilon(1e-6)),
    "gamma": plan_with(Gamma(0.25)),
    "alpha 2 beta 1": plan_with(AlphaBeta()),
}
Way = Callable[[], object]


def mlp(*widths: int) -> nn.Sequential:
    """Dense layers with ReLU between them."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval().requires_grad_(False)


def cnn() -> nn.Sequential:
    """Four convolutions with ReLU and two pools, for pictures of 64 by 64."""
    return (
        nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(64 * 256, 10),
        )
        .eval()
        .requires_grad_(False)
    )  # fmt: skip


def plain(net: nn.Module, x: Tensor) -> Tensor:
    """One forward and one backward pass to the inputs."""
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(net(leaf).sum(), leaf)[0]


def ours(net: nn.Module, x: Tensor, plan: Plan) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Relevance of the inputs, and the ledger of every row."""
    leaf, taken = x.clone().requires_grad_(), Taken((len(x),))
    with Relevance(plan, taken) as mode:
        output = net(mode.follow(leaf))
    return torch.autograd.grad(output.sum(), leaf)[0] * x, taken.settle()


def peers(net: nn.Module, x: Tensor, *, convolutions: bool) -> dict[str, Way]:
    """The same of captum and zennit, where they are installed."""
    found: dict[str, Way] = {}
    if importlib.util.find_spec("captum") and not convolutions:
        from captum.attr import LRP

        captum = LRP(net)
        found["captum epsilon"] = lambda: captum.attribute(x, target=0)
    if importlib.util.find_spec("zennit"):
        from zennit.attribution import Gradient
        from zennit.composites import LayerMapComposite
        from zennit.rules import Epsilon as TheirEpsilon
        from zennit.rules import Gamma as TheirGamma
        from zennit.types import Activation, Convolution, Linear

        for name, rule in {"zennit epsilon": TheirEpsilon(1e-6), "zennit gamma": TheirGamma(0.25, 1e-6)}.items():
            found[name] = lambda rule=rule: _zennit(
                net, x, Gradient, LayerMapComposite, rule, Activation, Convolution, Linear
            )
    return found


def _zennit(net: nn.Module, x: Tensor, gradient: Any, composite: Any, rule: Any, *kinds: Any) -> Tensor:
    from zennit.rules import Pass

    layers = [(kinds[0], Pass()), (kinds[1], rule), (kinds[2], rule)]
    with gradient(net, composite(layers)) as attributor:
        relevance: Tensor = attributor(x.clone().requires_grad_(), lambda output: output)[1]
    return relevance


def interleaved(ways: dict[str, Way]) -> dict[str, dict[str, float]]:
    """Milliseconds of each way and its ratio to the first one."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPETITIONS):
        for name, way in ways.items():
            started = time.process_time()
            way()
            spent[name].append(time.process_time() - started)
    quartile = {name: sorted(times)[len(times) // 4] for name, times in spent.items()}
    floor = quartile[next(iter(ways))]
    found = {name: {"ms": 1e3 * one, "ratio": one / floor} for name, one in quartile.items()}
    print({name: f"{row['ms']:.2f} ms, {row['ratio']:.2f}" for name, row in found.items()})
    return found


def all_pairs(users: int = 32, items: int = 100) -> dict[str, Way]:
    """Every pair of some users and items: one forward and backward pass that takes each pair for itself, and ours."""
    split = wr.leave_last_out(wr.planted(users=200, items=300))
    model = wr.NeuMF(user="history").build(split.dataset.users, split.dataset.items, seed=0).eval()
    rows, history = torch.arange(users), model.seen_by(torch.arange(users), split.train)
    listed = torch.arange(items).expand(users, items).contiguous()
    apart = Request(rows.repeat_interleave(items), listed.reshape(-1, 1), history.repeat_interleave(items, 0))

    def pair_by_pair() -> Tensor:
        inputs = model.embed(apart)
        leaf = inputs["history"].values.detach().requires_grad_()
        scores = model.score({**inputs, "history": replace(inputs["history"], values=leaf)})
        return torch.autograd.grad(scores.sum(), leaf)[0]

    return {
        "forward and backward of each pair": pair_by_pair,
        "epsilon, ledger included": lambda: wr.LRP()(ask(model, Request(rows, listed, history))),
        "gamma, ledger included": lambda: wr.LRP(gamma=0.25)(ask(model, Request(rows, listed, history))),
    }


def lists_per_second(explainer: wr.LRP) -> dict[str, float]:
    """Top-10 lists of ML-1M users, explained by their histories."""
    split = wr.leave_last_out(wr.movielens(DATA / "ml-1m"))
    model = wr.NeuMF(user="history").build(split.dataset.users, split.dataset.items, seed=0).eval()
    model.known = split.train
    lists = wr.recommend(model, users=[split.dataset.users.id(row) for row in range(USERS)], k=10)
    started = time.perf_counter()
    wr.explain(model, lists, explainer)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"lists": USERS, "seconds": seconds, "lists per second": USERS / seconds, "peak MiB of the process": peak}
    print(found)
    return found


def main() -> None:
    """Networks on one thread, then lists on two."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    cases = {
        "MLP 48-128-64-1, 1024 rows": (mlp(48, 128, 64, 1), torch.randn(1024, 48)),
        "MLP 48-128-64-1, 8192 rows": (mlp(48, 128, 64, 1), torch.randn(8192, 48)),
        "MLP 64-32-16-8, 4096 rows": (mlp(64, 32, 16, 8), torch.randn(4096, 64)),
        "CNN, 4 pictures of 64 by 64": (cnn(), torch.rand(4, 3, 64, 64)),
    }
    with recorded(__file__, "LRP with its ledger against one forward and backward pass, and beside peers") as found:
        for name, (net, x) in cases.items():
            ways: dict[str, Way] = {"forward and backward": lambda net=net, x=x: plain(net, x)}
            ways |= {rule: lambda net=net, x=x, plan=plan: ours(net, x, plan) for rule, plan in PLANS.items()}
            ways |= peers(net, x, convolutions=x.ndim == 4)
            print(name)
            found[name] = interleaved(ways)
        print("all pairs of 32 users and 100 items")
        found["NeuMF on histories, all pairs of 32 users and 100 items"] = interleaved(all_pairs())
        torch.set_num_threads(2)
        found["NeuMF on histories of ML-1M, epsilon"] = lists_per_second(wr.LRP())
        found["NeuMF on histories of ML-1M, gamma"] = lists_per_second(wr.LRP(gamma=0.25))


if __name__ == "__main__":
    main()

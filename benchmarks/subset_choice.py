"""Which columns decide a label: the gate of masked experts, other rules, and methods from outside, on planted tasks.

    python benchmarks/subset_choice.py [FOLDER]       less than a minute; with a folder, the published tasks, too

A task is points in 2 to 6 columns, an equal Gaussian around each, and their labels. Points are corners of cubes on some
of the columns, neighbours have opposite labels, and some corners are missing: a point needs the columns along which it
has a neighbour. The probability of the label when only some columns are known has a closed form, and rules that choose
a subset are told it for each subset:

    boosted gate    the smallest subset with alpha above a threshold, else that of the largest; confidence (2 p - 1)^2,
                    all smaller subsets as children, none among them
    fANOVA          the smallest subset with p or 1 - p above a threshold
    GA2M, GAM       the same with two columns at most, or one, and the surest of that size where none is above it

Their thresholds are the published ones. Shapley values of those probabilities, and methods that see the probability as
a function of all columns with the mean of the points as baseline, give each column a number: columns are taken, the
largest first, until they make up a part of all. That part is chosen for each method on tasks of their own.

FOLDER holds `multivariate.npy` and `tuning.npy`, the task sets of the repository deezer/functional_attribution: Afchar,
Guigue and Hennequin 2021, Towards rigorous interpretations. Without it tasks are drawn in the same manner. What is
counted is the share of points whose columns are named exactly, by task, with intervals over tasks.
"""

from __future__ import annotations

import math
import pickle
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from record import recorded
from torch import Tensor, nn

import whyrec as wr
from whyrec.explanation import Explainer
from whyrec.mixture import heard
from whyrec.question import ask
from whyrec.statistics import mean_interval
from whyrec.subsets import all_subsets

COLUMNS, TASKS, TUNING, CUBES, AXES = (2, 3, 4, 5, 6), 101, 11, 10, 5
APART, NOISE = 0.25, 0.125
"""Between two coordinates of a column, and the standard deviation around a point."""

THRESHOLDS = {"boosted gate": 0.26, "fANOVA": 0.76, "GA2M": 0.75, "GAM": 0.67}
"""Those that the authors found on their tasks."""

PARTS = torch.linspace(0.1, 0.98, 45, dtype=torch.float64)
"""Parts of all that are tried."""

METHODS: Mapping[str, Explainer] = {
    "gradient x input": wr.GradientTimesInput(),
    "SmoothGrad": wr.SmoothGrad(),
    "integrated gradients": wr.IntegratedGradients(),
    "leave one out": wr.LeaveOneOut(),
    "LIME": wr.LIME(),
    "exact SHAP": wr.ExactShapley(),
}


class Task(NamedTuple):
    """Points, and what is to be found."""

    x: Tensor  # (points, columns)
    label: Tensor  # (points,) 0 or 1
    needs: Tensor  # (points, columns) bool


def planted(seed: int, count: int) -> list[Task]:
    """Tasks of each number of columns, with more cubes towards the end."""
    chance = np.random.default_rng(seed)
    return [_task(columns, 1 + place * CUBES // (count - 1), chance) for columns in COLUMNS for place in range(count)]


def _task(columns: int, cubes: int, chance: np.random.Generator) -> Task:
    places, labels, needs = [], [], []
    used = np.zeros(columns, dtype=np.int64)  # no two cubes share a coordinate
    for _ in range(cubes):
        axes = chance.permutation(columns)[: chance.integers(1, min(columns, AXES) + 1)]
        corners = all_subsets(len(axes))
        there = (corners.sum(1) <= 1) | (chance.random(len(corners)) < 0.5)
        beside = np.arange(len(corners))[:, None] ^ (1 << np.arange(len(axes)))
        linked = there[beside] & there[:, None]
        for corner in np.flatnonzero(linked.any(1)):
            place, need = used.copy(), np.zeros(columns, dtype=bool)
            place[axes] += corners[corner]
            need[axes] = linked[corner]
            places.append(place)
            labels.append(1 - corners[corner].sum() % 2)
            needs.append(need)
        used += 1
        used[axes] += 1
    levels = [chance.permutation(APART * (np.arange(one) - (one - 1) / 2)) for one in used]
    x = [[levels[column][level] for column, level in enumerate(place)] for place in places]
    return Task(torch.tensor(np.array(x)), torch.tensor(np.array(labels)).double(), torch.tensor(np.array(needs)))


class _Arrays(pickle.Unpickler):
    """Reads arrays and nothing else."""

    KNOWN: Mapping[tuple[str, str], Any] = {
        ("numpy", "dtype"): np.dtype,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy.core.multiarray", "scalar"): np._core.multiarray.scalar,
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
    }

    def find_class(self, module: str, name: str) -> Any:
        return self.KNOWN[module, name]


def published(file: Path) -> list[Task]:
    """The tasks of a file of the authors, of as many columns as here."""
    with file.open("rb") as opened:
        np.lib.format.read_magic(opened)
        np.lib.format.read_array_header_1_0(opened)
        content = _Arrays(opened).load().item()
    found = []
    for x, label, needs, _ in content.values():
        if x.shape[1] in COLUMNS:
            named = np.array([[column in some for column in range(x.shape[1])] for some in needs])
            found.append(Task(torch.tensor(x).double(), torch.tensor(label).double(), torch.tensor(named)))
    return found


def conditionals(task: Task) -> Tensor:
    """P(label = 1) when only some columns are known, (points, subsets), in the order of `all_subsets`."""
    sets = torch.from_numpy(all_subsets(task.x.shape[1])).double()
    away = torch.einsum("pqc,sc->psq", (task.x[:, None] - task.x[None]).square(), sets)
    return torch.softmax(-away / (2 * NOISE**2), -1) @ task.label


def by_rule(known: Tensor) -> dict[str, Tensor]:
    """The subset that each rule chooses, (points,) as a place in `all_subsets`, -1 for none."""
    alpha, sure, sizes = gate(known), torch.maximum(known, 1 - known), _sizes(known)
    chosen = {
        "boosted gate": smallest(alpha, THRESHOLDS["boosted gate"], alpha.argmax(1)),
        "fANOVA": smallest(sure, THRESHOLDS["fANOVA"], torch.full((len(known),), -1)),
    }
    for name, most in (("GA2M", 2), ("GAM", 1)):
        surest = sure.masked_fill(sizes != most, 0.0).argmax(1)
        chosen[name] = smallest(sure.masked_fill(sizes > most, 0.0), THRESHOLDS[name], surest)
    return chosen


def gate(known: Tensor) -> Tensor:
    """alpha of every subset, (points, subsets)."""
    children = [[child for child in range(one) if child & ~one == 0] for one in range(known.shape[1])]
    return heard(2 * known - 1, children, "squared")


def smallest(worth: Tensor, threshold: float, otherwise: Tensor) -> Tensor:
    """The smallest subset that is worth more than the threshold, of one size the best."""
    sizes = _sizes(worth)
    for size in reversed(range(int(sizes.max()) + 1)):
        best, place = worth.masked_fill(sizes != size, 0.0).max(1)
        otherwise = torch.where(best > threshold, place, otherwise)
    return otherwise


def _sizes(known: Tensor) -> Tensor:
    return torch.from_numpy(all_subsets(known.shape[1].bit_length() - 1).sum(1))


class Probability(nn.Module):
    """That the label is 1, of rows of all columns."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.register_buffer("points", task.x.float())
        self.register_buffer("label", task.label.float())

    def forward(self, x: Tensor) -> Tensor:
        away = (x[:, None] - self.points).square().sum(-1)
        return torch.softmax(-away / (2 * NOISE**2), -1) @ self.label[:, None]


def relevances(task: Task, known: Tensor) -> dict[str, Tensor]:
    """What each method says of each column, (points, columns)."""
    count, columns = task.x.shape
    names = [f"x{number}" for number in range(columns)]
    model = wr.adapt(
        Probability(task).eval(), {"row": wr.Columns(task.x.float(), names, baseline=task.x.float().mean(0))}
    )
    rows = torch.arange(count)
    question = ask(model, wr.Request(rows, torch.zeros(1, 1, dtype=torch.int64), rows[:, None][:, :0]))
    found = {name: method(question).relevance["row"][:, 0].double() for name, method in METHODS.items()}
    return {"Shapley of the probabilities": shapley(known), **found}


def shapley(known: Tensor) -> Tensor:
    """Shapley values of the game whose worth is the probability, (points, columns)."""
    sets = torch.from_numpy(all_subsets(known.shape[1].bit_length() - 1))
    columns, places = sets.shape[1], torch.arange(len(sets))
    found = []
    for column in range(columns):
        without = places[~sets[:, column]]
        ways = torch.tensor([columns * math.comb(columns - 1, int(size)) for size in sets[without].sum(1)])
        found.append(((known[:, without | (1 << column)] - known[:, without]) / ways).sum(1))
    return torch.stack(found, 1)


def leading(relevance: Tensor, part: float) -> Tensor:
    """The largest columns that together are more than a part of all, as a place in `all_subsets`, (points,)."""
    size = relevance.abs() / relevance.abs().sum(1, keepdim=True).clamp(min=1e-16)
    ordered, columns = size.sort(1, descending=True)
    before = ordered.cumsum(1) - ordered
    return ((before <= part) << columns).sum(1)


def needed(task: Task) -> Tensor:
    """The needed columns as a place in `all_subsets`, (points,)."""
    return (task.needs.long() << torch.arange(task.needs.shape[1])).sum(1)


def measured(tuning: list[Task], tasks: list[Task]) -> dict[str, Any]:
    """The share of points that each rule and method is right about, the mean over tasks, and by number of columns."""
    told = [relevances(task, conditionals(task)) for task in tuning]
    parts = {name: best_part(tuning, [one[name] for one in told]) for name in told[0]}
    right: dict[str, list[float]] = {}
    for task in tasks:
        known, truth = conditionals(task), needed(task)
        chosen = by_rule(known)
        chosen |= {name: leading(one, parts[name]) for name, one in relevances(task, known).items()}
        for name, one in chosen.items():
            right.setdefault(name, []).append(float((one == truth).double().mean()))
    width = np.array([task.x.shape[1] for task in tasks])
    found = {
        name: {"threshold": THRESHOLDS.get(name) or parts[name], **_mean(np.array(one), width)}
        for name, one in right.items()
    }
    for name, one in found.items():
        print(f"{name:<30} {one['exact']['value']:.3f}  {one['by columns']}", flush=True)
    return {"tasks": len(tasks), **found}


def best_part(tasks: list[Task], told: list[Tensor]) -> float:
    """The part with which most points are right, the mean over tasks."""
    truth = [needed(task) for task in tasks]
    right = [
        statistics.mean(
            float((leading(one, part) == wanted).double().mean()) for one, wanted in zip(told, truth, strict=True)
        )
        for part in PARTS.tolist()
    ]
    return float(PARTS[int(np.argmax(right))])


def _mean(right: np.ndarray, width: np.ndarray) -> dict[str, Any]:
    by_columns = {str(columns): round(float(right[width == columns].mean()), 4) for columns in COLUMNS}
    return {"exact": mean_interval(right).to_json(), "by columns": by_columns}


if __name__ == "__main__":
    torch.set_num_threads(1)
    with recorded(
        __file__, "The boosted gate names the deciding columns more often than methods from outside do"
    ) as result:
        result["drawn tasks"] = measured(planted(1, TUNING), planted(0, TASKS))
        if len(sys.argv) > 1:
            folder = Path(sys.argv[1])
            result["published tasks"] = measured(
                published(folder / "tuning.npy"), published(folder / "multivariate.npy")
            )

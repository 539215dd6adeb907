"""Which coordinates decided a label: a model that says so itself, beside methods that look at a model from outside.

The same points for all, with the deciding subset known. Methods from outside give every coordinate a number; those with
at least a part of the largest number count as named, and that part is chosen for each method on points of its own, so
that each does as well as it can. They are tried on the mixture itself and on a black box that learned the same points.
Runs offline, in about half a minute.
"""

import torch
from torch import Tensor, nn

import whyrec as wr
from whyrec.expert_blocks import Dense
from whyrec.explanation import Explainer
from whyrec.mixture import PRESETS
from whyrec.point_experts import PointExperts, teach
from whyrec.toy_points import Experiment, Points, lattice_of, points

STEPS, RATE, ROWS, WIDTH = 1000, 4e-3, 256, 16
TUNED, JUDGED = 400, 1000
PARTS = torch.linspace(0.05, 0.95, 19)
METHODS = {
    "gradient x input": wr.GradientTimesInput(),
    "SmoothGrad": wr.SmoothGrad(),
    "integrated gradients": wr.IntegratedGradients(),
    "DeepLIFT": wr.DeepLIFT(),
    "LRP": wr.LRP(),
    "leave one out": wr.LeaveOneOut(),
    "LIME": wr.LIME(),
    "exact SHAP": wr.ExactShapley(),
}


def learned(module: nn.Module, experiment: Experiment) -> nn.Module:
    generator = torch.Generator().manual_seed(1)

    def draw() -> tuple[Tensor, Tensor]:
        some = points(experiment, ROWS, generator)
        return some.x, some.label

    return teach(module, draw, steps=STEPS, learning_rate=RATE)


def black_box(columns: int) -> nn.Module:
    hidden = (nn.Linear(columns, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
    return nn.Sequential(*hidden, nn.Linear(WIDTH, 1))


def from_outside(module: nn.Module, some: Points, method: Explainer) -> Tensor:
    """Size of what each coordinate is given, (points, coordinates), the largest of each point one."""
    names = [f"x{place + 1}" for place in range(some.x.shape[1])]
    model = wr.adapt(module, {"point": wr.Columns(some.x, names, baseline="zero")})
    found = wr.explain(model, wr.recommend(model), method).attribution.relevance["point"][:, 0].abs()
    return found / found.amax(1, keepdim=True).clamp(min=1e-12)


def matched(named: Tensor, some: Points, subsets: Tensor) -> float:
    """How often exactly the deciding coordinates are named."""
    return float((named == subsets[some.truth]).all(1).double().mean())


print(f"{'exactly the deciding subset':<36}" + "".join(f"{name:>9}" for name in ("A", "C", "D")))
table: dict[str, list[float]] = {}
for experiment in ("A", "C", "D"):
    lattice = lattice_of(experiment)
    tuned, judged = (
        points(experiment, count, torch.Generator().manual_seed(seed)) for count, seed in ((TUNED, 7), (JUDGED, 8))
    )
    torch.manual_seed(0)
    mixture = PointExperts(lattice, [Dense(WIDTH)] * 2, PRESETS["toy"], lateral=False)
    twin = learned(black_box(len(lattice.groups)), experiment)
    models = {"the mixture": learned(mixture, experiment), "black box": twin}
    with torch.no_grad():
        heard = mixture.attribution(judged.x).argmax(1)
    table.setdefault("the mixture says", []).append(matched(lattice.holds[heard], judged, lattice.holds))
    for where, module in models.items():
        for name, method in METHODS.items():
            tries, final = (from_outside(module, some, method) for some in (tuned, judged))
            best = max(PARTS, key=lambda part: matched(tries >= part, tuned, lattice.holds))
            table.setdefault(f"{name}, {where}", []).append(matched(final >= best, judged, lattice.holds))
for name, found in table.items():
    print(f"{name:<36}" + "".join(f"{one:>8.1%} " for one in found))

"""Masked experts on points: which coordinates were enough to tell a label, found by the model itself.

Draws the eight figures of the toy experiments of Afchar and Hennequin 2020 into the current folder, and says how often
the subset that is listened to most is the one that decides. Runs offline, in about half a minute.
"""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from whyrec.expert_blocks import Dense
from whyrec.lattice import Lattice
from whyrec.mixture import PRESETS, Preset
from whyrec.point_experts import PointExperts, teach
from whyrec.toy_points import BEST, Experiment, Points, lattice_of, points

STEPS, RATE, ROWS = 1500, 3e-3, 256


def stream(experiment: Experiment):
    """Fresh points in each step."""
    generator = torch.Generator().manual_seed(1)

    def draw() -> tuple[Tensor, Tensor]:
        some = points(experiment, ROWS, generator)
        return some.x, some.label

    return draw


def mixture(experiment: Experiment, preset: Preset) -> PointExperts:
    torch.manual_seed(0)
    blocks = [Dense(8 if experiment == "A" else 16)] * 2
    network = PointExperts(lattice_of(experiment), blocks, PRESETS[preset], lateral=False)
    return teach(network, stream(experiment), steps=STEPS, learning_rate=RATE)


def black_box(experiment: Experiment) -> nn.Module:
    """The twin: a network as wide that sees everything at once."""
    torch.manual_seed(0)
    columns, width = len(lattice_of(experiment).groups), 8 if experiment == "A" else 16
    hidden = (nn.Linear(columns, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
    return teach(nn.Sequential(*hidden, nn.Linear(width, 1)), stream(experiment), steps=STEPS, learning_rate=RATE)


def held_out(experiment: Experiment, count: int) -> Points:
    return points(experiment, count, torch.Generator().manual_seed(99))


@torch.no_grad()
def accuracy(module: nn.Module, some: Points) -> float:
    return float((module(some.x)[:, 0] * some.label > 0).double().mean())


def scatter(axes: Axes, x: Tensor, title: str, **colour) -> None:
    axes.scatter(x[:, 0], x[:, 1], s=6, linewidths=0, **colour)
    axes.set_title(title, fontsize=9)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=7)


def signed(value: Tensor, alpha: Tensor | None = None) -> dict:
    """Violet for no, brown for yes, the paler the less it counts."""
    return {"c": value, "cmap": "PuOr_r", "vmin": -1, "vmax": 1, "alpha": alpha}


def panels(count: int, down: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(2.6 * count, 2.7 * down), layout="constrained")
    return figure, list(figure.subplots(down, count, squeeze=False).ravel())


@torch.no_grad()
def three_views(network: PointExperts, some: Points, name: str) -> None:
    """Truth, prediction, and who was listened to: red the first coordinate, green the second, blue both."""
    figure, (truth, predicted, attributed) = panels(3)
    scatter(truth, some.x, "truth", **signed(some.label))
    scatter(predicted, some.x, "prediction", **signed(network(some.x)[:, 0]))
    scatter(attributed, some.x, "attribution: x1, x2, both", c=network.attribution(some.x).clamp(0, 1))
    figure.savefig(name, dpi=120)


@torch.no_grad()
def each_expert(network: PointExperts, some: Points, name: str) -> None:
    """What each expert says, the paler the less it is listened to."""
    said, alpha = network.said(some.x), network.attribution(some.x).clamp(0, 1)
    figure, axes = panels(6)
    scatter(axes[0], some.x, "truth", **signed(some.label))
    scatter(axes[1], some.x, "mixture", **signed(network(some.x)[:, 0]))
    scatter(axes[2], some.x, "attribution", c=alpha)
    for place, title in enumerate(network.lattice.titles):
        scatter(axes[3 + place], some.x, title, **signed(said[:, place], alpha[:, place]))
    figure.savefig(name, dpi=120)


@torch.no_grad()
def four_coordinates(network: PointExperts, some: Points, name: str) -> None:
    """Experiment D: the first two coordinates above, the others below."""
    figure, axes = panels(3, down=2)
    alpha, score = network.attribution(some.x).clamp(0, 1), network(some.x)[:, 0]
    for place, (first, title) in enumerate(((0, "x1, x2"), (2, "x3, x4"))):
        there = some.x[:, first : first + 2].abs().sum(1) > 0
        x = some.x[there, first : first + 2]
        scatter(axes[3 * place], x, f"truth in {title}", **signed(some.label[there]))
        scatter(axes[3 * place + 1], x, "prediction", **signed(score[there]))
        scatter(axes[3 * place + 2], x, "attribution", c=alpha[there])
    figure.savefig(name, dpi=120)


@torch.no_grad()
def plaid(network: PointExperts, name: str) -> None:
    """Attribution everywhere, also where there are no points; black where no expert has an opinion."""
    side = torch.linspace(-2.5, 2.5, 50)
    grid = torch.cartesian_prod(side, side)
    colours = network.attribution(grid).clamp(0, 1).unflatten(0, (50, 50)).transpose(0, 1)
    figure, (axes,) = panels(1)
    axes.imshow(colours, origin="lower", extent=(-2.5, 2.5, -2.5, 2.5))
    axes.set_title("attribution: x1, x2, both", fontsize=9)
    figure.savefig(name, dpi=120)


def principle(lattice: Lattice, name: str) -> None:
    """Groups, experts on subsets of them, and who reads whom."""
    figure, (axes,) = panels(1)
    figure.set_size_inches(6.4, 3.4)
    axes.set_axis_off()
    axes.set_xlim(-0.4, 2.6)
    axes.set_ylim(-0.15, 1.15)
    height = {group: 1 - place / max(1, len(lattice.groups) - 1) for place, group in enumerate(lattice.groups)}
    level = [1 - place / max(1, len(lattice) - 1) for place in range(len(lattice))]
    box = {"boxstyle": "round", "facecolor": "white", "edgecolor": "#59636e"}
    arrow = {"arrowstyle": "->", "color": "#59636e", "shrinkA": 22, "shrinkB": 30}
    for place, subset in enumerate(lattice.subsets):
        for group in subset:
            axes.annotate("", (1, level[place]), (0, height[group]), arrowprops=arrow)
        for child in lattice.children[place]:
            bent = {**arrow, "color": "#d9760a", "connectionstyle": "arc3,rad=-0.5"}
            axes.annotate("", (1.12, level[place]), (1.12, level[child]), arrowprops=bent)
        axes.annotate("", (2, 0.5), (1, level[place]), arrowprops=arrow)
        axes.text(1, level[place], lattice.titles[place], bbox=box, ha="center", va="center", fontsize=8)
    for group, at in height.items():
        axes.text(0, at, group, bbox=box, ha="center", va="center", fontsize=8)
    axes.text(2, 0.5, "score\nand shares", bbox=box, ha="center", va="center", fontsize=8)
    axes.set_title("groups, experts (orange: what is found is read on), mixture", fontsize=9)
    figure.savefig(name, dpi=120)


figure, axes = panels(4)
for one, (experiment, first) in zip(axes, (("A", 0), ("C", 0), ("D", 0), ("D", 2)), strict=True):
    some = held_out(experiment, 2000)
    scatter(one, some.x[:, first : first + 2], f"{experiment}: x{first + 1}, x{first + 2}", **signed(some.label))
figure.savefig("1_points.png", dpi=120)

networks = {(name, preset): mixture(name, preset) for name, preset in (("A", "toy"), ("C", "toy"), ("D", "toy"))}
networks["C", "library"] = mixture("C", "library")
three_views(networks["A", "toy"], held_out("A", 2000), "2_experiment_A.png")
three_views(networks["C", "toy"], held_out("C", 2000), "3_experiment_C.png")
plaid(networks["C", "toy"], "4_attribution_everywhere.png")
each_expert(networks["C", "toy"], held_out("C", 2000), "5_each_expert.png")
four_coordinates(networks["D", "toy"], held_out("D", 2000), "6_experiment_D.png")
each_expert(networks["C", "library"], held_out("C", 2000), "7_taught_another_way.png")
principle(Lattice.around_first(("content", "user", "item")), "8_principle.png")

print("experiment  taught as  accuracy  best possible  black box  deciding subset listened to most")
for (experiment, preset), network in networks.items():
    some = held_out(experiment, 20_000)
    with torch.no_grad():
        right = float((network.attribution(some.x).argmax(1) == some.truth).double().mean())
    twin = accuracy(black_box(experiment), some) if preset == "toy" else float("nan")
    shown = f"{accuracy(network, some):>9.4f}  {BEST[experiment]:>13.4f}  {twin:>9.4f}  {right:>10.1%}"
    print(f"{experiment:<10}  {preset:<8} {shown}")
print("figures 1 to 8 are in this folder")

"""Toy experiments: experts reach what can be reached, and who is heard is the subset that decides a label."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor, nn

import whyrec as wr
from whyrec.expert_blocks import Dense
from whyrec.mixture import PRESETS, Preset
from whyrec.point_experts import PointExperts, teach
from whyrec.toy_points import BEST, Experiment, Points, lattice_of, points

STEPS, RATE, ROWS = 800, 4e-3, 256
HELD_OUT = 20_000


def drawn(experiment: Experiment, count: int = HELD_OUT, seed: int = 99) -> Points:
    return points(experiment, count, torch.Generator().manual_seed(seed))


@cache
def taught(experiment: Experiment, preset: Preset = "toy") -> PointExperts:
    torch.manual_seed(0)
    width = 8 if experiment == "A" else 16
    network = PointExperts(lattice_of(experiment), [Dense(width)] * 2, PRESETS[preset], lateral=False)
    return teach(network, _stream(experiment), steps=STEPS, learning_rate=RATE)  # type: ignore[return-value]


def _stream(experiment: Experiment):  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(1)

    def draw() -> tuple[Tensor, Tensor]:
        some = points(experiment, ROWS, generator)
        return some.x, some.label

    return draw


def accuracy(module: nn.Module, held_out: Points) -> float:
    with torch.no_grad():
        return float((module(held_out.x)[:, 0] * held_out.label > 0).double().mean())


def test_the_points_are_where_they_should_be() -> None:
    for experiment in ("A", "B", "C", "D"):
        some = drawn(experiment)  # type: ignore[arg-type]
        assert some.x.shape == (HELD_OUT, 4 if experiment == "D" else 2)
        assert some.label.mean().abs() < 0.01
        for place in some.truth.unique().tolist():
            x, label = some.x[some.truth == place], some.label[some.truth == place]
            decides = {0: x[:, 0], 1: x[:, 1], 2: -x[:, -2] * x[:, -1]}[place]
            assert ((decides > 0) == (label > 0)).double().mean() > 0.997
    half = drawn("D")
    assert not half.x[half.truth < 2, 2:].any()
    assert not half.x[half.truth == 2, :2].any()


def test_the_best_decision_is_as_good_as_its_closed_form() -> None:
    def normal(z: float) -> float:
        return 0.5 * (1 + float(torch.erf(torch.tensor(z / 2**0.5, dtype=torch.float64))))

    noise = 0.25
    of_cross = normal(2**0.5 / 2 / noise)  # blobs at a distance of the root of two, on either side of a diagonal
    of_corners = normal(1 / noise) ** 2 + normal(-1 / noise) ** 2
    far = normal(2 / noise) ** 2 + normal(-2 / noise) ** 2
    assert BEST["A"] == pytest.approx(of_cross, abs=1e-5)
    assert BEST["B"] == pytest.approx(of_corners, abs=1e-5)
    assert BEST["C"] == pytest.approx((of_cross + far) / 2, abs=1e-5)
    assert BEST["D"] == pytest.approx((of_cross + of_corners) / 2, abs=2e-5)


@pytest.mark.parametrize(
    ("experiment", "preset", "least", "found"),
    [("A", "toy", 0.996, 0.95), ("C", "toy", 0.992, 0.80), ("C", "library", 0.992, 0.85), ("D", "toy", 0.998, 0.99)],
)
def test_a_mixture_is_right_and_hears_whoever_decides(
    experiment: Experiment, preset: Preset, least: float, found: float
) -> None:
    network, held_out = taught(experiment, preset), drawn(experiment)
    assert least <= accuracy(network, held_out) <= BEST[experiment] + 0.001
    with torch.no_grad():
        alpha = network.attribution(held_out.x)
    assert (alpha.argmax(1) == held_out.truth).double().mean() >= found
    if experiment == "C":
        shares = alpha / alpha.sum(1, keepdim=True)
        assert shares[held_out.truth == 2].mean(0)[2] > 0.5
        assert shares[held_out.truth < 2].mean(0)[2] < 0.15


def test_what_it_learns_a_black_box_learns_as_well() -> None:
    """The twin sees all columns at once; what a mixture loses against it is less than half a point."""
    for experiment in ("A", "D"):
        torch.manual_seed(0)
        columns, width = len(lattice_of(experiment).groups), 8 if experiment == "A" else 16  # type: ignore[arg-type]
        twin = nn.Sequential(
            nn.Linear(columns, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )
        teach(twin, _stream(experiment), steps=STEPS, learning_rate=RATE)  # type: ignore[arg-type]
        held_out = drawn(experiment)  # type: ignore[arg-type]
        lost = accuracy(twin, held_out) - accuracy(taught(experiment), held_out)  # type: ignore[arg-type]
        assert abs(lost) < 0.005


def test_experts_on_points_are_taught_each_by_itself() -> None:
    torch.manual_seed(0)
    network, some = PointExperts(lattice_of("C"), [Dense(4), Dense(4)], PRESETS["spotify"]), drawn("C", 64)
    own = [weight for name, weight in network.experts.named_parameters() if name.startswith("layers.0.0.")]

    def gradients() -> list[Tensor]:
        wrong = network.own_loss(some.x, (some.label + 1) / 2)
        return list(torch.autograd.grad(wrong, own))

    before = gradients()
    with torch.no_grad():
        network.experts.outputs[2].weight.add_(1.0)  # type: ignore[union-attr, operator]
    for one, other in zip(before, gradients(), strict=True):
        assert one.any()
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_every_explainer_takes_a_mixture_of_points() -> None:
    held_out = drawn("C", 12)
    model = wr.adapt(taught("C"), {"point": wr.Columns(held_out.x, ["x1", "x2"], baseline="zero")})
    lists = wr.recommend(model)
    for explainer in (wr.LRP(), wr.IntegratedGradients(), wr.DeepLIFT(), wr.ExactShapley(), wr.LIME()):
        why = wr.explain(model, lists, explainer)
        assert why.attribution.relevance["point"].shape == (12, 1, 2)
        assert why.attribution.relevance["point"].isfinite().all()

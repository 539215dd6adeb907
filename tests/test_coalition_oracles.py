"""The coalition methods beside the packages that people know them from: the same numbers for the same question."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.worlds import network, noise, wired
from torch import Tensor, nn

from whyrec.background import background
from whyrec.explainers.exact_shapley import ExactShapley
from whyrec.explainers.kernel_shap import KernelSHAP
from whyrec.explainers.lime import LIME
from whyrec.explainers.occlusion import LeaveOneOut
from whyrec.explainers.permutation_shapley import PermutationShapley
from whyrec.question import Question
from whyrec.subsets import all_subsets

pytestmark = pytest.mark.filterwarnings("ignore")  # what other packages warn about is theirs

UNITS = 8


def rows_and_net() -> tuple[Tensor, nn.Sequential]:
    """Twenty rows of eight columns, and a network of them."""
    return noise(20, UNITS), nn.Sequential(network(UNITS, 16, 1), nn.Tanh())


def asked() -> Question:
    rows, net = rows_and_net()
    return wired(lambda parts: net(parts["p"].flatten(2)).squeeze(-1), {"p": rows[:, None, :, None]})


def function() -> object:
    net = rows_and_net()[1]

    def score(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return net(torch.from_numpy(x)).squeeze(-1).numpy()

    return score


@pytest.mark.parametrize("rows", [1, 7])
def test_kernel_shap_is_that_of_shap(rows: int) -> None:
    shap = pytest.importorskip("shap")
    question = asked()
    drawn = background(question, rows)["p"].values[:, 0, 0, :, 0].numpy()
    theirs = shap.KernelExplainer(function(), drawn)
    values = theirs.shap_values(rows_and_net()[0].numpy()[:4], nsamples=2**UNITS, l1_reg=False, silent=True)
    ours = KernelSHAP(2**UNITS, background=rows)(question)
    np.testing.assert_allclose(ours.relevance["p"][:4, 0].numpy(), values, atol=1e-6)
    np.testing.assert_allclose(ours.ledger.reference[0, 0], theirs.expected_value, atol=1e-9)


def test_exact_shapley_values_are_those_of_shap() -> None:
    shap = pytest.importorskip("shap")
    question = asked()
    drawn = background(question, 5)["p"].values[:, 0, 0, :, 0].numpy()
    theirs = shap.explainers.Exact(function(), shap.maskers.Independent(drawn, max_samples=5))
    values = theirs(rows_and_net()[0].numpy()[:4]).values
    np.testing.assert_allclose(ExactShapley(5)(question).relevance["p"][:4, 0].numpy(), values, atol=1e-9)


def test_leave_one_out_is_captums_ablation() -> None:
    attr = pytest.importorskip("captum.attr")
    rows, net = rows_and_net()
    values = attr.FeatureAblation(lambda x: net(x).squeeze(-1)).attribute(rows)
    ours = LeaveOneOut()(asked()).relevance["p"][:, 0]
    torch.testing.assert_close(ours, values.detach(), rtol=0, atol=1e-10)


def test_sampled_shapley_values_go_where_captums_go() -> None:
    attr = pytest.importorskip("captum.attr")
    rows, net = rows_and_net()
    torch.manual_seed(0)
    values = attr.ShapleyValueSampling(lambda x: net(x).squeeze(-1)).attribute(rows, n_samples=400).detach()
    exact = ExactShapley()(asked()).relevance["p"][:, 0]
    ours = PermutationShapley(200)(asked()).relevance["p"][:, 0]
    theirs = (values - exact).norm() / exact.norm()
    assert theirs < 0.1
    assert (ours - exact).norm() / exact.norm() < theirs


def test_lime_is_the_fit_of_lime_to_the_same_sets() -> None:
    """Every set as often as uniform sizes make it: the limit of its sampling, with its kernel, distance and ridge."""
    lime_base = pytest.importorskip("lime.lime_base")
    linear_model = pytest.importorskip("sklearn.linear_model")
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    units, width = 4, 0.25
    rows, net = noise(1, units), network(units, 9, 1)
    question = wired(lambda parts: net(parts["p"].flatten(2)).squeeze(-1), {"p": rows[:, None, :, None]})
    times = math.lcm(*(math.comb(units, size) for size in range(units + 1)))
    repeated = [one for one in all_subsets(units) for _ in range(times // math.comb(units, int(one.sum())))]
    sets = np.array(sorted(repeated, key=lambda one: -one.sum()), dtype=np.float64)  # lime wants the whole one first
    with torch.no_grad():
        worth = net(rows * torch.from_numpy(sets)).numpy()
    distances = pairwise.cosine_distances(sets, sets[:1]).ravel()
    base = lime_base.LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / width**2)))
    intercept, slopes, r2, _ = base.explain_instance_with_data(
        sets,
        worth,
        distances,
        0,
        units,
        feature_selection="none",
        model_regressor=linear_model.Ridge(alpha=1, fit_intercept=True),
    )
    ours = LIME(samples=len(sets), kernel_width=width, ridge=1)(question)
    theirs = [dict(slopes)[unit] for unit in range(units)]
    np.testing.assert_allclose(ours.relevance["p"][0, 0].numpy(), theirs, atol=1e-9)
    np.testing.assert_allclose(ours.ledger.reference.item(), intercept, atol=1e-9)
    np.testing.assert_allclose(ours.notes["surrogate_r2"].item(), r2, atol=1e-9)

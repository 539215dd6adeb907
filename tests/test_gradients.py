"""Methods that follow gradients say so where there is none, instead of answering zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tests.worlds import Values, network, noise, wired
from torch import Tensor

from whyrec.attribution import Attribution
from whyrec.errors import InvalidSetting, NoRule, NotApplicable
from whyrec.explainers.deep_lift import DeepLIFT
from whyrec.explainers.expected_gradients import ExpectedGradients
from whyrec.explainers.gradient import GradientTimesInput
from whyrec.explainers.integrated_gradients import IntegratedGradients
from whyrec.explainers.smooth_grad import SmoothGrad
from whyrec.question import Question

METHODS = [GradientTimesInput(), IntegratedGradients(), ExpectedGradients(), DeepLIFT(), SmoothGrad()]
FROM_BASELINES = [IntegratedGradients(), ExpectedGradients(), DeepLIFT()]
Explainer = Callable[[Question], Attribution]

every_method = pytest.mark.parametrize("explainer", METHODS, ids=lambda one: type(one).__name__)
NET = network(4, 3, 1)
VALUES = {"p": noise(3, 2, 4, 1), "q": noise(3, 1, 4, 1, seed=1)}


@torch.no_grad()
def without_gradient(parts: Values) -> Tensor:
    score: Tensor = NET(parts["p"].flatten(2)).squeeze(-1)
    return score


def detached(parts: Values) -> Tensor:
    score: Tensor = NET(parts["p"].detach().flatten(2)).squeeze(-1)
    return score


def half_detached(parts: Values) -> Tensor:
    return parts["p"].sum((2, 3)) + parts["q"].detach().sum((2, 3))


@every_method
@pytest.mark.parametrize("score", [without_gradient, detached])
def test_a_score_without_gradients_is_refused(explainer: Explainer, score: Callable[[Values], Tensor]) -> None:
    """Weights that require gradients do not make up for inputs that are cut off."""
    with pytest.raises(NotApplicable, match=r"gradient.*LeaveOneOut"):
        explainer(wired(score, {"p": VALUES["p"]}))


@every_method
def test_a_part_that_is_cut_off_is_named(explainer: Explainer) -> None:
    """It would get zero, although the score depends on it."""
    with pytest.raises((NotApplicable, NoRule), match=r"passes none to 'q'|passes no gradient \(detached"):
        explainer(wired(half_detached, VALUES))


@every_method
def test_whole_numbers_are_refused(explainer: Explainer) -> None:
    question = wired(lambda p: p["p"].sum((2, 3)).double(), {"p": torch.arange(24).reshape(3, 2, 4, 1)})
    with pytest.raises(NotApplicable, match=r"part 'p' of Wired holds torch\.int64, and this method needs gradients"):
        explainer(question)


@pytest.mark.parametrize("explainer", FROM_BASELINES, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("shape", [(3,), (2, 3, 2, 4, 1), (4, 2)])
def test_a_baseline_of_another_shape_is_refused(explainer: Explainer, shape: tuple[int, ...]) -> None:
    question = wired(lambda p: p["p"].sum((2, 3)), {"p": VALUES["p"]})
    part = replace(question.inputs["p"], baseline=torch.zeros(shape))
    with pytest.raises(InvalidSetting, match=r"the baseline of part 'p' has shape .* does not broadcast to the shape"):
        explainer(replace(question, inputs={"p": part}))


@pytest.mark.parametrize("explainer", METHODS, ids=lambda one: type(one).__name__)
def test_single_precision_explains_about_the_same_as_double(explainer: Explainer) -> None:
    single = {"p": VALUES["p"].float()}
    net = network(4, 3, 1).float()
    answers = [
        explainer(wired(lambda p, net=net: net(p["p"].flatten(2)).squeeze(-1), single)),
        explainer(wired(lambda p: NET(p["p"].flatten(2)).squeeze(-1), {"p": single["p"].double()})),
    ]
    torch.testing.assert_close(answers[0].relevance["p"], answers[1].relevance["p"], rtol=1e-4, atol=1e-4)

"""What SmoothGrad promises: the mean over noisy copies, and a ledger that is about the score without noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tests.worlds import Values, attention_pooling, built, noise, request, wired
from torch import Tensor

from whyrec import copies
from whyrec.attribution import Attribution
from whyrec.errors import InvalidSetting
from whyrec.explainers.deep_lift import DeepLIFT
from whyrec.explainers.gradient import GradientTimesInput
from whyrec.explainers.integrated_gradients import IntegratedGradients
from whyrec.explainers.occlusion import LeaveOneOut
from whyrec.explainers.smooth_grad import SmoothGrad
from whyrec.question import Question, ask
from whyrec.targets import Contrast

VALUES = {"p": noise(3, 1, 5, 2), "q": noise(3, 4, 2, 2, seed=1)}
INNER: list[Callable[[Question], Attribution]] = [
    GradientTimesInput(),
    IntegratedGradients(5),
    DeepLIFT(),
    LeaveOneOut(),
]
every_method = pytest.mark.parametrize("explainer", INNER, ids=lambda one: type(one).__name__)


def curved(parts: Values) -> Tensor:
    p, q = parts["p"].sum(2), parts["q"].sum(2)
    return torch.tanh((p * q).sum(-1)) + p.square().sum(-1)


@every_method
def test_one_copy_after_the_other_gives_the_same(
    explainer: Callable[[Question], Attribution], monkeypatch: pytest.MonkeyPatch
) -> None:
    question, smooth = wired(curved, VALUES), SmoothGrad(explainer, samples=6)
    together = smooth(question)
    monkeypatch.setattr(copies, "BLOCK_FLOATS", 1)
    apart = smooth(question)
    for name, relevance in together.relevance.items():
        torch.testing.assert_close(relevance, apart.relevance[name], rtol=0, atol=1e-12)
    torch.testing.assert_close(together.ledger.reference, apart.ledger.reference, rtol=0, atol=1e-12)


@every_method
def test_without_noise_it_is_the_method_itself(explainer: Callable[[Question], Attribution]) -> None:
    question = wired(curved, VALUES)
    smooth, plain = SmoothGrad(explainer, samples=4, spread=0)(question), explainer(question)
    for name, relevance in plain.relevance.items():
        torch.testing.assert_close(smooth.relevance[name], relevance, rtol=0, atol=1e-12)
    torch.testing.assert_close(smooth.ledger.reference, plain.ledger.reference, rtol=0, atol=1e-12)
    assert not smooth.complete


def test_by_default_it_smooths_gradient_times_input() -> None:
    question = wired(curved, VALUES)
    one, other = (SmoothGrad(inner)(question).relevance["p"] for inner in (None, GradientTimesInput()))
    assert one.equal(other)


def test_all_copies_take_one_forward_pass() -> None:
    sizes: list[int] = []

    def counted(parts: Values) -> Tensor:
        sizes.append(len(parts["p"]))
        return curved(parts)

    SmoothGrad(samples=8)(wired(counted, VALUES))
    assert sizes == [3, 24]  # the target, and eight copies of three users


def test_the_noise_has_the_spread_it_is_given() -> None:
    """Of x^2, gradient times input is 2 x^2, so its mean near x is 2 x^2 + 2 s^2, s the noise's standard deviation."""
    question = wired(lambda p: p["p"].square().sum((2, 3)), {"p": VALUES["p"]})
    extra = SmoothGrad(samples=4000, spread=0.5)(question).relevance["p"] - 2 * VALUES["p"].square().sum(-1)
    deviation = 0.5 * VALUES["p"].flatten(1).std(1, correction=0)
    expected = (2 * 2 * deviation.square()).reshape(3, 1, 1).expand_as(extra)  # two channels
    torch.testing.assert_close(extra, expected, rtol=0.2, atol=0)


def test_the_ledger_is_of_the_score_without_noise_and_shows_what_noise_changed() -> None:
    """Integrated gradients close the account of each copy of x^2; the copies' mean score is higher by s^2."""
    question = wired(lambda p: p["p"].square().sum((2, 3)), {"p": VALUES["p"]})
    answer = SmoothGrad(IntegratedGradients(), samples=2000)(question)
    assert answer.ledger.target.equal(VALUES["p"].square().sum((2, 3)))
    assert not answer.complete
    variance = (0.15 * VALUES["p"].flatten(1).std(1, correction=0)).square() * 10  # ten numbers move
    torch.testing.assert_close(answer.ledger.gap[:, 0], -variance, rtol=0.1, atol=0)


def test_absent_units_and_single_numbers_do_not_move() -> None:
    seen: list[Tensor] = []

    def watched(parts: Values) -> Tensor:
        seen.append(parts["p"].detach())
        return parts["p"].sum((2, 3)) + parts["one"].sum((2, 3))

    question = wired(watched, {"p": noise(3, 1, 4, 2), "one": noise(3, 1, 1, 1)})
    present = torch.tensor([True, True, False, True]).expand(3, 1, 4)
    inputs = {**question.inputs, "p": replace(question.inputs["p"], present=present)}
    SmoothGrad(samples=2)(replace(question, inputs=inputs))
    whole, moved = seen
    assert moved[:3, :, 2].equal(whole[:, :, 2])
    assert (moved[:3, :, [0, 1, 3]] != whole[:, :, [0, 1, 3]]).all()


@every_method
def test_a_contrast_of_an_affine_model_is_left_as_it_is(explainer: Callable[[Question], Attribution]) -> None:
    model = built("mf")
    question = ask(model, request(model), target=Contrast("rye"))
    smooth, plain = SmoothGrad(explainer, samples=4)(question), explainer(question)
    torch.testing.assert_close(smooth.relevance["history"], plain.relevance["history"], rtol=0, atol=1e-12)


def test_attention_is_smoothed_like_anything_else() -> None:
    question = attention_pooling()
    answer = SmoothGrad(DeepLIFT(), samples=20)(question)
    assert not answer.relevance["history"][~answer.present["history"]].any()
    assert answer.relevance["history"].isfinite().all()


@pytest.mark.parametrize(("samples", "spread"), [(0, 0.1), (5, 0.1), (4, -0.1), (4, float("nan"))])
def test_impossible_settings_are_refused(samples: int, spread: float) -> None:
    with pytest.raises(InvalidSetting, match=r"choose an even number|choose a share"):
        SmoothGrad(samples=samples, spread=spread)

"""What expected gradients promise: the mean over references and chance points, and what the draws missed in the gap."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.worlds import Values, built, network, noise, request, wired
from torch import Tensor

from whyrec import copies
from whyrec.background import background
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.explainers.expected_gradients import ExpectedGradients
from whyrec.explainers.integrated_gradients import IntegratedGradients
from whyrec.question import Question, ask

VALUES = {"p": noise(5, 1, 3, 2), "q": noise(5, 4, 2, 2, seed=1)}
NET = network(10, 7, 4, 1)


def curved(parts: Values) -> Tensor:
    p, q = (parts[name].flatten(2) for name in ("p", "q"))
    score: Tensor = NET(torch.cat([p.expand(-1, q.shape[1], -1), q], -1)).squeeze(-1)
    return score


def slowly(question: Question, explainer: ExpectedGradients) -> tuple[dict[str, Tensor], Tensor]:
    """The definition: one user, one item and one point at a time."""
    users, items = question.shape
    drawn = background(question, explainer.background)
    rows = len(drawn["p"].values)
    found = {name: torch.zeros(question.present(name).shape, dtype=torch.float64) for name in question.parts}
    reference = torch.zeros(users, items, dtype=torch.float64)
    for user, generator in enumerate(question.generators("expected gradients")):
        times = (generator.permutation(explainer.samples) + generator.random(explainer.samples)) / explainer.samples
        for point, time in enumerate(times):
            x, x0 = {}, {}
            for name in question.parts:
                x[name] = question.inputs[name].values[user : user + 1]
                start = drawn[name].values[point % rows]
                x0[name] = start[user if len(start) > 1 else 0].unsqueeze(0).expand_as(x[name])
            reference[user] += curved(x0)[0] / explainer.samples
            for item in range(items):
                at = {name: (x0[name] + time * (x[name] - x0[name])).requires_grad_() for name in x}
                gradients = torch.autograd.grad(curved(at)[0, item], list(at.values()))
                for (name, gradient), way in zip(zip(at, gradients, strict=True), x, strict=True):
                    moved = (gradient * (x[way] - x0[way])).sum(-1)[0] / explainer.samples
                    found[name][user, item] += moved[item if len(moved) > 1 else 0]
    return found, reference.detach()


@pytest.mark.parametrize(("samples", "rows"), [(9, 3), (11, 4), (7, 7)])
@pytest.mark.parametrize("block", [1, 1 << 23])
def test_it_is_the_mean_of_the_definition(samples: int, rows: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven rows are more than the five users who are known: all of them stand in."""
    monkeypatch.setattr(copies, "BLOCK_FLOATS", block)
    question, explainer = wired(curved, VALUES), ExpectedGradients(samples, rows)
    answer = explainer(question)
    expected, reference = slowly(question, explainer)
    for name, relevance in answer.relevance.items():
        torch.testing.assert_close(relevance, expected[name], rtol=0, atol=1e-12)
    torch.testing.assert_close(answer.ledger.reference, reference, rtol=0, atol=1e-12)


def test_an_affine_score_is_split_from_the_mean_of_the_background() -> None:
    w = noise(3, 2, seed=8)
    question = wired(lambda p: (p["p"] * w).sum((2, 3)) + 1, {"p": VALUES["p"]})
    answer = ExpectedGradients(10, background=5)(question)
    mean = VALUES["p"].mean(0, keepdim=True)
    torch.testing.assert_close(answer.relevance["p"], ((VALUES["p"] - mean) * w).sum(-1), rtol=0, atol=1e-12)
    torch.testing.assert_close(answer.ledger.reference, ((mean * w).sum() + 1).expand(5, 1), rtol=0, atol=1e-12)
    assert answer.ledger.gap.abs().max() <= 1e-12


def test_the_gap_falls_as_samples_grow() -> None:
    question = wired(curved, VALUES)
    gaps = [float(ExpectedGradients(n, background=5)(question).ledger.gap.abs().mean()) for n in (5, 80, 1280)]
    assert gaps[1] < gaps[0] / 2
    assert gaps[2] < gaps[1] / 2


def test_from_one_baseline_it_is_integrated_gradients_at_chance_points() -> None:
    model = built("neumf")
    question = ask(model, request(model))
    drawn, stepped = ExpectedGradients(5000)(question), IntegratedGradients(5000)(question)
    torch.testing.assert_close(drawn.relevance["history"], stepped.relevance["history"], rtol=0, atol=5e-3)
    assert drawn.ledger.reference.equal(stepped.ledger.reference)


def test_another_seed_draws_other_points() -> None:
    question = wired(curved, VALUES)
    one, other = (ExpectedGradients()(replace(question, seed=seed)).relevance["p"] for seed in (0, 1))
    assert not one.equal(other)


def test_a_background_is_not_for_past_items() -> None:
    model = built("mf")
    question = ask(model, request(model))
    for explainer in (ExpectedGradients(background=3), IntegratedGradients(background=3)):
        with pytest.raises(NotApplicable, match="a background needs units that mean the same for every user"):
            explainer(question)


@pytest.mark.parametrize(("samples", "rows"), [(0, 0), (4, 5)])
def test_every_reference_takes_a_sample(samples: int, rows: int) -> None:
    with pytest.raises(InvalidSetting, match="every reference takes at least one sample"):
        ExpectedGradients(samples, rows)

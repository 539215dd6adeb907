"""What integrated gradients promise: the integral of the paper, and an account that says what the steps missed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tests.worlds import Score, Values, built, network, noise, request, wired
from torch import Tensor
from torch.nn import functional as F

from whyrec import copies
from whyrec.errors import InvalidSetting
from whyrec.explainers.gradient import GradientTimesInput
from whyrec.explainers.integrated_gradients import IntegratedGradients
from whyrec.faithfulness.completeness import completeness
from whyrec.gates import LARGEST_GAP
from whyrec.question import Question, ask
from whyrec.recommender import Inputs


def with_baseline(question: Question, baselines: Values) -> Question:
    inputs = {
        name: replace(part, baseline=baselines[name]) if name in baselines else part
        for name, part in question.inputs.items()
    }
    return replace(question, inputs=inputs)


def slow_integral(question: Question, score: Score, steps: int) -> dict[str, Tensor]:
    """Sundararajan et al. 2017, eq. 3, in the middle of each step: one step, one user and one item at a time."""
    users, items = question.shape
    ends = {name: part.values.expand(users, *part.values.shape[1:]) for name, part in question.inputs.items()}
    starts = {
        name: part.baseline.expand(part.values.shape) if name in question.parts else part.values
        for name, part in question.inputs.items()
    }
    found = {name: torch.zeros(question.present(name).shape, dtype=torch.float64) for name in question.parts}
    for user in range(users):
        begin, end = ({name: values[user : user + 1] for name, values in side.items()} for side in (starts, ends))
        for item in range(items):
            for step in range(steps):
                at = {
                    name: (begin[name] + (step + 0.5) / steps * (end[name] - begin[name])).requires_grad_()
                    for name in ends
                }
                gradients = torch.autograd.grad(score(at)[0, item], [at[name] for name in question.parts])
                for name, gradient in zip(question.parts, gradients, strict=True):
                    moved = (gradient * (end[name] - begin[name])).detach().sum(-1)[0]
                    found[name][user, item] += moved[item if len(moved) > 1 else 0] / steps
    return found


def curved(parts: Values) -> Tensor:
    """A product of a shared history, summed, with the items, and a bend."""
    user, item = parts["h"].sum(2), parts["i"].sum(2)
    return torch.tanh((user * item).sum(-1)) + (user * item.square()).sum(-1) + parts["u"].flatten(2).sum(2)


WORLD = {"h": noise(3, 1, 5, 2), "i": noise(3, 4, 2, 2, seed=1), "u": noise(3, 4, 1, 1, seed=2)}
BASELINES = {"h": noise(1, 1, 5, 2, seed=3), "i": noise(2, seed=4)}


@pytest.mark.parametrize("block", [1, 90, 1 << 23])
@pytest.mark.parametrize("parts", [("h",), ("i",), ("h", "i"), ("h", "i", "u")])
def test_it_is_the_integral_of_the_paper_however_many_steps_go_at_once(
    parts: tuple[str, ...], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "BLOCK_FLOATS", block)
    question = with_baseline(wired(curved, WORLD, parts=parts), BASELINES)
    answer = IntegratedGradients(steps=7)(question)
    for name, expected in slow_integral(question, curved, 7).items():
        torch.testing.assert_close(answer.relevance[name], expected, rtol=0, atol=1e-12)


def test_one_forward_pass_serves_all_steps_that_fit() -> None:
    sizes: list[int] = []

    def counted(parts: Values) -> Tensor:
        sizes.append(len(parts["h"]))
        return curved(parts)

    IntegratedGradients(steps=9)(wired(counted, WORLD, parts=("h",)))
    assert sizes == [3, 27, 3]  # the target, nine steps of three users, and the reference


def test_units_that_a_score_only_sums_travel_as_one_to_the_same_answer() -> None:
    recommender = built("neumf")
    question = ask(recommender, request(recommender), parts=("history", "item"))
    assert question.inputs["history"].summed
    apart = {name: replace(part, summed=False) for name, part in question.inputs.items()}
    one, other = (IntegratedGradients()(found) for found in (question, replace(question, inputs=apart)))
    for name, relevance in one.relevance.items():
        torch.testing.assert_close(relevance, other.relevance[name], rtol=0, atol=1e-12)


def test_presence_goes_with_the_values_wherever_they_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    recommender = built("neumf")
    question = ask(recommender, request(recommender))
    score, shapes = recommender.score, []

    def watched(inputs: Inputs) -> Tensor:
        shapes.extend((part.values.shape[:-1], part.present.shape) for part in inputs.values())
        return score(inputs)

    monkeypatch.setattr(recommender, "score", watched)
    IntegratedGradients(steps=5)(question)
    assert len(shapes) == 6
    assert all(values == present for values, present in shapes)


def test_the_reference_is_the_score_with_all_asked_units_at_their_baselines() -> None:
    question = with_baseline(wired(curved, WORLD, parts=("h", "i")), BASELINES)
    start = {name: BASELINES[name].expand(WORLD[name].shape) if name in BASELINES else WORLD[name] for name in WORLD}
    ledger = IntegratedGradients()(question).ledger
    torch.testing.assert_close(ledger.reference, curved(start), rtol=0, atol=1e-12)
    assert not ledger.bias.any()
    assert not ledger.stabilizer.any()


@pytest.mark.parametrize("steps", [1, 2, 50])
def test_affine_and_quadratic_scores_leave_no_gap_whatever_the_steps(steps: int) -> None:
    def quadratic(parts: Values) -> Tensor:
        user = parts["h"].sum(2)
        return user.square().sum(-1) + (user * parts["i"].sum(2)).sum(-1) + 0.5

    question = with_baseline(wired(quadratic, WORLD, parts=("h", "i")), BASELINES)
    assert IntegratedGradients(steps)(question).ledger.gap.abs().max() <= 1e-12


def test_on_pairs_of_causes_each_gets_half_of_what_they_bring_together() -> None:
    """H2 of planted worlds: a_j + sum of c_jk / 2, which is the Shapley value of the game."""
    alone, together = noise(5), noise(5, 5, seed=1).triu(1)

    def pairs(parts: Values) -> Tensor:
        there = parts["h"][..., 0]
        return there @ alone + torch.einsum("uij,jk,uik->ui", there, together, there)

    question = wired(pairs, {"h": torch.ones(2, 1, 5, 1, dtype=torch.float64)})
    expected = alone + (together + together.T).sum(1) / 2
    relevance = IntegratedGradients(3)(question).relevance["h"]
    torch.testing.assert_close(relevance, expected.expand_as(relevance), rtol=0, atol=1e-12)


def test_on_neumf_the_gap_falls_as_steps_grow() -> None:
    recommender = built("neumf")
    question = ask(recommender, request(recommender), parts=("history", "item"))
    gaps = [float(completeness(IntegratedGradients(steps)(question)).mean()) for steps in (4, 16, 64, 256, 1024)]
    assert all(more < fewer / 2 for fewer, more in pairwise(gaps))  # four times the steps, about a quarter of the gap
    assert gaps[-1] < 5e-4


def test_units_that_are_not_there_stay_where_they_are() -> None:
    """Padding whose values are not its baseline must not move, or the reference would be of another user."""
    question = wired(lambda parts: parts["p"].sum((2, 3)), {"p": noise(3, 2, 4, 2)})
    part = question.inputs["p"]
    present = torch.tensor([True, True, False, True]).expand(3, 2, 4)
    padded = replace(question, inputs={"p": replace(part, present=present, baseline=torch.ones(2).double())})
    answer = IntegratedGradients()(padded)
    assert not answer.relevance["p"][..., 2].any()
    left = part.values[:, :, 2].sum(-1) + 6.0
    torch.testing.assert_close(answer.ledger.reference, left, rtol=0, atol=1e-12)
    assert answer.ledger.gap.abs().max() <= 1e-12


def normalised(parts: Values) -> Tensor:
    """A user who is the direction of a summed history, whatever its length (H7 of planted worlds)."""
    return (F.normalize(parts["h"].sum(2), dim=-1) * parts["i"].sum(2)).sum(-1)


LONG = {"h": noise(20, 1, 6, 4) + 1, "i": noise(20, 3, 1, 4, seed=1)}


def test_a_score_that_ignores_lengths_leaves_all_in_the_gap_of_a_zero_baseline() -> None:
    question = wired(normalised, LONG, parts=("h",))
    answer = IntegratedGradients()(question)
    ledger = answer.ledger
    assert answer.complete
    assert (ledger.gap / (ledger.target - ledger.reference)).min() >= 0.99
    assert completeness(answer).mean() > LARGEST_GAP
    ranks = [one.relevance["h"].argsort(-1) for one in (answer, GradientTimesInput()(question))]
    assert ranks[0].equal(ranks[1])  # gradients along the path only shrink: nothing is learned beyond the last one


def test_a_baseline_that_has_a_direction_closes_the_gap() -> None:
    question = with_baseline(wired(normalised, LONG, parts=("h",)), {"h": noise(4, seed=9)})
    answer = IntegratedGradients(200)(question)
    assert completeness(answer).max() < 1e-3


def test_a_network_with_the_same_value_everywhere_brings_nothing() -> None:
    net = network(4, 5, 1)
    question = wired(lambda parts: net(parts["h"].flatten(2)).squeeze(-1), {"h": noise(3, 2, 2, 2)})
    answer = IntegratedGradients()(with_baseline(question, {"h": question.inputs["h"].values}))
    assert not answer.relevance["h"].any()
    assert answer.ledger.reference.equal(answer.ledger.target)


def test_a_path_without_steps_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="steps=0: a path has at least one step"):
        IntegratedGradients(steps=0)

"""How experts become one score: smaller subsets first, nothing learned about whom to hear, each expert taught apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from whyrec.lattice import Lattice
from whyrec.mixture import (
    CONFIDENCES,
    NO_OPINION,
    PRESETS,
    Boosting,
    Confidence,
    Preset,
    Voices,
    heard,
    mixed,
    taught,
    teaching_weights,
    undecided,
)

THREE = Lattice.up_to(("a", "b"), 2).children
SEVEN = Lattice.up_to(("a", "b", "c"), 3).children
every_confidence = pytest.mark.parametrize("confidence", list(CONFIDENCES))


def opinions(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


@every_confidence
def test_the_score_is_the_mean_of_what_is_said_by_how_far_it_is_heard(confidence: Confidence) -> None:
    said = opinions(50, 7)
    alpha, voices = heard(said, SEVEN, confidence), mixed(said, SEVEN, Boosting(confidence=confidence))
    expected = (alpha * said).sum(-1) / (alpha.sum(-1) + 1e-9)
    torch.testing.assert_close(voices.score, expected, rtol=0, atol=1e-6)
    assert (alpha >= -1e-15).all()
    assert (alpha <= 1 + 1e-15).all()
    assert (voices.score >= said.amin(-1) - 1e-6).all()
    assert (voices.score <= said.amax(-1) + 1e-6).all()


@every_confidence
def test_a_pair_is_heard_where_neither_of_its_children_is_sure(confidence: Confidence) -> None:
    said = opinions(20, 3)
    first, second, both = CONFIDENCES[confidence](said).unbind(-1)
    expected = torch.stack([first, second, both * (1 - first) * (1 - second)], -1)
    torch.testing.assert_close(heard(said, THREE, confidence), expected, rtol=0, atol=1e-15)


@every_confidence
def test_where_a_child_is_certain_no_larger_subset_is_heard(confidence: Confidence) -> None:
    said = opinions(20, 7)
    said[:, 1] = 1.0
    alpha = heard(said, SEVEN, confidence)
    parents = [place for place, inner in enumerate(SEVEN) if 1 in inner]
    assert alpha[:, parents].abs().max() < 1e-14
    assert alpha[:, 1].min() > 1 - 1e-14


@every_confidence
def test_where_nobody_is_sure_the_score_says_nothing_and_is_flagged(confidence: Confidence) -> None:
    nothing = torch.full((2, 7), NO_OPINION[confidence], dtype=torch.float64)
    nothing[1, 3] = 0.9
    voices = mixed(nothing, SEVEN, Boosting(confidence=confidence))
    assert undecided(nothing, SEVEN, confidence).tolist() == [True, False]
    torch.testing.assert_close(voices.score[0], nothing[0, 0], rtol=0, atol=1e-12)
    assert voices.score[1] > 0.85


def test_confidences_are_those_of_the_authors() -> None:
    said = torch.linspace(-1, 1, 201, dtype=torch.float64)
    found = {name: confidence(said) for name, confidence in CONFIDENCES.items()}
    assert (found["squared"] <= found["absolute"]).all()
    assert [float(found[name][-1]) for name in ("absolute", "squared", "sharp")] == [1.0, 1.0, 1.0]
    probability = torch.tensor([0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1], dtype=torch.float64)
    expected = torch.tensor([0.04412, 0.00888, 0.00056, 0, 0.00888, 0.13458, 0.59615, 1], dtype=torch.float64)
    torch.testing.assert_close(CONFIDENCES["skewed"](2 * probability - 1), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_no_gradient_goes_through_who_is_taught(preset: str) -> None:
    """The loss of the experts moves them as if the weights were numbers that somebody wrote down."""
    boosting = PRESETS[preset]  # type: ignore[index]
    said, wanted = opinions(9, 3).requires_grad_(), (opinions(9, seed=1) > 0).double()
    weights = teaching_weights(said, wanted, THREE, boosting)
    assert not weights.requires_grad
    loss = taught((said - wanted[:, None]).square(), weights, boosting)
    (gradient,) = torch.autograd.grad(loss, said)
    if boosting.mean == "expert":
        scale = weights / (weights.sum(0) + 1e-9)
    else:
        scale = weights / (len(said) if boosting.mean == "row" else weights.sum() + 1e-9)
    torch.testing.assert_close(gradient, 2 * scale * (said - wanted[:, None]).detach(), rtol=1e-12, atol=1e-12)


def test_with_the_gate_held_the_score_moves_by_the_shares() -> None:
    said = opinions(9, 3).requires_grad_()
    held = mixed(said.detach(), THREE, PRESETS["toy"]).shares
    (gradient,) = torch.autograd.grad((held * said).sum(), said)
    alpha = heard(said.detach(), THREE, "sharp")
    torch.testing.assert_close(gradient, alpha / (alpha.sum(-1, keepdim=True) + 1e-9), rtol=0, atol=1e-12)


def test_each_variant_weighs_as_its_authors_did() -> None:
    said, wanted = opinions(6, 3), torch.ones(6, dtype=torch.float64)
    squares = said.square()
    doubt = torch.ones_like(squares)
    doubt[:, 2] = (1 - squares[:, 0]) * (1 - squares[:, 1])
    skewed = CONFIDENCES["skewed"](said)
    of_movies = torch.ones_like(doubt)
    of_movies[:, 2] = (1 - skewed[:, 0]) * (1 - skewed[:, 1])
    alpha = doubt * squares
    expected = {
        "toy": alpha / alpha.sum(1, keepdim=True),
        "library": doubt / doubt.sum(1, keepdim=True),
        "movielens": of_movies,
        "spotify": doubt,
    }
    for preset, weights in expected.items():
        found = teaching_weights(said, wanted, THREE, PRESETS[preset])  # type: ignore[index]
        torch.testing.assert_close(found, weights, rtol=0, atol=1e-8)
    wrong = opinions(6, 3, seed=2).abs()
    toy = sum(float((w * one).sum() / w.sum()) for w, one in zip(expected["toy"].T, wrong.T, strict=True))
    assert float(taught(wrong, expected["toy"], PRESETS["toy"])) == pytest.approx(toy, rel=1e-7)
    library = float((expected["library"] * wrong).sum() / 6)
    assert float(taught(wrong, expected["library"], PRESETS["library"])) == pytest.approx(library, rel=1e-7)
    for preset in ("movielens", "spotify"):
        whole = float((expected[preset] * wrong).sum() / expected[preset].sum())
        assert float(taught(wrong, expected[preset], PRESETS[preset])) == pytest.approx(whole, rel=1e-7)  # type: ignore[index]


@pytest.mark.parametrize(
    ("preset", "sure"),
    [
        ("toy", lambda p: 2 * p**4 / (1 + p.abs() ** 3)),
        ("library", lambda p: p**2),
        ("movielens", lambda p: CONFIDENCES["skewed"](p)),
        ("spotify", lambda p: p**2),
    ],
)
def test_each_variant_hears_as_its_authors_did(preset: Preset, sure: Callable[[Tensor], Tensor]) -> None:
    said = opinions(6, 3)
    alpha = sure(said)
    alpha[:, 2] *= (1 - alpha[:, 0]) * (1 - alpha[:, 1])
    shares = mixed(said, THREE, PRESETS[preset]).shares
    torch.testing.assert_close(shares, alpha / alpha.sum(1, keepdim=True), rtol=0, atol=1e-6)


def test_the_posterior_teaches_whoever_explains_what_is_wanted() -> None:
    said = torch.tensor([[0.8, -0.8, 0.0]], dtype=torch.float64)
    boosting = Boosting(posterior=True, normalised=False, mean="weight")
    prior = heard(said, THREE, "squared", own=False)
    for wanted, likelihood in ((1.0, [0.9, 0.1, 0.5]), (0.0, [0.1, 0.9, 0.5])):
        expected = prior * torch.tensor(likelihood, dtype=torch.float64)
        found = teaching_weights(said, torch.tensor([wanted], dtype=torch.float64), THREE, boosting)
        torch.testing.assert_close(found, expected / expected.sum(), rtol=0, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_a_score_moves_by_what_is_said_and_by_who_is_heard_and_nothing_else(seed: int) -> None:
    at, before = (mixed(opinions(4, 2, 7, seed=seed + one), SEVEN, PRESETS["movielens"]) for one in (0, 1))
    by_saying, by_gate = at.since(before)
    torch.testing.assert_close(at.score - before.score, by_saying + by_gate, rtol=0, atol=1e-12)


def test_where_shares_do_not_move_all_is_said_and_where_nothing_is_said_anew_all_is_the_gate() -> None:
    said, other = opinions(5, 1, 3), opinions(5, 1, 3, seed=1)
    held = Voices(said, torch.full_like(said, 1 / 3)), Voices(other, torch.full_like(said, 1 / 3))
    assert not held[0].since(held[1])[1].any()
    opened = Voices(said, opinions(5, 1, 3).abs()), Voices(said, opinions(5, 1, 3, seed=2).abs())
    assert not opened[0].since(opened[1])[0].any()

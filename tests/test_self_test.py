"""The self-test of checks: it passes sound checks, and names the law that a broken one breaks."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import whyrec as wr
from whyrec import kinds
from whyrec.attribution import Attribution
from whyrec.coalitions import Players
from whyrec.errors import InvalidSetting
from whyrec.explanation import Explainer
from whyrec.faithfulness.correlation import correlation
from whyrec.faithfulness.deletion import deletion
from whyrec.faithfulness.removal_fit import removal_fit
from whyrec.faithfulness.stability import stability
from whyrec.question import Question
from whyrec.self_tests import LAWS, SelfTests


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SelfTests]:
    """Put a check of one's own to all laws, by the name of its module."""

    def under_all_laws(check: Callable[..., Tensor], judges: str | None) -> SelfTests:
        module: Any = types.ModuleType("my_checks")
        check.__module__ = "my_checks"
        module.check = check
        if judges is not None:
            module.JUDGES = judges
        monkeypatch.setitem(sys.modules, "my_checks", module)
        return wr.self_test(["my_checks:check"])

    return under_all_laws


def broken(found: SelfTests) -> list[str]:
    return [row.law for row in found.rows if not row.holds]


def test_a_sound_check_of_ones_own_keeps_all_laws(tried: Callable[..., SelfTests]) -> None:
    found = tried(lambda players, ranks, k: deletion(players, ranks, k) / 2 + 1, "order")
    assert found.holds
    assert [row.law for row in found.rows] == list(LAWS)


def jumpy(players: Players, relevance: Tensor) -> Tensor:
    """Looks at the eighth digit."""
    return (1e8 * relevance.sum(-1)) % 1.0


def blind_to_signs(players: Players, relevance: Tensor) -> Tensor:
    return correlation(players, relevance.abs())


def half_blind_to_signs(players: Players, relevance: Tensor) -> Tensor:
    """The opposite of the truth is worse than the truth, and still better than chance."""
    found = correlation(players, relevance)
    return torch.maximum(found, -found / 2)


def in_its_own_units(players: Players, relevance: Tensor) -> Tensor:
    return relevance.amax(-1)


def silent_about_little(players: Players, relevance: Tensor) -> Tensor:
    """What it says is in no unit, and whether it says anything is."""
    return correlation(players, relevance).masked_fill(relevance.abs().amax(-1) < 0.1, torch.nan)


def first_of_the_batch(players: Players, relevance: Tensor) -> Tensor:
    """Says of everybody what it found for the first (as ROAD of Quantus 0.6 does of batches)."""
    return removal_fit(players, relevance)[:1].expand(len(relevance), -1)


def by_the_mean_of_the_batch(players: Players, relevance: Tensor) -> Tensor:
    return correlation(players, relevance) - correlation(players, relevance).mean()


def forgets_padding(players: Players, ranks: Tensor, k: int) -> Tensor:
    """Takes the first columns away, whether anything stands there or not."""
    gone = torch.arange(ranks.shape[-1]) < k
    return deletion(players, ranks, k) + 10 * (players.present & gone).double().sum(-1)


def says_nothing(players: Players, relevance: Tensor) -> Tensor:
    return correlation(players, relevance) * torch.nan


@pytest.mark.parametrize(
    ("check", "judges", "law"),
    [
        (jumpy, "relevance", "noise"),
        (blind_to_signs, "relevance", "reversal"),
        (half_blind_to_signs, "relevance", "reversal"),
        (in_its_own_units, "relevance", "scale"),
        (silent_about_little, "relevance", "scale"),
        (first_of_the_batch, "relevance", "batch"),
        (by_the_mean_of_the_batch, "relevance", "batch"),
        (forgets_padding, "order", "permutation"),
        (says_nothing, "relevance", "permutation"),
    ],
)
def test_a_broken_check_is_named_with_the_law_that_it_breaks(
    check: Callable[..., Tensor], judges: str, law: str, tried: Callable[..., SelfTests]
) -> None:
    found = tried(check, judges)
    assert law in broken(found)
    assert f"my_checks:check BREAKS {law}" in str(found)


@pytest.mark.parametrize("law", ["reversal", "scale", "batch", "permutation"])
def test_a_law_that_a_check_keeps_is_not_said_to_be_broken(law: str, tried: Callable[..., SelfTests]) -> None:
    kept = {"reversal": first_of_the_batch, "scale": blind_to_signs, "batch": blind_to_signs}
    assert law not in broken(tried(kept.get(law, in_its_own_units), "relevance"))


def test_a_check_of_explainers_that_praises_the_opposite_breaks_reversal(tried: Callable[..., SelfTests]) -> None:
    def fooled(explainer: Explainer, question: Question, attribution: Attribution) -> Tensor:
        return 1 - stability(explainer, question, attribution) * (1 - stability(explainer, question, attribution))

    assert "reversal" in broken(tried(fooled, "explainer"))


def test_a_check_of_accounts_that_never_finds_anything_breaks_noise_and_reversal(
    tried: Callable[..., SelfTests],
) -> None:
    found = tried(lambda attribution: torch.zeros_like(attribution.ledger.target), "attribution")
    assert broken(found) == ["noise", "reversal"]


def test_the_table_has_a_line_for_each_check_and_the_rows_are_json() -> None:
    found = wr.self_test(["srg", "completeness"])
    assert [line.split()[0] for line in str(found).splitlines()] == ["check", "srg", "completeness"]
    assert [row["check"] for row in json.loads(json.dumps(found.to_json()))] == ["srg"] * 5 + ["completeness"] * 5


def test_the_same_seed_measures_the_same_and_all_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    assert wr.self_test(["correlation"], seed=3).rows == wr.self_test(["correlation"], seed=3).rows
    assert torch.equal(torch.get_rng_state(), before)


def test_a_check_that_does_not_say_what_it_judges_is_refused(tried: Callable[..., SelfTests]) -> None:
    with pytest.raises(InvalidSetting, match="JUDGES = 'order'"):
        tried(jumpy, None)
    with pytest.raises(InvalidSetting, match="there is nothing called 'sgr' among the faithfulness"):
        wr.self_test(["sgr"])
    assert set(kinds.names("faithfulness")) >= {"srg"}

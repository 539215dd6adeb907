"""Accuracy about skips: values worked out by hand, and what random guesses come to."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

import whyrec as wr
from whyrec.errors import BadInput, InvalidSetting, WhyrecError
from whyrec.sessions import HALF, Sessions
from whyrec.skip_accuracy import accuracy, average_accuracy, evaluate_skips, first_accuracy
from whyrec.skip_rivals import LastSkip


def flags(*rows: str) -> np.ndarray:
    """A row for each word: x is true, anything else false."""
    return np.array([[letter == "x" for letter in row] for row in rows])


EVERY = flags("xxxx", "xxxx", "xxxx")


def test_average_accuracy_is_that_of_the_challenge() -> None:
    assert average_accuracy(flags("x-", "-x", "xx", "--"), flags(*["xx"] * 4)).tolist() == [0.5, 0.25, 1.0, 0.0]
    by_hand = (1 / 1 + 2 / 3 + 3 / 4) / 4
    assert average_accuracy(flags("x-xx"), flags("xxxx")).tolist() == [pytest.approx(by_hand, abs=1e-15)]


def test_a_fair_coin_has_the_mean_average_accuracy_that_mathematics_says() -> None:
    for tracks, expected in ((5, 0.3642), (10, 0.3232)):
        right = np.array(list(itertools.product((False, True), repeat=tracks)))
        found = average_accuracy(right, np.ones_like(right)).mean()
        harmonic = sum(1 / place for place in range(1, tracks + 1))
        assert found == pytest.approx(1 / 4 + harmonic / (4 * tracks), abs=1e-12)
        assert found == pytest.approx(expected, abs=1e-4)


def test_tracks_that_are_not_there_count_nowhere() -> None:
    right, there = flags("x-xx", "xxxx"), flags("xx--", "----")
    assert accuracy(right, there).tolist()[0] == 0.5
    assert average_accuracy(right, there).tolist()[0] == 0.5
    assert first_accuracy(right, there).tolist()[0] == 1.0
    for metric in (accuracy, first_accuracy, average_accuracy):
        assert np.isnan(metric(right, there)[1])


def test_the_first_guess_is_the_first_that_can_be_judged() -> None:
    assert first_accuracy(flags("-x", "x-"), flags("xx", "-x")).tolist() == [0.0, 0.0]


def by_hand(*rows: tuple[int, list[float]]) -> Sessions:
    """Sessions with a last skip and what followed."""
    made = wr.planted_sessions(sessions=len(rows), seed=0)
    skipped, track = np.full_like(made.skipped, np.nan), np.full_like(made.track, -1)
    log = np.full_like(made.log, np.nan)
    for row, (last, following) in enumerate(rows):
        log[row, HALF - 1], track[row, HALF - 1 : HALF + len(following)] = 0.0, 0
        log[row, HALF - 1, 1] = skipped[row, HALF - 1] = last
        skipped[row, HALF : HALF + len(following)] = following
    return replace(made, skipped=skipped, track=track, log=log, ruled=None, rules=())


def test_persistence_on_three_sessions_has_the_figures_worked_out_by_hand() -> None:
    data = by_hand((1, [1, 0]), (0, [1, 0, 0]), (1, [np.nan, 1]), (0, [np.nan]))
    found = evaluate_skips(wr.fit_skips(LastSkip(), data))
    metrics = found.metrics
    assert metrics["Acc"].value == pytest.approx(4 / 6)  # 1 of 2, 2 of 3, 1 of 1; of the last session nothing is known
    assert metrics["Acc@1"].value == pytest.approx(2 / 3)
    aa = [1 / 2, (1 / 2 + 2 / 3) / 3, 1.0]
    assert metrics["MAA"].value == pytest.approx(np.mean(aa))
    assert found.pooled_maa == pytest.approx((2 * aa[0] + 3 * aa[1] + 1 * aa[2]) / 6)
    assert found.pooled_maa != pytest.approx(metrics["MAA"].value)
    assert found.sessions.tolist() == [0, 1, 2]
    assert all(one.low <= one.value <= one.high and one.n == 3 for one in metrics.values())
    assert str(found).splitlines()[-1].startswith("3 sessions")
    assert found.to_json()["Acc"]["value"] == metrics["Acc"].value


def test_a_difference_is_of_the_same_sessions() -> None:
    data = by_hand((1, [1, 0]), (0, [1, 0, 0]), (1, [1, 1]))
    found = evaluate_skips(wr.fit_skips(LastSkip(), data))
    assert all((one.value, one.low, one.high) == (0, 0, 0) for one in found.minus(found).values())
    with pytest.raises(InvalidSetting, match="guessed different sessions"):
        found.minus(evaluate_skips(wr.fit_skips(LastSkip(), data.where(np.array([0, 1])))))


def test_nothing_to_learn_or_to_compare_is_refused() -> None:
    known = by_hand((1, [1, 0]), (0, [0]))
    unknown = replace(known, skipped=np.full_like(known.skipped, np.nan))
    with pytest.raises(WhyrecError, match="nothing to learn"):
        wr.fit_skips(LastSkip(), unknown)
    with pytest.raises(BadInput, match="nothing can be compared"):
        evaluate_skips(wr.fit_skips(LastSkip(), known).on(unknown))

"""The report card: gates by hand, methods compared on the same users, what taking away may mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

import whyrec as wr
from whyrec.attribution import Attribution
from whyrec.coalitions import Players
from whyrec.complexity import effective_reasons, negative_share
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.gates import Evidence, verdict_of
from whyrec.operators import players_of
from whyrec.question import Question, ask
from whyrec.recommender import Request
from whyrec.report_card import ReportCard, operator_agreement
from whyrec.statistics import Estimate
from whyrec.tables import read_parquet

SPLIT = wr.leave_last_out(wr.planted(users=120, items=60))
FAST = wr.Verification(k=3, also=(1,), resamples=200, steps=5, floor=5)


def estimate(value: float, half: float = 0.1, n: int = 100) -> Estimate:
    return Estimate(value, value - half, value + half, n)


GOOD = Evidence(
    k=5,
    beaten={"deletion": estimate(0.8), "sufficiency": estimate(0.7)},
    room={"deletion": estimate(2.0), "sufficiency": estimate(1.0)},
    randomisation=estimate(0.0),
    other_item=estimate(0.3),
    gap=0.0,
    ties=0.0,
    hidden=0.9,
    trained=1.0,
)


def test_with_nothing_against_it_an_explanation_is_faithful() -> None:
    assert verdict_of(GOOD)[0] == "faithful"


@pytest.mark.parametrize(
    ("change", "verdict", "because"),
    [
        ({"room": {"deletion": estimate(0.05), "sufficiency": estimate(1.0)}}, "undecided", "for deletion"),
        ({"beaten": {"deletion": estimate(0.05), "sufficiency": estimate(1)}}, "not better than random", "deletion of"),
        ({"beaten": {"deletion": estimate(1), "sufficiency": None}}, "not better than random", "sufficiency of"),
        ({"randomisation": estimate(0.45)}, "not better than random", "shuffled weights"),
        ({"other_item": estimate(0.95)}, "not better than random", "any other item"),
        ({"randomisation": Estimate(float("nan"), float("nan"), float("nan"), 0)}, "weak", "shows no weights"),
        ({"gap": 0.06}, "weak", "6% of the score is unaccounted for"),
        ({"ties": 0.29}, "weak", "29% of the units tie"),
        ({"trained": 0.5}, "weak", "hides 90% of the units; in training at most 50% was hidden"),
    ],
)
def test_each_gate_by_itself(change: dict[str, object], verdict: str, because: str) -> None:
    found, sentences = verdict_of(replace(GOOD, **change))  # type: ignore[arg-type]
    assert found == verdict
    assert len(sentences) == 1
    assert because in sentences[0]


def test_a_method_that_promises_no_sum_has_no_gap_to_fail_by() -> None:
    assert verdict_of(replace(GOOD, gap=None))[0] == "faithful"


@pytest.fixture(scope="module")
def card() -> ReportCard:
    model = wr.fit(wr.EASE(regularisation=20.0), SPLIT)
    methods = [wr.LRP(), wr.LeaveOneOut(), wr.ByCosine(), wr.ByPopularity(), wr.Random()]
    return wr.verify(model, wr.recommend(model, k=5), methods, settings=FAST)


def test_on_an_affine_model_exact_methods_reach_the_ceiling_and_tie(card: ReportCard) -> None:
    for method in ("lrp", "occlusion"):
        row = card.row(method)
        assert row.deletion.normalised is not None
        assert row.deletion.normalised.value == pytest.approx(1, abs=1e-6)
        assert row.verdict == "faithful"
        assert row.correlation.value == pytest.approx(1, abs=1e-6)
        assert row.other_seed.value == 1
    assert card.compare("lrp", "occlusion").verdict == "as good as the other"
    assert card.compare("lrp", "random").verdict == "better"
    assert card.compare("random", "lrp").verdict == "worse"


@dataclass(frozen=True)
class Turned:
    """A method that is right, or wrong about every sign."""

    sign: int

    def __call__(self, question: Question) -> Attribution:
        exact = wr.LRP()(question)
        return replace(exact, relevance={part: self.sign * values for part, values in exact.relevance.items()})


def test_a_method_with_two_settings_has_two_rows_that_can_be_compared() -> None:
    model = wr.fit(wr.EASE(), SPLIT)
    lists = wr.recommend(model, k=1)
    found = wr.verify(model, lists, [Turned(-1), Turned(1), wr.Random()], settings=FAST)
    assert [row.method for row in found.rows] == ["Turned(sign=-1)", "Turned(sign=1)", "random"]
    assert (found.curves["Turned(sign=1)"][1:-1] < found.curves["Turned(sign=-1)"][1:-1]).all()
    assert found.compare("Turned(sign=1)", "Turned(sign=-1)").verdict == "better"
    with pytest.raises(InvalidSetting, match=r"Random\(\) is asked twice"):
        wr.verify(model, lists, [wr.Random(), wr.Random()], settings=FAST)


def test_popularity_says_the_same_of_every_item_and_of_every_model(card: ReportCard) -> None:
    row = card.row("popularity")
    assert (row.other_item.value, row.randomisation.value) == (1.0, 1.0)
    assert row.verdict == "not better than random"
    assert "it says much the same of any other item" in row.because


def test_a_difference_is_that_of_the_normalised_numbers(card: ReportCard) -> None:
    one, other = (card.row(name).deletion.normalised for name in ("lrp", "cosine"))
    assert one is not None
    assert other is not None
    found = card.compare("lrp", "cosine").difference
    assert found.value == pytest.approx(one.value - other.value, abs=1e-9)
    assert found.low > 0


def test_numbers_that_chose_a_setting_are_stamped_and_rank_nothing(card: ReportCard) -> None:
    stamped = replace(card, settings=replace(card.settings, selected_on_metric=True))
    assert "optimistic" in str(stamped)
    with pytest.raises(InvalidSetting, match="optimistic"):
        stamped.compare("lrp", "random")


def test_every_user_can_be_read_back_and_gives_the_same_means(card: ReportCard, tmp_path: Path) -> None:
    card.to_parquet(tmp_path / "users.parquet")
    read = read_parquet(tmp_path / "users.parquet")
    chosen = (read["method"] == "cosine") & (read["number"] == "deletion@3")
    assert chosen.sum() == card.users
    assert np.mean(read["value"][chosen]) == pytest.approx(card.row("cosine").deletion.estimate.value)


def test_all_sizes_are_measured_beside_the_one_the_verdict_is_about(card: ReportCard) -> None:
    row = card.row("cosine")
    assert [one.k for one in row.by_size] == [1, 3]
    assert row.by_size[1].deletion == row.deletion.normalised


def question(exponent: float = 0.5) -> Question:
    history = wr.History(exponent=exponent)
    model = wr.fit(wr.MF(factors=8, history=history), SPLIT, wr.Training(epochs=5), progress=False)
    return ask(model, wr.recommend(model, users=["u0001", "u0002"], k=1).request())


def test_deleting_is_asking_for_a_user_with_a_shorter_history() -> None:
    asked = question()
    players = players_of(asked, wr.Verification(operator="delete"))
    keep = players.present & (torch.arange(players.count) % 2 == 0)
    rows = asked.request.history.clone()
    for user in range(len(rows)):
        left = [int(item) for place, item in enumerate(rows[user]) if item >= 0 and place % 2 == 0]
        rows[user] = torch.tensor(left + [-1] * (rows.shape[1] - len(left)))
    with torch.no_grad():
        wanted = asked.model.score(asked.model.embed(Request(asked.request.users, asked.request.items, rows)))
    assert players.worth(keep[None])[0] == pytest.approx(wanted.numpy(), abs=1e-6)


def test_deleting_and_masking_differ_only_by_how_much_a_history_counts() -> None:
    """With exponent 0 the history is a sum, and what is not there adds nothing either way."""
    for exponent, same in ((0.0, True), (1.0, False)):
        asked = question(exponent)
        masked, deleted = (players_of(asked, wr.Verification(operator=name)) for name in ("mask", "delete"))
        keep = (masked.present & (torch.arange(masked.count) > 1))[None]
        assert torch.allclose(masked.worth(keep), deleted.worth(keep), atol=1e-5) is same


def test_replacing_puts_another_item_of_about_the_same_popularity() -> None:
    asked = question()
    players = players_of(asked, wr.Verification(operator="replace"))
    history, instead = asked.request.history, players._instead  # type: ignore[attr-defined]
    there = history >= 0
    assert (instead[there] != history[there]).all()
    assert (instead[~there] == -1).all()
    assert asked.train is not None
    counts = np.argsort(np.argsort(asked.train.item_counts, kind="stable"), kind="stable")
    assert np.abs(counts[instead[there].numpy()] - counts[history[there].numpy()]).max() <= 10
    nothing_gone = players.worth(players.present[None])
    assert nothing_gone[0] == pytest.approx(Players(asked).worth(players.present[None])[0].numpy(), abs=1e-6)


def test_marginal_is_the_mean_over_other_users() -> None:
    model = wr.fit(wr.MF(factors=4, user="id"), SPLIT, wr.Training(epochs=1), progress=False)
    asked = ask(model, wr.recommend(model, users=["u0001"], k=1).request(), parts=("user",))
    players = players_of(asked, wr.Verification(operator="marginal", background=7))
    keep = torch.zeros_like(players.present)[None]
    rows = [players.worth(keep, torch.tensor([row])) for row in range(7)]
    assert players.worth(keep) == pytest.approx(torch.stack(rows).mean(0).numpy(), abs=1e-6)


def test_an_operator_that_means_nothing_here_is_refused() -> None:
    model = wr.fit(wr.MF(factors=4, user="id"), SPLIT, wr.Training(epochs=1), progress=False)
    asked = ask(model, wr.recommend(model, users=["u0001"], k=1).request())
    with pytest.raises(NotApplicable, match="takes past items out"):
        players_of(asked, wr.Verification(operator="delete"))


def test_leaving_the_list_is_measured_with_the_operator_that_it_is_defined_by() -> None:
    model = wr.fit(wr.EASE(), SPLIT)
    lists = wr.recommend(model, k=1)
    for operator, measured in (("mask", True), ("delete", False)):
        row = wr.verify(model, lists, [wr.LRP()], settings=replace(FAST, operator=operator)).rows[0]
        assert (row.necessity is not None, row.enough is not None) == (measured, measured)


def test_the_order_of_methods_is_held_against_itself_over_operators(card: ReportCard) -> None:
    assert operator_agreement([card, card]) == pytest.approx(1, abs=0.11)  # the two exact methods are level
    turned = replace(card, rows=tuple(replace(row, deletion=_turned(row.deletion)) for row in card.rows))
    assert operator_agreement([card, turned]) < -0.8
    with pytest.raises(InvalidSetting, match="two cards"):
        operator_agreement([card])


def _turned(measured: object) -> object:
    normalised = measured.normalised  # type: ignore[attr-defined]
    return replace(measured, normalised=replace(normalised, value=-normalised.value))  # type: ignore[type-var]


def test_complexity_by_hand() -> None:
    there = torch.ones(4, dtype=torch.bool)
    equal, one = torch.ones(4), torch.tensor([0.0, 3.0, 0.0, 0.0])
    assert effective_reasons(equal, there).item() == pytest.approx(4)
    assert effective_reasons(one, there).item() == pytest.approx(1)
    assert torch.isnan(effective_reasons(-equal, there))
    assert negative_share(torch.tensor([1.0, -3.0, 0.0, 4.0]), there).item() == pytest.approx(3 / 8)

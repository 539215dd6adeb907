"""The leaderboard: the truth scores full marks, what is wrong scores at the floor, and known answers come out."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace

import pytest
import torch

import whyrec as wr
from whyrec import kinds, planted_students
from whyrec.attribution import Attribution, account
from whyrec.coalitions import Players
from whyrec.errors import InvalidSetting, NotApplicable, NotFitted
from whyrec.planted_scores import SCORES, Exam
from whyrec.planted_students import taught
from whyrec.planted_truth import World
from whyrec.question import Question
from whyrec.recommender import keep_only
from whyrec.standings import Contest, Leaderboard, leaderboard
from whyrec.worlds.columns_parity import columns_parity
from whyrec.worlds.history_additive import history_additive
from whyrec.worlds.history_normalised import history_normalised
from whyrec.worlds.history_recency import history_recency
from whyrec.worlds.history_threshold import history_threshold
from whyrec.worlds.image_motif_pair import image_motif_pair

WORLDS = kinds.names("worlds")
SMALL = Contest(lists=60, floor=10, resamples=200)


def truth_of(question: Question) -> World:
    """The world that a question was asked in."""
    lists, seed = question.shape[0], 0
    made: World = kinds.load("worlds", kinds.name_of(question.model))(lists, seed=seed)
    return made


def answer(question: Question, relevance: dict[str, torch.Tensor], *, complete: bool = True) -> Attribution:
    present = {part: question.present(part) for part in question.parts}
    return Attribution(relevance, present, account(question.value(question.inputs), relevance), complete)


@dataclass(frozen=True)
class Oracle:
    """Knows the truth, and tells it `times` as large."""

    times: float = 1.0

    def __call__(self, question: Question) -> Attribution:
        truth = truth_of(question).truth.shapley
        return answer(question, {part: self.times * values for part, values in truth.items()})


@dataclass(frozen=True)
class Mistaken:
    """The true numbers on the wrong units: shuffled among the units of each list."""

    def __call__(self, question: Question) -> Attribution:
        players = Players(question)
        true, luck = players.join(truth_of(question).truth.shapley), torch.Generator().manual_seed(4)
        wrong = torch.zeros_like(true)
        for row in torch.cartesian_prod(*map(torch.arange, question.shape)).tolist():
            there = players.present[tuple(row)].nonzero()[:, 0]
            wrong[(*row, there)] = true[(*row, there[torch.randperm(len(there), generator=luck)])]
        return answer(question, players.part(wrong))


@dataclass(frozen=True)
class Silent:
    """Says nothing."""

    def __call__(self, question: Question) -> Attribution:
        return answer(question, {part: question.present(part).double() * 0 for part in question.parts}, complete=False)


@dataclass(frozen=True)
class Refuses:
    """Never applies."""

    def __call__(self, question: Question) -> Attribution:
        raise NotApplicable("not today; come back tomorrow")


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    methods = [Oracle(), Oracle(-1.0), Mistaken(), Silent(), wr.Random(), Refuses()]
    return leaderboard(methods, settings=SMALL)


def test_a_method_with_two_settings_has_two_rows() -> None:
    found = leaderboard([wr.LRP(), wr.LRP(0.5), wr.Random()], worlds=["history_pairs"], settings=SMALL)
    assert {method.partition("(")[0] for method in found.methods} == {"LRP", "random"}
    assert len(found.methods) == 3
    with pytest.raises(InvalidSetting, match=r"Random\(\) is asked twice; leave one out"):
        leaderboard([wr.Random(), wr.Random()], worlds=["history_pairs"], settings=SMALL)


def values(board: Leaderboard, place: int, world: str) -> dict[str, float]:
    """The scores of the method at a place of the list, in one world."""
    entry = [entry for entry in board.entries if entry.world == world][place]
    return {name: standing.estimate.value for name, standing in entry.scores.items()}


@pytest.mark.parametrize("world", WORLDS)
def test_the_truth_has_full_marks(board: Leaderboard, world: str) -> None:
    for name, value in values(board, 0, world).items():
        assert value == pytest.approx(float(SCORES[name].higher_is_better), abs=1e-12), name


@pytest.mark.parametrize("world", WORLDS)
def test_the_opposite_of_the_truth_finds_the_causes_with_the_wrong_sign(board: Leaderboard, world: str) -> None:
    found = values(board, 1, world)
    assert found["rank"] == pytest.approx(-1)
    assert (found["sign"], found["causes"], found["leak"]) == pytest.approx((0, 1, 0))
    assert found["error"] == pytest.approx(2)


@pytest.mark.parametrize("world", WORLDS)
def test_a_wrong_explanation_scores_at_the_floor(board: Leaderboard, world: str) -> None:
    entry = [entry for entry in board.entries if entry.world == world][2]
    for name in ("rank", "causes", "leak"):
        standing = entry.scores[name]
        assert not standing.beats_floor, name
        assert standing.estimate.value == pytest.approx(standing.floor.value, abs=0.1), name
        assert standing.normalised == pytest.approx(0, abs=0.3), name


@pytest.mark.parametrize("world", WORLDS)
def test_silence_scores_as_equal_shares_would(board: Leaderboard, world: str) -> None:
    entry = [entry for entry in board.entries if entry.world == world][3]
    assert not any(standing.beats_floor for name, standing in entry.scores.items() if name != "error")
    found = values(board, 3, world)
    assert (found["rank"], found["sign"], found["error"]) == pytest.approx((0, 0.5, 1))
    assert found["causes"] == pytest.approx(entry.scores["causes"].floor.value, abs=0.05)
    assert found["leak"] == pytest.approx(entry.scores["leak"].floor.value, abs=0.05)


def test_random_relevance_beats_no_floor(board: Leaderboard) -> None:
    scores = [entry.scores for entry in board.entries if entry.method == "random"]
    assert len(scores) == len(WORLDS)
    assert not any(one[name].beats_floor for one in scores for name in ("rank", "causes", "sign", "leak"))


@pytest.mark.parametrize("world", WORLDS)
def test_floors_are_what_chance_gives(board: Leaderboard, world: str) -> None:
    made: World = kinds.load("worlds", world)(SMALL.lists)
    exam = Exam.of(Players(made.question()), Oracle()(made.question()), made.truth)
    some = exam.causes.any(-1)
    prevalence = (exam.causes.sum(-1) / exam.present.sum(-1)).double().masked_fill(~some, torch.nan).nanmean(1).mean()
    floors = {name: one.floor for name, one in board.entry("random", world).scores.items()}
    for name, expected in (("rank", 0.0), ("sign", 0.5), ("causes", float(prevalence))):
        assert floors[name].value == pytest.approx(expected, abs=floors[name].luck), name
    assert 1 < floors["error"].value < 2  # two explanations of one size are at most twice that size apart


def test_a_method_that_cannot_answer_says_why(board: Leaderboard) -> None:
    refusals = [entry for entry in board.entries if entry.not_applicable is not None]
    assert [entry.world for entry in refusals] == WORLDS
    assert {entry.not_applicable for entry in refusals} == {"not today; come back tomorrow"}
    (row,) = [line for line in board.table().splitlines() if refusals[0].method in line]
    assert row.count("n/a") == len(WORLDS)


def test_two_runs_are_identical() -> None:
    methods, small = [wr.LeaveOneOut(), wr.Random(), wr.ByCosine()], replace(SMALL, lists=20)
    runs = [json.dumps(leaderboard(methods, settings=small).to_json()) for _ in range(2)]
    assert runs[0] == runs[1]
    other = leaderboard(methods, settings=replace(small, seed=1)).to_json()
    assert json.dumps(other["entries"]) != json.dumps(json.loads(runs[0])["entries"])


def test_a_method_has_the_same_standing_in_any_company() -> None:
    alone = leaderboard([wr.LeaveOneOut()], worlds=["history_pairs"], settings=SMALL).entries[0]
    together = leaderboard([wr.Random(), wr.LeaveOneOut()], worlds=["history_pairs"], settings=SMALL)
    assert together.entry("occlusion", "history_pairs") == alone


def test_every_method_of_the_library_has_an_entry_in_every_world() -> None:
    found = leaderboard(settings=Contest(lists=4, floor=2, resamples=100))
    expected = {(world, method) for world in WORLDS for method in kinds.names("explainers")}
    assert {(entry.world, entry.method) for entry in found.entries} == expected
    assert all(entry.scores or entry.not_applicable for entry in found.entries)


def test_what_is_not_on_the_board_is_named(board: Leaderboard) -> None:
    with pytest.raises(InvalidSetting, match="no score called 'rang'; there are rank, causes"):
        board.table("rang")
    with pytest.raises(InvalidSetting, match="no entry of 'lime' in 'history_pairs'; the methods are"):
        board.entry("lime", "history_pairs")
    with pytest.raises(InvalidSetting, match="did you mean 'history_pairs'"):
        leaderboard([wr.LRP()], worlds=["history_pair"])


def judged(relevance: list[float], shapley: list[float], decoys: list[bool] | None = None) -> dict[str, float]:
    """All scores of one list, whose causes are the units with a Shapley value."""
    said, true = (torch.tensor(one, dtype=torch.float64)[None, None] for one in (relevance, shapley))
    planted = torch.tensor(decoys or [False] * len(shapley))[None, None]
    exam = Exam(said, true, true != 0, planted, torch.ones_like(planted))
    return {name: float(score.measure(exam)) for name, score in SCORES.items()}


def test_scores_of_an_explanation_worked_out_by_hand() -> None:
    found = judged([3.0, 1.0, -2.0, 0.0], [4.0, -2.0, 0.0, 0.0], [False, False, True, False])
    assert found == pytest.approx(
        {
            "rank": 1.5 / math.sqrt(5 * 4.5),  # ranks 4 3 1 2 against 4 1 2.5 2.5
            "causes": 0.5,
            "sign": 0.5,
            "leak": 1 / 3,
            "decoys": 1 / 3,
            "error": 1.0,
            "gap": 0.0,
        }
    )


def test_ties_share_their_places() -> None:
    assert judged([1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0])["causes"] == pytest.approx(1 / 3)
    assert judged([2.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0])["causes"] == pytest.approx(3 / 4)


def test_rounding_is_no_opinion() -> None:
    assert judged([1.0, 1.0 - 1e-14, 1e-15, -1e-15], [1.0, 1.0, 0.0, 0.0])["rank"] == pytest.approx(1)


def test_where_the_truth_leaves_nothing_to_judge_there_is_no_score() -> None:
    assert all(math.isnan(value) for value in judged([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]).values())
    same = judged([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    assert {name for name, value in same.items() if math.isnan(value)} == {"rank", "leak", "decoys"}


def test_single_removals_are_blind_where_more_than_enough_is_there() -> None:
    world = history_threshold(40)
    counts = world.truth.causes["history"].sum(-1)
    alone = wr.LeaveOneOut()(world.question()).relevance["history"]
    needed = world.model.enough[world.request.items - len(world.model.items)]
    assert not alone[counts > needed].any()
    exact = counts == needed
    full = world.truth.shapley["history"].sum(-1, keepdim=True) * world.truth.causes["history"]
    torch.testing.assert_close(alone[exact], full[exact], rtol=0, atol=1e-12)
    assert (counts > needed).any()
    assert exact.any()


def test_single_removals_and_gradients_count_a_pair_twice() -> None:
    world = columns_parity(20)
    for method in (wr.LeaveOneOut(), wr.GradientTimesInput()):
        said = method(world.question()).relevance["columns"]
        torch.testing.assert_close(said, 2 * world.truth.shapley["columns"], rtol=0, atol=1e-12)
    shared = wr.LRP(0)(world.question()).relevance["columns"]
    torch.testing.assert_close(shared, world.truth.shapley["columns"], rtol=0, atol=1e-12)


def test_gradients_along_a_path_from_zero_sum_to_nothing_where_length_does_not_count() -> None:
    world = history_normalised(20)
    ledger = wr.IntegratedGradients()(world.question()).ledger
    assert ledger.inputs.abs().max() < 1e-9
    assert (ledger.target - ledger.reference).max() > 1


def test_counting_events_puts_companions_first() -> None:
    found = leaderboard([wr.ByCosine(), wr.LRP()], worlds=["history_decoys"], settings=SMALL)
    cosine, lrp = (found.entry(name, "history_decoys").scores["decoys"] for name in ("cosine", "lrp"))
    assert cosine.estimate.low > cosine.floor.value
    assert lrp.estimate.value == 0


def test_a_watermark_with_a_weight_moves_the_truth_and_the_explanation() -> None:
    ignored, used = image_motif_pair(20), image_motif_pair(20, watermark=2.0)
    for world in (ignored, used):
        said = wr.IntegratedGradients()(world.question()).relevance
        for side, true in world.truth.shapley.items():
            torch.testing.assert_close(said[side], true, rtol=0, atol=0.05)
    for side, marks in ignored.truth.decoys.items():
        moved = used.truth.causes[side] & marks
        assert moved.any()
        assert (used.truth.shapley[side][moved] == 1).all()
        assert not ignored.truth.shapley[side][marks].any()


def test_deleting_makes_what_is_older_younger_and_masking_does_not() -> None:
    world, fading = history_recency(20), 0.75
    history, shares = world.request.history, world.truth.shapley["history"]
    full = world.model.score(world.model.embed(world.request))
    for place in range(8):  # everybody has eight past items
        shifted = torch.cat([history[:, :place], history[:, place + 1 :], torch.full((20, 1), -1)], dim=1)
        deleted = world.model.score(world.model.embed(replace(world.request, history=shifted)))
        older = shares[:, :, :place].sum(-1)
        torch.testing.assert_close(full - deleted, shares[:, :, place] - (1 / fading - 1) * older, rtol=0, atol=1e-12)


def test_a_student_scores_as_its_world_and_its_truth_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted_students, "STEPS", 600)
    world = history_additive(30)
    student = taught(world)
    again = taught(world)
    assert student.name == "history_additive"
    assert student.truth.causes is world.truth.causes
    planted, learned = (one.model.score(one.question().inputs) for one in (world, student))
    assert torch.corrcoef(torch.stack([planted.flatten(), learned.flatten()]))[0, 1] > 0.99
    assert learned.equal(again.model.score(again.question().inputs))
    own, true = (one.truth.shapley["history"] for one in (student, world))
    assert 0 < (own - true).abs().mean() < 0.1
    nothing = keep_only(student.question().inputs, {"history": torch.tensor(False)})
    torch.testing.assert_close(own.sum(-1), learned - student.model.score(nothing), rtol=0, atol=1e-12)
    assert not own[~Players(student.question()).present].any()


def test_a_network_that_did_not_learn_its_world_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted_students, "STEPS", 2)
    with pytest.raises(NotFitted, match=r"learned history_additive with seed 0 only to R\^2 = .*, below 0.99"):
        taught(history_additive(30))


def test_methods_can_be_judged_on_networks_that_learned_the_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted_students, "STEPS", 600)
    small = Contest(lists=30, floor=4, resamples=100, trained=True)
    found = leaderboard([wr.LeaveOneOut(), wr.Random()], worlds=["history_additive"], settings=small)
    good, bad = (found.entry(name, "history_additive").scores for name in ("occlusion", "random"))
    assert good["rank"].beats_floor
    assert 0 < good["error"].estimate.value < 0.5
    assert not bad["rank"].beats_floor

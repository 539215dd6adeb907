"""Laws of models of sessions: what a guess may depend on, one by one as together, saved as trained, explained like any.

And of the interpretable one: it learns planted rules, and finds each in the group of columns where it lives.
"""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import whyrec as wr
from whyrec.checkpoint import load, save
from whyrec.errors import InvalidSetting, NotApplicable, NotFitted, UnknownId
from whyrec.question import ask
from whyrec.recommender import Inputs, Request, keep_only
from whyrec.sessions import HALF, LOG, LOG_COLUMNS, LONGEST, TRACK, Group, Sessions
from whyrec.skip_accuracy import guesses
from whyrec.skip_model import GROUPS, PLACES, WIDTHS, SkipModel
from whyrec.skip_reasons import shares_by_rule
from whyrec.skip_training import SkipsGuessed
from whyrec.statistics import Estimate

DATA = wr.planted_sessions(sessions=1700, seed=3)
TRAIN, VALIDATION, TEST = DATA.parts(0.7, 0.1)
FEW = TEST.where(np.arange(24))
BRIEF = wr.Training(epochs=2, batch_size=64, learning_rate=5e-3)
SMALL: dict[type[SkipModel], dict[str, Any]] = {
    wr.SkipSession: {"width": 8, "heads": 2},
    wr.SkipTransformer: {"width": 8, "heads": 2},
    wr.SkipGRU: {"width": 8, "depth": 2},
    wr.LastSkip: {},
}


@pytest.fixture(scope="module", params=SMALL, ids=lambda family: family.__name__)
def model(request: pytest.FixtureRequest) -> SkipModel:
    """Trained a little, in double precision, looking at a few sessions; nobody changes it."""
    found = wr.fit_skips(request.param(**SMALL[request.param]), VALIDATION, training=BRIEF)
    return copy.deepcopy(found).double().on(FEW)


@pytest.fixture(scope="module")
def mixture() -> wr.SkipSession:
    """Trained until it knows the rules."""
    training = wr.Training(epochs=5, batch_size=32, learning_rate=5e-3, patience=5)
    found = wr.fit_skips(wr.SkipSession(width=8, heads=2), TRAIN, VALIDATION, training).on(TEST)
    assert isinstance(found, wr.SkipSession)
    return found


def everything(model: SkipModel, rows: Tensor | None = None) -> Request:
    rows = torch.arange(len(model.require_sessions())) if rows is None else rows
    return Request(rows, torch.arange(HALF)[None], torch.empty(len(rows), 0, dtype=torch.int64))


@torch.no_grad()
def score(model: SkipModel, request: Request) -> Tensor:
    return model.score(model.embed(request))


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_one_session_or_one_place_scores_as_all_together_in_any_order(model: SkipModel) -> None:
    scores = score(model, everything(model))
    assert scores.shape == (24, HALF)
    for row in (0, 7, 23):
        assert_close(score(model, everything(model, torch.tensor([row]))), scores[[row]])
    for place in (0, 4, 9):
        asked = replace(everything(model), items=torch.tensor([[place]]))
        assert_close(score(model, asked), scores[:, [place]])
    users, places = torch.arange(23, -1, -1), torch.tensor([[3, 9, 0]])
    asked = replace(everything(model, users), items=places)
    assert_close(score(model, asked), scores[users][:, places[0]])
    lists = torch.arange(24 * 3).reshape(24, 3) % HALF  # each session other places
    assert_close(score(model, replace(everything(model), items=lists)), scores.gather(1, lists))


def test_what_happens_later_never_changes_an_earlier_guess(model: SkipModel) -> None:
    """Not by a bit: neither features of later tracks nor their number, nor what the second half came to."""
    request = everything(model)
    scores, chance = score(model, request), np.random.default_rng(0)
    for place in range(1, HALF):
        later = FEW.track.copy()
        tail = later[:, HALF + place :]
        tail[:] = np.where(tail >= 0, chance.integers(0, len(FEW.tracks), tail.shape), -1)
        other = replace(FEW, track=later, skipped=chance.random(FEW.skipped.shape).astype(np.float32))
        assert torch.equal(score(model.on(other), request)[:, :place], scores[:, :place])


def test_a_guess_is_about_its_own_track(mixture: wr.SkipSession) -> None:
    there = np.flatnonzero(TEST.track[:, HALF + 4] >= 0)
    other = TEST.track.copy()
    other[:, HALF + 4] = (other[:, HALF + 4] + 1) % len(TEST.tracks)
    before, after = guesses(mixture).scores[there], guesses(mixture.on(replace(TEST, track=other))).scores[there]
    assert (np.abs(before[:, 4] - after[:, 4]) > 0.01).mean() > 0.3


def test_an_absent_unit_is_already_removed_and_removing_nothing_changes_nothing(model: SkipModel) -> None:
    inputs = model.embed(everything(model))
    scores = model.score(inputs)
    assert torch.equal(model.score(keep_only(inputs, {name: inputs[name].present for name in GROUPS})), scores)
    for part in inputs.values():
        assert part.present.shape == part.values.shape[:-1]
        assert not part.values[~part.present].any()
    assert [inputs[name].values.shape[2:] for name in GROUPS] == [
        (HALF if name in LOG else LONGEST, WIDTHS[name]) for name in (*LOG, *TRACK)
    ]


def test_a_saved_model_scores_the_same_and_asks_for_sessions(model: SkipModel, tmp_path: Path) -> None:
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert isinstance(again, type(model))
    with pytest.raises(NotFitted, match=r"has no sessions to look at; call model.on\(sessions\) first"):
        again.embed(everything(model))
    assert torch.equal(score(again.double().on(FEW), everything(model)), score(model, everything(model)))


def test_one_seed_gives_one_model_and_leaves_chance_as_found() -> None:
    before = torch.get_rng_state()
    one, again, other = (
        wr.fit_skips(wr.SkipTransformer(width=8), VALIDATION, training=replace(BRIEF, epochs=1, seed=seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    weights = [torch.cat([one.flatten() for one in model.parameters()]) for model in (one, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_epoch_that_validation_likes_best_is_kept() -> None:
    training = wr.Training(epochs=60, batch_size=8, learning_rate=0.02, patience=2)
    model = wr.fit_skips(wr.SkipGRU(width=8), FEW, VALIDATION, training)
    found = [epoch.maa or 0.0 for epoch in model.log]
    assert model.log[0].measure == "MAA"
    best = max(found)
    assert found.index(best) + 2 == len(found) - 1 < training.epochs - 1  # two in vain, then no more
    assert wr.evaluate_skips(model.on(VALIDATION)).metrics["MAA"].value == pytest.approx(best, abs=1e-12)
    with pytest.raises(InvalidSetting, match="without refit"):
        wr.fit_skips(wr.SkipGRU(), FEW, training=replace(BRIEF, refit=True))


def test_what_a_model_of_sessions_cannot_do_is_refused_with_what_it_can(model: SkipModel) -> None:
    with pytest.raises(NotApplicable, match=r"recommends nothing; call session_lists\(model\)"):
        wr.recommend(model)
    with pytest.raises(NotApplicable, match="somebody new has no session"):
        wr.recommend(model, history=[1])


def test_other_sessions_are_looked_at_with_the_same_weights(mixture: wr.SkipSession) -> None:
    other = mixture.on(FEW)
    assert (len(other.users), len(mixture.users)) == (24, len(TEST))
    assert next(other.parameters()) is next(mixture.parameters())
    with pytest.raises(NotFitted, match="no weights yet"):
        wr.SkipSession().on(FEW)


@pytest.mark.parametrize("model", [one for one in SMALL if one is not wr.LastSkip], indirect=True)
def test_skips_that_nobody_knows_teach_nothing(model: SkipModel) -> None:
    inputs = model.embed(everything(model))
    wanted = torch.from_numpy(FEW.skipped[:, HALF:]).double()
    there = ~wanted.isnan()
    assert not there.all()
    aim = SkipsGuessed(FEW, None, BRIEF)
    loss = aim.wrong(model, inputs, wanted)
    assert torch.isfinite(loss)
    rows = there.sum(1) <= 6  # their later places hold no track, whatever stands in those slots
    noisy = {name: replace(part, values=part.values.clone()) for name, part in inputs.items()}
    noisy["musical"].values[rows, :, HALF + 6 :] = 3.0
    assert torch.equal(aim.wrong(model, noisy, wanted), loss)
    assert not torch.equal(aim.wrong(model, inputs, torch.where(there, 1 - wanted, wanted)), loss)


def changed(inputs: Inputs, name: str) -> Inputs:
    return {**inputs, name: replace(inputs[name], values=inputs[name].values * -2 + 1)}


def test_an_expert_says_the_same_whatever_stands_in_the_groups_that_it_must_not_see() -> None:
    model = wr.fit_skips(wr.SkipSession(**SMALL[wr.SkipSession]), VALIDATION, training=BRIEF).double().on(FEW)
    assert isinstance(model, wr.SkipSession)
    inputs = model.embed(everything(model))
    said = model.voices(inputs).said
    for name in GROUPS:
        other = model.voices(changed(inputs, name)).said
        for place, subset in enumerate(model.lattice.subsets):
            assert torch.equal(said[..., place], other[..., place]) == (name not in subset), (name, subset)
    leaves = {name: replace(inputs[name], values=inputs[name].values.clone().requires_grad_()) for name in GROUPS}
    for place, subset in enumerate(model.lattice.subsets):
        told = model.voices({**inputs, **leaves}).said[..., place].sum()
        slopes = torch.autograd.grad(told, [leaves[name].values for name in GROUPS], allow_unused=True)
        for name, slope in zip(GROUPS, slopes, strict=True):
            assert (slope is not None and bool(slope.any())) == (name in subset)


def test_in_teaching_no_expert_moves_the_weights_of_another() -> None:
    """Whatever the expert on everything makes of what its children found, they learn the same."""
    model = wr.SkipSession(**SMALL[wr.SkipSession]).build(FEW.as_users, PLACES).double().on(FEW)
    assert isinstance(model, wr.SkipSession)
    inputs, wanted = model.embed(everything(model)), torch.from_numpy(FEW.skipped[:, HALF:]).double()
    last = len(model.lattice) - 1
    parts = [*model.experts.layers, model.experts.outputs]
    children = [weight for part in parts for expert in part[:last] for weight in expert.parameters()]  # type: ignore[index]
    before = torch.autograd.grad(model.own_loss(inputs, wanted, "log"), children)
    with torch.no_grad():
        for part in parts:
            for weight in part[last].parameters():  # type: ignore[index]
                weight.mul_(-3)
    after = torch.autograd.grad(model.own_loss(inputs, wanted, "log"), children)
    for one, other in zip(before, after, strict=True):
        assert one.any()
        assert torch.equal(one, other)


def test_planted_rules_are_learned_as_well_as_by_the_twin(mixture: wr.SkipSession) -> None:
    found = wr.evaluate_skips(mixture)
    persistence = wr.evaluate_skips(wr.fit_skips(wr.LastSkip(), TRAIN).on(TEST))
    ahead: dict[str, Estimate] = found.minus(persistence)
    assert min(one.low for one in ahead.values()) > 0.05
    assert found.metrics["Acc"].value > 0.85  # nobody can be right more often than .95


def test_each_rule_is_found_in_the_group_where_it_lives(mixture: wr.SkipSession) -> None:
    shares = wr.subset_shares(mixture, wr.session_lists(mixture))
    found = shares_by_rule(mixture, shares)
    assert list(found) == list(TEST.rules)
    for rule, lives in zip(TEST.rules, ("persistence", "interaction", "musical", "several"), strict=True):
        assert max(found[rule], key=found[rule].__getitem__) == lives, rule
        assert sum(found[rule].values()) == pytest.approx(1.0, abs=1e-6)


def test_the_table_of_a_session_is_what_the_experts_say(mixture: wr.SkipSession) -> None:
    name = TEST.sessions.vocabulary.ids()[4]
    found = wr.session_reasons(mixture, name)
    count = int(TEST.length[4] - TEST.length[4] // 2)
    assert found.shares.shape == (count, 4)
    np.testing.assert_allclose(found.shares.sum(1), 1.0, atol=1e-6)
    request = everything(mixture, torch.tensor([4]))
    voices = mixture.voices(mixture.embed(request))
    several = [len(subset) > 2 for subset in mixture.lattice.subsets]
    expected = voices.shares[0, :count, torch.tensor(several)].sum(-1)
    np.testing.assert_allclose(found.shares[:, 3], expected.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(found.chance, (1 + voices.score[0, :count].detach().numpy()) / 2, atol=1e-6)
    assert found.mostly[0] == mixture.expert_titles[int(voices.shares[0, 0].argmax())]
    assert found.tracks[0] == TEST.title(4, HALF)
    assert found.truth(0) == ("skip" if TEST.skipped[4, HALF] == 1 else "listen")
    assert found.guess(0) == ("skip" if voices.score[0, 0] > 0 else "listen")
    assert len(str(found).splitlines()) == count + 2
    with pytest.raises(UnknownId, match="session 'nobody' is not among"):
        wr.session_reasons(mixture, "nobody")


def test_an_expert_says_which_plays_it_sees(mixture: wr.SkipSession) -> None:
    for name in GROUPS:
        seen = mixture.sees(name, torch.ones(3, 1, LONGEST, dtype=torch.bool))
        assert seen.shape == (len(mixture.lattice), LONGEST)
        assert seen.all(1).tolist() == seen.any(1).tolist() == [name in some for some in mixture.lattice.subsets]


def test_subsets_count_as_the_evidence_that_they_see() -> None:
    subsets: tuple[tuple[Group, ...], ...] = (("context",), ("release",), ("release", "context"), ("persistence",))
    model = wr.SkipSession(subsets=subsets).build(FEW.as_users, PLACES)
    assert model.categories == {
        "persistence": ("persistence",),
        "interaction": ("context",),
        "musical": ("release",),
        "several": ("release + context",),
    }
    with pytest.raises(InvalidSetting, match="SkipSession: subsets"):
        wr.SkipSession(subsets=(("lyrics",),))  # type: ignore[arg-type]


def test_a_list_holds_the_places_of_its_session_in_their_order(mixture: wr.SkipSession) -> None:
    lists = wr.session_lists(mixture)
    assert torch.equal(lists.present, torch.from_numpy(TEST.track[:, HALF:] >= 0))
    assert lists.item_rows[lists.present].equal(torch.arange(HALF).expand(len(TEST), -1)[lists.present])
    assert_close(lists.scores[lists.present], score(mixture, everything(mixture))[lists.present])


def test_a_guess_is_explained_like_any_score(mixture: wr.SkipSession) -> None:
    names = TEST.sessions.vocabulary.ids()[:3]
    lists = wr.session_lists(mixture, names)
    for method in (wr.ExpertShares(), wr.LRP()):
        found = method(ask(mixture, lists.request(), dtype=torch.float64))
        assert found.ledger.relative_gap(found.relevance).max() < 1e-9
    why = wr.explain(mixture, lists, wr.LeaveOneOut())
    relevance = why.attribution.relevance["musical"]  # (sessions, places, slots)
    for place in range(HALF):
        assert not relevance[:, place, HALF + place + 1 :].any()
    assert relevance[:, :, HALF:].any()
    titles = {one.title for one in why.contributions(0, 0)}
    fates = [one for one in titles if one.startswith(("skipped ", "listened to "))]
    assert len(fates) == int(TEST.length[0]) // 2
    assert f"sound of {TEST.title(0, HALF)} (play {int(TEST.length[0]) // 2 + 1})" in titles


def test_numbers_are_read_on_the_scale_of_training_and_yes_and_no_as_one_and_minus_one() -> None:
    model = wr.fit_skips(wr.LastSkip(), TRAIN)
    inputs = model.embed(everything(model))
    skips = inputs["persistence"].values[inputs["persistence"].present]
    assert set(skips.unique().tolist()) == {-1.0, 1.0}
    hours = inputs["context"].values[..., 0][inputs["context"].present]
    assert float(hours.mean()) == pytest.approx(0, abs=1e-4)
    assert float(hours.std()) == pytest.approx(1, abs=1e-3)
    words = [place for place, name in enumerate(LOG["context"]) if "=" in name]
    assert set(inputs["context"].values[..., words].unique().tolist()) == {0.0, 1.0}


def test_training_hides_units_and_scoring_none() -> None:
    model = wr.fit_skips(wr.SkipTransformer(width=8, hides=0.5), VALIDATION, training=replace(BRIEF, epochs=1)).on(FEW)
    whole = model.embed(everything(model))
    assert torch.equal(whole["musical"].present, torch.from_numpy(FEW.track >= 0)[:, None])
    with torch.random.fork_rng(devices=[]):
        hidden = copy.deepcopy(model).train().embed(everything(model))
    share = 1 - hidden["musical"].present.sum() / whole["musical"].present.sum()
    assert 0.1 < share < 0.45
    assert not hidden["musical"].values[~hidden["musical"].present].any()
    assert model.max_trained_drop == 0.5


def test_persistence_repeats_the_last_skip() -> None:
    model = wr.fit_skips(wr.LastSkip(), VALIDATION).double().on(FEW)
    expected = torch.from_numpy(FEW.log[:, HALF - 1, LOG_COLUMNS.index("skip_2")]) * 2 - 1
    assert torch.equal(score(model, everything(model)), expected.double()[:, None].expand(-1, HALF))
    removed = keep_only(model.embed(everything(model)), {"persistence": torch.zeros(1, 1, HALF, dtype=torch.bool)})
    assert not model.score(removed).any()


def test_sessions_are_copied_with_a_model_by_name_only(mixture: wr.SkipSession) -> None:
    other: Sessions | None = copy.deepcopy(mixture).sessions
    assert other is TEST


def test_the_page_about_skips_does_what_it_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).parents[1] / "docs" / "how-to" / "guess-skips.md"
    first, second = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(first, names)  # noqa: S102 (our own page)
    exec(second, names)  # noqa: S102
    said = capsys.readouterr().out
    for words in ("SkipSession", "persistence", "several", "release + musical", "track 1 to be guessed ("):
        assert words in said
    assert (tmp_path / "session.png").exists()

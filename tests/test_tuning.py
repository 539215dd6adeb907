"""What tuning promises: never worse than the defaults, the same again, resumable, and no test part in sight."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import whyrec as wr
from whyrec import cli, kinds
from whyrec.errors import BadInput, InvalidSetting, WhyrecError
from whyrec.interactions import Interactions
from whyrec.metrics.ndcg import ndcg
from whyrec.models.ease import EASE
from whyrec.models.popularity import Popularity
from whyrec.ranking import rank_in_catalogue
from whyrec.search_space import Searchable, SearchSpace, require_ranges
from whyrec.split import Split
from whyrec.training import Training
from whyrec.tuning import TRAINING_SPACE, Tuned, tune

try:
    import optuna
except ImportError:
    optuna = None

needs_optuna = pytest.mark.skipif(optuna is None, reason="Optuna is not installed: pip install 'whyrec[tune]'")


@pytest.fixture(scope="module")
def split() -> Split:
    return wr.leave_last_out(wr.planted(users=80, items=50))


class Fussy(EASE):
    """EASE that breaks down where it is regularised little."""

    search_space: ClassVar[SearchSpace] = {"regularisation": ("log", 1.0, 1000.0)}

    def solve(self, train: Interactions) -> None:
        if self.settings.regularisation < 100:
            raise WhyrecError("training Fussy diverged")
        super().solve(train)


class Broken(Fussy):
    """A model that never trains."""

    def solve(self, train: Interactions) -> None:
        raise WhyrecError("training Broken diverged")


def told(tuned: Tuned) -> list[tuple[dict[str, Any], float | None]]:
    return [(dict(trial.settings), trial.validation) for trial in tuned.trials]


@needs_optuna
def test_the_first_trial_is_the_model_as_it_comes_and_the_best_is_returned(split: Split) -> None:
    found = tune("ease", split, trials=6)
    assert found.trials[0].settings == {"regularisation": EASE().settings.regularisation}
    values = [trial.validation for trial in found.trials if trial.validation is not None]
    assert len(values) == len(found.trials) == 6
    assert found.validation == max(values)
    best = values.index(max(values))
    assert found.settings == found.trials[best].settings
    assert found.new().settings.regularisation == found.trials[best].settings["regularisation"]
    assert [trial.number for trial in found.trials] == [1, 2, 3, 4, 5, 6]
    assert str(found).splitlines()[1].split()[:2] == [str(best + 1), f"{max(values):.4f}"]


@needs_optuna
def test_a_trial_is_worth_what_the_model_reaches_on_validation(split: Split) -> None:
    found = tune(wr.MF, split, trials=2, fixed={"factors": 4, "epochs": 3})
    for trial in found.trials:
        chosen = trial.settings
        history = wr.History(dropout=chosen["history.dropout"], exponent=chosen["history.exponent"])
        training = Training(epochs=3, learning_rate=chosen["learning_rate"], weight_decay=chosen["weight_decay"])
        model = wr.fit(wr.MF(factors=4, init_std=chosen["init_std"], history=history), split, training)
        ranks = rank_in_catalogue(model, split.train, split.validation).ranks
        assert trial.validation == float(ndcg(ranks, k=10).mean())


@needs_optuna
def test_one_seed_tries_the_same_and_another_seed_something_else(split: Split) -> None:
    first, again, other = (tune("item_knn", split, trials=4, seed=seed) for seed in (3, 3, 4))
    assert told(first) == told(again)
    assert told(first)[0] == told(other)[0]
    assert told(first)[1:] != told(other)[1:]
    assert len({str(trial.settings) for trial in first.trials}) == 4
    assert other.training.seed == 4


@needs_optuna
def test_a_search_that_was_interrupted_goes_on_as_if_it_had_not_been(split: Split, tmp_path: Path) -> None:
    straight = tune("item_knn", split, trials=14)  # beyond the ten that the estimator draws at random
    for trials in (3, 11, 14):
        resumed = tune("item_knn", split, trials=trials, storage=tmp_path / "new" / "trials.sqlite")
        assert len(resumed.trials) == trials
    assert told(resumed) == told(straight)


@needs_optuna
def test_a_trial_that_was_cut_off_is_tried_again(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = tmp_path / "trials.sqlite"
    tune("item_knn", split, trials=1, storage=storage)
    with monkeypatch.context() as patched:
        patched.setattr("whyrec.tuning.fit", lambda *_given, **_named: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tune("item_knn", split, trials=2, storage=storage)
    resumed, straight = tune("item_knn", split, trials=2, storage=storage), tune("item_knn", split, trials=2)
    assert told(resumed) == told(straight)


@needs_optuna
def test_the_test_part_does_not_matter(split: Split) -> None:
    nothing = replace(split, test=split.test.where(np.zeros(len(split.test), dtype=bool)))
    expected = told(tune("item_knn", split, trials=3))
    assert told(tune("item_knn", nothing, trials=3)) == expected
    assert told(tune("item_knn", split.for_training(), trials=3)) == expected


@needs_optuna
def test_validation_items_are_never_trained_on(split: Split) -> None:
    honest, asked = (tune("ease", split, trials=2, fixed=fixed) for fixed in (None, {"refit": True}))
    assert told(honest) == told(asked)
    assert asked.training.refit


@needs_optuna
def test_settings_go_where_they_belong(split: Split) -> None:
    space: SearchSpace = {
        "history.dropout": ("linear", 0.1, 0.4),
        "factors": ("choice", (2, 3)),
        "negatives": ("int", 1, 3),
        "init_std": ("log", 0.01, 0.1),
    }
    found = tune("mf", split, trials=3, space=space, fixed={"history": wr.History(limit=7), "epochs": 1})
    for trial in found.trials:
        assert set(trial.settings) == set(space)
        assert 0.1 <= trial.settings["history.dropout"] <= 0.4
        assert trial.settings["factors"] in (2, 3)
        assert trial.settings["negatives"] in (1, 2, 3)
    model = found.new()
    assert model.settings.history.limit == 7
    best = max(found.trials, key=lambda trial: trial.validation or 0)
    assert model.settings.history.dropout == best.settings["history.dropout"]
    assert (found.training.epochs, found.training.negatives) == (1, best.settings["negatives"])


@needs_optuna
def test_what_is_fixed_is_not_searched(split: Split) -> None:
    found = tune("item_knn", split, trials=2, fixed={"alpha": 0.3})
    assert set(found.trials[0].settings) == {"neighbours", "shrink"}
    assert found.settings["alpha"] == 0.3
    trained = tune("mf", split, trials=1, fixed={"factors": 2, "epochs": 1, "history": {"dropout": 0.5}})
    assert set(trained.trials[0].settings) == {"init_std", "history.exponent", "learning_rate", "weight_decay"}
    assert trained.settings["history"]["dropout"] == 0.5


@needs_optuna
def test_the_settings_of_histories_are_not_searched_where_nobody_looks_at_them(split: Split) -> None:
    found = tune("mf", split, trials=1, fixed={"user": "id", "epochs": 1})
    assert set(found.trials[0].settings) == {"factors", "init_std", "learning_rate", "weight_decay"}


@needs_optuna
@pytest.mark.parametrize("name", ["gmf", "mf", "mlp", "neumf"])
def test_every_trained_model_is_searched_to_the_depth_of_its_history(name: str, split: Split) -> None:
    found = tune(name, split, trials=2, fixed={"epochs": 1, "factors": 4})
    model = found.new()
    best = max(found.trials, key=lambda trial: trial.validation or 0).settings
    assert {setting: setting_of(model.settings, setting) for setting in best if setting in model.search_space} == {
        setting: value for setting, value in best.items() if setting in model.search_space
    }
    assert wr.fit(model, split, replace(found.training, epochs=1)).is_built


@needs_optuna
def test_a_trial_that_fails_is_told_and_the_search_goes_on(split: Split) -> None:
    lines: list[str] = []
    found = tune(Fussy, split, trials=8, tell=lines.append)
    failed = [trial for trial in found.trials if trial.validation is None]
    assert failed
    assert all(trial.settings["regularisation"] < 100 and "diverged" in trial.problem for trial in failed)
    assert found.settings["regularisation"] >= 100
    assert len(lines) == 8
    assert str(found).count("failed") == len(failed)
    with pytest.raises(WhyrecError, match="all 2 trials failed; the last one: training Broken diverged"):
        tune(Broken, split, trials=2)


@needs_optuna
def test_when_the_time_is_up_no_other_trial_begins(split: Split) -> None:
    assert len(tune("ease", split, minutes=0).trials) == 1


@needs_optuna
def test_another_search_does_not_go_on_in_the_same_file(split: Split, tmp_path: Path) -> None:
    storage = tmp_path / "trials.sqlite"
    tune("ease", split, trials=1, storage=storage)
    others = wr.leave_last_out(wr.planted(users=60, items=50))
    space: SearchSpace = {"regularisation": ("log", 2.0, 3.0)}
    for data, named in (
        (others, {}),
        (split, {"space": space}),
        (split, {"seed": 1}),
        (split, {"fixed": {"epochs": 2}}),
    ):
        with pytest.raises(InvalidSetting, match="holds a search for ease with other"):
            tune("ease", data, trials=2, storage=storage, **named)  # type: ignore[arg-type]
    assert len(tune("item_knn", others, trials=1, storage=storage).trials) == 1  # another model has a search of its own


@needs_optuna
def test_what_cannot_be_searched_is_refused_in_one_line(split: Split, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database\n" * 200)
    nobody = replace(split, validation=split.validation.where(np.zeros(len(split.validation), dtype=bool)))
    cases: list[tuple[type[WhyrecError], str, Any, dict[str, Any]]] = [
        (BadInput, "the validation part is empty", nobody, {"model": "ease"}),
        (InvalidSetting, "Popularity has no settings to search", split, {"model": Popularity}),
        (InvalidSetting, "EASE has no settings to search", split, {"model": "ease", "fixed": {"regularisation": 5}}),
        (InvalidSetting, "no setting 'shrink'", split, {"model": "ease", "space": {"shrink": ("int", 1, 2)}}),
        (InvalidSetting, "no setting 'depth'", split, {"model": "ease", "fixed": {"depth": 2}}),
        (BadInput, r"notes\.txt cannot be used to keep trials", split, {"storage": tmp_path / "notes.txt"}),
    ]
    for error, said, data, named in cases:
        with pytest.raises(error, match=said) as caught:
            tune(split=data, trials=1, **{"model": "ease", **named})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        ("log", 0.0, 1.0),
        ("log", 2.0, 1.0),
        ("int", 1.5, 3),
        ("linear", 1.0),
        ("choice", ()),
        ("choice", 1, 2),
        ("up", 1, 2),
    ],
)
def test_what_is_no_range_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidSetting, match=r"search space of factors: .* is no range; write"):
        require_ranges({"factors": wrong})


@needs_optuna
def test_optuna_says_as_much_as_before(split: Split, capfd: pytest.CaptureFixture[str]) -> None:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        tune("ease", split, trials=1)
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(before)
    assert capfd.readouterr().err == ""


def test_without_optuna_the_way_to_it_is_named(split: Split, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(WhyrecError, match=r"pip install 'whyrec\[tune\]'"):
        tune("ease", split, storage=tmp_path / "new" / "trials.sqlite")
    assert not (tmp_path / "new").exists()


def setting_of(record: object, name: str) -> Any:
    """The value of a setting by its dotted name."""
    return reduce(getattr, name.split("."), record)


def with_setting(family: type[wr.Recommender], name: str, value: object) -> Any:
    """Settings of a model, one of them given by its dotted name."""
    *heads, last = name.split(".")
    return family(**reduce(lambda inner, head: {head: inner}, reversed(heads), {last: value})).settings


@pytest.mark.parametrize("name", sorted({*kinds.names("models")} - {"popularity"}))
def test_a_model_takes_all_that_its_search_space_offers(name: str) -> None:
    family = kinds.load("models", name)
    assert isinstance(family, Searchable), f"{name} has settings: say in its search_space where good ones may lie"
    require_ranges(family.search_space)
    for setting, (kind, *values) in family.search_space.items():
        for value in values[0] if kind == "choice" else values:
            assert setting_of(with_setting(family, setting, value), setting) == value
        default = setting_of(family().settings, setting)
        assert default in values[0] if kind == "choice" else values[0] <= default <= values[1]


def test_training_takes_all_that_is_searched_of_it() -> None:
    require_ranges(TRAINING_SPACE)
    for setting, (kind, *values) in TRAINING_SPACE.items():
        for value in values[0] if kind == "choice" else values:
            assert setting_of(Training(**{setting: value}), setting) == value
        default = setting_of(Training(), setting)
        assert default in values[0] if kind == "choice" else values[0] <= default <= values[1]


@needs_optuna
def test_a_model_of_ratings_is_tuned_by_its_error(split: Split) -> None:
    found = tune("biased_mf", split, trials=4, fixed={"factors": 4, "epochs": 3})
    assert found.measure == "RMSE"
    values = [trial.validation for trial in found.trials if trial.validation is not None]
    assert len(set(values)) > 1
    assert found.validation == min(values)
    assert str(found).splitlines()[0].split()[:2] == ["trial", "RMSE"]
    assert float(str(found).splitlines()[1].split()[1]) == pytest.approx(min(values), abs=1e-4)
    again = wr.fit(found.new(), split, found.training, progress=False)
    assert min(epoch.rmse or 9.0 for epoch in again.log) == pytest.approx(found.validation, rel=1e-5)


@needs_optuna
def test_losses_that_are_not_judged_alike_are_not_searched_together(split: Split) -> None:
    with pytest.raises(InvalidSetting, match="losses log, squared are not judged alike"):
        tune("mf", split, trials=1, space={"loss": ("choice", ("log", "squared"))})


@needs_optuna
def test_the_command_leaves_the_best_model_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["whyrec", "tune", "--data", "planted", "--model", "ease", "--out", str(tmp_path / "out")]
    for trials in ("1", "2"):
        monkeypatch.setattr(sys, "argv", [*words, "--trials", trials])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert not left.value.code
        said = capsys.readouterr()
        assert said.err.startswith(f"trial {trials}: validation NDCG@10 ")
        assert "saved the best model" in said.out
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"model", "trials.sqlite", "tuned.json"}
    assert wr.load(tmp_path / "out" / "model").is_built

"""The command line: exit codes, one line for bad input, one JSON document, and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import whyrec as wr
from whyrec import cli
from whyrec.tables import write_parquet

SHARED = Path(os.environ.get("WHYREC_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: object) -> Run:
        monkeypatch.setattr(sys, "argv", ["whyrec", *map(str, words)])
        capsys.readouterr()
        code: Any = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        said = capsys.readouterr()
        return Run(code, said.out, said.err)

    return call


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with string ids and titles, as a user would bring it."""
    data = wr.planted(users=60, items=50)
    folder = tmp_path_factory.mktemp("log")
    events = data.interactions
    users, items = data.users.vocabulary.ids(events.users), data.items.vocabulary.ids(events.items)
    assert events.values is not None
    assert events.times is not None
    rows = zip(users, items, events.values, events.times, strict=True)
    lines = ["userId,itemId,rating,timestamp", *(f"{u},{i},{v:.1f},{t}" for u, i, v, t in rows)]
    (folder / "ratings.csv").write_text("\n".join(lines) + "\n")
    titles = [f'{name},"{data.items.title(row)}"' for row, name in enumerate(data.items.vocabulary.ids())]
    (folder / "items.csv").write_text("\n".join(["itemId,title", *titles]) + "\n")
    return folder


@pytest.fixture(scope="module")
def model(ratings: Path) -> Path:
    out = ratings / "model"
    split = wr.leave_last_out(wr.read(ratings / "ratings.csv", items=ratings / "items.csv"))
    wr.save(wr.fit(wr.NeuMF(factors=4), split, wr.Training(epochs=3)), out, split=split)
    return out


def test_the_verbs_run_one_after_the_other_from_a_file_to_a_verdict(run: Any, ratings: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    source = ("--data", ratings / "ratings.csv", "--items", ratings / "items.csv", "--out", out)
    fitted = run("fit", *source, "--set", "factors=4", "--set", "epochs=3", "--set", "history.limit=30", "--json")
    assert fitted.code == 0, fitted.err
    assert fitted.json["settings"]["factors"] == 4
    assert fitted.json["settings"]["history"]["limit"] == 30
    metrics = run("evaluate", out, "--json").json
    assert set(metrics["metrics"]) == {"HR@10", "NDCG@10"}
    assert set(metrics["metrics"]["HR@10"]) >= {"value", "low", "high"}
    assert "popularity" in metrics["baselines"]
    listed = run("recommend", out, "--user", "u0001", "-k", "3", "--json").json
    assert [one["rank"] for one in listed["items"]] == [1, 2, 3]
    assert listed["items"][0]["title"] != listed["items"][0]["item"]
    why = run("explain", out, "--user", "u0001", "--item", listed["items"][0]["item"], "--json").json
    assert sum(part["relevance"] for part in why["parts"]) == pytest.approx(why["ledger"]["inputs"], abs=1e-9)
    assert sum(why["ledger"].values()) == pytest.approx(why["target"], abs=1e-9)
    assert why["score"] == pytest.approx(listed["items"][0]["score"], abs=1e-5)
    card = run("verify", out, "--method", "lrp", "--method", "random", "--users", "30", "--json").json
    assert [row["method"] for row in card["rows"]] == ["lrp", "random"]
    keys = {"deletion", "sufficiency", "srg", "randomisation", "stability", "completeness_gap", "cost_ms", "verdict"}
    assert keys <= set(card["rows"][0])
    assert {"value", "low", "high", "floor", "ceiling"} <= set(card["rows"][0]["deletion"])
    assert run("report", out, "--to", tmp_path / "report.html").code == 0
    assert "<html" in (tmp_path / "report.html").read_text()


def test_any_metrics_can_be_asked_for_and_what_has_no_interval_is_null(run: Any, model: Path) -> None:
    found = run("evaluate", model, "--metrics", "mrr,auc,coverage", "--baselines", "ease", "--json").json
    assert list(found["metrics"]) == list(found["baselines"]["ease"]) == ["MRR@10", "AUC", "Coverage@10"]
    assert found["metrics"]["Coverage@10"]["low"] is None
    assert found["metrics"]["AUC"]["low"] < found["metrics"]["AUC"]["value"]
    wrong = run("evaluate", model, "--metrics", "ndgc")
    assert (wrong.code, wrong.err.splitlines()) == (
        1,
        ["whyrec: there is nothing called 'ndgc' among the metrics; did you mean 'ndcg'?"],
    )


def test_somebody_new_gets_a_list_and_reasons_from_a_history(run: Any, model: Path) -> None:
    listed = run("recommend", model, "--history", "i0003,i0007", "-k", "2", "--json").json
    assert listed["user"] == "new user"
    item = listed["items"][0]["item"]
    assert item not in ("i0003", "i0007")
    why = run("explain", model, "--history", "i0003,i0007", "--item", item, "--json").json
    assert {part["unit"] for part in why["parts"]} == {"i0003", "i0007"}


def test_an_item_that_was_seen_does_not_explain_itself(run: Any, model: Path) -> None:
    known = wr.load(model)
    row = int(known.users.vocabulary.rows(["u0001"])[0])
    assert known.known is not None
    seen = known.items.id(int(known.known.histories(np.array([row]), 50)[0, 0]))
    why = run("explain", model, "--user", "u0001", "--item", seen, "--json").json
    assert seen not in {part["unit"] for part in why["parts"]}


def test_json_is_the_only_thing_on_standard_output(run: Any, model: Path) -> None:
    for words in (("recommend", model, "--user", "u0001"), ("doctor",), ("evaluate", model, "--protocol", "sampled")):
        found = run(*words, "--json")
        assert found.code == 0
        assert isinstance(found.json, dict)


def test_a_neumf_can_begin_as_a_trained_gmf_and_mlp(run: Any, tmp_path: Path) -> None:
    words = ("fit", "--data", "planted", "--out", tmp_path / "m", "--set", "factors=4", "--set", "epochs=1")
    found = run(*words, "--set", "pretrain=true", "--set", "alpha=0.3", "--json")
    assert found.code == 0, found.err
    assert found.json["pretraining"] == {"pretrain": True, "alpha": 0.3}
    assert [file.name for file in tmp_path.iterdir()] == ["m"]
    with_less = refused(run(*words, "--model", "mf", "--set", "pretrain=true"))
    assert "pretrain: MF has no such setting; only neumf begins as other models" in with_less.err
    assert "set pretrain=true as well" in refused(run(*words, "--set", "alpha=0.3")).err
    assert "alpha=2 cannot be taken" in refused(run(*words, "--set", "pretrain=true", "--set", "alpha=2")).err
    assert "pretrain='maybe' cannot be taken" in refused(run(*words, "--set", "pretrain=maybe")).err
    apart = refused(run(*words, "--set", "pretrain=true", "--set", "shared_vectors=true")).err
    assert "leave shared_vectors and fusion as they come" in apart


def test_without_a_validation_part_no_epoch_is_said_to_be_chosen(run: Any, tmp_path: Path) -> None:
    """A published split whose users have one training event each leaves nothing to choose by."""
    split = tmp_path / "split"
    split.mkdir()
    (split / "a.train.rating").write_text("".join(f"{user}\t{user}\t1\t0\n" for user in range(3)))
    (split / "a.test.rating").write_text("".join(f"{user}\t{user + 1}\t1\t0\n" for user in range(3)))
    (split / "a.test.negative").write_text("".join(f"({user},{user + 1})\t5\t6\n" for user in range(3)))
    words = ("--model", "mf", "--set", "epochs=3", "--json")
    found = run("fit", "--data", f"ncf:{split}", "--out", tmp_path / "model", *words)
    assert (found.code, found.json["epochs"], found.json["validation_ndcg@10"]) == (0, 3, None)
    found = run("fit", "--data", f"ncf:{split}", "--out", tmp_path / "model", *words[:-1])
    assert found.out == f"saved mf to {tmp_path / 'model'}\n"


def test_tune_takes_the_data_that_fit_takes(run: Any, ratings: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed")
    repeated = tmp_path / "repeated.csv"
    lines = (ratings / "ratings.csv").read_text().splitlines(keepends=True)
    repeated.write_text("".join([*lines, lines[1]]))
    words = ("--data", repeated, "--out", tmp_path / "tuned", "--model", "ease", "--trials", 1)
    refused(run("tune", *words))
    found = run("tune", *words, "--duplicates", "last")
    assert found.code == 0
    assert "1 repeated interactions were left out, the last of each pair kept" in found.err


def test_the_planted_cinema_has_no_path(run: Any, tmp_path: Path) -> None:
    found = run("fit", "--data", "planted:here", "--out", tmp_path / "model")
    refused(found)
    assert "write planted alone" in found.err


def test_memory_for_scores_can_be_bounded(run: Any, model: Path) -> None:
    whole, little = (run("evaluate", model, *words, "--json").json for words in ((), ("--max-memory", "2MB")))
    assert whole == little
    assert "is no amount of memory" in refused(run("evaluate", model, "--max-memory", "much")).err
    assert "too little" in refused(run("evaluate", model, "--max-memory", "1")).err


BAD_LOGS = {
    "an empty file": b"",
    "only a header": b"userId,itemId,rating\n",
    "a missing column": b"userId,stars\nu1,5\n",
    "a rating that is text": b"userId,itemId,rating\nu1,i1,5\nu1,i2,good\n",
    "an empty id": b"userId,itemId,rating\nu1,i1,5\n,i2,4\n",
    "a duplicate row": b"userId,itemId,rating\nu1,i1,5\nu1,i2,4\nu1,i1,5\n",
    "bytes": bytes(range(256)) * 8,
    "one event each": b"userId,itemId\nu1,i1\nu2,i2\n",
}


@pytest.mark.parametrize("what", BAD_LOGS)
def test_a_bad_log_gets_one_line_and_leaves_nothing(what: str, run: Any, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_bytes(BAD_LOGS[what])
    found = run("fit", "--data", log, "--out", tmp_path / "model", "--model", "popularity")
    refused(found)
    assert "log.csv" in found.err or "log: " in found.err  # a split is called by its data set
    assert [file.name for file in tmp_path.iterdir()] == ["log.csv"]


@pytest.mark.parametrize("length", [0, 3, 40, -40, -4])
def test_a_parquet_file_cut_short_gets_one_line(length: int, run: Any, tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    write_parquet({"user": np.arange(500) % 9, "item": np.arange(500) // 9}, whole)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole.read_bytes()[:length])
    found = run("fit", "--data", cut, "--out", tmp_path / "model", "--model", "popularity")
    refused(found)
    assert "cut.parquet" in found.err


def test_a_folder_in_place_of_a_file_gets_one_line(run: Any, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    refused(run("fit", "--data", tmp_path / "folder.csv", "--out", tmp_path / "model"))
    refused(run("fit", "--data", tmp_path / "nowhere.csv", "--out", tmp_path / "model"))


def test_unknown_users_items_and_methods_get_one_line(run: Any, model: Path) -> None:
    assert "'u001'" in refused(run("recommend", model, "--user", "u001")).err
    assert "'i9999'" in refused(run("explain", model, "--user", "u0001", "--item", "i9999")).err
    assert "'i9999'" in refused(run("recommend", model, "--history", "i9999")).err
    assert "there is nothing called 'lpr'" in refused(run("verify", model, "--method", "lpr")).err
    assert "did you mean 'factors'" in refused(run("fit", "--data", "planted", "--out", "x", "--set", "factor=3")).err


@pytest.mark.parametrize("damage", ["missing", "cut short"])
@pytest.mark.parametrize("name", ["model.json", "weights.safetensors", "vocabulary.parquet", "interactions.parquet"])
def test_a_damaged_model_folder_gets_one_line(name: str, damage: str, run: Any, model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    if damage == "missing":
        (copy / name).unlink()
    else:
        (copy / name).write_bytes((copy / name).read_bytes()[:-20])
    assert name in refused(run("recommend", copy, "--user", "u0001")).err


def test_wrong_usage_is_code_two(run: Any, model: Path) -> None:
    assert run("recommend", model).code == 2
    assert run("recommend", model, "--user", "u0001", "--history", "i0001").code == 2
    assert run("evaluate", model, "--protocol", "half").code == 2
    assert run("fit").code == 2


def test_a_model_is_not_written_over_other_files(run: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    refused(run("fit", "--data", "planted", "--model", "popularity", "--out", tmp_path))
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_help_does_not_import_pytorch() -> None:
    script = "import sys; sys.argv = ['whyrec', '--help']\nfrom whyrec import cli\n"
    script += (
        "try: cli.main()\nexcept SystemExit: pass\nassert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.skipif(not (SHARED / "ml-100k" / "u.data").is_file(), reason="MovieLens 100K is not on this machine")
def test_movielens_100k_runs_from_its_folder(run: Any, tmp_path: Path) -> None:
    out = tmp_path / "model"
    fitted = run(
        "fit", "--data", f"movielens:{SHARED / 'ml-100k'}", "--out", out, "--set", "factors=8", "--set", "epochs=2"
    )
    assert fitted.code == 0, fitted.err
    listed = run("recommend", out, "--user", "196", "--json").json
    why = run("explain", out, "--user", "196", "--item", listed["items"][0]["item"], "--json").json
    assert abs(why["ledger"]["gap"]) < 1e-5 * (
        abs(why["target"]) + sum(abs(part["relevance"]) for part in why["parts"])
    )
    card = run("verify", out, "--method", "lrp", "--method", "occlusion", "--method", "random", "--json").json
    verdicts = {row["method"]: row["verdict"] for row in card["rows"]}
    assert verdicts["random"] == "not better than random"
    assert set(verdicts) == {"lrp", "occlusion", "random"}


def refused(found: Run) -> Run:
    assert found.code == 1, found
    assert found.out == ""
    lines = [line for line in found.err.splitlines() if line.startswith("whyrec: ")]
    assert len(lines) == 1, found.err
    assert "Traceback" not in found.err
    return found


def test_a_score_or_its_lead_is_explained_by_a_method_with_settings(run: Any, model: Path) -> None:
    item = run("recommend", model, "--user", "u0001", "--json").json["items"][0]["item"]
    words = ("explain", model, "--user", "u0001", "--item", item, "--json")
    plain, lead = run(*words).json, run(*words, "--target", "margin@3").json
    assert (plain["target_name"], lead["target_name"]) == ("logit", "margin@3")
    assert plain["target"] == pytest.approx(plain["score"])
    assert 0 < lead["target"] < plain["target"]
    damped = run(*words, "--set", "epsilon=0.5").json
    assert abs(damped["ledger"]["stabilizer"]) > 100 * abs(plain["ledger"]["stabilizer"])
    other = run("recommend", model, "--user", "u0001", "--json").json["items"][1]["item"]
    above = run(*words, "--target", f"contrast:{other}").json
    assert above["target"] > 0


def test_verdicts_can_be_about_a_lead_or_about_another_way_to_take_units_away(run: Any, model: Path) -> None:
    words = ("verify", model, "--method", "lrp", "--method", "random", "--users", "20", "--json")
    lead, shorter = run(*words, "--target", "margin").json, run(*words, "--operator", "delete").json
    assert (lead["target"], lead["settings"]["operator"]) == ("margin@10", "mask")
    assert (shorter["target"], shorter["settings"]["operator"]) == ("logit", "delete")
    assert "use 'mask'" in refused(run(*words, "--target", "margin", "--operator", "delete")).err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--target", "lead"), "--target lead: write logit, margin, margin@K with a length K of the list, or contrast"),
        (("--target", "margin@x"), "--target margin@x: write logit"),
        (("--set", "gama=1"), "lrp has no setting 'gama'; it has "),
    ],
)
def test_a_wrong_target_or_setting_says_what_there_is(words: tuple[str, str], said: str, run: Any, model: Path) -> None:
    found = run("explain", model, "--user", "u0001", "--item", "i0001", *words)
    assert said in refused(found).err


def test_a_model_of_ratings_is_fitted_evaluated_and_explained_as_one(run: Any, ratings: Path, tmp_path: Path) -> None:
    out = tmp_path / "stars"
    fitted = run(
        "fit",
        *("--data", ratings / "ratings.csv", "--out", out, "--model", "biased_mf"),
        *("--set", "factors=4", "--set", "epochs=3", "--set", "implicit=true"),
        "--json",
    ).json
    assert fitted["training"]["loss"] == "squared"
    assert fitted["validation_ndcg@10"] is None
    assert fitted["validation_rmse"] > 0
    found = run("evaluate", out, "--protocol", "ratings", "--json").json
    assert found["RMSE"]["value"] > found["MAE"]["value"] > 0
    assert list(found["baselines"]) == ["bias_only"]
    bare = run("evaluate", out, "--protocol", "ratings", "--baselines", "", "--json").json
    assert not bare["baselines"]
    assert "leave --metrics out" in refused(run("evaluate", out, "--protocol", "ratings", "--metrics", "ndcg")).err
    why = run("explain", out, "--user", "u0001", "--item", "i0001", "--json").json
    assert why["target_name"] == "rating"
    assert run("verify", out, "--method", "lrp", "--users", "30", "-k", "2", "--json").json["target"] == "rating"


def test_errors_of_ratings_are_refused_for_scores_that_are_none(run: Any, model: Path) -> None:
    assert "the scores of this NeuMF are no ratings" in refused(run("evaluate", model, "--protocol", "ratings")).err

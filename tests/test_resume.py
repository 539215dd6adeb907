"""An interrupted run loses nothing: resumed, it ends with the weights of a run never interrupted, bit by bit."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import whyrec as wr
from whyrec import loggers, resume
from whyrec.errors import BadInput, NotApplicable
from whyrec.recommender import Recommender
from whyrec.training import Epoch

SPLIT = wr.leave_last_out(wr.planted(users=80, items=60))
TRAINING = wr.Training(epochs=6, refit=True, batch_size=256)


class Stopped(Exception):
    pass


def new(user: str = "id") -> Recommender:
    return wr.NeuMF(factors=4, user=user)


def stopping_at(number: int) -> Any:
    seen = 0

    def watch(_epoch: Epoch) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            raise Stopped

    return watch


def same(one: Recommender, other: Recommender) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("user", ["id", "history"])
@pytest.mark.parametrize("stops", [(1,), (6,), (7,), (2, 3, 4), (1, 1, 1, 1, 1)])
def test_a_run_stopped_after_any_epochs_ends_as_one_never_stopped(
    user: str, stops: tuple[int, ...], tmp_path: Path
) -> None:
    whole = wr.fit(new(user), SPLIT, TRAINING)
    kept = tmp_path / "run.safetensors"
    for stop in stops:
        with pytest.raises(Stopped):
            wr.fit(new(user), SPLIT, TRAINING, checkpoint=kept, watchers=(stopping_at(stop),))
    found = wr.fit(new(user), SPLIT, TRAINING, checkpoint=kept)
    assert same(found, whole)
    assert [replace(epoch, seconds=0) for epoch in found.log] == [replace(epoch, seconds=0) for epoch in whole.log]
    assert not kept.exists()


SCRIPT = """
import sys, whyrec as wr
split = wr.leave_last_out(wr.planted(users=80, items=60))
tell = lambda epoch: print(epoch.number, flush=True)
model = wr.fit(wr.MF(factors=8, user="id"), split, wr.Training(epochs=25, patience=25, batch_size=64),
               checkpoint=sys.argv[1], watchers=(tell,))
wr.save(model, sys.argv[2])
"""


def test_a_run_killed_at_five_moments_ends_as_one_never_killed(tmp_path: Path) -> None:
    def start(checkpoint: str, out: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / checkpoint), str(tmp_path / out)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    with start("whole.safetensors", "whole") as run:
        run.communicate()
    pauses = np.random.default_rng(0).uniform(0, 0.15, 5)
    signals = (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)
    for how, pause in zip(signals, pauses, strict=True):
        with start("killed.safetensors", "killed") as run:
            assert run.stdout is not None
            assert run.stdout.readline()  # an epoch is done, so there is something to go on from
            time.sleep(pause)
            run.send_signal(how)
    with start("killed.safetensors", "killed") as run:
        run.communicate()
    whole, killed = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


@pytest.mark.parametrize("fails", ["save_file", "os.replace"])
def test_a_full_disk_leaves_the_last_good_checkpoint(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "run.safetensors"
    with pytest.raises(Stopped):
        wr.fit(new(), SPLIT, TRAINING, checkpoint=kept, watchers=(stopping_at(2),))
    good = kept.read_bytes()

    def full(*_words: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"whyrec.resume.{fails}", full)
        with pytest.raises(OSError, match="No space left"):
            wr.fit(new(), SPLIT, TRAINING, checkpoint=kept)
    assert kept.read_bytes() == good
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]
    assert same(wr.fit(new(), SPLIT, TRAINING, checkpoint=kept), wr.fit(new(), SPLIT, TRAINING))


@pytest.mark.parametrize(
    ("model", "training", "what"),
    [
        (wr.NeuMF(factors=5, user="id"), TRAINING, "settings"),
        (wr.MF(factors=4, user="id"), TRAINING, "model"),
        (new(), wr.Training(epochs=7, refit=True, batch_size=256), "training"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    model: Recommender, training: wr.Training, what: str, tmp_path: Path
) -> None:
    kept = tmp_path / "run.safetensors"
    with pytest.raises(Stopped):
        wr.fit(new(), SPLIT, TRAINING, checkpoint=kept, watchers=(stopping_at(1),))
    with pytest.raises(BadInput, match=f"run.safetensors is of a run with another {what}"):
        wr.fit(model, SPLIT, training, checkpoint=kept)


def test_a_checkpoint_cut_short_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "run.safetensors"
    with pytest.raises(Stopped):
        wr.fit(new(), SPLIT, TRAINING, checkpoint=kept, watchers=(stopping_at(1),))
    kept.write_bytes(kept.read_bytes()[:-50])
    with pytest.raises(BadInput, match="not a whole training checkpoint"):
        wr.fit(new(), SPLIT, TRAINING, checkpoint=kept)


def test_another_machine_is_remarked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "run.safetensors"
    with pytest.raises(Stopped):
        wr.fit(new(), SPLIT, TRAINING, checkpoint=kept, watchers=(stopping_at(1),))
    monkeypatch.setattr(resume, "_machine", lambda: {"torch": torch.__version__, "threads": 99, "processor": "abacus"})
    wr.fit(new(), SPLIT, TRAINING, checkpoint=kept)
    assert "threads" in capsys.readouterr().err


def test_a_fused_model_scores_as_its_parts_weighted_by_alpha() -> None:
    gmf = wr.fit(wr.GMF(factors=4), SPLIT, wr.Training(epochs=2))
    mlp = wr.fit(wr.MLP(factors=4, depth=2), SPLIT, wr.Training(epochs=2))
    fused = wr.NeuMF.from_pretrained(gmf, mlp, alpha=0.3)
    fused.known = gmf.known
    request = wr.recommend(gmf, k=5).request()
    with torch.no_grad():
        parts = [model.score(model.embed(request)) for model in (gmf, mlp)]
        together = fused.score(fused.embed(request))
    torch.testing.assert_close(together, 0.3 * parts[0] + 0.7 * parts[1])
    with pytest.raises(wr.WhyrecError, match="in this order"):
        wr.NeuMF.from_pretrained(mlp, gmf)
    with pytest.raises(wr.WhyrecError, match="only with the same factors"):
        wr.NeuMF.from_pretrained(gmf, wr.fit(wr.MLP(factors=8, depth=2), SPLIT, wr.Training(epochs=1)))


def test_epochs_are_written_as_csv_and_json_lines(tmp_path: Path) -> None:
    watchers = (loggers.to_csv(tmp_path / "log.csv"), loggers.to_json_lines(tmp_path / "log.jsonl"))
    model = wr.fit(wr.MF(factors=4), SPLIT, wr.Training(epochs=3), watchers=watchers)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[0] == "number,loss,validation,seconds,validation_loss,hit_rate,rmse,maa"
    assert len(rows) == 1 + len(model.log)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == len(model.log)
    loggers.to_csv(tmp_path / "log.csv")
    (tmp_path / "log.csv").write_text("number,loss\n1,0.5\n")
    with pytest.raises(BadInput, match=r"log\.csv has other columns than number, loss, validation.*name a new file"):
        loggers.to_csv(tmp_path / "log.csv")


def test_what_is_watched_is_named_and_left_out_where_there_is_none() -> None:
    assert loggers._measured(Epoch(1, 0.5, None, 2.0)) == {"training loss": 0.5}
    assert loggers._measured(Epoch(1, 0.5, 0.25, 2.0, 0.75, 0.125)) == {
        "training loss": 0.5,
        "validation loss": 0.75,
        "validation NDCG at 10": 0.25,
        "validation HR at 10": 0.125,
    }


@pytest.mark.parametrize(("make", "package"), [("to_tensorboard", "tensorboard"), ("to_mlflow", "mlflow")])
def test_a_logger_whose_package_is_missing_says_how_to_get_it(
    make: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(NotApplicable, match="pip install"):
        getattr(loggers, make)(*([tmp_path] if make == "to_tensorboard" else []))

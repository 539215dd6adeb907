"""What a pretrained NeuMF promises: three fits by one seed, and a run that goes on wherever it stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import whyrec as wr
from whyrec import pretraining
from whyrec.errors import InvalidSetting
from whyrec.pretraining import fit_pretrained

SPLIT = wr.leave_last_out(wr.planted(users=60, items=50))
TRAINING = wr.Training(epochs=2, seed=5)
SETTINGS: dict[str, Any] = {"factors": 4, "depth": 2, "interaction": "bilinear", "history": wr.History(limit=20)}


def new(**more: Any) -> wr.Recommender:
    return wr.NeuMF(**{**SETTINGS, **more})


def by_hand(alpha: float, training: wr.Training) -> wr.Recommender:
    size = {"factors": 4, "history": SETTINGS["history"]}
    alone = replace(training, refit=False)
    gmf = wr.fit(wr.GMF(**size), SPLIT, alone)
    mlp = wr.fit(wr.MLP(**size, depth=2, interaction="bilinear"), SPLIT, alone)
    return wr.fit(wr.NeuMF.from_pretrained(gmf, mlp, alpha=alpha), SPLIT, training)


def assert_same(one: wr.Recommender, other: wr.Recommender) -> None:
    assert one.settings == other.settings
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


@pytest.mark.parametrize("refit", [False, True])
def test_it_is_the_three_fits_one_after_the_other(refit: bool, tmp_path: Path) -> None:
    training = replace(TRAINING, refit=refit)
    found = fit_pretrained(new(), SPLIT, training, alpha=0.3, checkpoint=tmp_path / "kept.safetensors")
    assert_same(found, by_hand(0.3, training))
    assert found.settings == new().settings
    assert found.items.titles is not None
    assert list(tmp_path.iterdir()) == []


class Stopped(Exception):
    """Somebody pressed a key."""


@pytest.mark.parametrize("last", ["GMF", "MLP", "NeuMF"])
def test_a_run_that_was_interrupted_goes_on_with_what_is_done(
    last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept.safetensors"
    begun: list[str] = []

    def stopping(model: wr.Recommender, *given: Any, **named: Any) -> wr.Recommender:
        def stop(_epoch: object) -> None:
            raise Stopped

        begun.append(type(model).__name__)
        return wr.fit(model, *given, **named, watchers=(stop,) if begun == stops else ())

    monkeypatch.setattr(pretraining, "fit", stopping)
    whole = ["GMF", "MLP", "NeuMF"]
    stops = whole[: whole.index(last) + 1]
    with pytest.raises(Stopped):
        fit_pretrained(new(), SPLIT, TRAINING, checkpoint=kept)
    begun.clear()
    stops = ["never"]
    found = fit_pretrained(new(), SPLIT, TRAINING, checkpoint=kept)
    assert begun == whole[whole.index(last) :]
    assert_same(found, by_hand(0.5, TRAINING))
    assert list(tmp_path.iterdir()) == []


def test_parts_of_another_run_are_not_taken_for_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept.safetensors"
    with monkeypatch.context() as patched:
        patched.setattr(pretraining, "forget", lambda _checkpoint: None)
        fit_pretrained(new(), SPLIT, TRAINING, checkpoint=kept)
    others = wr.leave_last_out(wr.planted(users=60, items=50, seed=9))
    for model, split, training in (
        (new(factors=3), SPLIT, TRAINING),
        (new(), SPLIT, replace(TRAINING, seed=6)),
        (new(), others, TRAINING),
    ):
        with pytest.raises(InvalidSetting, match="holds a GMF of another run; leave --resume out"):
            fit_pretrained(model, split, training, checkpoint=kept)
    pretraining.forget(kept)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [{"shared_vectors": True}, {"fusion": "bilinear"}])
def test_what_cannot_be_fused_is_refused_before_anything_is_trained(more: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="leave shared_vectors and fusion as they come"):
        fit_pretrained(new(**more), SPLIT, TRAINING, checkpoint=tmp_path / "kept.safetensors")
    assert list(tmp_path.iterdir()) == []

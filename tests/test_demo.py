"""The main job, whole: on the bundled world the reasons are the planted ones, and every file is in its place."""

from __future__ import annotations

import pytest

import whyrec as wr
from whyrec.demo import Demo, demo


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return demo(tmp_path_factory.mktemp("demo") / "out")


def test_reasons_name_the_planted_causes_and_never_the_decoy(done: Demo) -> None:
    truth = done.metrics["planted_truth"]
    assert truth["items_with_a_planted_cause"] > 2000
    assert truth["of_which_named"] > 0.95
    assert truth["reasons"] > 5000
    assert truth["decoy_named"] == 0


def test_methods_are_told_from_chance_and_chance_is_not(done: Demo) -> None:
    verdicts = {row["method"]: row["verdict"] for row in done.card["rows"]}
    assert verdicts == {
        "lrp": "faithful",
        "occlusion": "faithful",
        "gradient": "faithful",
        "random": "not better than random",
    }


def test_the_model_beats_what_everybody_takes(done: Demo) -> None:
    own, popular = done.metrics["metrics"]["HR@10"], done.metrics["baselines"]["popularity"]["HR@10"]
    assert own["low"] > popular["high"]


def test_every_file_is_in_its_place_and_the_model_loads(done: Demo) -> None:
    assert {path.name for path in done.folder.iterdir()} == {
        "model",
        "explanations.parquet",
        "metrics.json",
        "card.json",
        "report.html",
    }
    assert len(wr.recommend(wr.load(done.folder / "model"), users=["u0001"], k=3)) == 1

"""The documentation does what it says: every Python block runs, every promise names something that is there."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest
import torch

import whyrec as wr
from whyrec import kinds
from whyrec.question import ask

ROOT = Path(__file__).parents[1]
SPLIT = wr.leave_last_out(wr.planted(users=120, items=60))


def blocks(page: str, language: str = "python") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def module_of(monkeypatch: pytest.MonkeyPatch) -> object:
    def make(name: str, source: str) -> types.ModuleType:
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(source, name, "exec"), vars(module))  # noqa: S102 (our own page)
        return module

    return make


def test_the_model_of_the_how_to_page_trains_explains_and_is_saved(module_of: object, tmp_path: Path) -> None:
    module_of("how_to_model", blocks("docs/how-to/add-a-model.md")[0])  # type: ignore[operator]
    family = kinds.load("models", "how_to_model:TwoTower")
    model = wr.fit(family(factors=16), SPLIT, wr.Training(epochs=25))
    lists = wr.recommend(model, k=3)
    request = lists.request()
    with torch.no_grad():
        torch.testing.assert_close(model.score(model.embed(request)), lists.scores, rtol=1e-4, atol=1e-4)
    found = wr.LRP(0)(ask(model, request, dtype=torch.float64))
    assert found.ledger.relative_gap(found.relevance).max() < 1e-12
    wr.save(model, tmp_path / "model", split=SPLIT)
    again = wr.recommend(wr.load(tmp_path / "model"), k=3)
    assert torch.equal(again.scores, lists.scores)


def test_the_metric_of_the_how_to_page_is_measured_like_any_other(module_of: object) -> None:
    source, trial = blocks("docs/how-to/add-a-metric.md")
    module = module_of("how_to_metric", source)  # type: ignore[operator]
    assert module.nearness(torch.tensor([[6, 9], [11, 0]]), 10).tolist() == [0.5, 0.0]
    found: dict[str, object] = {}
    exec(trial.replace("print(", "found = str("), found)  # noqa: S102 (our own page)
    assert "Nearness@10" in str(found["found"])


def test_the_explainer_of_the_how_to_page_is_judged_like_any_other(module_of: object) -> None:
    source, trial = blocks("docs/how-to/add-an-explainer.md")
    module = module_of("how_to_explainer", source)  # type: ignore[operator]
    exec(trial.replace("print(", "str("), {"AddOne": module.AddOne})  # noqa: S102 (our own page)
    model = wr.fit(wr.MF(factors=16), SPLIT, wr.Training(epochs=25))
    question = ask(model, wr.recommend(model, k=2).request(), dtype=torch.float64)
    torch.testing.assert_close(  # on an affine model the first step up is the last step down
        module.AddOne()(question).relevance["history"], wr.LeaveOneOut()(question).relevance["history"]
    )


def test_the_trained_module_of_the_how_to_page_is_explained_and_judged(capsys: pytest.CaptureFixture[str]) -> None:
    first, score = blocks("docs/how-to/explain-a-trained-module.md")
    found: dict[str, object] = {}
    exec(first, found)  # noqa: S102 (our own page)
    exec(score, found)  # noqa: S102
    said = capsys.readouterr().out
    for words in ("ByCosine knows past items only", "score (", "not better than random", "all of person"):
        assert words in said


def test_the_shortcut_of_the_how_to_page_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    with torch.random.fork_rng(devices=[]):
        exec(blocks("docs/how-to/find-shortcuts.md")[0], {})  # noqa: S102 (our own page)
    suspects = [line for line in capsys.readouterr().out.splitlines() if line.startswith("- ")]
    assert len(suspects) == 1
    assert "rest on portable machine" in suspects[0]


def test_the_columns_of_the_how_to_page_are_explained_and_drawn(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(blocks("docs/how-to/learn-from-columns.md")[0], {})  # noqa: S102 (our own page)
    said = capsys.readouterr().out
    for words in ("because of", "all of these", "NDCG@10: feature_mlp - feature_mlp", "milliseconds"):
        assert words in said
    assert {path.name for path in tmp_path.iterdir()} == {"methods.png", "genres.png", "waterfall.png"}


def test_the_similar_items_of_the_how_to_page_are_found_and_drawn(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    for block in blocks("docs/how-to/similar-items.md"):
        exec(block, found)  # noqa: S102 (our own page)
    said = capsys.readouterr().out
    for words in ("an edge weighs", " is near ", " users) "):
        assert words in said
    assert {path.name for path in tmp_path.iterdir()} == {"neighbourhood.png", "map.png"}


def test_the_record_of_the_how_to_page_is_redone_and_erased(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(blocks("docs/how-to/serve.md")[0], {})  # noqa: S102 (our own page)
    assert capsys.readouterr().out.splitlines() == ["1 record of u0001", "True", "1 erased"]


def test_the_readme_names_only_what_is_there() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"\bwr\.(\w+)", readme)):
        assert hasattr(wr, name), f"README names whyrec.{name}"
    for path in re.findall(r"\]\(((?!http)[^)#]+)\)", readme):
        assert (ROOT / path).exists(), f"README links to {path}"


@pytest.mark.parametrize("page", sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))
def test_links_between_pages_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}"


def test_the_changelog_tells_of_this_version() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == wr.__version__


@pytest.mark.parametrize("name", [name for name in wr.__all__ if name != "__version__"])
def test_every_public_name_says_what_it_is(name: str) -> None:
    assert (getattr(wr, name).__doc__ or "").strip()

"""What a model folder promises: everything comes back, nothing half-written is left, a damaged file is named."""

from __future__ import annotations

import json
import os
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from whyrec import checkpoint
from whyrec.checkpoint import about, load, load_split, save
from whyrec.dataset import Catalog, Column, Dataset
from whyrec.errors import BadInput, InvalidSetting, NotFitted
from whyrec.interactions import Interactions, Vocabulary
from whyrec.models.ease import EASE
from whyrec.models.mf import MF
from whyrec.recommendations import recommend
from whyrec.recommender import Recommender
from whyrec.split import Split, leave_last_out
from whyrec.train import fit
from whyrec.training import Training
from whyrec.vectors import History

FILES = ["interactions", "items", "users", "vocabulary"]


def objects(*values: object) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def dataset() -> Dataset:
    """Users named by strings, items by numbers; columns of every kind, with and without values."""
    people = {
        "age": Column("age", "numeric", np.array([31.5, np.nan, 40.0])),
        "Age": Column("Age", "category", objects("grown", None, "grown")),
        "zip": Column("zip", "category", objects("01234", "1e3", None)),
        "unknown": Column("unknown", "category", objects(None, None, None)),
        "unmeasured": Column("unmeasured", "numeric", np.full(3, np.nan)),
    }
    films = {
        "genres": Column("genres", "multi", objects(("Drama", "Noir"), (), None, ('say "no"',))),
        "untagged": Column("untagged", "multi", objects(None, None, None, None)),
        "plot": Column("plot", "text", objects("A hero's\nreturn; naïve", None, "", "7")),
        "unplotted": Column("unplotted", "text", objects(None, None, None, None)),
    }
    events = Interactions(
        np.array([0, 0, 0, 0, 1, 1, 1, 2]),
        np.array([3, 1, 0, 2, 0, 2, 1, 1]),
        np.array([4.5, 1, 2, 5, np.nan, 2, 2, 3], dtype=np.float32),
        np.array([10, 20, 30, 40, 3_000_000_000, 6, 7, -8]),
        user_count=3,
        item_count=4,
    )
    return Dataset(
        "clips",
        events,
        Catalog(Vocabulary(["ada", "b'ob", "007"], kind="user"), columns=people),
        Catalog(Vocabulary([7, 12, -3, "007"], kind="item"), ("Zoë", "Nine, Lanterns", "", "1984"), films),
        source="made up",
        licence="CC0",
        findings=("one value is missing",),
    )


@pytest.fixture(scope="module")
def split() -> Split:
    found = leave_last_out(dataset())
    candidates = np.array([[1, 3, -1], [2, -1, -1], [-1, -1, -1]])
    return Split(found.dataset, found.train, found.validation, found.test, found.how, candidates)


@pytest.fixture(scope="module")
def model(split: Split) -> Recommender:
    return fit(MF(factors=3, history=History(limit=5, dropout=0.5, exponent=0.25)), split, Training(epochs=2, seed=3))


@pytest.fixture
def folder(model: Recommender, split: Split, tmp_path: Path) -> Path:
    return save(model, tmp_path / "model", split=split)


def assert_same_events(one: Interactions | None, other: Interactions | None) -> None:
    assert one is not None
    assert other is not None
    for field in fields(Interactions):
        before, after = getattr(one, field.name), getattr(other, field.name)
        np.testing.assert_array_equal(before, after)
        assert np.asarray(before).dtype == np.asarray(after).dtype


def assert_same_catalog(one: Catalog, other: Catalog) -> None:
    assert one.vocabulary == other.vocabulary
    assert [(name, type(name)) for name in one.vocabulary.ids()] == [
        (name, type(name)) for name in other.vocabulary.ids()
    ]
    assert one.titles == other.titles
    assert list(one.columns) == list(other.columns)
    for name, column in one.columns.items():
        assert (other.columns[name].name, other.columns[name].kind) == (column.name, column.kind)
        np.testing.assert_array_equal(other.columns[name].values, column.values)
        assert other.columns[name].values.dtype == column.values.dtype


def test_a_model_comes_back_as_it_was(model: Recommender, folder: Path) -> None:
    state = torch.get_rng_state()
    again = load(folder)
    assert torch.equal(torch.get_rng_state(), state)
    assert type(again) is MF
    assert again.settings == model.settings
    assert (again.log, again.trained_by) == (model.log, model.trained_by)
    assert not again.training
    assert again.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert torch.equal(recommend(again, k=4).scores, recommend(model, k=4).scores)


def test_users_and_items_come_back_with_ids_titles_and_columns(model: Recommender, folder: Path) -> None:
    again = load(folder)
    assert_same_catalog(model.users, again.users)
    assert_same_catalog(model.items, again.items)


def test_what_a_model_knows_of_its_users_comes_back(model: Recommender, folder: Path) -> None:
    assert_same_events(model.known, load(folder).known)


def test_the_split_comes_back(split: Split, folder: Path) -> None:
    again = load_split(folder)
    for part in ("train", "validation", "test"):
        assert_same_events(getattr(split, part), getattr(again, part))
    assert again.how == split.how
    assert again.candidates is not None
    assert split.candidates is not None
    assert again.candidates.tolist() == split.candidates.tolist()
    before, after = split.dataset, again.dataset
    assert (after.name, after.source, after.licence, after.findings) == (
        before.name,
        before.source,
        before.licence,
        before.findings,
    )
    assert_same_catalog(before.users, after.users)
    assert_same_catalog(before.items, after.items)


def test_events_without_times_and_values_come_back_without(tmp_path: Path) -> None:
    whole = dataset()
    bare = Interactions(whole.interactions.users, whole.interactions.items, user_count=3, item_count=4)
    split = leave_last_out(Dataset("bare", bare, whole.users, whole.items))
    model = fit(EASE(), split)
    again = save(model, tmp_path / "model", split=split)
    assert_same_events(model.known, load(again).known)
    assert_same_events(split.test, load_split(again).test)
    assert load_split(again).candidates is None


def test_the_description_says_what_made_the_model(model: Recommender, split: Split, folder: Path) -> None:
    found = about(folder)
    assert found["family"] == "mf"
    assert found["settings"]["history"] == {"limit": 5, "dropout": 0.5, "exponent": 0.25}
    assert found["data"]["fingerprint"] == split.dataset.fingerprint()
    assert found["versions"]["torch"] == torch.__version__
    assert len(found["log"]) == 2


@pytest.mark.parametrize("field", ["users", "items", "values", "times"])
def test_the_fingerprint_changes_with_any_event(field: str) -> None:
    data = dataset()
    events = data.interactions
    changed = getattr(events, field).copy()
    changed[5] = 1 - changed[5]
    assert dataset().fingerprint() == data.fingerprint()
    assert replace(data, interactions=replace(events, **{field: changed})).fingerprint() != data.fingerprint()
    assert replace(data, interactions=events.where(np.arange(7))).fingerprint() != data.fingerprint()


def test_a_model_saved_without_data_holds_no_events_titles_or_columns(
    model: Recommender, split: Split, tmp_path: Path
) -> None:
    folder = save(model, tmp_path / "model", split=split, without_data=True)
    assert sorted(file.name for file in folder.iterdir()) == ["model.json", "vocabulary.parquet", "weights.safetensors"]
    assert "Nine, Lanterns" not in (folder / "model.json").read_text()
    again = load(folder)
    assert again.items.titles is None
    assert again.items.columns == again.users.columns == {}
    seen = [7, 12]
    assert torch.equal(recommend(again, history=seen, k=2).scores, recommend(model, history=seen, k=2).scores)
    with pytest.raises(NotFitted, match=r"saved without its data.*pass a history"):
        recommend(again, users=["ada"])
    with pytest.raises(NotFitted, match="saved without its data; pass the data it was trained on with --data"):
        load_split(folder)


def test_a_model_saved_without_its_split_still_knows_its_users(model: Recommender, tmp_path: Path) -> None:
    folder = save(model, tmp_path / "model")
    assert_same_events(model.known, load(folder).known)
    with pytest.raises(NotFitted):
        load_split(folder)


def test_a_model_without_weights_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(NotFitted, match="this EASE has no weights yet"):
        save(EASE(), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_no_file_can_hold_a_pickle(folder: Path) -> None:
    kinds = {"model.json": b"{", "weights.safetensors": None, "candidates.parquet": b"PAR1"}
    kinds |= dict.fromkeys((f"{name}.parquet" for name in FILES), b"PAR1")
    assert {file.name for file in folder.iterdir()} == set(kinds)
    for name, start in kinds.items():
        content = (folder / name).read_bytes()
        if start is None:  # safetensors: the length of a JSON header, then the header
            json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        else:
            assert content.startswith(start)


EVERY_FILE = ["model.json", "weights.safetensors", "candidates.parquet", *(f"{name}.parquet" for name in FILES)]


@pytest.mark.parametrize("name", EVERY_FILE)
@pytest.mark.parametrize("opening", [load, load_split, about])
def test_a_missing_file_is_named(folder: Path, name: str, opening: object) -> None:
    (folder / name).unlink()
    with pytest.raises(BadInput) as caught:
        opening(folder)  # type: ignore[operator]
    assert name in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("name", EVERY_FILE)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_file_cut_short_is_named(folder: Path, name: str, share: float) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(len(content) * share)])
    for opening in (load, load_split):
        with pytest.raises(BadInput, match="cut short") as caught:
            opening(folder)
        assert str(folder / name) in str(caught.value)


@pytest.mark.parametrize("content", ["[]", "{}", "null", '{"format": 1}', '{"format": 1, "files": {}}'])
def test_a_description_that_is_something_else_is_named(folder: Path, content: str) -> None:
    (folder / "model.json").write_text(content)
    for opening in (load, load_split):
        with pytest.raises(BadInput, match=r"model\.json"):
            opening(folder)


def change(folder: Path, **values: object) -> None:
    content = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(content | values))


def test_a_log_from_before_the_validation_loss_comes_back(model: Recommender, folder: Path) -> None:
    names = ("number", "loss", "validation", "seconds")
    change(folder, log=[{name: getattr(epoch, name) for name in names} for epoch in model.log])
    assert load(folder).log == tuple(replace(one, validation_loss=None, hit_rate=None) for one in model.log)


def test_a_folder_of_another_format_says_which(folder: Path) -> None:
    change(folder, format=99)
    with pytest.raises(BadInput, match="is of format 99, this whyrec reads format 1; use the version that wrote it"):
        load(folder)


def test_a_model_folder_cannot_call_what_is_no_model(folder: Path, tmp_path: Path) -> None:
    change(folder, family="os:mkdir", settings={"path": str(tmp_path / "made")})
    with pytest.raises((BadInput, InvalidSetting), match="os:mkdir"):
        load(folder)
    assert not (tmp_path / "made").exists()


def test_what_is_no_model_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no such folder; train a model with `whyrec fit --out"):
        load(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"holds no model\.json, so it is not a model"):
        load(tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


STEPS = ["save_file", "write_parquet", "_checksum", "json.dumps", "os.replace", "the second os.replace"]


def break_step(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one step of writing fail as a full disk would; `os.replace` only where it moves folders."""
    real, calls = os.replace, []

    def failing(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    def failing_replace(source: Path, target: Path) -> None:
        calls.extend([source] if Path(source).is_dir() else [])
        if len(calls) == (2 if step.startswith("the second") else 1) and Path(source).is_dir():
            raise OSError("the disk is full")
        real(source, target)

    target = "os.replace" if step.endswith("os.replace") else step
    monkeypatch.setattr(f"whyrec.checkpoint.{target}", failing_replace if target == "os.replace" else failing)


@pytest.mark.parametrize("step", STEPS[:-1])
def test_nothing_is_left_where_saving_fails(
    step: str, model: Recommender, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_step(step, monkeypatch)
    with pytest.raises(OSError, match="the disk is full"):
        save(model, tmp_path / "model", split=split)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", STEPS)
def test_an_older_model_survives_where_saving_fails(
    step: str, model: Recommender, split: Split, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder)
    break_step(step, monkeypatch)
    with pytest.raises(OSError, match="the disk is full"):
        save(model, folder, split=split)
    assert contents(folder) == before
    assert list(folder.parent.iterdir()) == [folder]


def test_an_older_model_is_replaced_whole(model: Recommender, split: Split, folder: Path) -> None:
    save(fit(EASE(), split), folder, without_data=True)
    assert type(load(folder)) is EASE
    assert sorted(contents(folder)) == ["model.json", "vocabulary.parquet", "weights.safetensors"]
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_with_other_files_is_left_alone(model: Recommender, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BadInput, match=r"holds other files .*; choose a new folder"):
        save(model, tmp_path)
    (tmp_path / "new").mkdir()
    assert save(model, tmp_path / "new").is_dir()
    with pytest.raises(BadInput, match=r"thesis\.tex"):
        save(model, tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_model_is_not_replaced_where_another_file_would_go_with_it(model: Recommender, folder: Path) -> None:
    (folder / "notes.txt").write_text("why factors=3")
    before = contents(folder)
    with pytest.raises(BadInput, match=r"holds other files .*; choose a new folder"):
        save(model, folder)
    assert contents(folder) == before


def test_a_saved_folder_can_be_read_by_others(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o755


def test_saving_does_not_change_the_model(model: Recommender, split: Split, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save(model, tmp_path / "model", split=split)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert checkpoint.about(tmp_path / "model")["threads"] == torch.get_num_threads()

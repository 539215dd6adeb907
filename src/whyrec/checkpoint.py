"""A model as a folder: JSON, safetensors and Parquet, with a checksum of every file. No pickle is read or written."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from whyrec import __version__, kinds
from whyrec.dataset import Catalog, Column, Dataset
from whyrec.errors import BadInput, NotApplicable, NotFitted
from whyrec.event_table import PARTS, columns_of, columns_of_split, part_of, whole_of
from whyrec.interactions import Vocabulary
from whyrec.recommender import Recommender
from whyrec.settings import make, to_json
from whyrec.split import Split
from whyrec.tables import Columns, read_parquet, write_parquet
from whyrec.training import Epoch, Training

FORMAT = 1
TABLES = ("vocabulary", "interactions", "users", "items", "candidates")
FILES = {"model.json", "weights.safetensors", *(f"{table}.parquet" for table in TABLES)}
KEYS = {"family", "settings", "training", "log", "data", "columns", "titles", "files"}


def save(model: Recommender, folder: str | Path, *, split: Split | None = None, without_data: bool = False) -> Path:
    """Write a trained model to `folder`, whole or not at all; an older model there is replaced.

    With its `split` the folder serves every command by itself; `without_data` leaves users' histories, titles and
    columns out, and the commands that need them will ask for data.
    """
    if model.require_built().belongs_elsewhere:
        raise NotApplicable(
            f"a {type(model).__name__} takes its own code to come back, which a folder does not hold; "
            "save the weights of the module itself, and adapt it again when it is loaded"
        )
    if without_data and model.reads_columns:
        raise NotApplicable(
            f"a {type(model).__name__} scores from the columns of users and items, which without_data leaves out; "
            "save it with its data, or exclude the columns that must not be kept and train again"
        )
    folder = Path(folder)
    _refuse_to_lose(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _write(model, beside, split, without_data)
        _replace(folder, beside)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _refuse_to_lose(folder: Path) -> None:
    """Only a model may be replaced: anything else that stands in the folder would be gone."""
    if folder.is_file():
        raise BadInput(f"{folder} is a file; choose a new folder")
    others = sorted(file.name for file in folder.iterdir() if file.name not in FILES) if folder.exists() else []
    if others:
        raise BadInput(f"{folder} holds other files than a model's, such as {others[0]}; choose a new folder")


def load(folder: str | Path, *, device: str = "cpu") -> Recommender:
    """The model of a folder, with what it knows of its users where the folder holds it."""
    folder = Path(folder)
    about = _about(folder)
    family = kinds.load("models", about["family"])
    if not (isinstance(family, type) and issubclass(family, Recommender)):
        raise BadInput(f"{folder / 'model.json'}: {about['family']!r} is no recommender, so it is not called")
    model: Recommender = family(**about["settings"])
    users, items = _catalogs(folder, about)
    model.build(users, items, seed=0)
    weights = load_file(folder / "weights.safetensors", device=device)
    model.to(device).load_state_dict(weights)
    model.log = tuple(Epoch(**epoch) for epoch in about["log"])
    model.trained_by = make(Training, about["training"], owner="Training") if about["training"] else None
    if "interactions.parquet" in about["files"]:
        table = _event_table(folder, len(users), len(items))
        train, validation = (part_of(table, part, len(users), len(items)) for part in ("train", "validation"))
        model.known = train.together_with(validation)
    return model.eval()


def load_split(folder: str | Path) -> Split:
    """The data a model was trained, chosen and judged on."""
    folder = Path(folder)
    about = _about(folder)
    if about["data"] is None:
        raise NotFitted(f"{folder} was saved without its data; pass the data it was trained on with --data")
    users, items = _catalogs(folder, about)
    table, data = _event_table(folder, len(users), len(items)), about["data"]
    events = whole_of(table, len(users), len(items))
    whole = Dataset(data["name"], events, users, items, data["source"], data["licence"], tuple(data["findings"]))
    train, validation, test = (part_of(table, part, len(users), len(items)) for part in PARTS)
    return Split(whole, train, validation, test, data["how"], _candidates(folder, about))


def about(folder: str | Path) -> dict[str, Any]:
    """What `model.json` says: family, settings, versions, data, training log."""
    return _about(Path(folder))


def _write(model: Recommender, folder: Path, split: Split | None, without_data: bool) -> None:
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "weights.safetensors")
    write_parquet(_vocabulary_columns(model), folder / "vocabulary.parquet")
    table = None if without_data else _known_or_split(model, split)
    with_data = table is not None
    if table is not None:
        write_parquet(table, folder / "interactions.parquet")
        write_parquet(_catalog_columns(model.users), folder / "users.parquet")
        write_parquet(_catalog_columns(model.items), folder / "items.parquet")
    if with_data and split is not None and split.candidates is not None:
        users, items = np.indices(split.candidates.shape)[0], split.candidates
        write_parquet({"user": users.ravel(), "item": items.ravel()}, folder / "candidates.parquet")
    data = split.dataset if split is not None and with_data else None
    content = {
        "format": FORMAT,
        "family": kinds.name_of(model),
        "settings": to_json(model.settings),
        "training": to_json(model.trained_by) if model.trained_by is not None else None,
        "log": [asdict(epoch) for epoch in model.log],
        "versions": {
            "whyrec": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "threads": torch.get_num_threads(),
        "data": None if data is None or split is None else _data_json(data, split),
        "columns": {
            side: {column.name: column.kind for column in catalog.columns.values()}
            for side, catalog in (("users", model.users), ("items", model.items))
        },
        "titles": {"users": model.users.titles is not None, "items": model.items.titles is not None},
        "files": {file.name: _checksum(file) for file in sorted(folder.iterdir())},
    }
    (folder / "model.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _known_or_split(model: Recommender, split: Split | None) -> Columns | None:
    if split is not None:
        return columns_of_split(split)
    return None if model.known is None else columns_of(model.known)


def _data_json(data: Dataset, split: Split) -> dict[str, Any]:
    return {
        "name": data.name,
        "source": data.source,
        "licence": data.licence,
        "findings": list(data.findings),
        "fingerprint": data.fingerprint(),
        "how": split.how,
    }


def _replace(folder: Path, beside: Path) -> None:
    """Put the finished folder in place; what was there goes only when the new one is complete."""
    beside.chmod(0o755)  # mkdtemp made it private
    if folder.exists():
        old = beside.with_name(f"{beside.name}.old")
        os.replace(folder, old)
        try:
            os.replace(beside, folder)
        except OSError:
            os.replace(old, folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(beside, folder)


def _about(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise BadInput(f"{folder}: there is no such folder; train a model with `whyrec fit --out {folder}`")
    file = folder / "model.json"
    if not file.is_file():
        raise BadInput(
            f"{folder} holds no model.json, so it is not a model; train one with `whyrec fit --out {folder}`"
        )
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        version = content["format"]
    except (ValueError, KeyError, TypeError):
        raise BadInput(
            f"{file} is not a whole model description; it may be cut short, copy or train the model again"
        ) from None
    if version != FORMAT:
        raise BadInput(
            f"{file} is of format {version}, this whyrec reads format {FORMAT}; use the version that wrote it"
        )
    absent = sorted(KEYS - content.keys())
    if absent:
        raise BadInput(f"{file} has no {', '.join(absent)}; copy or train the model again")
    for name, checksum in content["files"].items():
        path = folder / name
        if not path.is_file():
            raise BadInput(f"{path} is missing, though model.json lists it; copy or train the model again")
        if _checksum(path) != checksum:
            raise BadInput(
                f"{path} is not what was saved: its checksum differs; perhaps it is cut short; copy or train it again"
            )
    return content


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _vocabulary_columns(model: Recommender) -> Columns:
    sides = (model.users.vocabulary, model.items.vocabulary)
    ids = [name for side in sides for name in side.ids()]
    return {
        "kind": np.array([side.kind for side in sides for _ in range(len(side))], dtype=object),
        "id": np.array([str(name) for name in ids], dtype=object),
        "integer": np.array([isinstance(name, int) for name in ids]),
    }


def _catalogs(folder: Path, content: dict[str, Any]) -> tuple[Catalog, Catalog]:
    stored = read_parquet(folder / "vocabulary.parquet")
    catalogs = []
    for side, kind in (("users", "user"), ("items", "item")):
        mine = stored["kind"] == kind
        ids = [
            int(name) if whole else str(name)
            for name, whole in zip(stored["id"][mine], stored["integer"][mine], strict=True)
        ]
        vocabulary = Vocabulary(ids, kind=kind)
        if f"{side}.parquet" not in content["files"]:
            catalogs.append(Catalog(vocabulary))
            continue
        table = read_parquet(folder / f"{side}.parquet")
        titles = tuple(str(title) for title in table["title"]) if content["titles"][side] else None
        columns = {
            name: _column(name, kind_of, table[f"column {place}"])
            for place, (name, kind_of) in enumerate(content["columns"][side].items())
        }
        catalogs.append(Catalog(vocabulary, titles, columns))
    return catalogs[0], catalogs[1]


def _catalog_columns(catalog: Catalog) -> Columns:
    columns: dict[str, np.ndarray[Any, Any]] = {
        "id": np.array([str(name) for name in catalog.vocabulary.ids()], dtype=object)
    }
    if catalog.titles is not None:
        columns["title"] = np.array(catalog.titles, dtype=object)
    for place, column in enumerate(catalog.columns.values()):  # names in SQL do not tell capitals apart
        columns[f"column {place}"] = _stored(column)
    return columns


def _stored(column: Column) -> np.ndarray[Any, Any]:
    if column.kind == "multi":
        return np.array([None if words is None else json.dumps(list(words)) for words in column.values], dtype=object)
    return column.values


def _column(name: str, kind: Any, values: np.ndarray[Any, Any]) -> Column:
    if kind == "multi":
        lists = np.empty(len(values), dtype=object)
        for row, words in enumerate(values):
            lists[row] = None if words is None else tuple(json.loads(words))
        return Column(name, kind, lists)
    return Column(name, kind, values)


def _event_table(folder: Path, users: int, items: int) -> Columns:
    """All events of a folder; see `event_table`."""
    stored = read_parquet(folder / "interactions.parquet")
    if len(stored["user"]) and (stored["user"].max() >= users or stored["item"].max() >= items):
        raise BadInput(
            f"{folder / 'interactions.parquet'} names rows beyond the vocabulary; copy or train the model again"
        )
    return stored


def _candidates(folder: Path, content: dict[str, Any]) -> np.ndarray[Any, Any] | None:
    if "candidates.parquet" not in content["files"]:
        return None
    stored = read_parquet(folder / "candidates.parquet")
    found: np.ndarray[Any, Any] = stored["item"].reshape(int(stored["user"].max()) + 1, -1)
    return found

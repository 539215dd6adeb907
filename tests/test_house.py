"""What the house promises: files import upwards only, stay small, hold one thing, and cost nothing until used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import whyrec
from whyrec import kinds

ROOT = Path(__file__).parents[1]
HOUSE = Path(whyrec.__path__[0])
FILES = sorted(HOUSE.rglob("*.py"))

# fmt: off
ORDER = [
    "errors", "settings", "search_space", "kinds",
    "interactions", "dataset", "tables", "lines", "frames", "cells", "reading", "split", "event_table", "sessions",
    "pictures", "product_links", "datasets",
    "sources", "words", "pieces", "text_table",
    "training", "chance", "recommender", "vectors", "column_inputs", "pair_network", "dense_network",
    "lattice", "mixture", "expert_blocks", "experts", "column_groups", "toy_points", "point_experts",
    "item_weights", "lazy_adam", "negatives", "losses", "rating_vectors", "rating_neighbours", "co_occurrence",
    "metrics", "ranking",
    "graph", "compiled", "walk_kernels", "walks", "skipgram_kernels", "skipgram", "skipgram_batches", "similar_items",
    "item_similarity", "graph_paths", "item_places", "neighbourhoods",
    "text_model", "models", "named_inputs", "trained_module", "objectives", "resume", "epochs", "train", "loggers",
    "checkpoint", "pretraining", "tuning", "folded_in",
    "recommendations", "statistics", "evaluation", "comparison", "ratings", "label_accuracy", "reviews",
    "skip_model", "skip_session", "skip_rivals", "skip_accuracy", "skip_training",
    "image_network", "visual_relation", "relation_accuracy", "relation_training",
    "attribution", "operations", "slopes", "calls", "relevance", "layer", "rules", "composites", "pair_relevance",
    "distances",
    "targets", "question", "background", "backward", "gradients", "copies", "coalitions", "subsets", "designs",
    "paths", "differences", "explainers", "explanation", "explained_words", "rationales",
    "subset_table", "skip_reasons", "subset_choice", "additive_terms", "counterfactuals", "changed_pasts",
    "influences", "support",
    "relation_maps", "relation_survival", "related_products",
    "spearman", "orders", "rank_game", "faithfulness", "complexity", "verification", "operators", "gates", "bench",
    "self_tests",
    "planted_truth", "planted_columns", "planted_histories", "worlds", "planted_students", "planted_scores",
    "standings", "report_card", "reasons", "exchanged", "parameters", "fingerprints", "wording", "shares",
    "sensitive", "method_table",
    "spectral", "profiles", "answers", "diagnosis",
    "spectrum", "word_colours", "relief", "figures",
    "report_content", "html_report", "demo", "doctor", "data_doctor", "graph_summary", "arguments",
    "console", "model_cards", "pseudonyms", "databases", "records", "record_store", "erasure", "judgements", "people",
    "service_settings", "service_schemas", "service", "request_limits", "request_metrics", "web_app", "prompt_protocol",
    "serving",
    "service_commands", "cli",
]
# fmt: on
"""Rooms from top to bottom: a file imports only from rooms above its own. Plural ones are folders."""

NEVER = {"pandas", "polars", "pyarrow", "scipy", "sklearn", "captum", "shap", "lime", "torchvision", "zennit"}
"""Packages that users and tests may bring along, and that the library does not import."""

WHERE_ASKED_FOR = {"explanation.py": {"shap"}}
"""Packages that a function imports whose caller asked for them by its name."""

TENSORS_ONLY = {"image_network.py"}
"""Files that may call torch.load, with weights_only=True: it makes tensors and plain containers, and runs nothing."""

PICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


def name_of(file: Path) -> str:
    return str(file.relative_to(HOUSE))


def room_of(file: Path) -> str:
    inside = file.relative_to(HOUSE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def imports_of(file: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or when a function runs, with its full name."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(file)}, line {node.lineno}: write the import with its full name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_used_by(file: Path) -> set[str]:
    """Rooms that a file imports from; its own only where it imports a neighbour, not what its folder shares."""
    rooms = set()
    for name in imports_of(file):
        package, room, *inside = [*name.split("."), "", ""]
        neighbour = bool(inside[0]) and (HOUSE / room / f"{inside[0]}.py").is_file()
        if package == "whyrec" and (room != room_of(file) or neighbour):
            rooms.add(room)
    return rooms - {"__version__"}


inner = pytest.mark.parametrize(
    "file", [file for file in FILES if not file.stem.startswith("__") or file.parent != HOUSE], ids=name_of
)
every = pytest.mark.parametrize("file", FILES, ids=name_of)


@inner
def test_a_file_imports_only_from_rooms_above_it(file: Path) -> None:
    room = room_of(file)
    assert room in ORDER, f"{name_of(file)} has no place in ORDER in {__file__}: put it below all that it imports"
    above = set(ORDER[: ORDER.index(room)])
    assert not rooms_used_by(file) - above, f"{name_of(file)} imports from rooms that are not above {room}"


def test_every_room_exists() -> None:
    assert set(ORDER) - {room_of(file) for file in FILES} == set()


def test_the_page_about_the_house_shows_the_same_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if re.match(r"\| `[a-z_]+/?` ", line)]
    assert [name.strip("/`") for row in rows for name in row.split()] == ORDER


@every
def test_a_file_is_named_for_its_idea(file: Path) -> None:
    assert file.stem not in {"utils", "util", "helpers", "helper", "common", "misc", "base", "core"}


@every
def test_a_file_has_at_most_400_lines_and_says_what_it_is(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= 400
    assert ast.get_docstring(tree_of(file)), f"{name_of(file)} begins without a docstring"


def public_functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods that others may call, by qualified name; what is defined inside a function is private."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{one.name}", one) for one in node.body if isinstance(one, ast.FunctionDef))


@every
def test_a_public_function_names_all_that_it_takes(file: Path) -> None:
    allowed = {"Recommender.__init__", "Recommender.__init_subclass__"}  # settings of a model; Python's own keywords
    for name, function in public_functions(tree_of(file)):
        private = re.search(r"(^|\.)_(?!_)", name)
        assert private or name in allowed or function.args.kwarg is None, f"{name} takes **{function.args.kwarg}"


def reads_tensors_only(call: ast.Call) -> bool:
    """Whether a call says weights_only=True."""
    return any(
        one.arg == "weights_only" and isinstance(one.value, ast.Constant) and one.value.value is True
        for one in call.keywords
    )


@every
def test_nothing_is_pickled(file: Path) -> None:
    packages = {name.split(".")[0] for name in imports_of(file)}
    assert not packages & PICKLES
    tree = tree_of(file)
    harmless = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and reads_tensors_only(node)}
    allowed = harmless if name_of(file) in TENSORS_ONLY else set()
    for node in ast.walk(tree):
        reads = isinstance(node, ast.Attribute) and node.attr in {"load", "save"} and id(node) not in allowed
        if reads and isinstance(node.value, ast.Name):
            assert node.value.id not in {"torch", "np", "numpy"}, f"line {node.lineno} reads or writes a pickle"
        assert not (isinstance(node, ast.keyword) and node.arg == "allow_pickle")
    assert not {"torch.load", "torch.save"} & set(imports_of(file))


@every
def test_no_package_is_imported_that_users_may_lack(file: Path) -> None:
    assert not ({name.split(".")[0] for name in imports_of(file)} & NEVER) - WHERE_ASKED_FOR.get(name_of(file), set())


def test_plural_folders_are_the_kinds_of_things() -> None:
    assert {file.parent.name for file in HOUSE.glob("*/__init__.py")} == set(kinds.KINDS)


THINGS = [(kind, name) for kind in kinds.KINDS for name in kinds.names(kind)]


@pytest.mark.parametrize(("kind", "name"), THINGS, ids=[f"{kind}/{name}" for kind, name in THINGS])
def test_a_file_in_a_plural_folder_holds_exactly_one_public_thing(kind: str, name: str) -> None:
    file: ModuleType = kinds.module(kind, name)
    assert kinds.public_object(file).__doc__
    assert file.__doc__


def test_importing_whyrec_imports_nothing_else() -> None:
    program = (
        "import sys; before = set(sys.modules); import whyrec; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["whyrec"]

"""The law book for models. A new file in models/ adds small settings to SMALL; everything else is checked unasked.

The world is a checkerboard: even users take even items and odd users odd ones, each user all but one, which is the one
right answer. One more user has taken nothing, and one more item was never taken. A model whose usual loss is of ratings
is told those instead: 5 for the items of a user's own colour and 1 for the others, all but one of each.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from whyrec import kinds
from whyrec.checkpoint import load, save
from whyrec.dataset import Catalog, Column, Dataset
from whyrec.interactions import Interactions, Vocabulary
from whyrec.ranking import best_in_catalogue, rank_in_catalogue
from whyrec.recommendations import recommend
from whyrec.recommender import Inputs, Ranker, Recommender, Request, Solved, keep_only, scores_of
from whyrec.settings import make, to_json
from whyrec.split import Split
from whyrec.train import fit
from whyrec.training import Training

SMALL: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "attention_ncf": (
        {"factors": 8, "depth": 2, "tokens": 4, "user": "id", "init_std": 0.3},
        {"factors": 8, "depth": 2, "tokens": 4, "user": "history", "init_std": 0.3},
        {"factors": 8, "depth": 2, "tokens": 4, "user": "id", "init_std": 0.3, "product": False, "residual": False},
    ),
    "autoencoder": ({"factors": 16, "user": "history"},),
    "bias_only": ({},),
    "biased_mf": ({"factors": 4}, {"factors": 4, "implicit": True}),
    "ease": ({"regularisation": 1.0},),
    "feature_mlp": (
        {"width": 8, "hidden": (16,), "column_dropout": 0.25, "init_std": 0.3, "fewest": 2},
        {"width": 8, "hidden": (16, 8), "ids": False, "exclude": "sensitive", "column_dropout": 0.25, "init_std": 0.3},
        {"width": 8, "hidden": (16,), "dropout": 0.1, "column_dropout": 0.25, "init_std": 0.3, "exclude": ("year",)},
    ),
    "gmf": ({"factors": 8, "user": "id"}, {"factors": 8, "user": "history"}),
    "ials": ({"factors": 8, "epochs": 6},),
    "item_graph": ({"min_common_users": 2, "factors": 8, "neighbours": 12, "weight": "cosine"},),
    "item_knn": ({"neighbours": 8, "shrink": 1.0},),
    "masked_experts": (
        {"width": 8, "hidden": (16, 8), "init_std": 0.3, "fewest": 2},
        {"width": 8, "hidden": (16,), "init_std": 0.3, "fewest": 2, "realisation": "matrix", "preset": "library"},
        {"width": 8, "hidden": (16,), "init_std": 0.3, "fewest": 2, "groups": "columns", "gate": "constant"},
    ),
    "mlp": (
        {"factors": 16, "depth": 2, "user": "id", "init_std": 0.3},
        {"factors": 16, "depth": 2, "user": "history", "init_std": 0.3},
        {"factors": 8, "depth": 2, "user": "history", "init_std": 0.3, "interaction": "bilinear"},
    ),
    "mf": ({"factors": 8, "user": "id"}, {"factors": 8, "user": "history"}),
    "ncf_regressor": (
        {"factors": 8, "width": 16, "init_std": 0.3},
        {"factors": 8, "width": 16, "init_std": 0.3, "implicit": True, "batch_norm": True, "dropout": 0.1},
    ),
    "neumf": (
        {"factors": 8, "depth": 2, "user": "id"},
        {"factors": 8, "depth": 2, "user": "history"},
        {"factors": 8, "depth": 2, "user": "id", "interaction": "bilinear"},
        {"factors": 8, "depth": 2, "user": "history", "interaction": "bilinear", "fusion": "bilinear"},
        {"factors": 8, "depth": 2, "user": "history", "shared_vectors": True},
    ),
    "pooled_words": (
        {"width": 8, "hidden": (16,), "vocabulary": 20, "max_pieces": 6, "word_dropout": 0.1},
        {"width": 8, "hidden": (16,), "vocabulary": 20, "max_pieces": 4, "word_dropout": 0.1, "pooling": "matrix"},
        {"width": 8, "vocabulary": 20, "max_pieces": 6, "word_dropout": 0.1, "pooling": "flatten", "units": "phrases"},
    ),
    "popularity": ({},),
    "proto_mf": ({"factors": 8, "user_prototypes": 6, "item_prototypes": 5},),
    "rating_item_knn": ({"neighbours": 8, "shrink": 1.0},),
    "rating_user_knn": ({"neighbours": 6}, {"neighbours": 6, "among": "everybody", "centred": False}),
    "residual_hybrid": (
        {"factors": 4, "width": 16, "init_std": 0.1},
        {"factors": 4, "width": 16, "init_std": 0.1, "implicit": True, "alpha": 0.5, "dropout": 0.1},
        {"factors": 4, "width": 16, "init_std": 0.1, "shared_vectors": True, "alpha": "learned", "batch_norm": True},
    ),
    "text_classifier": (
        {"width": 16, "layers": 1, "vocabulary": 20, "max_pieces": 8, "word_dropout": 0.1},
        {"width": 16, "layers": 1, "vocabulary": 20, "max_pieces": 5, "word_dropout": 0.1, "architecture": "roberta"},
    ),
    "text_rating": (
        {"width": 8, "vocabulary": 20, "max_pieces": 6, "word_dropout": 0.1, "init_std": 0.3},
        {"width": 8, "vocabulary": 20, "max_pieces": 4, "word_dropout": 0.1, "init_std": 0.3, "implicit": True},
    ),
    "user_knn": ({"neighbours": 6, "shrink": 1.0},),
}
"""Settings with which each model learns the checkerboard in a second, one for each way it knows users, and for each
other choice between ways of computing."""

CASES = [
    pytest.param((name, settings), id="-".join([name, *(one for one in settings.values() if isinstance(one, str))]))
    for name, cases in SMALL.items()
    for settings in cases
]
SIDE = 24
NEWCOMER = UNMET = SIDE
TRAINING = Training(epochs=40, batch_size=64, learning_rate=0.02)


def columns() -> dict[str, Column]:
    """Which side of the board, beside what tells nothing; the row that nobody met has values that nobody has."""
    chance = np.random.default_rng(0)
    side = np.array([*(["even", "odd"] * (SIDE // 2)), None], dtype=object)
    words = np.array([*([("tea",), ("jam", "tea"), None] * (SIDE // 3)), ("rum",)], dtype=object)
    numbers = np.array([*chance.normal(size=SIDE - 1), np.nan, 40.0])
    lines = np.array([*(["plain and light", "plain but so very dark"] * (SIDE // 2)), None], dtype=object)
    return {
        "side": Column("side", "category", side),
        "drinks": Column("drinks", "multi", words),
        "age": Column("age", "numeric", numbers),
        "year": Column("year", "numeric", np.full(SIDE + 1, 1995.0)),
        "text": Column("text", "text", lines),
    }


def checkerboard() -> Split:
    everything = [(user, item) for user in range(SIDE) for item in range(SIDE) if (user + item) % 2 == 0]
    users, items = np.array(everything).T
    events = Interactions(users, items, user_count=SIDE + 1, item_count=SIDE + 1)
    right = users == items
    data = Dataset(
        "checkerboard",
        events,
        Catalog(Vocabulary(range(SIDE + 1), kind="user"), columns=columns()),
        Catalog(Vocabulary([f"i{item}" for item in range(SIDE + 1)], kind="item"), columns=columns()),
    )
    nothing = events.where(np.zeros(len(events), dtype=bool))
    return Split(data, events.where(~right), nothing, events.where(right), "each user's own number held out")


def rated_checkerboard() -> Split:
    """Everybody rates all items but the own number, 5 and to be found, and the one after it, 1."""
    data = checkerboard().dataset
    users, items = np.divmod(np.arange(SIDE * SIDE), SIDE)
    values = np.where((users + items) % 2 == 0, 5, 1).astype(np.float32)
    events = Interactions(users, items, values, user_count=SIDE + 1, item_count=SIDE + 1)
    right, wrong = users == items, (users + 1) % SIDE == items
    known, nothing = events.where(~right & ~wrong), events.where(np.zeros(len(events), dtype=bool))
    return Split(replace(data, interactions=events), known, nothing, events.where(right), "own number held out")


def world_of(model: Recommender) -> Split:
    """What a model is meant to learn from: a model of ratings could not learn from events that have none."""
    return rated_checkerboard() if model.usual_loss == "squared" else checkerboard()


@pytest.fixture(scope="module", params=CASES)
def model(request: pytest.FixtureRequest) -> Recommender:
    """Trained once for all laws; nobody changes it."""
    name, settings = request.param
    if name == "text_classifier":
        pytest.importorskip("transformers", reason="the networks of Hugging Face come with whyrec[text]")
    fresh = kinds.load("models", name)(**settings)
    return fit(fresh, world_of(fresh), TRAINING)


HISTORIES = [[4, 2, 10, 7, 12], [1, 3, -1, -1, -1], [-1, -1, -1, -1, -1], [6, -1, 8, -1, -1]]
ITEMS = [7, UNMET, 0, 12, 5, 3, 22]


def ask(model: Recommender) -> Request:
    """Four users, one of whom has no past, and seven items, one of which nobody has met."""
    history = torch.tensor(HISTORIES if model.history_limit else [[]] * 4, dtype=torch.int64)
    return Request(torch.tensor([3, 8, NEWCOMER, 0]), torch.tensor([ITEMS]), history)


@torch.no_grad()
def score(model: Recommender, request: Request) -> Tensor:
    return model.score(model.embed(request))


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-6) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_every_model_is_under_these_laws() -> None:
    missing = set(kinds.names("models")) - set(SMALL)
    assert not missing, f"add small settings for {', '.join(sorted(missing))} to SMALL in {__file__}"
    for name, cases in SMALL.items():
        hints = get_type_hints(kinds.load("models", name).Settings)
        ways = set(get_args(hints["user"])) if "user" in hints else set()
        there = {settings.get("user") for settings in cases}
        assert ways <= there, f"add settings with user={', '.join(sorted(ways - there))} for {name} to SMALL"


def test_it_learns_the_checkerboard(model: Recommender) -> None:
    """The right item stands first for 95 % of users; what looks at no unit of anybody cannot tell users apart."""
    if not set(model.unit_kinds) - {"user_bias", "item_bias"}:
        pytest.skip("the model looks at nothing that tells one user's order of items from another's")
    split = world_of(model)
    ranks = rank_in_catalogue(model, split.train, split.test).ranks
    assert (ranks == 1).double().mean() >= 0.95


def test_scores_are_one_number_for_each_user_and_item(model: Recommender) -> None:
    scores = score(model, ask(model))
    assert scores.shape == (4, len(ITEMS))
    assert scores.dtype == torch.float32
    assert torch.isfinite(scores).all()


def test_parts_have_the_shapes_that_explanations_rely_on(model: Recommender) -> None:
    asked = ask(model)
    inputs = model.embed(asked)
    assert set(model.unit_kinds) <= set(inputs)
    assert (model.history_limit > 0) == ("past item" in model.unit_kinds.values())
    for part in inputs.values():
        assert part.values.is_floating_point()
        assert part.present.dtype == torch.bool
        assert part.present.shape == part.values.shape[:-1]
        assert part.values.shape[0] in (1, len(asked.users))
        assert part.values.shape[1] in (1, asked.items.shape[1])
        assert torch.broadcast_shapes(part.baseline.shape, part.values.shape) == part.values.shape
        assert part.index is None


def test_a_batch_scores_as_each_user_and_item_alone(model: Recommender) -> None:
    asked = ask(model)
    scores = score(model, asked)
    for row in range(4):
        alone = Request(asked.users[row : row + 1], asked.items, asked.history[row : row + 1])
        assert_close(score(model, alone), scores[row : row + 1])
    for column in range(len(ITEMS)):
        assert_close(score(model, replace(asked, items=asked.items[:, [column]])), scores[:, [column]])


def test_the_order_of_users_and_items_is_irrelevant(model: Recommender) -> None:
    asked = ask(model)
    users, items = torch.tensor([2, 0, 3, 1]), torch.tensor([6, 2, 5, 0, 1, 4, 3])
    shuffled = Request(asked.users[users], asked.items[:, items], asked.history[users])
    assert_close(score(model, shuffled), score(model, asked)[users][:, items])


@pytest.mark.parametrize("shared_from", [1024, 1])
def test_every_layout_gives_the_same_scores(
    model: Recommender, shared_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whyrec.recommender.SHARED_FROM", shared_from)  # from 1 on: distinct rows, embedded once
    asked = ask(model)
    lists = torch.tensor([[5, 5, UNMET], [0, 7, 12], [3, 22, 0], [12, 7, 7]])
    expected, expected_of_lists = score(model, asked), torch.empty(4, 3)
    for row in range(4):
        own = Request(asked.users[row : row + 1], lists[row : row + 1], asked.history[row : row + 1])
        expected_of_lists[row] = score(model, own)[0]
    for compact in (False, True):
        for items, truth in (
            (asked.items, expected),
            (asked.items.expand(4, -1), expected),
            (lists, expected_of_lists),
        ):
            request = replace(asked, items=items, compact=compact)
            assert_close(score(model, request), truth)
            with torch.no_grad():
                assert_close(scores_of(model, request), truth)
                if isinstance(model, Ranker):
                    assert_close(model.rank_scores(request), truth)


def test_padding_in_a_history_is_irrelevant(model: Recommender) -> None:
    if model.history_limit == 0:
        pytest.skip("the model looks at no history")
    asked = ask(model)
    nothing = torch.full((4, 2), -1)
    for compact in (False, True):
        padded = replace(asked, history=torch.cat([nothing, asked.history, nothing], 1), compact=compact)
        assert_close(score(model, padded), score(model, asked))


def test_an_absent_unit_is_already_removed(model: Recommender) -> None:
    inputs = model.embed(ask(model))
    there = keep_only(inputs, {name: inputs[name].present for name in model.unit_kinds})
    assert torch.equal(model.score(there), model.score(inputs))


def test_removing_nothing_changes_nothing(model: Recommender) -> None:
    inputs = model.embed(ask(model))
    everything = {name: torch.ones_like(inputs[name].present) for name in model.unit_kinds}
    assert torch.equal(model.score(keep_only(inputs, everything)), model.score(inputs))


def test_removing_everything_gives_the_score_of_the_baseline(model: Recommender) -> None:
    inputs = model.embed(ask(model))
    nothing = {name: torch.zeros_like(inputs[name].present) for name in model.unit_kinds}
    removed = keep_only(inputs, nothing)
    baseline: Inputs = {
        name: replace(part, values=part.baseline.expand_as(part.values), present=torch.zeros_like(part.present))
        for name, part in inputs.items()
        if name in model.unit_kinds
    }
    assert torch.equal(model.score(removed), model.score({**inputs, **baseline}))
    assert not any(removed[name].present.any() for name in nothing)


def test_without_its_whole_history_a_user_scores_as_somebody_without_a_past(model: Recommender) -> None:
    if "history" not in model.unit_kinds:
        pytest.skip("the model looks at no history")
    asked = ask(model)
    inputs = model.embed(asked)
    removed = keep_only(inputs, {"history": torch.zeros_like(inputs["history"].present)})
    assert_close(model.score(removed), score(model, replace(asked, history=torch.full_like(asked.history, -1))))


def test_a_hidden_past_item_is_a_removed_one(model: Recommender) -> None:
    if "history" not in model.unit_kinds:
        pytest.skip("the model looks at no history")
    asked = ask(model)
    hidden = torch.tensor([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 0, 1, 0, 0]]).bool()
    removed = keep_only(model.embed(asked), {"history": ~hidden[:, None, :]})
    for compact in (False, True):
        assert_close(score(model, replace(asked, hidden=hidden, compact=compact)), model.score(removed))


def reads_batches(model: Recommender) -> bool:
    """Whether training mode scores by the statistics of a batch, which no explanation is given of."""
    return any(isinstance(module, nn.BatchNorm1d) for module in model.modules())


def test_a_score_depends_on_nothing_but_inputs_and_weights(model: Recommender) -> None:
    inputs = model.embed(ask(model))
    scores = model.score(inputs)
    elsewhere = copy.deepcopy(model).train(not reads_batches(model))
    for name in ("users", "items", "known", "log", "trained_by"):
        delattr(elsewhere, name)
    torch.manual_seed(12)
    np.random.seed(12)  # noqa: NPY002 (the global state is what must not matter)
    assert torch.equal(elsewhere.score(inputs), scores)
    torch.manual_seed(13)
    assert torch.equal(elsewhere.score(inputs), scores)


def test_requests_and_inputs_are_not_changed(model: Recommender) -> None:
    for compact in (False, True):
        asked = replace(ask(model), compact=compact)
        before = copy.deepcopy(asked)
        with torch.no_grad():
            scores_of(model, asked)
            inputs = model.embed(asked)
            values = {name: part.values.clone() for name, part in inputs.items()}
            model.score(inputs)
        for field in fields(Request):
            one, other = getattr(asked, field.name), getattr(before, field.name)
            assert torch.equal(one, other) if isinstance(one, Tensor) else one == other
        assert all(torch.equal(inputs[name].values, values[name]) for name in values)


def test_scores_may_be_written_into(model: Recommender) -> None:
    for compact in (False, True):
        asked = replace(ask(model), compact=compact)
        with torch.no_grad():
            before = scores_of(model, asked).clone()
            scores_of(model, asked).fill_(-torch.inf)
            assert torch.equal(scores_of(model, asked), before)


class Largest(TorchDispatchMode):
    """Remembers how many bytes the largest tensor takes that an operation gives."""

    bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return found


def test_ranking_holds_no_more_numbers_than_the_model_says(model: Recommender) -> None:
    once, each = (4 * amount for amount in model.floats_to_rank())
    users = np.arange(SIDE + 1)
    for count in (1, 5):
        with Largest() as seen:
            found = best_in_catalogue(model, users, world_of(model).train, 3, max_memory=once + count * each)
        weights = max(one.nbytes for one in model.state_dict().values()) if len(model.state_dict()) else 0
        assert seen.bytes <= max(once + count * each, weights, found[1].nbytes)
        assert torch.equal(found[0], recommend(model, k=3).item_rows)


def test_double_precision_agrees(model: Recommender) -> None:
    asked, double = ask(model), copy.deepcopy(model).double()
    expected = score(model, asked).double()
    for compact in (False, True):
        for items in (asked.items, asked.items.expand(4, -1)):
            request = replace(asked, items=items, compact=compact)
            ways: list[Callable[[Recommender, Request], Tensor]] = [score, scores_of]
            for way in ways:
                found = way(double, request)
                assert found.dtype == torch.float64
                assert_close(found, expected, 1e-5)


def test_a_saved_model_scores_the_same_to_the_last_bit(model: Recommender, tmp_path: Path) -> None:
    again = load(save(model, tmp_path / "model", split=world_of(model)))
    assert type(again) is type(model)
    assert torch.equal(score(again, ask(model)), score(model, ask(model)))
    first, second = recommend(model, k=5), recommend(again, k=5)
    assert torch.equal(first.item_rows, second.item_rows)
    assert torch.equal(first.scores, second.scores)


def test_one_seed_gives_the_same_weights(model: Recommender) -> None:
    def weights(seed: int) -> list[Tensor]:
        fresh = type(model)(**vars(model.settings))
        training = Training(epochs=1, batch_size=64, seed=seed)
        return list(fit(fresh, world_of(model), training).state_dict().values())

    first, again, other = weights(0), weights(0), weights(1)
    assert all(map(torch.equal, first, again))
    assert isinstance(model, Solved) or not all(map(torch.equal, first, other))


def test_somebody_without_a_past_gets_a_list_and_an_item_nobody_met_gets_a_score(model: Recommender) -> None:
    lists = recommend(model, users=[NEWCOMER], k=SIDE + 1)
    assert sorted(lists.item_rows[0].tolist()) == list(range(SIDE + 1))
    assert torch.isfinite(lists.scores).all()


def test_its_settings_are_documented_and_become_json(model: Recommender) -> None:
    record = type(model.settings)
    for name, field in record.__pydantic_fields__.items():
        assert field.description, f"{record.__qualname__}.{name} has no line of documentation below it"
    assert make(record, to_json(model.settings), owner="the model") == model.settings

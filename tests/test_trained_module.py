"""A module trained elsewhere is explained and checked like any other, and stays as it is."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.worlds import network, noise, with_random_weights
from torch import Tensor, nn

import whyrec as wr
from whyrec.attribution import Attribution
from whyrec.errors import InvalidSetting, NotApplicable, WhyrecError
from whyrec.explanation import Explainer
from whyrec.faithfulness.randomised_weights import randomised_weights
from whyrec.faithfulness.stability import stability
from whyrec.interactions import Interactions
from whyrec.question import Question, ask
from whyrec.recommender import Recommender

TABLE = noise(40, 6, seed=3)
FIELDS = {"age": 1, "income": 1, "visits": 1, "job": 3}
ITEMS = noise(7, 3, seed=4)


class Towers(nn.Module):
    """A network on either side, and the dot product of what comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.user, self.item = network(6, 5, 4), network(3, 5, 4, seed=1)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        found: Tensor = (self.user(user) * self.item(item)).sum(-1)
        return found


def scans(count: int = 30) -> tuple[Tensor, list[int]]:
    """Dim images with one bright patch each, (count, 1, 12, 12), and which of the nine patches it is."""
    images = noise(count, 1, 12, 12, seed=5) * 0.1
    bright = [number % 9 for number in range(count)]
    for image, patch in zip(images, bright, strict=True):
        down, across = divmod(patch, 3)
        image[0, 4 * down + 1 : 4 * down + 3, 4 * across + 1 : 4 * across + 3] += 2
    return images, bright


def detector() -> nn.Module:
    """Says 'bright' for what lights up a two by two window, and 'dim' against it."""
    net = nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.ones(2, 1, 2, 2))
        net[0].bias.fill_(-1.0)
        net[4].weight.copy_(torch.tensor([[-1.0, -1.0], [4.0, 2.0]]))
        net[4].bias.copy_(torch.tensor([0.3, -0.2]))
    return net.eval()


def on_a_table() -> Recommender:
    return wr.adapt(network(6, 8, 1), {"person": wr.Columns(TABLE, FIELDS)})


def two_towers() -> Recommender:
    parts = {"user": wr.Columns(TABLE, FIELDS), "item": wr.Columns(ITEMS, ["x", "y", "z"], of="item")}
    return wr.adapt(Towers().eval(), parts)


def on_images() -> Recommender:
    return wr.adapt(detector(), {"scan": wr.Patches(scans()[0], size=4)}, items=["dim", "bright"])


ADAPTED: tuple[Callable[[], Recommender], ...] = (on_a_table, two_towers, on_images)
each = pytest.mark.parametrize("make", ADAPTED)


def asked(model: Recommender, k: int = 2) -> Question:
    return ask(model, wr.recommend(model, k=k).request())


def test_scores_are_what_the_module_gives() -> None:
    net, towers, cnn = network(6, 8, 1), Towers().eval(), detector()
    images, _ = scans()
    table = wr.recommend(on_a_table(), k=1)
    torch.testing.assert_close(table.scores, net(TABLE).detach())
    pairs = wr.recommend(two_towers(), k=7)
    for row in (0, 11):
        for place, item in enumerate(pairs.item_rows[row].tolist()):
            torch.testing.assert_close(pairs.scores[row, place], towers(TABLE[row], ITEMS[item]).detach())
    classes = wr.recommend(on_images(), k=2)
    torch.testing.assert_close(classes.scores, cnn(images).detach().gather(1, classes.item_rows))
    assert classes.items.title(int(classes.item_rows[0, 0])) in ("dim", "bright")


def test_the_account_of_lrp_closes_on_each() -> None:
    for make in ADAPTED:
        question = asked(make())
        found = wr.LRP()(question)
        assert found.ledger.relative_gap(found.relevance).max() < 1e-12


def test_a_linear_module_is_split_exactly_and_a_one_hot_in_one_piece() -> None:
    net = with_random_weights(nn.Linear(6, 1).double())
    model = wr.adapt(net, {"person": wr.Columns(TABLE, FIELDS)})
    brought = TABLE * net.weight.detach()  # (rows, columns)
    above = (TABLE - TABLE.mean(0)) * net.weight.detach()
    for explainer, columns in ((wr.LRP(0), brought), (wr.GradientTimesInput(), brought), (wr.LeaveOneOut(), above)):
        truth = torch.cat([columns[:, :3], columns[:, 3:].sum(1, keepdim=True)], dim=1)
        torch.testing.assert_close(explainer(asked(model, 1)).relevance["person"][:, 0], truth, rtol=0, atol=1e-12)


@each
def test_a_user_alone_is_explained_as_in_company(make: Callable[[], Recommender]) -> None:
    model = make()
    together, alone = (wr.LRP()(ask(model, wr.recommend(model, users, k=2).request())) for users in (None, [5]))
    for part, relevance in alone.relevance.items():
        torch.testing.assert_close(relevance[0], together.relevance[part][5], rtol=1e-9, atol=1e-12)


def on_noise() -> Recommender:
    """Images on which other weights look elsewhere."""
    net = with_random_weights(nn.Sequential(nn.Flatten(), nn.Linear(144, 8), nn.ReLU(), nn.Linear(8, 2)).double())
    return wr.adapt(net, {"scan": wr.Patches(noise(30, 1, 12, 12), size=4)})


@pytest.mark.parametrize("make", [on_a_table, two_towers, on_noise])
def test_verify_tells_truth_from_chance(make: Callable[[], Recommender]) -> None:
    model = make()
    methods: list[Explainer] = [wr.LeaveOneOut(), wr.Random()]
    card = wr.verify(model, wr.recommend(model), methods, settings=wr.Verification(k=1, users=30))
    assert card.row("occlusion").verdict == "weak"
    assert card.row("occlusion").because == (card.row("occlusion").because[0],)
    assert "of the units; in training at most 0% was hidden" in card.row("occlusion").because[0]
    assert card.row("random").verdict == "not better than random"
    assert all(0 <= row.stability.value <= 1 for row in card.rows)


def test_a_module_that_was_trained_with_units_hidden_can_be_faithful() -> None:
    parts = {"person": wr.Columns(TABLE, FIELDS)}
    model = wr.adapt(network(6, 8, 1), parts, max_trained_drop=1.0)
    card = wr.verify(model, wr.recommend(model), [wr.LeaveOneOut()], settings=wr.Verification(k=1))
    assert card.rows[0].verdict == "faithful"


def test_taking_all_units_away_at_once_is_refused() -> None:
    model = on_a_table()
    with pytest.raises(WhyrecError, match="there are 4 units to take away, and without k=4 of them"):
        wr.verify(model, wr.recommend(model), [wr.LRP()], settings=wr.Verification(k=4))


def test_the_bright_patch_is_found() -> None:
    _, bright = scans()
    model = on_images()
    for explainer in (wr.LRP(), wr.LeaveOneOut()):
        asked_of = ask(model, wr.recommend(model, k=2).request())
        class_row = asked_of.request.items == 1
        relevance = explainer(asked_of).relevance["scan"][class_row]
        assert relevance.flatten(1).argmax(1).tolist() == bright


def test_units_have_the_names_that_people_gave_them() -> None:
    written = [[20 + row, 1000 * row, 3, "nurse"] for row in range(40)]
    parts = {
        "user": wr.Columns(TABLE, FIELDS, shown=written),
        "item": wr.Columns(ITEMS, ["x", "y", "z"], of="item", shown=[[f"{row}!"] * 3 for row in range(7)]),
    }
    model = wr.adapt(Towers().eval(), parts)
    lists = wr.recommend(model, users=[4], k=1)
    item = int(lists.item_rows[0, 0])
    names = {one.title for one in wr.explain(model, lists).contributions(0, 0)}
    assert names == {"age = 24", "income = 4000", "visits = 3", "job = nurse", *(f"{name} = {item}!" for name in "xyz")}
    assert model.unit_title("user", 3, user=-1, item=-1) == "job"


def test_names_of_models_without_names_are_as_before() -> None:
    split = wr.leave_last_out(wr.planted(users=60, items=60))
    model = wr.fit(wr.MF(factors=4, user="id"), split, wr.Training(epochs=1))
    one = wr.explain(model, wr.recommend(model, k=1)).contributions(0, 0)[0]
    assert one.title == f"{one.part} factor {one.unit}"


def everything(module: nn.Module) -> list[object]:
    return [
        {name: tensor.tolist() for name, tensor in module.state_dict().items()},
        [(one.requires_grad, one.grad is None, len(one._backward_hooks or ())) for one in module.parameters()],
        [(one.training, len(one._forward_hooks), len(one._forward_pre_hooks)) for one in module.modules()],
        torch.get_rng_state().tolist(),
    ]


def test_the_module_is_left_as_it_was() -> None:
    towers = Towers().eval()
    next(towers.parameters()).requires_grad_(False)
    before = everything(towers)
    parts = {"user": wr.Columns(TABLE, FIELDS), "item": wr.Columns(ITEMS, ["x", "y", "z"], of="item")}
    model = wr.adapt(towers, parts, score=lambda module, user, item: module(user, item))
    lists = wr.recommend(model, k=2)
    wr.explain(model, lists, wr.LRP(), dtype=torch.float64)
    wr.verify(model, lists, [wr.LRP()], settings=wr.Verification(k=2, users=5))
    assert everything(towers) == before


def test_shuffled_weights_are_the_modules_and_not_the_tables() -> None:
    model = on_a_table()
    other = copy.deepcopy(model)
    assert other.named["person"] is model.named["person"]  # type: ignore[union-attr, index]
    assert other.module is not model.module
    question = asked(model, 1)
    similar = randomised_weights(wr.LRP(), question, wr.LRP()(question))
    assert float(similar.mean()) < 0.8


def opaque(rows: Tensor) -> Tensor:
    """Of another world than PyTorch's."""
    return torch.from_numpy(rows.detach().numpy() @ np.array([1.0, 2.0, 0.0, 3.0, 3.0, 3.0]))


def test_a_function_without_gradient_is_explained_by_removal_and_by_nothing_else() -> None:
    model = wr.adapt(opaque, {"person": wr.Columns(TABLE, FIELDS, baseline="zero")})
    lists = wr.recommend(model)
    found = wr.explain(model, lists, wr.LeaveOneOut()).attribution.relevance["person"][:, 0]
    torch.testing.assert_close(found[:, :2], TABLE[:, :2] * torch.tensor([1.0, 2.0], dtype=torch.float64))
    with pytest.raises(NotApplicable, match="choose a method that takes units away"):
        wr.explain(model, lists, wr.GradientTimesInput())
    with pytest.raises(WhyrecError, match="reads an explained value into Python"):
        wr.explain(model, lists, wr.LRP())


def test_without_weights_the_check_that_shuffles_them_is_left_out_and_said_so() -> None:
    model = wr.adapt(opaque, {"person": wr.Columns(TABLE, FIELDS)}, max_trained_drop=1.0)
    row = wr.verify(model, wr.recommend(model), [wr.LeaveOneOut()], settings=wr.Verification(k=1)).rows[0]
    assert row.randomisation.n == 0
    assert row.verdict == "weak"
    assert row.because == (
        "the model shows no weights to shuffle, so whether it explains what was learned is not known",
    )


def test_stability_of_a_model_without_histories_takes_one_unit_away() -> None:
    question = asked(on_images())
    assert float(stability(wr.LRP(), question, wr.LRP()(question)).mean()) > 0.7
    assert float(stability(wr.Random(), question, wr.Random()(question)).mean()) < 0.7
    inputs_of: list[int] = []

    def watched(asked_of: Question) -> object:
        changed = (asked_of.inputs["scan"].values != question.inputs["scan"].values).any(-1)
        inputs_of.extend(changed.flatten(1).sum(1).tolist())
        return wr.LRP()(asked_of)

    stability(watched, question, wr.LRP()(question))  # type: ignore[arg-type]
    assert inputs_of == [1] * 30


def test_an_explanation_that_says_one_thing_of_whatever_is_there_is_as_stable_as_can_be() -> None:
    def constant(asked_of: Question) -> Attribution:
        found = wr.LRP()(asked_of)
        order = torch.arange(9.0, dtype=torch.float64).reshape(3, 3) + 1
        return dataclasses.replace(found, relevance={"scan": order * asked_of.present("scan")})

    question = asked(on_images())
    assert (stability(constant, question, constant(question)) == 1).all()


def test_known_events_are_left_out_of_lists() -> None:
    known = Interactions(np.zeros(3, dtype=np.int64), np.array([0, 2, 5]), user_count=40, item_count=7)
    parts = {"user": wr.Columns(TABLE, FIELDS), "item": wr.Columns(ITEMS, ["x", "y", "z"], of="item")}
    model = wr.adapt(Towers().eval(), parts, items=[f"book {row}" for row in range(7)], known=known)
    lists = wr.recommend(model, users=[0], k=7)
    assert {line.item for line in lists.lines(0)} == {f"book {row}" for row in (1, 3, 4, 6)}
    with pytest.raises(InvalidSetting, match="40 users and 7 items, and the model has 40 and 6"):
        wr.adapt(Towers().eval(), {**parts, "item": wr.Columns(ITEMS[:6], ["x", "y", "z"], of="item")}, known=known)


def test_a_single_precision_module_is_explained_in_double_precision() -> None:
    model = wr.adapt(network(6, 8, 1).float(), {"person": wr.Columns(TABLE.float(), FIELDS)})
    why = wr.explain(model, wr.recommend(model), wr.LRP(), dtype=torch.float64)
    assert why.ledger.relative_gap(why.attribution.relevance).max() < 1e-12
    assert {one.dtype for one in model.parameters()} == {torch.float32}


OTHER = network(6, 8, 1, seed=9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"module": network(6, 8, 1).train()}, r"call module\.eval\(\) first"),
        ({"parts": {}}, "parts has nothing: name at least one table of users"),
        ({"parts": {"output": wr.Columns(TABLE, FIELDS)}}, "none 'output'"),
        ({"parts": {"item": wr.Columns(TABLE, FIELDS, of="item")}}, "name at least one table of users"),
        ({"users": ["ann", "bob"]}, "users names 2 users, and the parts and the module have 40"),
        ({"items": ["yes", "no"]}, "items names 2 items, and the parts and the module have 1"),
        ({"score": lambda _module, rows: OTHER(rows)}, "does not use the weights of the module it is handed"),
        ({"score": lambda module, rows: module(rows).sum()}, r"gave \(\); it has to give floats of shape \(2,\)"),
        ({"score": lambda _module, rows: rows.unsqueeze(0)}, r"gave \(1, 2, 6\)"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(change: dict[str, object], said: str) -> None:
    given: dict[str, object] = {"module": network(6, 8, 1), "parts": {"person": wr.Columns(TABLE, FIELDS)}, **change}
    module, parts = given.pop("module"), given.pop("parts")
    with pytest.raises(WhyrecError, match=said):
        wr.adapt(module, parts, **given)  # type: ignore[arg-type]


def test_tables_of_one_side_have_as_many_rows() -> None:
    parts = {"one": wr.Columns(TABLE, FIELDS), "other": wr.Columns(TABLE[:9], FIELDS)}
    with pytest.raises(InvalidSetting, match="'one' has 40, 'other' has 9 rows"):
        wr.adapt(Towers().eval(), parts)


def test_a_pair_has_one_score() -> None:
    parts = {"user": wr.Columns(TABLE, FIELDS), "item": wr.Columns(ITEMS, ["x", "y", "z"], of="item")}
    with pytest.raises(InvalidSetting, match="for a user and an item the module gave 6 numbers"):
        wr.adapt(Towers().eval(), parts, score=lambda _module, user, _item: user)


def test_somebody_new_needs_a_row() -> None:
    model = two_towers()
    with pytest.raises(NotApplicable, match="add the row, and adapt it again"):
        wr.recommend(model, history=[3])


def test_it_is_neither_built_anew_nor_saved_in_a_folder(tmp_path: object) -> None:
    model = on_a_table()
    with pytest.raises(NotApplicable, match="train it in its own code, then adapt it"):
        model.build(model.users, model.items)
    with pytest.raises(NotApplicable, match="save the weights of the module itself"):
        wr.save(model, f"{tmp_path}/model")

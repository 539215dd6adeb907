"""The recommender made of masked experts: groups by the names of columns, any target, additive if asked, steerable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import whyrec as wr
from whyrec.cli import app
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.losses import log_loss
from whyrec.mixture import PRESETS, heard, mixed
from whyrec.models.masked_experts import MaskedExperts
from whyrec.objectives import objective
from whyrec.recommender import Inputs, Request
from whyrec.training import Loss

SPLIT = wr.leave_last_out(wr.planted(users=60, items=50))
SMALL: dict[str, Any] = {"width": 4, "hidden": (8,), "init_std": 0.3}
GROUPS = {
    "who": ("age", "gender"),
    "work": ("occupation",),
    "film": ("genres", "year"),
    "names": ("user id", "item id"),
}
BRIEF = wr.Training(epochs=2, batch_size=200)
EVERYBODY = Request(torch.arange(60), torch.arange(50)[None], torch.empty(60, 0, dtype=torch.int64))


def fitted(training: wr.Training = BRIEF, **settings: Any) -> MaskedExperts:
    model = wr.fit(MaskedExperts(**{**SMALL, **settings}), SPLIT, training)
    assert isinstance(model, MaskedExperts)
    return model


def doubled(**settings: Any) -> tuple[MaskedExperts, Inputs]:
    model = fitted(**settings).double()
    return model, model.embed(EVERYBODY)


def test_groups_are_named_by_columns_and_experts_see_them_only() -> None:
    subsets = (("who",), ("film",), ("who", "film"), ("who", "work", "film", "names"))
    model, inputs = doubled(groups=GROUPS, subsets=subsets)
    assert set(inputs) == {"who", "work", "film", "names of the user", "names of the item"}
    assert model.expert_titles == ("who", "film", "who + film", "who + work + film + names")
    titles = [model.unit_title("who", unit, user=3, item=-1) for unit in range(2)]
    people = SPLIT.dataset.users.columns
    assert titles == [f"age: {people['age'].values[3]:g}", f"gender: {people['gender'].values[3]}"]
    leaves = {name: replace(part, values=part.values.detach().requires_grad_()) for name, part in inputs.items()}
    said = model.voices(leaves).said
    for expert, subset in enumerate(subsets):
        values = [part.values for part in leaves.values()]
        gradients = torch.autograd.grad(said[..., expert].sum(), values, retain_graph=True, materialize_grads=True)
        for name, gradient in zip(leaves, gradients, strict=True):
            assert bool(gradient.any()) == (name.split(" of the ")[0] in subset)


def test_unless_said_otherwise_there_are_the_four_subsets_of_content_and_ids() -> None:
    titles = ("content", "content + item", "content + user", "content + item + user")
    assert fitted().expert_titles == titles
    assert fitted(groups="columns", subsets=1).expert_titles == (
        *("age", "gender", "occupation", "user id"),
        *("genres", "year", "item id"),
    )
    assert len(fitted(groups=GROUPS).expert_titles) == 4 + 6 + 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"groups": {"who": ("age", "shoe size")}}, "'who' names 'shoe size', and the columns are age, gender"),
        ({"groups": {"a": ("age",), "b": ("user age",)}}, "'age' of the users is in 'a' and in 'b'"),
        ({"groups": {"story": ("plot", "year")}}, "'plot' of the items cannot be learned from: a text"),
        ({"groups": {"nothing": ()}}, "'nothing' names no column"),
        ({"groups": GROUPS, "subsets": (("age",),)}, "names the group 'age'; the groups are who, work, film, names"),
        ({"groups": "everything"}, "cannot be taken"),
        ({"subsets": 0}, "cannot be taken"),
    ],
)
def test_groups_without_sense_are_refused_in_one_line(settings: Mapping[str, Any], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said) as refused:
        MaskedExperts(**settings).build(SPLIT.dataset.users, SPLIT.dataset.items)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("preset", ["toy", "library", "movielens", "spotify"])
def test_a_score_is_the_mixture_whether_or_not_the_model_is_training(preset: str) -> None:
    model, inputs = doubled(preset=preset)
    voices, score = model.voices(inputs), model.score(inputs)
    torch.testing.assert_close(voices.score, score, rtol=0, atol=0)
    said = model.opinions(inputs)
    assert model.settings.preset == preset
    boosting = PRESETS[model.settings.preset]
    alpha = heard(said, model.lattice.children, boosting.confidence)
    decided = alpha.sum(-1) > 1e-3
    mixture = (alpha * said).sum(-1) / (alpha.sum(-1) + 1e-9)
    torch.testing.assert_close(mixture[decided], score[decided], rtol=0, atol=1e-6)
    assert model.undecided(inputs).equal(~decided)
    assert (said.amin(-1) - 1e-6 <= score).all()
    assert (score <= said.amax(-1) + 1e-6).all()
    assert model.train().score(inputs).equal(score)
    assert decided.any()


def test_a_list_and_a_matrix_are_the_same_model() -> None:
    one, other = (MaskedExperts(**SMALL, realisation=way) for way in ("list", "matrix"))
    for model in (one, other):
        model.build(SPLIT.dataset.users, SPLIT.dataset.items, seed=3)
    with torch.no_grad():
        scores = [model.score(model.embed(EVERYBODY)) for model in (one, other)]
    torch.testing.assert_close(*scores, rtol=0, atol=1e-6)


@pytest.mark.parametrize("loss", ["log", "bpr", "squared"])
@pytest.mark.parametrize("posterior", [False, True])
def test_no_expert_is_taught_by_another_whatever_is_learned(loss: Loss, posterior: bool) -> None:
    ratings = loss == "squared"
    training = wr.Training(epochs=1, batch_size=200, loss=loss)
    model = fitted(training, ratings=ratings, preset="library", posterior=posterior).double()
    aim = objective(SPLIT.for_training(), training)
    batch = next(iter(aim.batches(model, torch.Generator().manual_seed(0))))
    inputs = model.embed(batch.request)

    def gradients() -> list[torch.Tensor]:
        wrong = aim.wrong(model, inputs, batch.wanted.double())
        return list(torch.autograd.grad(wrong, own, retain_graph=True))

    first = ("layers.0.0.", "outputs.0.")
    own = [weight for name, weight in model.experts.named_parameters() if name.startswith(first)]
    before = gradients()
    assert any(gradient.any() for gradient in before)
    whole = model.lattice.titles.index("content + item + user")
    with torch.no_grad():
        for weight in model.experts.outputs[whole].parameters():  # type: ignore[union-attr]
            weight.add_(1.0)
    if not posterior:  # under the posterior a row's weights depend on how well each expert does
        for one, other in zip(before, gradients(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("loss", "ratings"), [("log", False), ("bpr", False), ("squared", True)])
def test_it_learns_what_is_taken_ranked_or_rated(loss: Loss, ratings: bool) -> None:
    training = wr.Training(epochs=12, batch_size=200, learning_rate=0.01, loss=loss)
    model = fitted(training, ratings=ratings, preset="movielens" if loss == "log" else "spotify", width=8)
    first, last = model.log[0], model.log[-1]
    assert last.loss < first.loss
    if not ratings:
        assert (last.validation or 0) > 0.1  # by chance less than .05
        return
    values = SPLIT.train.values
    assert values is not None
    held_out = SPLIT.validation.values
    assert held_out is not None
    plain = float(np.sqrt(np.mean((held_out - values.mean()) ** 2)))
    assert min(epoch.rmse or 9 for epoch in model.log) < plain
    with torch.no_grad():
        inputs = model.embed(EVERYBODY)
        scores, mixture = model.score(inputs), mixed(model.opinions(inputs), model.lattice.children, PRESETS["spotify"])
    middle, reach = float(values.mean()), float(np.abs(values - values.mean()).max())
    torch.testing.assert_close(scores, middle + reach * mixture.score, rtol=0, atol=1e-5)
    assert scores.min() < middle < scores.max()


def test_taught_by_the_posterior_experts_do_not_all_learn_to_say_no() -> None:
    model = fitted(wr.Training(epochs=12, batch_size=200, learning_rate=0.01), posterior=True, width=8)
    assert max(epoch.validation or 0 for epoch in model.log) > 0.1
    with torch.no_grad():
        assert model.opinions(model.embed(EVERYBODY)).std() > 0.1


def test_the_error_of_ratings_is_that_of_the_score() -> None:
    model = fitted(wr.Training(epochs=2, batch_size=200), ratings=True, preset="library")
    held_out = SPLIT.validation
    users, items = (torch.from_numpy(one) for one in (held_out.users, held_out.items))
    with torch.no_grad():
        scores = model.score(model.embed(replace(EVERYBODY, items=torch.arange(50)[None])))[users, items]
    assert held_out.values is not None
    wrong = float(np.sqrt(np.mean((scores.numpy() - held_out.values) ** 2)))
    assert min(epoch.rmse or 9 for epoch in model.log) == pytest.approx(wrong, rel=1e-5)


def test_losses_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="not whole lists"):
        fitted(wr.Training(epochs=1, loss="multinomial"))
    with pytest.raises(InvalidSetting, match=r"choose MaskedExperts\(ratings=True\)"):
        fitted(wr.Training(epochs=1, loss="squared"))
    with pytest.raises(InvalidSetting, match="choose loss='squared'"):
        fitted(wr.Training(epochs=1, loss="log"), ratings=True)


@pytest.mark.parametrize("subsets", [1, 2])
def test_added_up_experts_are_terms_of_the_score(subsets: int) -> None:
    """With a constant gate, on single columns a GAM, with pairs a GA2M."""
    model, inputs = doubled(groups="columns", subsets=subsets, gate="constant")
    assert len(model.expert_titles) == (7 if subsets == 1 else 28)
    voices, score = model.voices(inputs), model.score(inputs)
    torch.testing.assert_close(voices.rest + voices.said.sum(-1), score, rtol=0, atol=1e-9)
    wanted = torch.zeros_like(score)
    torch.testing.assert_close(model.own_loss(inputs, wanted, "log"), log_loss(score, wanted), rtol=1e-12, atol=0)
    shapes = wr.additive_shapes(model)
    people, films = SPLIT.dataset.users.columns, SPLIT.dataset.items.columns
    if subsets == 2:
        assert set(shapes.importance) == set(model.expert_titles)
        return
    effects = {one.title: one for one in shapes.shapes}
    assert set(effects) == {"age", "gender", "occupation", "genres", "year"}
    for one in effects.values():
        assert one.events.sum() == len(model.require_known())
        assert np.average(one.effects, weights=one.events) == pytest.approx(0.0, abs=1e-9)
    age, year = effects["age"], effects["year"]
    for user, item in ((0, 0), (7, 21)):
        terms = [
            age.effects[np.flatnonzero(age.values == people["age"].values[user])[0]],
            year.effects[np.flatnonzero(year.values == films["year"].values[item])[0]],
        ]
        for one, value in (
            ("gender", people["gender"].values[user]),
            ("occupation", people["occupation"].values[user]),
        ):
            terms.append(effects[one].effects[effects[one].values.index(value)])  # type: ignore[union-attr]
        genres = ", ".join(films["genres"].values[item])
        terms.append(effects["genres"].effects[effects["genres"].values.index(genres)])  # type: ignore[union-attr]
        means = _mean_terms(model)
        ids = [model.expert_titles.index(name) for name in ("user id", "item id")]
        terms += [float(voices.said[user, item, place].detach()) - means[place] for place in ids]
        assert shapes.intercept + sum(terms) == pytest.approx(float(score[user, item].detach()), abs=1e-9)


def _mean_terms(model: MaskedExperts) -> list[float]:
    known = model.require_known()
    rows = torch.from_numpy(known.users), torch.from_numpy(known.items)
    with torch.no_grad():
        said = model.voices(model.embed(EVERYBODY)).said[rows]
    found: list[float] = said.mean(0).tolist()
    return found


def test_a_boosted_mixture_has_no_shapes_and_a_sum_no_subsets_to_prune() -> None:
    with pytest.raises(NotApplicable, match="no sum of terms"):
        wr.additive_shapes(fitted())
    with pytest.raises(InvalidSetting, match="added up"):
        wr.choose_subsets(fitted(gate="constant"), most=2)


def test_shares_sum_to_one_and_add_up_by_category() -> None:
    model = fitted()
    lists = wr.recommend(model, k=4)
    found = wr.subset_shares(model, lists)
    assert found.shares.shape == (60, 4, 4)
    np.testing.assert_allclose(found.shares.sum(-1)[found.decided], 1.0, atol=1e-12)
    with torch.no_grad():
        shares = model.voices(model.embed(lists.request())).shares
    np.testing.assert_allclose(found.shares[found.decided], shares.double().numpy()[found.decided], atol=1e-5)
    ids = {"content": ["content"], "with ids": list(model.expert_titles[1:])}
    by = found.by(ids)
    np.testing.assert_allclose(by["content"] + by["with ids"], found.shares.sum(-1), atol=1e-12)
    assert found.best(3, 1) == model.expert_titles[int(shares[3, 1].argmax())]
    means = found.over_users()
    assert sum(one.value for one in means.values()) == pytest.approx(1.0)
    assert str(found).startswith("subset")
    genres = found.by_column("genres")
    wanted = [
        found.shares[row, place]
        for row, place in np.argwhere(found.decided)
        if "western" in SPLIT.dataset.items.columns["genres"].values[int(lists.item_rows[row, place])]
    ]
    if wanted:
        np.testing.assert_allclose(list(genres["western"].values()), np.mean(wanted, axis=0))
    with pytest.raises(InvalidSetting, match="no subset 'contents'"):
        found.by({"x": ["contents"]})
    with pytest.raises(InvalidSetting, match="no column 'shoe size'"):
        found.by_column("shoe size")
    with pytest.raises(NotApplicable, match="no mixture of experts"):
        wr.subset_shares(wr.fit(wr.EASE(), SPLIT), lists)


def test_an_undecided_place_has_no_share() -> None:
    model = fitted(preset="library")
    with torch.no_grad():
        for weight in model.experts.parameters():
            weight.zero_()
    lists = wr.recommend(model, k=2)
    found = wr.subset_shares(model, lists)
    assert not found.decided.any()
    assert not found.shares.any()
    assert model.undecided(model.embed(lists.request())).all()
    with pytest.raises(NotApplicable, match="no expert had an opinion"):
        found.over_users()


def test_pruning_leaves_the_subsets_that_are_listened_to() -> None:
    model = fitted(groups={"who": ("age", "gender"), "film": ("genres", "year")}, subsets=2)
    with torch.no_grad():
        for place, loud in enumerate((0.1, 3.0, 0.2)):  # what "who", "film", "who + film" say, always
            output = model.experts.outputs[place]  # type: ignore[index]
            output.weight.zero_()
            output.bias.fill_(loud)
    assert wr.choose_subsets(model, most=2) == (("who",), ("film",))
    assert wr.choose_subsets(model, most=1) == (("film",),)
    assert wr.choose_subsets(model, most=3) == (("who",), ("film",), ("who", "film"))
    assert wr.choose_subsets(model, most=3, at_least=0.3) == (("film",),)
    with pytest.raises(InvalidSetting, match="most=0"):
        wr.choose_subsets(model, most=0)


def test_a_muted_group_is_not_listened_to_and_weights_stay() -> None:
    model = fitted()
    lists = wr.recommend(model, k=5)
    quiet = model.steered({"user": 0.0})
    inputs = model.embed(EVERYBODY)
    with torch.no_grad():
        before, after = model.voices(inputs).shares, quiet.voices(inputs).shares
        assert model.score(inputs).equal(before_score := model.score(inputs))
        assert not quiet.score(inputs).equal(before_score)
    assert not after[..., [2, 3]].any()
    others = before[..., :2] / before[..., :2].sum(-1, keepdim=True)
    torch.testing.assert_close(after[..., :2], others, rtol=1e-4, atol=1e-5)
    assert not wr.recommend(quiet, k=5).item_rows.equal(lists.item_rows)
    assert model.steered({"user": 1.0}).score(inputs).equal(model.score(inputs))
    with pytest.raises(InvalidSetting, match="content, item, user"):
        model.steered({"users": 0.5})


def write_tables(folder: Path) -> None:
    """Readers, books, and who read what, as a user would bring them."""
    rng = np.random.default_rng(0)
    events = ["reader,book"] + [f"r{user},b{item}" for user in range(20) for item in rng.permutation(15)[:6]]
    readers = ["reader,age,city"] + [f"r{user},{20 + user},{'Ulm' if user % 2 else 'Kiel'}" for user in range(20)]
    books = ["book,genre"] + [f"b{item},{'crime' if item % 2 else 'travel'}" for item in range(15)]
    for name, lines in (("events", events), ("readers", readers), ("books", books)):
        (folder / f"{name}.csv").write_text("\n".join(lines))


def test_the_page_about_experts_on_ones_own_columns_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tables(tmp_path)
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "how-to" / "experts-on-your-columns.md").read_text("utf-8")
    source = page.split("```python\n")[1].split("```")[0]
    found: dict[str, Any] = {}
    exec(compile(source, "page", "exec"), found)  # noqa: S102 (our own page)
    assert len(found["without_people"]) == len(found["lists"]) == 20
    assert set() < set(found["shares"].by_column("genre")) <= {"crime", "travel"}
    assert [row.method for row in found["card"].rows] == ["expert_shares", "occlusion"]


def test_the_command_line_takes_groups_and_subsets(tmp_path: Path) -> None:
    write_tables(tmp_path)
    out = tmp_path / "model"
    files = {"--data": "events.csv", "--users": "readers.csv", "--items": "books.csv"}
    chosen = {
        "epochs": "2",
        "width": "4",
        "groups": '{"who": ["age", "city"], "what": ["genre"], "ids": ["user id", "item id"]}',
        "subsets": '[["who"], ["what"], ["who", "what", "ids"]]',
    }
    command = ["fit", "--user", "reader", "--item", "book", "--model", "masked_experts", "--out", str(out), "--json"]
    command += [word for option, name in files.items() for word in (option, str(tmp_path / name))]
    command += [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    settings = json.loads((out / "model.json").read_text())["settings"]
    assert settings["subsets"] == [["who"], ["what"], ["who", "what", "ids"]]
    asked = ["explain", str(out), "--user", "r3", "--item", "b4", "--method", "expert_shares", "--json"]
    told = json.loads(CliRunner().invoke(app, asked).stdout)
    ledger = told["ledger"]
    assert sum(part["relevance"] for part in told["parts"]) == pytest.approx(ledger["inputs"])
    assert sum(ledger.values()) == pytest.approx(told["score"], abs=1e-5)

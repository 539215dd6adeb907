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
from whyrec.checkpoint import load, save
from whyrec.cli import app
from whyrec.dataset import Catalog, Column
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.losses import log_loss
from whyrec.mixture import PRESETS, Preset, heard, mixed, taught, teaching_weights
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
        ({"groups": {}}, "groups: there are none; name columns by group, or choose"),
        ({"groups": {"a": ("user id", "item id"), "a of the user": ("age",)}}, "would be called 'a of the user'"),
        ({"groups": GROUPS, "subsets": (("age",),)}, "names the group 'age'; the groups are who, work, film, names"),
        ({"groups": "everything"}, "cannot be taken"),
        ({"subsets": 0}, "cannot be taken"),
    ],
)
def test_groups_without_sense_are_refused_in_one_line(settings: Mapping[str, Any], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said) as refused:
        MaskedExperts(**settings).build(SPLIT.dataset.users, SPLIT.dataset.items)
    assert "\n" not in str(refused.value)


def test_without_content_the_ids_are_seen_apart_and_together() -> None:
    bare = [Catalog(side.vocabulary) for side in (SPLIT.dataset.users, SPLIT.dataset.items)]
    assert MaskedExperts(**SMALL).build(*bare).expert_titles == ("item", "user", "item + user")


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


@pytest.mark.parametrize("preset", ["library", "spotify"])
@pytest.mark.parametrize("loss", ["log", "bpr"])
def test_each_expert_learns_its_own_probability(loss: Loss, preset: Preset) -> None:
    """(1 + f) / 2 is a probability: cross-entropy of it, or of one item coming before the other."""
    model, _ = doubled(preset=preset)
    items = torch.tensor([[3, 7, 9]]).expand(60, -1)
    inputs, wanted = model.embed(replace(EVERYBODY, items=items)), torch.tensor([[1.0, 0.0, 0.0]]).expand(60, -1)
    with torch.no_grad():
        said = model.opinions(inputs)
        yes, weights = (1 + said) / 2, teaching_weights(said, None, model.lattice.children, PRESETS[preset])
        found = model.own_loss(inputs, wanted, loss)
    if loss == "log":
        wrong = -torch.where(wanted[..., None] > 0, yes, 1 - yes).log()
    else:
        odds = yes / (1 - yes)
        wrong, weights = (1 + odds[:, 1:] / odds[:, :1]).log(), (weights[:, :1] + weights[:, 1:]) / 2
    torch.testing.assert_close(found, taught(wrong, weights, PRESETS[preset]), rtol=1e-6, atol=0)


def test_a_value_that_few_share_is_no_input() -> None:
    model, inputs = doubled(groups=GROUPS, subsets=1, fewest=1000)
    there = dict(zip(model.columns.unit_names("who"), inputs["who"].present[:, 0].T, strict=True))
    assert there["age"].all()  # a number needs nobody else
    assert not there["gender"].any()
    assert not inputs["work"].present.any()


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


def test_ratings_that_are_all_alike_are_learned_without_a_scale() -> None:
    values = np.full(len(SPLIT.train), 4.0, dtype=np.float32)
    split = replace(SPLIT, train=replace(SPLIT.train, values=values))
    model = wr.fit(MaskedExperts(**SMALL, ratings=True, preset="library", posterior=True), split, BRIEF)
    assert model.log[-1].loss == pytest.approx(0.0, abs=0.1)
    assert all(weight.isfinite().all() for weight in model.parameters())


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
    assert not any(model.experts.children_read)  # type: ignore[arg-type]
    quiet, loud = model.steered({"year": 0.0, "age": 0.25}), torch.ones(len(model.expert_titles)).double()
    loud[[place for place, subset in enumerate(model.lattice.subsets) if "age" in subset]] = 0.25
    loud[[place for place, subset in enumerate(model.lattice.subsets) if "year" in subset]] = 0.0
    torch.testing.assert_close(quiet.score(inputs), voices.rest + (voices.said * loud).sum(-1), rtol=0, atol=1e-9)
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
        size = np.average(np.abs(one.effects), weights=one.events)
        assert one.importance == pytest.approx(size)
        assert shapes.importance[one.title] == pytest.approx(size)
        if one.kind == "category":
            assert one.events.tolist() == sorted(one.events.tolist(), reverse=True)
    sizes = [one.importance for one in shapes.shapes]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 5
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
    added_up, other = fitted(gate="constant"), wr.fit(wr.EASE(), SPLIT)
    with pytest.raises(InvalidSetting, match="added up"):
        wr.choose_subsets(added_up, most=2)
    with pytest.raises(NotApplicable, match="listens to all of them alike; see additive_shapes"):
        wr.subset_shares(added_up, wr.recommend(added_up, k=2))
    with pytest.raises(NotApplicable, match="EASE has no terms of columns"):
        wr.additive_shapes(other)  # type: ignore[arg-type]
    with pytest.raises(NotApplicable, match="EASE has no subsets of columns"):
        wr.choose_subsets(other, most=2)  # type: ignore[arg-type]


def test_a_column_that_is_called_an_id_has_a_shape_and_the_id_of_a_row_has_none() -> None:
    data = SPLIT.dataset
    studio = Column("studio id", "category", np.array(["a", "b", None] * 17)[:50])
    items = replace(data.items, columns={"studio id": studio})
    split = replace(SPLIT, dataset=replace(data, items=items))
    model = wr.fit(MaskedExperts(**SMALL, groups="columns", subsets=1, gate="constant"), split, BRIEF)
    assert isinstance(model, MaskedExperts)
    found = {one.title: one for one in wr.additive_shapes(model).shapes}
    assert {"user id", "item id"}.isdisjoint(found)
    assert set(found["studio id"].values) == {"a", "b", "missing"}


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
    assert found.by({"x": ["content", "content"]})["x"].tolist() == by["content"].tolist()
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
    assert found.best(0, 0) is None
    assert found.by_column("genres") == {}
    assert "undecided: 100.0% of places" in str(found)
    assert model.undecided(model.embed(lists.request())).all()
    with pytest.raises(NotApplicable, match="no expert had an opinion"):
        found.over_users()


@pytest.mark.parametrize(("opinion", "decided"), [(0.02, False), (0.04, True)])
def test_a_table_and_a_model_agree_on_who_has_no_opinion(opinion: float, decided: bool) -> None:
    """Squared, .04 is an opinion worth the name, and .02 is none; a share would be had of either."""
    model = fitted(preset="library", subsets=(("content",),))
    with torch.no_grad():
        output = model.experts.outputs[0]  # type: ignore[index]
        output.weight.zero_()
        output.bias.fill_(opinion)
    lists = wr.recommend(model, k=2)
    assert wr.subset_shares(model, lists).decided.all() == decided
    assert model.undecided(model.embed(lists.request())).any() != decided


def test_an_empty_place_of_a_list_is_not_decided() -> None:
    model = fitted(preset="library")
    lists = wr.recommend(model, k=50)
    assert not lists.present.all()
    found = wr.subset_shares(model, lists)
    assert not found.decided[~lists.present.numpy()].any()
    assert found.decided[lists.present.numpy()].all()


def test_columns_of_one_name_are_told_apart_and_what_is_missing_is_no_value() -> None:
    data, ages = SPLIT.dataset, np.where(np.arange(50) % 2, np.nan, 7.0)
    items = replace(data.items, columns={**data.items.columns, "age": Column("age", "numeric", ages)})
    split = replace(SPLIT, dataset=replace(data, items=items))
    model = wr.fit(MaskedExperts(**SMALL, preset="library"), split, BRIEF)
    lists = wr.recommend(model, k=30)
    found = wr.subset_shares(model, lists)
    each = MaskedExperts(**SMALL, groups="columns", subsets=1).build(data.users, items)
    assert {"user age", "item age", "year"} <= set(each.expert_titles)
    with pytest.raises(InvalidSetting, match="both have a column 'age'; say 'user age' or 'item age'"):
        found.by_column("age")
    (only,) = found.by_column("item age").items()
    there = found.decided & (lists.item_rows.numpy() % 2 == 0)
    assert only[0] == "7.0"
    np.testing.assert_allclose(list(only[1].values()), found.shares[there].mean(0))
    assert set(found.by_column("user age")) <= set(map(str, data.users.columns["age"].values.tolist()))


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
    with pytest.raises(InvalidSetting, match=r"at_least=1.5: a share is from 0 to 1"):
        wr.choose_subsets(model, most=1, at_least=1.5)


def test_who_is_left_is_heard_as_if_the_others_had_never_been() -> None:
    """Without the first, the last has one child only: places of children move up with those that are left."""
    model = fitted(groups={"who": ("age",), "film": ("year",)}, subsets=2, preset="library")
    with torch.no_grad():
        for place, opinion in enumerate((0.1, 0.9, 0.95)):
            output = model.experts.outputs[place]  # type: ignore[index]
            output.weight.zero_()
            output.bias.fill_(float(np.arctanh(opinion)))
    assert wr.choose_subsets(model, most=2) == (("film",), ("who", "film"))
    assert wr.choose_subsets(model, most=1) == (("film",),)


def test_of_many_events_some_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = fitted(), []
    monkeypatch.setattr("whyrec.subset_choice.MOST_EVENTS", 30)
    opinions = model.opinions
    monkeypatch.setattr(model, "opinions", lambda inputs: asked.append(opinions(inputs)) or asked[-1])
    first, again, other = (wr.choose_subsets(model, most=4, seed=seed) for seed in (0, 0, 1))
    assert [len(some) for some in asked] == [30] * 3
    assert asked[0].equal(asked[1])
    assert not asked[0].equal(asked[2])
    assert first == again == other == model.lattice.subsets


def test_of_subsets_that_are_heard_alike_the_larger_goes() -> None:
    model = fitted(groups={"who": ("age",), "film": ("year",)}, subsets=2, preset="library")
    with torch.no_grad():
        for weight in model.experts.parameters():
            weight.zero_()  # nobody says anything
    assert wr.choose_subsets(model, most=2) == (("who",), ("film",))
    assert wr.choose_subsets(model, most=1) == (("who",),)


def test_what_is_turned_down_stays_so_when_turned_down_again_saved_and_loaded(tmp_path: Path) -> None:
    model = fitted()
    assert model.volume.tolist() == [1.0] * 4
    quiet = model.steered({"user": 0.5}).steered({"item": 0.0, "user": 0.5})
    assert quiet.volume.tolist() == [1.0, 0.0, 0.25, 0.0]
    assert model.volume.tolist() == [1.0] * 4
    asked = wr.recommend(quiet, k=3)
    again = load(save(quiet, tmp_path / "quiet", split=SPLIT))
    assert wr.recommend(again, k=3).item_rows.equal(asked.item_rows)
    silent, inputs = model.steered({"content": 0.0}), model.embed(EVERYBODY)
    assert silent.undecided(inputs).all()
    assert silent.score(inputs).unique().tolist() == pytest.approx([-0.4])
    assert wr.fit(quiet, SPLIT, BRIEF).volume.tolist() == [1.0] * 4  # type: ignore[union-attr]


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

"""FeatureMLP: it finds the column that causes a target, leaves out what it is told to, and never breaks on columns."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import whyrec as wr
from whyrec.checkpoint import save
from whyrec.dataset import Catalog, Column, Dataset
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.interactions import Interactions, Vocabulary
from whyrec.method_table import by_value
from whyrec.models.feature_mlp import DROPOUT, ITEM, USER
from whyrec.split import Split

PEOPLE, FILMS = 80, 30
LIKES = {"tea": 5.0, "rum": 1.0}
TRAINING = wr.Training(loss="squared", epochs=30, batch_size=128, learning_rate=0.01, patience=30)


@cache
def drinkers() -> Split:
    """People rate films by what they drink and nothing else; age, gender and genres are noise."""
    chance = np.random.default_rng(0)
    drink = np.array([["tea", "rum"][row % 2] for row in range(PEOPLE)], dtype=object)
    gender = chance.choice(np.array(["f", "m"], dtype=object), PEOPLE)
    genres = np.fromiter((tuple(chance.permutation(["war", "love", "crime"])[:2]) for _ in range(FILMS)), dtype=object)
    rated = np.argwhere(chance.random((PEOPLE, FILMS)) < 0.5)
    values = np.array([LIKES[drink[user]] for user in rated[:, 0]], dtype=np.float32)
    users = Catalog(
        Vocabulary(range(PEOPLE), kind="user"),
        columns={
            "age": Column("age", "numeric", chance.normal(40, 9, PEOPLE).round()),
            "gender": Column("gender", "category", gender),
            "drink": Column("drink", "category", drink),
        },
    )
    items = Catalog(Vocabulary(range(FILMS), kind="item"), columns={"genres": Column("genres", "multi", genres)})
    events = Interactions(rated[:, 0], rated[:, 1], values, user_count=PEOPLE, item_count=FILMS)
    return wr.by_ratio(Dataset("drinkers", events, users, items), seed=0)


@cache
def rater() -> wr.Recommender:
    return wr.fit(wr.FeatureMLP(ids=False, hidden=(16,), column_dropout=0.3), drinkers(), TRAINING)


def explanations() -> dict[str, Any]:
    lists = wr.recommend(rater(), k=3)
    methods = {"LRP": wr.LRP(), "SHAP": wr.ExactShapley(), "ablation": wr.LeaveOneOut()}
    return {name: wr.explain(rater(), lists, method) for name, method in methods.items()}


def test_the_column_that_causes_the_ratings_is_found_by_training_and_by_explaining() -> None:
    assert wr.evaluate_ratings(rater(), drinkers()).rmse.value < 0.3  # of ratings of 1 and 5
    drinks = by_value(explanations(), "drink")
    assert drinks.inputs == ("tea", "rum")
    for method in ("LRP", "SHAP", "ablation"):
        tea, rum = drinks.means[method]
        assert tea.low - rum.high > 2
    rows = wr.main_parameters(rater(), explainer=wr.ExactShapley()).rows
    assert next(row.title for row in rows if row.unit is not None) == "drink"


def test_a_sensitive_column_has_a_small_share_where_it_causes_nothing() -> None:
    found = wr.sensitive_share(rater(), explainer=wr.ExactShapley())
    assert set(found.columns) == {"age", "gender"}
    assert 0 < found.total.value < 0.4
    causing = wr.sensitive_share(rater(), words=("drink",), explainer=wr.ExactShapley())
    assert causing.total.low > found.total.high
    assert "all of these" in str(causing)
    with pytest.raises(NotApplicable, match="EASE looks at no columns"):
        wr.sensitive_share(wr.fit(wr.EASE(), drinkers()))


def test_sensitive_columns_are_left_out_in_one_word() -> None:
    model = wr.FeatureMLP(exclude="sensitive").build(drinkers().dataset.users, drinkers().dataset.items)
    assert model.user_columns.names == ("drink", "user id")
    assert dict(model.left_out) == {"age": "excluded", "gender": "excluded"}
    own = wr.FeatureMLP(exclude="sensitive", sensitive=("drink",))
    assert "drink" not in own.build(drinkers().dataset.users, drinkers().dataset.items).user_columns.names
    model.known = drinkers().train
    assert wr.sensitive_share(model, users=5).left_out == ("age", "gender")


def test_a_column_that_is_not_there_cannot_be_excluded() -> None:
    with pytest.raises(InvalidSetting, match="exclude names 'agee', and the columns are age, gender, drink, genres"):
        wr.FeatureMLP(exclude=("agee",)).build(drinkers().dataset.users, drinkers().dataset.items)


def test_without_layers_a_score_is_the_sum_of_what_columns_bring() -> None:
    model = wr.fit(wr.FeatureMLP(hidden=(), ids=False, dropout=0.2), drinkers(), TRAINING)
    why = wr.explain(model, wr.recommend(model, k=2), wr.Intrinsic())
    assert why.ledger.relative_gap(why.attribution.relevance).max() < 1e-4
    with pytest.raises(NotApplicable, match="no sum"):
        wr.explain(rater(), wr.recommend(rater(), k=2), wr.Intrinsic())


def test_units_are_called_by_what_they_hold() -> None:
    model = rater()
    age = model.users.columns["age"].values[0]
    assert model.unit_title(USER, 0, user=0, item=3) == f"age: {age:g}"
    assert model.unit_title(ITEM, 0, user=0, item=3) == "genres: " + ", ".join(model.items.columns["genres"].values[3])
    assert model.unit_title(ITEM, 0, user=-1, item=-1) == "genres"


def test_dropout_is_drawn_where_inputs_are_embedded_and_only_in_training() -> None:
    model = wr.FeatureMLP(dropout=0.5, hidden=(8, 4)).build(drinkers().dataset.users, drinkers().dataset.items)
    asked = wr.Request(torch.tensor([0, 1]), torch.tensor([[0, 1, 2]]), torch.empty(2, 0, dtype=torch.int64))
    assert DROPOUT not in model.embed(asked)
    kept = model.train().embed(asked)[DROPOUT].values
    assert kept.shape == (2, 3, 12)
    assert set(kept.unique().tolist()) == {0.0, 2.0}


def test_a_folder_without_data_cannot_bring_it_back(tmp_path: Path) -> None:
    with pytest.raises(
        NotApplicable, match="scores from the columns of users and items, which without_data leaves out"
    ):
        save(rater(), tmp_path / "model", without_data=True)
    again = wr.load(save(rater(), tmp_path / "model"))
    lists = wr.recommend(rater(), k=3)
    assert wr.recommend(again, k=3).scores.equal(lists.scores)


def test_somebody_unknown_is_scored_by_the_items_alone() -> None:
    lists = wr.recommend(rater(), history=[1, 2], k=3)
    why = wr.explain(rater(), lists)
    assert not why.attribution.present[USER].any()
    assert why.attribution.present[ITEM].any()


def test_a_category_that_training_met_too_seldom_is_missing_in_a_fitted_model() -> None:
    assert wr.explain(rater(), wr.recommend(rater(), k=1)).attribution.present[USER].all()
    model = wr.fit(wr.FeatureMLP(fewest=PEOPLE), drinkers(), wr.Training(loss="squared", epochs=1))
    present = wr.explain(model, wr.recommend(model, k=1)).attribution.present[USER]
    assert present[:, 0].all(0).tolist() == [True, False, False, True]  # age and id; nobody's gender, nobody's drink


def test_films_differ_by_their_columns() -> None:
    scores = wr.recommend(rater(), k=FILMS, exclude_seen=False).scores
    assert (scores[:, 0] - scores[:, -1]).min() > 1e-3


def test_the_share_of_a_sensitive_column_is_its_part_of_all_relevance_of_a_user() -> None:
    users = rater().users.vocabulary.ids(range(PEOPLE))
    why = wr.explain(rater(), wr.recommend(rater(), users=users, k=4))
    sizes = torch.cat([one.abs().sum(1) for one in why.attribution.relevance.values()], dim=1)  # (users, columns)
    expected = (sizes / sizes.sum(1, keepdim=True)).mean(0)
    found = wr.sensitive_share(rater(), k=4)
    assert found.columns["age"].value == pytest.approx(float(expected[0]))
    assert found.total.value == pytest.approx(float(expected[:2].sum()))
    assert set(found.to_json()["columns"]) == {"age", "gender"}

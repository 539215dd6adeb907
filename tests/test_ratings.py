"""Ratings: the scale people use, what a model predicts on it, and errors that are what their definitions say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import whyrec as wr
from whyrec.errors import BadInput, InvalidSetting, NotApplicable
from whyrec.interactions import Interactions
from whyrec.ratings import scale_of
from whyrec.recommender import Inputs, Recommender

SPLIT = wr.by_ratio(wr.planted(users=60, items=50), test=0.2, validation=0.1)
FULL = wr.Training(loss="squared", batch_size=100_000, learning_rate=0.05, epochs=60, patience=60)


class Means(Recommender):
    """One number for each item, and the mean to begin with."""

    Settings = wr.EASE.Settings
    usual_loss = "squared"

    def make(self, user_count: int, item_count: int) -> None:
        self.table = torch.nn.Embedding(item_count, 1)
        torch.nn.init.zeros_(self.table.weight)
        self.register_buffer("mean", torch.zeros(()))

    def prepare(self, train: Interactions) -> None:
        assert train.values is not None
        self.mean.fill_(float(train.values.mean()))

    def embed(self, request: wr.Request) -> Inputs:
        return {"item": wr.Part.of(self.table(request.items).unsqueeze(-1))}

    def score(self, inputs: Inputs) -> torch.Tensor:
        return 3 * inputs["item"].values[..., 0, 0] + self.mean  # steep, so that some scores leave the scale


@pytest.fixture(scope="module")
def model() -> Recommender:
    return wr.fit(Means(), SPLIT, FULL)


@given(st.lists(st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.5, 5.0]), min_size=1, max_size=30))
def test_a_scale_holds_the_ratings_it_was_read_off(ratings: list[float]) -> None:
    values = np.array(ratings, dtype=np.float32)
    scale = wr.RatingScale.of(values)
    assert (scale.low, scale.high) == (min(ratings), max(ratings))
    np.testing.assert_array_equal(scale.nearest(values), values)
    np.testing.assert_array_equal(scale.clip(values), values)
    assert scale.step == (1.0 if all(value % 1 == 0 for value in ratings) else 0.5)


def test_scores_outside_the_scale_are_put_at_its_ends() -> None:
    scale = wr.RatingScale(1.0, 5.0, 1.0)
    np.testing.assert_array_equal(scale.clip(np.array([-3.0, 2.2, 9.0])), [1.0, 2.2, 5.0])
    np.testing.assert_array_equal(scale.nearest(np.array([-3.0, 2.2, 2.5, 9.0])), [1.0, 2.0, 3.0, 5.0])
    free = wr.RatingScale.of(np.array([0.1, 0.7], dtype=np.float32))
    assert free.step is None
    np.testing.assert_allclose(free.nearest(np.array([0.0, 0.31])), [0.1, 0.31])


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [np.inf]])
def test_no_scale_is_read_off_what_are_no_ratings(values: list[float]) -> None:
    with pytest.raises(BadInput, match="a scale is read off ratings"):
        wr.RatingScale.of(np.array(values, dtype=np.float32))


def test_errors_are_their_definitions(model: Recommender) -> None:
    found = wr.evaluate_ratings(model, SPLIT)
    test = SPLIT.test
    assert test.values is not None
    assert SPLIT.known.values is not None
    scale = wr.RatingScale.of(SPLIT.known.values)
    with torch.no_grad():
        raw = 3 * model.table.weight[test.items, 0] + model.mean
    assert ((raw < scale.low) | (raw > scale.high)).any()
    wrong = np.clip(raw.double().numpy(), scale.low, scale.high) - test.values
    assert found.rmse.value == pytest.approx(float(np.sqrt((wrong**2).mean())))
    assert found.mae.value == pytest.approx(float(np.abs(wrong).mean()))
    assert found.rmse.low < found.rmse.value < found.rmse.high
    assert found.per_user[:, 2].sum() == len(test)
    np.testing.assert_array_equal(found.users, np.unique(test.users))


def test_a_prediction_is_the_score_on_the_scale(model: Recommender) -> None:
    ids = [model.users.vocabulary.ids([row])[0] for row in (0, 3, 3)]
    items = [model.items.vocabulary.ids([row])[0] for row in (4, 9, 1)]
    raw = wr.predict(model, ids, items, clip=False)
    with torch.no_grad():
        np.testing.assert_allclose(raw, 3 * model.table.weight[[4, 9, 1], 0] + model.mean, rtol=1e-6)
    scale = scale_of(model)
    np.testing.assert_array_equal(wr.predict(model, ids, items), scale.clip(raw))


def test_training_starts_from_what_is_read_off_the_training_events() -> None:
    model = wr.fit(Means(), SPLIT, replace(FULL, learning_rate=1e-12, epochs=1))
    assert SPLIT.train.values is not None
    assert float(model.mean) == pytest.approx(float(SPLIT.train.values.mean()))


def test_two_models_are_told_apart_on_the_same_ratings(model: Recommender) -> None:
    found = wr.evaluate_ratings(model, SPLIT)
    assert "bias_only" in str(found)
    beside = found.beside["bias_only"]
    assert beside.rmse == wr.evaluate_ratings(wr.fit(wr.BiasOnly(), SPLIT), SPLIT, baselines=()).rmse
    flat = wr.evaluate_ratings(wr.fit(Means(), SPLIT, replace(FULL, learning_rate=1e-9, epochs=1)), SPLIT)
    difference = found.minus(flat)
    assert difference.value == pytest.approx(found.rmse.value - flat.rmse.value)
    assert difference.high < 0
    again = found.minus(found)
    assert (again.low, again.value, again.high) == (0.0, 0.0, 0.0)
    other = wr.evaluate_ratings(model, replace(SPLIT, how="another split"))
    with pytest.raises(InvalidSetting, match="cannot be compared"):
        found.minus(other)


def test_what_is_no_rating_says_so() -> None:
    ease = wr.fit(wr.EASE(), SPLIT)
    with pytest.raises(NotApplicable, match=r"the scores of this EASE are no ratings; fit it with"):
        wr.predict(ease, [ease.users.vocabulary.ids([0])[0]], [ease.items.vocabulary.ids([0])[0]])
    with pytest.raises(InvalidSetting, match="2 users and 1 items do not pair up"):
        wr.predict(ease, [1, 2], [3])
    with pytest.raises(NotApplicable, match=r"the scores of this EASE are no ratings; fit it with"):
        wr.evaluate_ratings(ease, SPLIT)
    bare = replace(SPLIT, test=replace(SPLIT.test, values=None))
    with pytest.raises(BadInput, match="the test part has no ratings to compare with"):
        wr.evaluate_ratings(ease, bare)

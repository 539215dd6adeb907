"""What readers of texts, measures of labels and ratings from texts promise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import whyrec as wr
from whyrec.checkpoint import load, save
from whyrec.dataset import Catalog, Column, Dataset
from whyrec.datasets import labelled_texts, planted_texts
from whyrec.errors import BadInput, InvalidSetting
from whyrec.interactions import Interactions, Vocabulary
from whyrec.label_accuracy import LabelAccuracy
from whyrec.models.text_rating import TextRating
from whyrec.split import Split

ROWS = 'name,tweet,class\na,so good,1\nb,,0\nc,"bad, very",0\n'


def file(folder: Path, content: str = ROWS, name: str = "posts.csv") -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


def test_a_table_of_texts_keeps_texts_ids_and_labels(tmp_path: Path) -> None:
    data = labelled_texts.load(file(tmp_path), labels={"0": "rude", "1": "kind"}, ids="name")
    assert data.users.columns["text"].values.tolist() == ["so good", None, "bad, very"]
    assert data.users.vocabulary.ids() == ["a", "b", "c"]
    assert [data.items.id(row) for row in data.interactions.items] == ["kind", "rude", "rude"]
    assert data.findings == ("1 of 3 texts are empty; a model can only guess their label",)
    tabs = file(tmp_path, ROWS.replace(",", "\t").replace('"bad\t very"', "bad very"), "posts.tsv")
    again = labelled_texts.load(tabs)
    assert again.items.vocabulary.ids() == ["0", "1"]
    assert again.users.vocabulary.ids() == [0, 1, 2]
    same = labelled_texts.load(file(tmp_path), labels={"0": "any", "1": "any"})
    assert same.items.vocabulary.ids() == ["any"]


@pytest.mark.parametrize(
    ("content", "settings", "said"),
    [
        (
            ROWS.replace("a,so good,1", "a,so good,7"),
            {"labels": {"0": "rude"}},
            "line 2, column 'class': '7' is none of",
        ),
        (ROWS.replace(",0\nc", ",\nc"), {}, "line 3, column 'class': an empty cell is no label"),
        (ROWS, {"text": "words"}, "no column 'words' among name, tweet, class; name it with text="),
        (ROWS.replace("tweet", "x"), {}, "no column that looks like a text among name, x, class; name it with text="),
        (ROWS, {"ids": "number"}, "no column 'number' among name, tweet, class; name it with ids="),
        (ROWS.replace("b,,0", "a,,0"), {"ids": "name"}, "line 3, column 'name'"),
    ],
)
def test_a_bad_cell_is_refused_by_file_line_and_column(tmp_path: Path, content: str, settings: dict, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        labelled_texts.load(file(tmp_path, content), **settings)
    assert said in str(refused.value)
    assert "posts.csv" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_planted_texts_hold_what_was_planted_in_the_script_asked_for() -> None:
    for script in ("devanagari", "romanised", "both"):
        data = planted_texts.load(40, script=script, seed=3)  # type: ignore[arg-type]
        texts, planted = (data.users.columns[name].values for name in ("text", "planted"))
        assert all(word in text.split() for text, words in zip(texts, planted, strict=True) for word in words)
        latin = [text.isascii() for text in texts]
        assert (all(latin), any(latin)) == {"devanagari": (False, False), "romanised": (True, True)}.get(
            script, (False, True)
        )
        assert data.interactions.item_counts.tolist() == [20, 20]
    again = planted_texts.load(40, seed=3).users.columns["text"].values
    assert (again == planted_texts.load(40, seed=3).users.columns["text"].values).all()
    assert (again != planted_texts.load(40, seed=4).users.columns["text"].values).any()
    assert "generated" in data.source
    with pytest.raises(InvalidSetting, match="texts=1"):
        planted_texts.load(1)


def measured(scores: list[list[float]], true: list[int]) -> LabelAccuracy:
    return LabelAccuracy("m", ("a", "b", "c")[: len(scores[0])], np.array(scores), np.array(true))


def test_accuracy_f1_and_auroc_are_what_their_definitions_say() -> None:
    scores = [[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [1.0, 2.0, 0.0], [3.0, 0.0, 1.0], [0.0, 2.0, 1.0]]
    found = measured(scores, [0, 2, 1, 1, 1])
    assert found.metrics["accuracy"].value == pytest.approx(4 / 5)
    assert found.macro_f1.value == pytest.approx(np.mean([2 / 3, 4 / 5, 1.0]))
    assert found.confusion.tolist() == [[1, 0, 0], [1, 2, 0], [0, 0, 1]]
    lead = np.array(scores)
    areas = []
    for label in range(3):
        ahead = lead[:, label] - np.delete(lead, label, 1).max(1)
        own, others = ahead[found.true == label], ahead[found.true != label]
        areas.append(np.mean([(one > other) + (one == other) / 2 for one in own for other in others]))
    assert found.auroc.value == pytest.approx(np.mean(areas))


def test_a_perfect_model_reaches_one_and_a_blind_one_a_half() -> None:
    labels = np.arange(60) % 2
    perfect = measured(np.eye(2)[labels].tolist(), labels.tolist())
    blind = measured(np.zeros((60, 2)).tolist(), labels.tolist())
    assert [one.value for one in perfect.metrics.values()] == [1.0, 1.0, 1.0]
    assert blind.auroc.value == 0.5
    assert np.isnan(measured([[1.0, 0.0]] * 3, [0, 0, 0]).auroc.value)


def test_the_interval_of_auroc_is_about_as_wide_as_that_of_whole_resamples() -> None:
    chance = np.random.default_rng(0)
    labels = (chance.random(200) < 0.3).astype(int)
    scores = np.stack([np.zeros(200), chance.normal(size=200) + labels], 1)
    found = measured(scores.tolist(), labels.tolist()).auroc
    drawn = []
    for _ in range(400):
        rows = chance.integers(0, 200, 200)
        drawn.append(measured(scores[rows].tolist(), labels[rows].tolist())._lead(1))
        own, others = drawn[-1][labels[rows] == 1], drawn[-1][labels[rows] == 0]
        drawn[-1] = (own[:, None] > others).mean()
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.02)
    assert found.high == pytest.approx(high, abs=0.02)


def test_labels_of_nobody_and_several_labels_of_a_text_are_refused() -> None:
    split = wr.by_ratio(wr.planted_texts(60), per_user=False)
    model = wr.fit(wr.PooledWords(width=4), split, wr.Training(epochs=1))
    nothing = split.test.where(np.zeros(len(split.test), dtype=bool))
    with pytest.raises(BadInput, match="no texts with labels"):
        wr.evaluate_labels(model, nothing)
    with pytest.raises(InvalidSetting, match="several labels"):
        wr.evaluate_labels(model, split.test.together_with(split.test))


def films() -> Split:
    """People like one of two genres, which plots tell by a word; the last ten films are in no training event."""
    chance = np.random.default_rng(0)
    words = np.array(["the", "a", "house", "river", "night", "friend"])
    genre = np.arange(60) % 2
    plots = [" ".join([*chance.choice(words, 5), ("robot", "wedding")[one]]) for one in genre]
    users, items = (one.ravel() for one in np.indices((80, 60)))
    values = np.where(users % 2 == genre[items], 4.5, 1.5) + chance.normal(0, 0.2, users.size)
    some = chance.random(users.size) < 0.5
    events = Interactions(users[some], items[some], values[some].astype(np.float32), user_count=80, item_count=60)
    catalog = Catalog(
        Vocabulary([f"i{row}" for row in range(60)], kind="item"),
        columns={"plot": Column("plot", "text", np.array(plots, dtype=object))},
    )
    data = Dataset("films", events, Catalog(Vocabulary(range(80), kind="user")), catalog)
    cold = events.items >= 50
    nothing = events.where(np.zeros(len(events), dtype=bool))
    return Split(data, events.where(~cold), nothing, events.where(cold), "ten films held out")


@pytest.fixture(scope="module")
def rated() -> TextRating:
    model = TextRating(column="plot", width=4, word_dropout=0.3)
    return wr.fit(model, films(), wr.Training(epochs=15, batch_size=256, learning_rate=0.03))  # type: ignore[return-value]


def test_films_that_nobody_rated_are_rated_by_their_plots(rated: TextRating) -> None:
    split = films()
    found = wr.evaluate_ratings(rated, split)
    spread = float(split.test.values.std()) if split.test.values is not None else 0.0
    assert found.rmse.value < 0.4 * spread


def test_words_and_what_is_known_without_them_are_the_rating(rated: TextRating) -> None:
    lists = wr.recommend(rated, users=[0, 1], k=60, exclude_seen=False)
    why = wr.explain(rated, lists, wr.LRP(epsilon=0.0), dtype=torch.float64)
    assert why.ledger.relative_gap(why.attribution.relevance).max() <= 1e-12
    for row, liked in ((0, "robot"), (1, "wedding")):
        assert why.contributions(row, 0)[0].title == liked
        assert why.contributions(row, 59)[-1].title in ("robot", "wedding")
    alone = wr.explain(rated, lists, wr.LeaveOneOut(), dtype=torch.float64).attribution.relevance["words"]
    torch.testing.assert_close(alone, why.attribution.relevance["words"], rtol=0, atol=1e-9)


def test_a_text_that_says_everything_twice_says_no_more(rated: TextRating) -> None:
    once, twice = ("a robot at night", "a robot at night a robot at night")
    column = Column("plot", "text", np.array([once, twice] * 30, dtype=object))
    again = load_state(TextRating(column="plot", width=4), rated, column)
    lists = wr.recommend(again, users=[3], k=60, exclude_seen=False)
    assert float(lists.scores.max() - lists.scores.min()) < 1e-6


def load_state(fresh: TextRating, rated: TextRating, column: Column) -> TextRating:
    """The weights of a model, on other texts."""
    fresh.build(rated.users, replace(rated.items, columns={column.name: column}))
    fresh.load_state_dict(rated.state_dict())
    fresh.known = rated.known
    return fresh


def test_the_same_by_what_was_taken(tmp_path: Path) -> None:
    split = films()
    liked = [one.where(one.values > 3) for one in (split.train, split.test)]
    implicit = replace(split, train=liked[0], validation=liked[0].where(np.arange(len(liked[0])) < 0), test=liked[1])
    training = wr.Training(epochs=30, batch_size=256, learning_rate=0.03)
    model = wr.fit(TextRating(column="plot", width=4, word_dropout=0.3, implicit=True), implicit, training)
    cold = wr.recommend(model, k=60)
    right = [np.mean(row[row >= 50][:5].numpy() % 2 == user % 2) for user, row in enumerate(cold.item_rows)]
    assert np.mean(right) >= 0.9  # a film that nobody took is told by its plot
    again = load(save(model, tmp_path / "model", split=implicit))
    assert torch.equal(wr.recommend(again, k=5).scores, wr.recommend(model, k=5).scores)


def test_the_review_of_a_held_out_rating_is_never_read() -> None:
    split = wr.by_ratio(films().dataset, per_user=False)
    users, items = split.dataset.users.vocabulary.ids(), split.dataset.items.vocabulary.ids()
    events = split.dataset.interactions
    told = {
        (users[user], items[item]): f"u{user}i{item}"
        for user, item in zip(events.users.tolist(), events.items.tolist(), strict=True)
    }
    texts = wr.with_reviews(split, told).dataset.items.columns["text"].values
    read = {word for text in texts if text for word in text.split()}
    assert read == {f"u{user}i{item}" for user, item in zip(split.train.users, split.train.items, strict=True)}
    for part in (split.validation, split.test):
        assert not read & {f"u{user}i{item}" for user, item in zip(part.users, part.items, strict=True)}
    with pytest.raises(InvalidSetting, match="holds no text"):
        wr.with_reviews(split, {})

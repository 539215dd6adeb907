"""What models of texts promise: unpatched networks, words of any script, nothing lost, planted words found first."""

from __future__ import annotations

import importlib.util
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.text_networks import ARCHITECTURES, saved, transformers

import whyrec as wr
from whyrec.checkpoint import load, save
from whyrec.errors import BadInput, InvalidSetting
from whyrec.models.pooled_words import PooledWords
from whyrec.models.text_classifier import TextClassifier
from whyrec.pieces import FolderPieces, WordPieces, Words, cut_text, word_key
from whyrec.split import Split
from whyrec.text_model import TextModel
from whyrec.words import joined, phrases_of, words_of

TEXTS = (
    "the film was unbelievable and good!",
    "bad",
    "",
    "   ",
    "यह film अच्छी थी 好的 😀",
    "walking walks not very bad.",
)
EMPTY = 2
OF_FOLDER = TextClassifier.from_folder
every = pytest.mark.parametrize("architecture", ARCHITECTURES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    transformers()
    return {name: saved(tmp_path_factory.mktemp(name), name) for name in ARCHITECTURES}


@pytest.fixture(scope="module")
def split() -> Split:
    return wr.by_ratio(wr.planted_texts(600), per_user=False, test=0.3)


@pytest.fixture(scope="module")
def trained(split: Split) -> TextModel:
    model = PooledWords(width=16, vocabulary=200)
    return wr.fit(model, split, wr.Training(epochs=20, batch_size=32, learning_rate=0.01))  # type: ignore[return-value]


def own_logits(folder: Path, text: str) -> list[float]:
    """What the network says by itself, given the rows of the tokenizer's pieces."""
    network = transformers().AutoModelForSequenceClassification.from_pretrained(str(folder)).eval()
    tokenizer = transformers().AutoTokenizer.from_pretrained(str(folder))
    with torch.no_grad():
        read = tokenizer(text, return_tensors="pt")
        found: list[float] = (
            network(input_ids=read["input_ids"], attention_mask=read["attention_mask"]).logits[0].tolist()
        )
    return found


@every
def test_a_network_from_a_folder_scores_as_it_does_by_itself(folders: dict[str, Path], architecture: str) -> None:
    model = TextClassifier.from_folder(folders[architecture], max_pieces=40).on(TEXTS)
    lists = wr.recommend(model, k=3)
    assert model.items.vocabulary.ids() == ["no", "perhaps", "yes"]
    for row, text in enumerate(TEXTS):
        found = dict(zip(lists.item_rows[row].tolist(), lists.scores[row].tolist(), strict=True))
        assert [found[label] for label in range(3)] == pytest.approx(own_logits(folders[architecture], text), abs=2e-6)


@every
@pytest.mark.parametrize("explainer", [wr.LRP(epsilon=0.0), wr.LRP(), wr.LRP(gamma=0.25), wr.LRP(composite="attnlrp")])
def test_words_special_tokens_and_the_rest_are_the_logit(
    folders: dict[str, Path], architecture: str, explainer: wr.LRP
) -> None:
    model = TextClassifier.from_folder(folders[architecture], max_pieces=40).on(TEXTS)
    lists = wr.recommend(model, k=2)
    words = wr.explain(model, lists, explainer, dtype=torch.float64)
    both = wr.explain(model, lists, explainer, parts=("words", "special"), dtype=torch.float64)
    for why in (words, both):
        assert why.ledger.relative_gap(why.attribution.relevance).max() <= 1e-12
        assert why.ledger.target.tolist() == pytest.approx(np.asarray(lists.scores).astype(float), abs=1e-5)
    alike, special = both.attribution.relevance["words"], both.attribution.relevance["special"].sum(-1)
    torch.testing.assert_close(alike, words.attribution.relevance["words"], rtol=0, atol=1e-12)
    torch.testing.assert_close(special + both.ledger.bias, words.ledger.bias, rtol=0, atol=1e-10)
    assert (words.attribution.relevance["words"][EMPTY] == 0).all()


def test_sub_words_are_grouped_to_words(folders: dict[str, Path]) -> None:
    model = TextClassifier.from_folder(folders["bert"], max_pieces=40).on([TEXTS[0]])
    cut = model.table.of(0)
    assert cut.titles == ("the", "film", "was", "unbelievable", "and", "good", "!")
    assert cut.pieces_of_units.tolist() == [1, 1, 1, 3, 1, 1, 1]
    part = model.embed(wr.recommend(model, k=1).request())["words"]
    assert part.values.shape == (1, 1, 7, 3 * 16)
    spaced = TextClassifier.from_folder(folders["xlm-roberta"], max_pieces=40).on([TEXTS[0]]).table.of(0)
    assert spaced.titles == cut.titles


def test_relevance_of_a_phrase_is_that_of_its_words(folders: dict[str, Path]) -> None:
    texts = ["the film was not very good, and the plot was bad"]
    model = TextClassifier.from_folder(folders["bert"], max_pieces=40)
    by_word, by_phrase = (model.on(texts, cut=cut) for cut in (words_of, phrases_of))
    words, phrases = (
        wr.explain(one, wr.recommend(one, k=1), wr.LRP(), dtype=torch.float64).attribution.relevance["words"][0, 0]
        for one in (by_word, by_phrase)
    )
    titles = by_phrase.table.of(0).titles
    assert titles == ("the film was not", "very good", ",", "and the plot was", "bad")
    sizes = [len(title.split()) for title in titles]
    torch.testing.assert_close(torch.stack([one.sum() for one in words.split(sizes)]), phrases, rtol=0, atol=1e-12)


def test_a_removed_word_is_hidden_from_attention_and_all_others_stay_where_they_were(folders: dict[str, Path]) -> None:
    folder = folders["bert"]
    model = TextClassifier.from_folder(folder, max_pieces=40).on(["the bad film"])
    request = wr.recommend(model, k=3).request()
    inputs = model.embed(request)
    kept = wr_keep(inputs, [True, False, True])
    network = model.network
    tokenizer = transformers().AutoTokenizer.from_pretrained(str(folder))
    read = tokenizer("the bad film", return_tensors="pt")
    mask = torch.tensor([[1, 1, 0, 1, 1]])
    with torch.no_grad():
        wanted = network(input_ids=read["input_ids"], attention_mask=mask).logits[0]
        found = model.score(kept)[0]
    torch.testing.assert_close(found, wanted[request.items[0]], rtol=0, atol=1e-6)


def wr_keep(inputs: dict[str, wr.Part], keep: list[bool]) -> dict[str, wr.Part]:
    from whyrec.recommender import keep_only

    return dict(keep_only(inputs, {"words": torch.tensor(keep)[None, None]}))


@every
def test_attention_is_that_of_the_last_layer(folders: dict[str, Path], architecture: str) -> None:
    model = TextClassifier.from_folder(folders[architecture], max_pieces=40).on(TEXTS[:1])
    lists = wr.recommend(model, k=2)
    found = wr.explain(model, lists, wr.AttentionWeights()).attribution.relevance["words"][0, 0]
    network = transformers().AutoModelForSequenceClassification.from_pretrained(
        str(folders[architecture]), attn_implementation="eager"
    )
    read = transformers().AutoTokenizer.from_pretrained(str(folders[architecture]))(TEXTS[0], return_tensors="pt")
    with torch.no_grad():
        said = network.eval()(input_ids=read["input_ids"], output_attentions=True).attentions[-1][0, :, 0].mean(0)
    sizes = model.table.of(0).pieces_of_units.tolist()
    wanted = torch.stack([one.sum() for one in said[1:-1].split(sizes)])
    torch.testing.assert_close(found.float(), wanted, rtol=0, atol=1e-6)


def test_planted_truths_of_words_are_found_exactly() -> None:
    """Single words, the same word twice, a brand without weight, and a word of several pieces (X1, X3, X4, X5)."""
    split = wr.by_ratio(wr.planted_texts(60), per_user=False)
    model = wr.fit(PooledWords(hidden=(), width=8, word_dropout=0.0), split, wr.Training(epochs=2))
    layer = model.layers[0]  # type: ignore[index]
    text = "film shaandaar film brand bekaar-bekaar"
    with torch.no_grad():
        model.vector.weight[1] = 0.0  # type: ignore[index, operator]  # the brand is in no training text
    planted = model.on([text], cut=lambda line: [(start, start + len(one)) for start, one in _blanks(line)])
    lists = wr.recommend(planted, k=1)
    grid = planted.table.grid(torch.tensor([0]))
    weights = planted.vectors(grid)[0].sum(1) @ layer.weight[lists.item_rows[0, 0]]  # (units,)
    for explainer in (wr.LRP(epsilon=0.0), wr.LeaveOneOut(), wr.ExactShapley(), wr.GradientTimesInput()):
        found = wr.explain(planted, lists, explainer, dtype=torch.float64).attribution.relevance["words"][0, 0]
        torch.testing.assert_close(found.float(), weights.detach(), rtol=0, atol=1e-6)
        assert float(found[0]) == pytest.approx(float(found[2]), abs=1e-9)
        assert float(found[3]) == pytest.approx(0.0, abs=1e-9)
    assert grid.keys.shape == (1, 5, 3)


def _blanks(line: str) -> list[tuple[int, str]]:
    return [(found.start(), found.group()) for found in re.finditer(r"\S+", line)]


def test_the_report_shows_the_words_of_a_text_on_their_colours(trained: TextModel, tmp_path: Path) -> None:
    model = trained.on({"t1": "film shaandaar <b>thi</b>", "t2": "khaana bekaar tha"})
    lists = wr.recommend(model, k=1)
    page = tmp_path / "report.html"
    wr.report(model, lists, wr.explain(model, lists, wr.LRP()), to=page)
    shown = page.read_text(encoding="utf-8")
    assert shown.count('class="wr-words"') == 2
    assert ">shaandaar</span>" in shown
    assert "<b>thi" not in shown


def test_the_page_about_texts_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[1] / "docs" / "how-to" / "explain-text.md"
    monkeypatch.chdir(tmp_path)
    if importlib.util.find_spec("transformers"):
        saved(tmp_path / "my-classifier")
        monkeypatch.setattr(TextClassifier, "from_folder", _of_forty_pieces)
    found: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, found)  # noqa: S102 (our own page)
    assert (tmp_path / "words.html").read_text(encoding="utf-8").count("<tr>") > 5
    assert (tmp_path / "words.png").stat().st_size > 1000


@classmethod  # type: ignore[misc]
def _of_forty_pieces(cls: type[TextClassifier], folder: Path, *, max_pieces: int) -> TextClassifier:
    """The tiny network of these tests reads less at once than the page says."""
    return OF_FOLDER(folder, max_pieces=min(max_pieces, 40))


@pytest.mark.parametrize("family", ["pooled_words", "text_classifier"])
def test_explanations_of_words_are_judged_and_a_random_one_is_not_better_than_random(split: Split, family: str) -> None:
    if family == "text_classifier":
        transformers()
        model: wr.Recommender = TextClassifier(width=16, layers=1, vocabulary=200, max_pieces=32, word_dropout=0.9)
    else:
        model = PooledWords(width=16, vocabulary=200, word_dropout=0.9)
    wr.fit(model, split, wr.Training(epochs=12, batch_size=32, learning_rate=0.01, patience=12))
    lists = wr.recommend(model, users=split.dataset.users.vocabulary.ids(split.test.users[:30]), k=1)
    card = wr.verify(model, lists, [wr.LRP(), wr.Random()], settings=wr.Verification(k=2, users=20, floor=5))
    assert card.row("lrp").deletion.normalised.value > 0.8
    assert card.row("lrp").sufficiency.normalised.value > 0.8
    assert card.row("lrp").verdict in ("faithful", "weak")
    assert card.row("random").verdict == "not better than random"


def test_a_contrast_of_two_labels_is_the_difference_of_their_relevance(trained: TextModel) -> None:
    model = trained.on(["फ़िल्म शानदार थी", "khaana bekaar tha"])
    lists = wr.recommend(model, k=2)
    apart = wr.explain(model, lists, wr.LRP(epsilon=0.0), dtype=torch.float64)
    against = wr.explain(model, lists, wr.LRP(epsilon=0.0), target=wr.Contrast("blame"), dtype=torch.float64)
    for row in range(2):
        place = {line.item: line.rank - 1 for line in lists.lines(row)}
        found, (praise, blame) = (
            against.attribution.relevance["words"][row, place["praise"]],
            (apart.attribution.relevance["words"][row, place[label]] for label in ("praise", "blame")),
        )
        torch.testing.assert_close(found, praise - blame, rtol=0, atol=1e-12)


def planted_first(model: wr.Recommender, split: Split) -> float:
    """Share of the test sentences whose planted words, all of them, lead the label above the other one most."""
    planted, hits = split.dataset.users.columns["planted"].values, []
    for label, other in ((0, "praise"), (1, "blame")):
        rows = split.test.users[split.test.items == label]
        lists = wr.recommend(model, users=split.dataset.users.vocabulary.ids(rows), k=2)
        why = wr.explain(model, lists, wr.LRP(), target=wr.Contrast(other))
        for place, row in enumerate(rows):
            units = why.contributions(place, lists.item_rows[place].tolist().index(label))
            hits.append({one.title for one in units[: len(planted[row])]} == set(planted[row]))
    return float(np.mean(hits))


@pytest.mark.parametrize("pooling", ["mean", "dimensions", "positions", "matrix", "flatten"])
def test_planted_hindi_words_are_ranked_first_in_either_script(split: Split, pooling: str) -> None:
    model = PooledWords(width=16, vocabulary=200, pooling=pooling, word_dropout=0.3)
    wr.fit(model, split, wr.Training(epochs=30, batch_size=32, learning_rate=0.01, patience=30))
    assert wr.evaluate_labels(model, split).metrics["accuracy"].value >= 0.95
    assert planted_first(model, split) >= 0.95


def test_planted_hindi_words_are_ranked_first_by_a_transformer(split: Split) -> None:
    transformers()
    model = TextClassifier(width=16, layers=1, vocabulary=200, max_pieces=32, word_dropout=0.8)
    wr.fit(model, split, wr.Training(epochs=30, batch_size=32, learning_rate=0.01, patience=30))
    assert wr.evaluate_labels(model, split).metrics["accuracy"].value >= 0.95
    assert planted_first(model, split) >= 0.95


def test_words_are_found_in_scripts_with_and_without_spaces() -> None:
    found = {
        "मुझे यह फ़िल्म पसंद है।": ["मुझे", "यह", "फ़िल्म", "पसंद", "है", "।"],
        "好的 film": ["好", "的", "film"],
        "ภาพดี": ["ภ", "า", "พ", "ดี"],
        "so 👍🏽👨‍👩‍👧🇮🇳": ["so", "👍🏽", "👨‍👩‍👧", "🇮🇳"],
        "Isn't it?": ["Isn't", "it", "?"],
        "": [],
        " \n\t": [],
    }
    assert {text: [text[start:end] for start, end in words_of(text)] for text in found} == found


@pytest.mark.parametrize("text", ["好的, so good! 👍🏽", "the film, was (not) good.", "यह अच्छी थी।"])
def test_words_and_phrases_miss_no_letter_and_join_again(text: str) -> None:
    for cut in (words_of, phrases_of):
        spans = cut(text)
        assert "".join(text[slice(*one)] for one in spans).replace(" ", "") == text.replace(" ", "")
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert joined(["so", "good", "!", "好", "的"]) == "so good! 好的"


def test_empty_and_unknown_texts_get_scores_and_honest_explanations(trained: TextModel) -> None:
    model = trained.on({"empty": "", "unknown": "zzz qqq www", "emoji": "👍🏽", "one": "शानदार"})
    lists = wr.recommend(model, k=2)
    why = wr.explain(model, lists, wr.LRP(), dtype=torch.float64)
    assert torch.isfinite(lists.scores).all()
    assert why.contributions(0, 0) == []
    assert [one.title for one in why.contributions(1, 0)].count("zzz") == 1
    unknown = why.attribution.relevance["words"][1, 0, :3]
    assert torch.allclose(unknown, unknown[:1].expand(3), atol=1e-12)  # a model that knows none tells none apart
    assert why.ledger.relative_gap(why.attribution.relevance).max() <= 1e-12


def test_a_text_of_ten_thousand_words_is_read_in_windows_and_it_says_so(trained: TextModel) -> None:
    long = " ".join(["शानदार", *["film"] * 9_999])
    model = trained.on({"long": long, "short": "शानदार film"})
    assert len(model.remarks) == 1
    assert "'long' has 10,000 words and is read in 200 windows" in model.remarks[0]
    why = wr.explain(model, wr.recommend(model, k=1), wr.LRP(), dtype=torch.float64)
    assert why.ledger.relative_gap(why.attribution.relevance).max() <= 1e-12
    assert why.contributions(0, 0)[0].title == "शानदार"
    assert len(why.contributions(0, 0)) == 10_000


@pytest.mark.parametrize("size", [7, 12, 20, 40])
def test_windows_cut_no_word_and_lose_none(folders: dict[str, Path], size: int) -> None:
    text = " ".join(["unbelievable film"] * 9)
    model = TextClassifier.from_folder(folders["bert"], max_pieces=size).on([text])
    grid = model.table.grid(torch.tensor([0]))
    read = grid.places[grid.places >= 0]
    assert sorted(read.tolist()) == (grid.keys[0].flatten() >= 0).nonzero()[:, 0].tolist()
    wide, room = grid.keys.shape[2], model.room
    assert grid.places.shape[2] <= room == size - 2
    for window in grid.places[0]:
        units = (window[window >= 0] // wide).tolist()
        for unit in set(units):
            assert units.count(unit) == int((grid.keys[0, unit] >= 0).sum())


def test_a_score_of_windows_is_the_mean_of_theirs(folders: dict[str, Path]) -> None:
    model = TextClassifier.from_folder(folders["bert"], max_pieces=6)
    halves, whole = ["the film was bad", "and the plot good"], model.on(["the film was bad and the plot good"])
    apart = wr.recommend(model.on(halves), k=3)
    together = wr.recommend(whole, k=3)
    for label in range(3):
        found = [apart.scores[row][apart.item_rows[row] == label].item() for row in range(2)]
        assert together.scores[0][together.item_rows[0] == label].item() == pytest.approx(np.mean(found), abs=1e-6)


def test_a_very_long_word_goes_on_as_another_unit() -> None:
    class Letters:
        def located(self, text: str) -> tuple[np.ndarray, np.ndarray]:
            places = np.array([place for place, letter in enumerate(text) if letter != " "])
            return np.array([ord(text[place]) for place in places]), places

    cut = cut_text("ab " + "x" * 70, Letters())
    assert cut.pieces_of_units.tolist() == [2, 32, 32, 6]
    assert cut.titles[2] == "x" * 70 + " (2)"


def test_a_vocabulary_takes_the_most_frequent_words_whatever_their_case() -> None:
    words = Words(2)
    texts = [WordPieces().located(text)[0] for text in ("Good film", "good plot", "GOOD film bad bad bad")]
    words.learn(texts)
    rows = words.rows(torch.tensor([word_key("good"), word_key("Film"), word_key("bad"), -1]))
    assert rows[2:].tolist() == [1, 0]
    assert sorted(rows[:2].tolist()) == [3, 4]
    assert sum(one != torch.iinfo(torch.int64).max for one in words.keys.tolist()) == 2


def test_the_vocabulary_is_that_of_training_texts_alone() -> None:
    data = wr.planted_texts(40, script="romanised")
    split = wr.by_ratio(data, per_user=False)
    model = wr.fit(PooledWords(width=4), split, wr.Training(epochs=1))
    texts = data.users.columns["text"].values
    seen = {word for row in split.train.users for word in texts[row].split()}
    unseen = {word for text in texts for word in text.split()} - seen
    keys = torch.tensor([word_key(word) for word in sorted(seen)])
    assert (model.words.rows(keys) > 1).all()
    assert all(model.words.rows(torch.tensor([word_key(word)])).tolist() == [1] for word in unseen)


def test_a_folder_of_whyrec_brings_texts_words_and_scores_back(
    split: Split, trained: TextModel, tmp_path: Path
) -> None:
    again = load(save(trained, tmp_path / "model", split=split))
    assert torch.equal(wr.recommend(again, k=1).scores, wr.recommend(trained, k=1).scores)
    assert isinstance(again, PooledWords)
    new = ["film shaandaar thi", "unheard of"]
    assert torch.equal(wr.recommend(again.on(new), k=2).scores, wr.recommend(trained.on(new), k=2).scores)


def test_balanced_weights_make_all_labels_count_alike() -> None:
    data = wr.planted_texts(100)
    rare = data.interactions.where((data.interactions.items == 0) | (np.arange(100) < 20))
    model = PooledWords(width=4, class_weights="balanced").build(data.users, data.items)
    model.prepare(rare)
    counts = torch.from_numpy(rare.item_counts).float()
    assert (model.label_weights * counts).tolist() == pytest.approx([len(rare) / 2] * 2)
    request = wr.Request(torch.tensor([0, 1]), torch.tensor([[0, 1]]), torch.zeros(2, 0, dtype=torch.int64))
    inputs, wanted = model.embed(request), torch.eye(2)
    each = torch.nn.functional.cross_entropy(model.score(inputs), torch.tensor([0, 1]), weight=model.label_weights)
    torch.testing.assert_close(model.own_loss(inputs, wanted, "multinomial"), each)


@pytest.mark.parametrize("pooling", ["mean", "dimensions", "positions", "matrix", "flatten"])
def test_a_text_is_pooled_as_the_definition_says(pooling: str) -> None:
    data = wr.planted_texts(20)
    model = PooledWords(width=3, hidden=(4,), max_pieces=8, pooling=pooling, vocabulary=50)
    model.build(data.users, data.items).prepare(data.interactions)
    with torch.no_grad():
        model.weights.normal_()
        text = "film shaandaar thi film"
        rows = model.words.rows(torch.tensor([word_key(word) for word in text.split()]))
        vectors = model.vector.weight[rows]  # (4, 3)
        weights = torch.ones(4, 3) * (model.weights[:4] if len(model.weights) > 1 else model.weights)
        pooled = (vectors * weights).mean(0)
        if pooling == "flatten":
            pooled = torch.cat([vectors.flatten(), torch.zeros(4 * 3)])
        wanted = model.layers[1](torch.relu(model.layers[0](pooled)))
    lists = wr.recommend(model.on([text]), k=2)
    torch.testing.assert_close(lists.scores[0], wanted[lists.item_rows[0]], rtol=0, atol=1e-6)


def test_texts_of_any_length_are_explained_in_blocks(trained: TextModel) -> None:
    texts = [" ".join(["film", "shaandaar", "thi"] * (1 + (number > 127))) for number in range(131)]
    model = trained.on(texts)
    why = wr.explain(model, wr.recommend(model, k=1), wr.LRP())
    assert why.attribution.relevance["words"].shape == (131, 1, 6)
    assert [len(why.contributions(row, 0)) for row in (0, 127, 128, 130)] == [3, 3, 6, 6]
    assert (why.attribution.relevance["words"][0, 0, 3:] == 0).all()


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_folder_without_a_network_is_refused(tmp_path: Path, name: str) -> None:
    transformers()
    with pytest.raises(BadInput, match="no network of Hugging Face"):
        TextClassifier.from_folder(tmp_path / name)


def test_what_a_network_cannot_read_is_refused(folders: dict[str, Path], split: Split) -> None:
    with pytest.raises(InvalidSetting, match="max_pieces=200: this network reads 48 at most"):
        TextClassifier.from_folder(folders["bert"], max_pieces=200)
    with pytest.raises(InvalidSetting, match="width=10: it must be a multiple of heads=4"):
        wr.fit(TextClassifier(width=10), split)
    with pytest.raises(BadInput, match="no column 'plot' to read; they have text, planted"):
        wr.fit(PooledWords(column="plot"), split)
    assert FolderPieces(folders["bert"]).names == ("[CLS]", "[SEP]")

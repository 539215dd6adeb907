"""What the colours of words promise: linear, neutral at zero, readable without colour, and nothing that runs."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib import font_manager

import whyrec as wr
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.explained_words import WordRelevance, word_relevance
from whyrec.figures.words import words
from whyrec.rationales import average_precision, rationale_agreement
from whyrec.spectrum import PAPER, Spectrum, contrast
from whyrec.word_colours import coloured_words

HOSTILE = '</span><script>alert("x")</script>'


def line(*amounts: float, method: str = "lrp", value: float = 1.5) -> WordRelevance:
    texts = ("so", "good", "was", "bad", HOSTILE)[: len(amounts)]
    return WordRelevance(texts, np.array(amounts), method, "logit", "t1", "praise", value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.8, 1.0])
def test_the_diverging_scale_is_linear_and_symmetric_and_white_at_zero(share: float) -> None:
    spectrum = Spectrum.of([-1.0, 4.0])
    blue, orange = np.array(spectrum.colour(4.0)), np.array(spectrum.colour(-4.0))
    paper = np.array(PAPER)
    assert np.abs(np.array(spectrum.colour(4 * share)) - (paper + share * (blue - paper))).max() <= 0.5
    assert np.abs(np.array(spectrum.colour(-4 * share)) - (paper + share * (orange - paper))).max() <= 0.5
    assert (spectrum.low, spectrum.high) == (-4.0, 4.0)


def test_the_one_sided_scale_goes_from_the_least_to_the_most_and_gets_lighter_on_the_way() -> None:
    spectrum = Spectrum.of([-1.0, 0.5, 3.0], "one-sided")
    assert (spectrum.low, spectrum.high) == (-1.0, 3.0)
    light = [contrast(spectrum.colour(value), (0, 0, 0)) for value in np.linspace(-1, 3, 30)]
    assert light == sorted(light)


@pytest.mark.parametrize("scale", ["diverging", "one-sided"])
def test_letters_stand_out_on_every_colour(scale: str) -> None:
    spectrum = Spectrum.of([-1.0, 1.0], scale)  # type: ignore[arg-type]
    assert min(contrast(spectrum.ink(one), spectrum.colour(one)) for one in np.linspace(-1, 1, 101)) >= 4.5


def test_what_is_clipped_is_said_in_the_legend() -> None:
    assert "≥ +1.00" in coloured_words(line(0.5, 2.0), limit=1.0)
    assert "≥" not in coloured_words(line(0.5, 2.0))
    assert "clipped" in coloured_words(line(0.5, 2.0), to="terminal", limit=1.0)
    assert not Spectrum.of([0.5], limit=1.0).clipped


class Read(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.titles: list[str] = []
        self.said = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)
        self.titles += [value for name, value in attrs if name == "title" and value is not None]

    def handle_data(self, data: str) -> None:
        self.said += data


def test_html_shows_words_numbers_and_the_account_and_runs_nothing() -> None:
    page = Read(coloured_words(line(0.25, 2.0, -0.1, -0.75, 0.0)))
    assert "script" not in page.tags
    assert HOSTILE in page.said
    assert page.titles == ["+0.2500", "+2.0000", "−0.1000", "−0.7500", "0.0000"]
    assert "words +1.40, rest +0.10" in page.said
    assert "−2.00" in page.said


def test_html_can_be_read_without_colour() -> None:
    shown = coloured_words(line(0.25, 2.0, -0.1, -0.75))
    marks = re.findall(r"border-bottom:(\d)px (solid|dotted) #", shown)
    assert marks == [("4", "solid"), ("2", "dotted")]
    assert all(word in shown for word in ("speaks for", "against"))


def test_several_methods_stand_word_by_word_beside_each_other_on_one_scale() -> None:
    shown = coloured_words([line(1.0, 2.0, method="LRP-0"), line(0.5, 1.0, method="LRP-γ")])
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", shown)
    cells = [re.sub(r"<[^>]+>", " ", row).split() for row in rows]
    assert cells[:3] == [["LRP-0", "LRP-γ"], ["so", "+1.00", "+0.50"], ["good", "+2.00", "+1.00"]]
    assert cells[3:] == [
        ["all", "words", "+3.00", "+1.50"], ["rest", "−1.50", "0.00"], ["praise", "(logit)", "+1.50", "+1.50"],
    ]  # fmt: skip
    assert shown.count("background:#0072b2;") == 1


def test_a_terminal_shows_signs_and_numbers_beside_colours() -> None:
    shown = coloured_words(line(0.1, 2.0, -0.75, -1.9), to="terminal")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "so good⁺⁺⁺ was⁻ bad⁻⁻⁻" in plain
    assert "praise +1.50 (logit, lrp): words −0.55, rest +2.05" in plain
    assert shown.count("\x1b[0m") == shown.count("\x1b[48;2;")


def test_nothing_is_scaled_so_words_and_rest_are_the_logit() -> None:
    split = wr.by_ratio(wr.planted_texts(120), per_user=False)
    model = wr.fit(wr.PooledWords(width=8, bias=True), split, wr.Training(epochs=5, batch_size=32))
    why = wr.explain(
        model.on(["film shaandaar thi !"]), wr.recommend(model.on(["film shaandaar thi !"]), k=1), wr.LRP()
    )
    found = word_relevance(why)
    assert found.words == ("film", "shaandaar", "thi", "!")
    assert found.value == pytest.approx(float(why.ledger.target[0, 0]))
    spent = why.ledger.bias + why.ledger.stabilizer + why.ledger.reference + why.ledger.gap
    assert found.rest == pytest.approx(float(spent[0, 0]), abs=1e-6)
    assert found.rest != 0


def test_a_figure_has_a_row_for_each_method_and_refuses_other_texts() -> None:
    figure = words([line(1.0, -2.0, method="LRP-0"), line(0.5, -1.0, method="LRP-ε")])
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said.count("good") == 2
    assert {"LRP-0", "LRP-ε", "−2.00", "0.00", "+2.00"} <= set(said)
    with pytest.raises(NotApplicable, match="several texts"):
        words([line(1.0), line(1.0, 2.0)])
    with pytest.raises(NotApplicable, match="no words"):
        words([])


def test_a_figure_without_a_font_for_the_script_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    with pytest.raises(NotApplicable, match="no font of this machine has the letter '\U00012000'"):
        words([WordRelevance(("\U00012000",), np.ones(1), "lrp", "logit", 0, "praise", 1.0)])


def test_what_cannot_be_coloured_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="no lines"):
        coloured_words([])
    with pytest.raises(InvalidSetting, match="limit=0"):
        coloured_words(line(1.0), limit=0)
    with pytest.raises(InvalidSetting, match="to='pdf'"):
        coloured_words(line(1.0), to="pdf")  # type: ignore[arg-type]
    with pytest.raises(InvalidSetting, match="scale='rainbow'"):
        coloured_words(line(1.0), scale="rainbow")  # type: ignore[arg-type]
    model = wr.fit(wr.EASE(), wr.leave_last_out(wr.planted(users=60, items=60)))
    with pytest.raises(NotApplicable, match="no one input of words here, but history"):
        word_relevance(wr.explain(model, wr.recommend(model, users=["u0001"], k=1)))


def test_agreement_with_people_knows_the_best_the_worst_and_chance() -> None:
    marks = [np.array([True, False, False, True]), np.array([False, True, False]), np.array([False, False])]
    best, worst = ([np.where(one, sign, -sign).astype(float) for one in marks] for sign in (1, -1))
    right, wrong = rationale_agreement(best, marks), rationale_agreement(worst, marks)
    assert [one.value for one in right.metrics.values()] == [1.0, 1.0, 1.0]
    assert all(one.n == 2 for one in right.metrics.values())  # nobody marked a word in the third
    assert wrong.metrics["token F1"].value < right.floor["token F1"] < 1
    assert wrong.metrics["AUPRC"].value < right.floor["AUPRC"] < 1
    assert average_precision(np.zeros(4), marks[0]) == 0.5  # all alike: as many as there are
    with pytest.raises(InvalidSetting, match="text 0 has 2 words with relevance and 4"):
        rationale_agreement([np.zeros(2)], marks[:1])
    with pytest.raises(InvalidSetting, match="nobody marked"):
        rationale_agreement([np.zeros(2)], marks[2:])

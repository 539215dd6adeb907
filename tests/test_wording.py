"""What every language promises: the same sentences with the same places, and none left unfilled."""

from __future__ import annotations

import pytest

import whyrec as wr
from whyrec.errors import InvalidSetting
from whyrec.wording import FIRST, languages, places_in, wording

MODEL = wr.fit(wr.EASE(), wr.leave_last_out(wr.planted(users=60, items=50)))


def test_there_are_at_least_two_languages() -> None:
    assert {"en", "de"} <= set(languages())
    with pytest.raises(InvalidSetting, match="no words in 'xx'"):
        wording("xx")


@pytest.mark.parametrize("language", languages())
def test_a_language_has_every_sentence_with_the_same_places(language: str) -> None:
    first, own = wording(FIRST).sentences, wording(language).sentences
    assert list(own) == list(first)
    for key, sentence in own.items():
        assert places_in(sentence) == places_in(first[key]), key
        assert sentence.strip() == sentence != ""


@pytest.mark.parametrize("language", languages())
def test_titles_are_listed_in_order_and_taken_as_they_are(language: str) -> None:
    words = wording(language)
    said = words.because(["One {braces}", "Two", "Three"])
    assert said.index("One {braces}") < said.index("Two") < said.index("Three")
    assert words.quoted("One {braces}") in said


@pytest.mark.parametrize(
    ("verdict", "word"), [(None, "judged"), ("not better than random", "random"), ("undecided", "")]
)
def test_no_reasons_are_named_without_a_verdict_that_allows_them(verdict: str | None, word: str) -> None:
    said = {language: wording(language).reasons((), verdict, "lrp", "logit") for language in languages()}
    assert all("lrp" in one for one in said.values())
    assert word in said["en"]
    assert wording("en").reasons((), "faithful", "lrp", "margin@10").startswith("Reasons are checked for scores only")
    assert wording("en").reasons((), "faithful", "lrp", "logit").startswith("Nothing by itself")


@pytest.mark.parametrize("language", languages())
def test_a_counterfactual_names_what_would_be_gone_and_what_would_come(language: str) -> None:
    first = wr.recommend(MODEL, ["u0001"], k=1).lines(0)[0]
    found = wr.counterfactual(MODEL, "u0001", first.item, k=1)
    said = wording(language).counterfactual(found)
    assert found.replacement is not None
    assert all(title in said for title in (first.title, found.replacement.title, found.removed[0].title))
    assert "{" not in said


def test_a_number_has_its_language_s_decimal_sign() -> None:
    assert (wording("en").number(1.25, 1), wording("de").number(2.25, 2)) == ("1.2", "2,25")

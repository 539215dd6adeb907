"""The report says what is known and no more, opens offline, and is written whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

import whyrec as wr
from whyrec import html_report
from whyrec.dataset import Catalog
from whyrec.errors import BadInput, InvalidSetting, NotFitted
from whyrec.evaluation import Evaluation, PerUser
from whyrec.explanation import Explanations
from whyrec.html_report import report
from whyrec.metrics import Of
from whyrec.reasons import VerifiedReasons, verified_reasons
from whyrec.recommendations import Recommendations
from whyrec.recommender import Recommender
from whyrec.report_card import ReportCard
from whyrec.report_content import Material, content
from whyrec.split import Split
from whyrec.statistics import Array, Estimate, mean_interval
from whyrec.verification import Verdict, Verification

HOSTILE = "<script>alert(\"1\")</script> & '{{ seed }}' <b>"
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """A parsed page: elements in order, text by element, and whether every element was closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        self.elements.append((tag, dict(attrs), list(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), list(self.open)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        """All words a reader sees, with single spaces."""
        return " ".join("".join(self.words).split())

    def attributes(self, name: str) -> Iterator[str]:
        """Values of one attribute, wherever it stands."""
        for _, found, _ in self.elements:
            if name in found:
                yield found[name] or ""


class World:
    """A small cinema in which item titles try to be code: everything a report can be given."""

    def __init__(self) -> None:
        data = wr.planted(users=60, items=60)
        titles = tuple(f"{HOSTILE} {row}" if row % 4 == 0 else f"Film & {row}" for row in range(len(data.items)))
        data = replace(data, items=Catalog(data.items.vocabulary, titles, data.items.columns), findings=(HOSTILE,))
        self.split: Split = wr.leave_last_out(data)
        self.model: Recommender = wr.fit(wr.MF(factors=8), self.split, wr.Training(epochs=8))
        self.lists: Recommendations = wr.recommend(self.model, k=4)
        self.why: Explanations = wr.explain(self.model, self.lists.best(2))
        self.card: ReportCard = wr.verify(
            self.model,
            self.lists,
            [wr.LRP(), wr.LeaveOneOut(), wr.GradientTimesInput(), wr.Random()],
            settings=Verification(resamples=200, steps=10),
        )
        self.reasons: VerifiedReasons = verified_reasons(self.model, self.why, self.card)
        self.evaluation: Evaluation = wr.evaluate(self.model, self.split, baselines=("popularity", "ease"))

    def report(self, to: Path, **changed: Any) -> str:
        """The whole report, some pieces changed."""
        given = {
            "explanations": self.why,
            "card": self.card,
            "evaluation": self.evaluation,
            "reasons": self.reasons,
            "split": self.split,
            "users": 3,
        }
        return report(self.model, self.lists, **{**given, **changed}, to=to).read_text(encoding="utf-8")

    def material(self, **changed: Any) -> Material:
        """The same as plain material."""
        whole = Material(
            self.model, self.lists, self.why, self.card, self.evaluation, self.reasons, self.split, users=60, seed=0
        )
        return replace(whole, **changed)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "report.html"


@pytest.fixture(scope="module")
def source(world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    return world.report(tmp_path_factory.mktemp("whole") / "report.html")


@pytest.fixture(scope="module")
def bare(world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bare") / "report.html"
    return report(world.model, world.lists, to=path).read_text(encoding="utf-8")


@pytest.fixture(params=["source", "bare"])
def page(request: pytest.FixtureRequest) -> Page:
    return Page(request.getfixturevalue(request.param))


def test_the_page_asks_the_network_for_nothing(page: Page, source: str) -> None:
    for name in ("src", "srcset", "href", "xlink:href", "action", "poster", "data", "background"):
        assert all(value.startswith("#") for value in page.attributes(name)), name
    assert not {"script", "link", "iframe", "object", "img", "base"} & {tag for tag, _, _ in page.elements}
    assert not re.search(r"@import|url\((?!#)", source)
    assert "default-src 'none'; style-src 'unsafe-inline'" in page.attributes("content")


def test_the_page_is_one_sound_document(page: Page) -> None:
    tags = [tag for tag, _, _ in page.elements]
    assert tags[:2] == ["html", "head"]
    assert tags.count("style") == 1
    assert page.elements[0][1]["lang"] == "en"
    ids = list(page.attributes("id"))
    assert len(set(ids)) == len(ids)
    targets = {value[1:] for name in ("href", "xlink:href") for value in page.attributes(name)}
    assert targets | {name for value in page.attributes("clip-path") for name in re.findall(r"#([^)]+)", value)} <= set(
        ids
    )


def test_headings_are_in_order_and_tables_have_captions_and_scopes(page: Page) -> None:
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(deeper - level <= 1 for level, deeper in zip([0, *levels], levels, strict=False))
    tags = [tag for tag, _, _ in page.elements]
    assert tags.count("table") == tags.count("caption") > 0
    assert all("scope" in found for tag, found, _ in page.elements if tag == "th")


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_every_verdict_stands_in_words_with_why(world: World, to: Path, verdict: Verdict) -> None:
    because = ("first doubt & more", "second doubt")
    rows = tuple(replace(row, verdict=verdict, because=because) for row in world.card.rows)
    page = Page(world.report(to, card=replace(world.card, rows=rows), reasons=None))
    head_and_legend = 2
    assert list(page.attributes("class")).count(f"badge {verdict.replace(' ', '-')}") == len(rows) + head_and_legend
    assert verdict in page.text
    assert page.text.count("irst doubt & more; second doubt.") == len(rows)


def test_a_verdict_has_a_symbol_of_its_own(source: str) -> None:
    symbols = dict(re.findall(r'class="badge ([a-z-]+)"><svg[^>]*>(.*?)</svg>', source))
    assert len(symbols) == len(set(symbols.values())) == len(get_args(Verdict))


def test_a_method_that_failed_gives_no_reasons(world: World, to: Path) -> None:
    rows = tuple(replace(row, verdict="undecided", because=("nothing to find",)) for row in world.card.rows)
    text = Page(world.report(to, card=replace(world.card, rows=rows), reasons=None)).text
    assert "Because of" not in text
    assert "No reasons are given: lrp was found to be undecided." in text


def test_titles_are_text_and_never_code(source: str) -> None:
    assert "<script" not in source
    assert HOSTILE in Page(source).text
    assert "Film & " in Page(source).text


def test_the_sentences_are_those_of_the_verified_reasons(world: World, to: Path) -> None:
    text = Page(world.report(to, users=60)).text
    places = world.why.recommendations.present.nonzero().tolist()
    assert any(world.reasons.at(row, place) for row, place in places)
    for row, place in places:
        said = (
            world.reasons.sentence(row, place).replace("“", "").replace("”", "")
        )  # the page sets titles apart by type
        assert " ".join(said.split()) in text


def test_reasons_are_verified_where_they_were_not_given(world: World, to: Path, source: str) -> None:
    assert _timeless(world.report(to, reasons=None)) == _timeless(source)


def test_one_material_makes_one_page(world: World, to: Path, source: str) -> None:
    assert _timeless(world.report(to)) == _timeless(source)
    assert _timeless(world.report(to, seed=1)) != _timeless(source)


def _timeless(page: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", page)


def test_a_missing_part_says_how_to_get_it(bare: str) -> None:
    text = Page(bare).text
    for call in (
        "whyrec.leave_last_out(data) and pass split=",
        "whyrec.evaluate(model, split) and pass evaluation=",
        "whyrec.explain(model, recommendations) and pass explanations=",
        "whyrec.verify(model, recommendations, [whyrec.LRP(), whyrec.Random()]) and pass card=",
    ):
        assert call in text
    assert "None" not in text.replace("None verified", "")


def test_a_model_in_closed_form_has_no_learning_curve(world: World, to: Path) -> None:
    model = wr.fit(wr.EASE(), world.split)
    text = Page(report(model, wr.recommend(model, k=2), to=to).read_text(encoding="utf-8")).text
    assert "There is no training log" in text


def test_somebody_new_is_shown_with_the_history_given(world: World, to: Path) -> None:
    lists = wr.recommend(world.model, history=world.lists.items.vocabulary.ids([1, 5, 9]), k=2)
    why = wr.explain(world.model, lists)
    text = Page(report(world.model, lists, why, to=to).read_text(encoding="utf-8")).text
    assert "Somebody new Last seen Film & 9 · Film & 5 · Film & 1 What mf recommends to somebody new" in text
    assert "What makes up the score of" in text


def test_every_chart_and_every_account_adds_up_to_the_score(world: World) -> None:
    people = content(world.material())["people"]
    assert len(people) == 60
    for person, target in zip(people, world.why.ledger.target[:, 0].tolist(), strict=True):
        chart = person["chart"]
        assert chart["target"] == target
        assert sum(chart["ledger"].values()) == pytest.approx(target, abs=1e-9)
        assert sum(bar.amount for bar in chart["bars"]) == pytest.approx(target, abs=2 * 10 ** -chart["digits"])


def test_lists_and_explanations_meet_by_user_and_item(world: World) -> None:
    users = ["u0031", "u0007", "u0012"]
    why = wr.explain(world.model, wr.recommend(world.model, users=users, k=1))
    people = content(world.material(why=why, reasons=None))["people"]
    assert [person["name"] for person in people] == sorted(users)
    for person in people:
        row, place = why.at(person["name"], world.lists.lines(int(person["name"][1:]) - 1)[0].item)
        assert person["chart"]["target"] == float(why.ledger.target[row, place])
        assert [line["explained"] for line in person["lines"]] == [(row, place), None, None, None]


def test_how_units_were_taken_away_is_the_card_s(world: World) -> None:
    card = replace(world.card, settings=replace(world.card.settings, operator="delete"))
    assert content(world.material(card=card))["made"]["verification"]["operator"] == "delete"


def test_methods_called_by_their_settings_have_a_place_in_the_report(world: World, tmp_path: Path) -> None:
    card = replace(world.card, rows=(*world.card.rows, replace(world.card.rows[0], method="LRP(0.5)")))
    curves = {**card.curves, "LRP(0.5)": card.curves["lrp"]}
    card = replace(card, curves=curves, target="margin@10")
    page = world.report(tmp_path / "report.html", card=card, reasons=None)
    assert "LRP(0.5)" in page
    assert "In units of the target (margin@10)" in page


def test_what_training_never_saw_is_marked(world: World) -> None:
    people = content(world.material())["people"]
    hits = sum(line["held_out"] for person in people for line in person["lines"])
    assert hits == int(((world.evaluation.ranks.ranks > 0) & (world.evaluation.ranks.ranks <= 4)).sum()) > 0


def judged(world: World, values: dict[str, Array], of: Of = "ranks") -> Evaluation:
    """The evaluation with these NDCG@10 of each user, the model's own first."""
    found = {
        name: replace(
            world.evaluation,
            model=name,
            metrics={"NDCG@10": mean_interval(one)},
            per_user={"NDCG@10": PerUser(one, of)},
        )
        for name, one in values.items()
    }
    own, *others = found
    baselines = {name: found[name].metrics for name in others}
    return replace(found[own], baselines=baselines, beside={name: found[name] for name in others})


HARD = np.linspace(0.0, 0.6, 60)  # some users are hard for every model
CHANCE = np.where(np.arange(60) % 2, 0.05, -0.05)


@pytest.mark.parametrize(
    ("own", "says"),
    [
        (
            HARD + 0.12,
            "mf ranks held-out choices higher than every baseline: user by user, its NDCG@10 less that of ease",
        ),
        (HARD + 0.06, "than every baseline: user by user, its NDCG@10 less that of ease is 0.010 [0.010, 0.010]"),
        (HARD - 0.2, "A baseline is better: ease ranks held-out choices higher than mf: user by user"),
        (HARD + 0.04, "A baseline is better: ease ranks held-out choices higher than mf: user by user"),
        (
            HARD + CHANCE + 0.049,
            "mf is not shown to beat ease: user by user, its NDCG@10 less that of ease is −0.001 [",
        ),
        (HARD + CHANCE + 0.051, "mf is not shown to beat ease: user by user, its NDCG@10 less that of ease is 0.001 ["),
    ],
)
def test_it_says_whether_a_simple_baseline_is_better_user_by_user(
    world: World, to: Path, own: Array, says: str
) -> None:
    evaluation = judged(world, {"mf": own, "popularity": HARD, "ease": HARD + 0.05})
    assert says in Page(world.report(to, evaluation=evaluation)).text


def test_better_than_the_best_is_not_better_than_every_baseline(world: World, to: Path) -> None:
    """The second baseline lies lower on average, and its users differ too much to say so of every user drawn anew."""
    uneven = np.where(np.arange(60) < 30, 0.0, 1.0)
    evaluation = judged(world, {"mf": HARD + 0.26, "ease": HARD + 0.25, "popularity": uneven})
    assert "mf is not shown to beat popularity: user by user" in Page(world.report(to, evaluation=evaluation)).text


def test_what_lists_are_like_makes_no_model_better(world: World, to: Path) -> None:
    evaluation = judged(world, {"mf": HARD + 0.2, "ease": HARD}, of="lists")
    text = Page(world.report(to, evaluation=evaluation)).text
    assert "NDCG@10 says what the lists are like, not whether they are good" in text
    assert "etter than ease" not in text


def test_a_number_that_cannot_be_told_is_not_drawn(world: World, to: Path) -> None:
    nothing, endless = Estimate(float("nan"), float("nan"), float("nan"), 1), Estimate(0.5, -torch.inf, torch.inf, 1)
    rows = tuple(
        replace(row, deletion=replace(row.deletion, normalised=nothing), stability=endless) for row in world.card.rows
    )
    source = world.report(to, card=replace(world.card, rows=rows))
    assert '"nan' not in source
    text = Page(source).text
    assert "cannot be told" in text
    assert "0.50 [−∞, ∞]" in text
    assert "nan" not in re.findall(r"\w+", text)


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "0 %"), (0.001, "under 1 %"), (0.5, "50 %"), (0.999, "over 99 %"), (1.0, "100 %")]
)
def test_a_share_is_all_or_nothing_only_where_it_is_exact(share: float, said: str) -> None:
    assert html_report._share(share) == said


def test_nothing_is_half_written_when_drawing_fails(world: World, to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    to.write_text("the report of yesterday")

    def fail(card: ReportCard) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr(html_report, "removal", fail)
    with pytest.raises(RuntimeError, match="no ink"):
        world.report(to)
    assert to.read_text() == "the report of yesterday"
    assert list(to.parent.iterdir()) == [to]


def test_nothing_is_half_written_when_writing_fails(world: World, to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_report, "_page", lambda material: "no such letter: \ud800")
    with pytest.raises(UnicodeEncodeError):
        world.report(to)
    assert not list(to.parent.iterdir())


def test_a_report_may_be_written_into_a_new_folder_over_an_old_one(world: World, tmp_path: Path) -> None:
    to = tmp_path / "new" / "report.html"
    first, again = world.report(to), world.report(str(to))
    assert _timeless(first) == _timeless(again)
    assert [file.name for file in to.parent.iterdir()] == ["report.html"]


def test_what_does_not_belong_together_is_refused(world: World, to: Path) -> None:
    stranger = replace(world.card, rows=world.card.rows[1:])
    with pytest.raises(InvalidSetting, match="explanations are by lrp and the card judges occlusion, gradient, random"):
        world.report(to, card=stranger)
    with pytest.raises(InvalidSetting, match="card is about neumf and the model is mf"):
        world.report(to, card=replace(world.card, model="neumf"))
    with pytest.raises(InvalidSetting, match="evaluation is about ease and the model is mf"):
        world.report(to, evaluation=replace(world.evaluation, model="ease"))
    with pytest.raises(InvalidSetting, match="made from other explanations"):
        world.report(to, explanations=replace(world.why))
    other = wr.fit(wr.EASE(), wr.leave_last_out(wr.planted(users=60, items=70)))
    with pytest.raises(InvalidSetting, match="recommendations name other items"):
        report(other, world.lists, to=to)
    assert not to.exists()


def test_a_place_or_a_number_of_users_that_makes_no_report_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"is a folder; give the name of a file, .*report.html"):
        world.report(tmp_path)
    with pytest.raises(InvalidSetting, match="users=0"):
        world.report(tmp_path / "report.html", users=0)
    with pytest.raises(NotFitted):
        report(wr.MF(), world.lists, to=tmp_path / "report.html")

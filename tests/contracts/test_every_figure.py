"""The law book for figures: each is drawn from an example of its first argument, and a new one is checked unasked."""

from __future__ import annotations

import inspect
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from whyrec import kinds
from whyrec.additive_terms import AdditiveShapes, Shape
from whyrec.attribution import Ledger
from whyrec.dataset import Catalog
from whyrec.diagnosis import Cluster, Diagnosis, Leaning
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.explained_words import WordRelevance
from whyrec.explanation import Contribution
from whyrec.figures.bars import bars
from whyrec.figures.by_epoch import by_epoch
from whyrec.figures.by_setting import by_setting
from whyrec.figures.contributions import contributions as contributions_by_method
from whyrec.figures.diagnosis import diagnosis
from whyrec.figures.heat_map import heat_map
from whyrec.figures.item_map import item_map
from whyrec.figures.item_neighbourhood import item_neighbourhood
from whyrec.figures.learning import learning
from whyrec.figures.main_parameters import main_parameters
from whyrec.figures.removal import removal
from whyrec.figures.session_table import session_table
from whyrec.figures.waterfall import waterfall
from whyrec.interactions import Vocabulary
from whyrec.item_places import OTHER, ItemPlaces
from whyrec.method_table import SideBySide
from whyrec.neighbourhoods import Neighbourhood
from whyrec.parameters import MainParameter, MainParameters
from whyrec.recommendations import Recommendations
from whyrec.related_products import RelatedProducts
from whyrec.relation_maps import PatchPairs, RelationMaps
from whyrec.relation_survival import ORDERS, RelationSurvival
from whyrec.report_card import ReportCard
from whyrec.skip_reasons import SessionReasons
from whyrec.standings import Contest, Entry, Floor, Leaderboard, Standing
from whyrec.statistics import Estimate
from whyrec.training import Epoch
from whyrec.verification import Verification

HOSTILE = '</text><script>alert("$_$")</script> & \x07'
SVG = "{http://www.w3.org/2000/svg}"


def contributions() -> list[Contribution]:
    titles = [HOSTILE, "Nine Lanterns", "A title that goes on and on until nobody would want to read it any further"]
    return [
        Contribution("history", number, titles[number % 3], "past item", 1.5 - 0.3 * number) for number in range(14)
    ]


def card() -> ReportCard:
    random = np.linspace(2.0, -1.0, 21)
    local = "laboratory:make.<locals>.Mine & Co"  # what a class made in a function is called
    curves = {"random": random, "greedy": random - 1, "good": random - 0.8, local: random + 0.2}
    rows = tuple(SimpleNamespace(method=name) for name in ("good", local))
    return ReportCard("mf", 20, 0, Verification(), rows, curves)  # type: ignore[arg-type]


def log() -> list[Epoch]:
    return [Epoch(number, 1 / number, 0.3 - 0.01 * (number - 4) ** 2, 0.1) for number in range(1, 8)]


def runs() -> dict[str, dict[str, list[float]]]:
    return {name: {"HR@10": [0.3, 0.4, 0.45], "NDCG@10": [0.2, 0.25, 0.24]} for name in ("8 factors", HOSTILE[:-1])}


def models() -> dict[str, dict[int, dict[str, Estimate]]]:
    found = {8: {"HR@10": Estimate(0.5, 0.45, 0.56, 90)}, 32: {"HR@10": Estimate(0.6, 0.54, 0.65, 90)}}
    return {"gmf": found, HOSTILE[:-1]: {16: {"HR@10": Estimate(0.4, 0.4, 0.4, 90)}}}


def board() -> Leaderboard:
    local = "laboratory:make.<locals>.Mine_$_$"
    good = Standing(Estimate(0.9, 0.8, 1.0, 20), Floor(0.1, 0.2), higher_is_better=True)
    bad = Standing(Estimate(-0.004, -0.3, 0.3, 20), Floor(0.1, 0.2), higher_is_better=True)
    entries = (
        Entry("one", "good", {"rank": good}),
        Entry("one", local, {}, not_applicable=HOSTILE),
        Entry("another_one", "good", {}),
        Entry("another_one", local, {"rank": bad}),
    )
    return Leaderboard(Contest(), entries)


def leaned_on(*, with_drop: bool = True) -> MainParameters:
    rows = [
        MainParameter(
            "history",
            number or None,
            HOSTILE if number == 1 else f"Lantern {number}",
            "past item",
            Estimate(1 / (number + 1), 0.9 / (number + 1), 1.3 / (number + 1), 50),
            Estimate(0.02 - 0.001 * number, -0.001 * number, 0.03, 90) if with_drop else None,
        )
        for number in range(24)
    ]
    return MainParameters("mf", "lrp", 90, 10, 5, tuple(rows), 7)


def diagnosed() -> Diagnosis:
    accuracy = Estimate(0.5, 0.4, 0.6, 90)
    corner = (Leaning("scan", HOSTILE, 0.6, 0.5, 0.02), Leaning("scan", "rows 1-4", 0.1, -0.1, 0.3))
    spread = tuple(Leaning("scan", f"rows {row}-{row + 3}", 0.2, 0.2, 0.1) for row in (1, 5, 9, 13))
    clusters = (
        Cluster(60, 0.6, accuracy, Estimate(0.9, 0.8, 1.0, 40), Estimate(0.8, 0.7, 0.9, 60), spread, 9.0, False),
        Cluster(30, 0.3, accuracy, Estimate(0.9, 0.8, 1.0, 40), Estimate(0.1, 0.0, 0.2, 60), corner, 3.0, True),
        Cluster(10, 0.1, accuracy, Estimate(0.9, 0.8, 1.0, 40), None, spread[:1], 1.0, False),
    )
    number = np.zeros((100, 1), dtype=np.int64)
    return Diagnosis("mf", "lrp", clusters, accuracy, spread, 0.3, np.array([0.0, 0.1, 0.2, 0.5]), number, 0)


def methods() -> SideBySide:
    titles = (HOSTILE, "age", "genres", "year")
    up, down = Estimate(0.6, 0.4, 0.8, 90), Estimate(-0.4, -0.6, -0.2, 90)
    unclear, small = Estimate(-0.004, -0.1, 0.1, 90), Estimate(0.2, 0.1, 0.3, 90)
    means = {"lrp": (up, down, unclear, small), HOSTILE[:-1]: (up, small, unclear, small)}
    return SideBySide(titles, means, np.array([[1.0, 0.4], [0.4, 1.0]]), {"lrp": 0.21, HOSTILE[:-1]: 1234.5})


def additive() -> AdditiveShapes:
    numbers = Shape("year", "numeric", np.array([1990.0, 1991, 1995, np.nan]), np.array([-1, 0, 1, 0.5]), np.arange(4))
    words = Shape(HOSTILE, "category", ("tea", HOSTILE, "missing"), np.array([0.5, -0.25, 0.0]), np.array([9, 3, 0]))
    return AdditiveShapes(0.25, (numbers, words), {"year": 0.7, HOSTILE: 0.4})


def session() -> SessionReasons:
    shares = np.array([[0.7, 0.1, 0.2], [0.0, 0.0, 0.0], [0.1, 0.3, 0.6]])
    chance, skipped = np.array([0.9, 0.5, 0.2]), np.array([0.0, np.nan, 0.0])
    kinds_of_evidence = ("persistence", "musical", "several")
    tracks = (HOSTILE, "Nine Lanterns", "A title that goes on and on until nobody would want to read it any further")
    return SessionReasons(HOSTILE, tracks, chance, skipped, kinds_of_evidence, shares, ("persistence", None, "all"))


def item_points() -> ItemPlaces:
    xy = np.random.default_rng(0).normal(size=(40, 2))
    groups = tuple((HOSTILE[:-1], "Drama", OTHER)[row % 3] for row in range(40))
    titles = (HOSTILE, *(f"Lantern {row}" for row in range(1, 40)))
    return ItemPlaces(xy, titles, groups, np.arange(40.0), "principal components")


def item_and_neighbours() -> Neighbourhood:
    weights = np.array([[0, 3, 1, 2], [3, 0, 0.5, 0], [1, 0.5, 0, 0], [2, 0, 0, 0.0]])
    titles = (HOSTILE, "Nine Lanterns", HOSTILE[:-1], "The Brass Orchard")
    return Neighbourhood(titles, weights, (10 * weights).astype(np.int64), "a user rated both")


def lines() -> list[WordRelevance]:
    words = (HOSTILE, "was", "not", "good", ",", "$x$", *("a plot that goes on and on " * 4).split())
    amounts = np.linspace(-2.0, 1.0, len(words))
    return [WordRelevance(words, amounts * size, f"lrp_$_$ {size}", "logit", 0, HOSTILE, 1.5) for size in (1.0, 0.5)]


def pair_maps() -> RelationMaps:
    amounts = torch.linspace(-1.0, 2.0, 2 * 2 * 8 * 8, dtype=torch.float64).view(2, 2, 8, 8)
    pixels = torch.arange(2 * 2 * 3 * 64).remainder(256).view(2, 2, 3, 8, 8).to(torch.uint8)
    one = torch.ones(2, dtype=torch.float64)
    names = ((HOSTILE, "Nine Lanterns"), ("The Brass Orchard", HOSTILE))
    places = torch.tensor([[0, 1], [2, 0]])
    ledger = Ledger(*torch.zeros(5, 2, 1, dtype=torch.float64))
    return RelationMaps(HOSTILE, "match", names, places, amounts[:, 0], amounts[:, 1], one, one, ledger, pixels)


def matched_patches() -> PatchPairs:
    maps = pair_maps()
    table = torch.linspace(-1.0, 2.0, 32, dtype=torch.float64).view(2, 2, 2, 2, 2)
    return PatchPairs(HOSTILE, maps.pairs, maps.rows, table, maps.score, maps.pictures)


def related() -> RelatedProducts:
    maps = pair_maps()
    catalog = Catalog(Vocabulary(["a", "b", "c"], kind="product"), (HOSTILE, "Nine Lanterns", "The Brass Orchard"))
    lists = Recommendations(
        catalog, catalog, torch.tensor([0]), torch.tensor([[1, 2]]), torch.tensor([[1.5, -0.5]]), torch.zeros(1, 0)
    )
    pixels = dict(zip(("a", "b", "c"), maps.pictures[:, 0].repeat(2, 1, 1, 1)[:3], strict=True))
    return RelatedProducts("a", HOSTILE, {HOSTILE: lists}, pixels, {HOSTILE: maps})


def surviving() -> RelationSurvival:
    falling = np.linspace(1.0, -1.0, 9)
    scores = {order: falling * size for order, size in zip(ORDERS, (2.0, 1.0, 0.5), strict=True)}
    left = {order: {HOSTILE: np.linspace(1.0, 0.0, 9), "none": np.linspace(0.0, 1.0, 9)} for order in ORDERS}
    return RelationSurvival(HOSTILE, 20, 4, "query", np.linspace(0.0, 1.0, 9), scores, left)


EXAMPLES: dict[Any, Callable[[], Any]] = {
    Sequence[WordRelevance]: lines,
    Mapping[str, RelationMaps]: lambda: {HOSTILE: pair_maps(), "also_bought": pair_maps()},
    PatchPairs: matched_patches,
    RelatedProducts: related,
    RelationSurvival: surviving,
    ItemPlaces: item_points,
    Neighbourhood: item_and_neighbours,
    SessionReasons: session,
    AdditiveShapes: additive,
    SideBySide: methods,
    Mapping[str, Mapping[str, Sequence[float]]]: runs,
    Mapping[str, Mapping[int, Mapping[str, Estimate]]]: models,
    Sequence[Contribution]: contributions,
    ReportCard: card,
    Sequence[Epoch]: log,
    MainParameters: leaned_on,
    Leaderboard: board,
    Diagnosis: diagnosed,
}
"""What each kind of first argument may hold, with names that are unkind to SVG."""


@pytest.fixture(params=kinds.names("figures"))
def draw(request: pytest.FixtureRequest) -> Callable[[], Figure]:
    function = kinds.load("figures", request.param)
    asked = get_type_hints(function)[next(iter(inspect.signature(function).parameters))]
    assert asked in EXAMPLES, f"add an example of {asked} to EXAMPLES in {__file__}"
    return lambda: function(EXAMPLES[asked]())


def svg_of(figure: Figure) -> str:
    drawn = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "same"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def test_it_is_a_figure_that_becomes_a_picture(draw: Callable[[], Figure], tmp_path: Path) -> None:
    figure = draw()
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_its_svg_is_whole_and_runs_nothing(draw: Callable[[], Figure]) -> None:
    root = ET.fromstring(svg_of(draw()))  # noqa: S314 (our own drawing)
    tags = {element.tag for element in root.iter()}
    assert root.tag == f"{SVG}svg"
    assert not {tag for tag in tags if tag.lower().endswith(("script", "foreignobject"))}
    for picture in root.iter(f"{SVG}image"):  # pixels stand in the file itself; nothing is fetched
        assert picture.attrib["{http://www.w3.org/1999/xlink}href"].startswith("data:image/png;base64,")
    assert not {name for element in root.iter() for name in element.attrib if name.lower().startswith("on")}


def test_its_words_are_text(draw: Callable[[], Figure]) -> None:
    root = ET.fromstring(svg_of(draw()))  # noqa: S314 (our own drawing)
    words = ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]
    assert any(re.search("[a-z]{4}", word) for word in words)


def test_the_same_results_give_the_same_drawing(draw: Callable[[], Figure]) -> None:
    assert svg_of(draw()) == svg_of(draw())


def test_it_leaves_the_settings_of_matplotlib_as_found(draw: Callable[[], Figure]) -> None:
    before = dict(mpl.rcParams)
    draw()
    assert dict(mpl.rcParams) == before


def test_it_looks_the_same_under_anybodys_style(draw: Callable[[], Figure]) -> None:
    with rc_context({"axes.facecolor": "black", "figure.facecolor": "black"}):
        figure = draw()
    assert {one.get_facecolor() for one in (figure, *figure.axes)} == {(1.0, 1.0, 1.0, 1.0)}


def test_bars_add_up_to_all_that_was_given() -> None:
    figure = bars(contributions(), most=5, bias=-0.25)
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert len(widths) == 7
    assert sum(widths) == pytest.approx(sum(one.relevance for one in contributions()) - 0.25)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][-2:] == ["9 more", "bias"]


def test_the_bars_shown_are_the_largest_and_begin_with_what_speaks_for_the_item() -> None:
    widths = [bar.get_width() for bar in bars(contributions(), most=4).axes[0].patches]
    assert widths[:-1] == pytest.approx([1.5, -1.8, -2.1, -2.4])


def test_bars_of_nothing_are_refused() -> None:
    with pytest.raises(NotApplicable, match="history"):
        bars([])
    with pytest.raises(InvalidSetting, match="most=0"):
        bars(contributions(), most=0)


def test_the_kept_epoch_is_the_best_on_validation_else_the_last() -> None:
    without = [Epoch(number, 1 / number, None, 0.1) for number in (1, 2, 3)]
    for epochs, kept in ((log(), 4), (without, 3)):
        marks = [text.get_text() for text in learning(epochs).axes[0].texts]
        assert marks == [f"kept: epoch {kept}"]
    with pytest.raises(NotApplicable, match="closed form"):
        learning([])


def heights(axes: Axes) -> dict[str, list[float]]:
    """What each named line shows, left to right."""
    return {str(line.get_label()): np.asarray(line.get_ydata()).tolist() for line in axes.get_lines()}


def test_losses_stand_in_one_panel_and_what_chooses_the_epoch_in_the_other() -> None:
    epochs = [Epoch(number, 1 / number, 0.3, 0.1, 0.5 + 1 / number) for number in (1, 2, 4)]
    loss, validation = learning(epochs).axes
    assert heights(loss)["training"] == [1, 1 / 2, 1 / 4]
    assert heights(loss)["validation"] == [1.5, 1.0, 0.75]
    assert heights(validation)["validation"] == [0.3] * 3
    assert "validation" not in heights(learning(log()).axes[0])


def test_each_run_is_a_line_in_each_panel_and_each_baseline_runs_across() -> None:
    baselines = {"popularity": {"HR@10": 0.35, "NDCG@10": 0.1}, "ease": {"NDCG@10": 0.3}}
    figure = by_epoch(runs(), baselines=baselines, measured="on the test part")
    hits, gains = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["HR@10", "NDCG@10"]
    assert heights(hits) == {**{name: run["HR@10"] for name, run in runs().items()}, "popularity": [0.35, 0.35]}
    assert heights(gains)["ease"] == [0.3, 0.3]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*runs(), "popularity", "ease"]
    assert figure.get_supxlabel() == "on the test part"
    with pytest.raises(NotApplicable, match="no run to draw"):
        by_epoch({})
    with pytest.raises(InvalidSetting, match=r"the run 'b' has no NDCG@10; measure all runs alike"):
        by_epoch({"a": {"HR@10": [1.0], "NDCG@10": [1.0]}, "b": {"HR@10": [1.0]}})


def test_whiskers_end_where_intervals_end_and_a_missing_value_breaks_the_line() -> None:
    bands = {"popularity": {"HR@10": Estimate(0.3, 0.25, 0.36, 90)}, "other": {"NDCG@10": Estimate(0.3, 0.2, 0.4, 90)}}
    axes = by_setting(models(), baselines=bands).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["8", "16", "32"]
    gmf = axes.containers[0]
    assert isinstance(gmf, ErrorbarContainer)
    np.testing.assert_array_equal(np.asarray(gmf.lines[0].get_ydata(), dtype=float), [0.5, np.nan, 0.6])
    ends = [np.asarray(one)[:, 1].tolist() for one in gmf.lines[2][0].get_segments() if len(one) == 2]
    assert ends == [pytest.approx([0.45, 0.56]), pytest.approx([0.54, 0.65])]
    band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (band.y0, band.y1) == pytest.approx((0.25, 0.36))
    assert len(axes.patches) == 1
    with pytest.raises(NotApplicable, match="no model to draw"):
        by_setting({"gmf": {}})
    with pytest.raises(InvalidSetting, match="'mf' at 8 has no HR@10"):
        by_setting({"gmf": models()["gmf"], "mf": {8: {}}})


def test_the_ceiling_is_drawn_only_while_it_is_the_lowest() -> None:
    made = card()
    made.curves["good"] = np.where(np.arange(21) > 3, made.curves["random"] - 2, made.curves["random"] - 0.5)
    assert _share_of_the_ceiling(made) == 15
    made.curves["good"] = made.curves["random"]
    made.curves["greedy"][8:] = 0.0  # not searched beyond the first units
    assert _share_of_the_ceiling(made) == 35


def test_removal_curves_say_what_falls() -> None:
    title = removal(replace(card(), target="margin@10")).axes[0].get_title(loc="left")
    assert title.startswith("mean margin@10 of ")


def _share_of_the_ceiling(card: ReportCard) -> float:
    """Where the line of the best order ends, in percent."""
    lines = {line.get_label(): line for line in removal(card).axes[0].get_lines()}
    return float(np.asarray(lines["best order found"].get_xdata())[-1])


def test_a_heat_map_brackets_what_does_not_beat_the_floor_and_marks_what_does_not_apply() -> None:
    assert [text.get_text() for text in heat_map(board()).axes[0].texts][:4] == ["0.90", "", "n/a", "(0.00)"]
    fills = [cell.get_facecolor() for cell in heat_map(board()).axes[0].patches][:4]
    blue, orange = fills[0], fills[3]
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]
    with pytest.raises(InvalidSetting, match="no score called 'beauty'"):
        heat_map(board(), "beauty")


def test_inputs_have_a_bar_and_an_interval_in_either_panel_and_wholes_have_none() -> None:
    figure = main_parameters(leaned_on(), most=6)
    relevance, drop = figure.axes
    assert [bar.get_width() for bar in relevance.patches] == pytest.approx([1 / (number + 1) for number in range(1, 7)])
    assert [bar.get_width() for bar in drop.patches] == pytest.approx([0.02 - 0.001 * number for number in range(1, 7)])
    assert [label.get_text() for label in relevance.get_yticklabels()][1] == "Lantern 2"
    for axes, row in ((relevance, leaned_on().rows[1].relevance), (drop, leaned_on().rows[1].drop)):
        interval = next(one for one in axes.containers if isinstance(one, ErrorbarContainer))
        ends = interval.lines[2][0].get_segments()[0][:, 0]
        assert row is not None
        assert ends.tolist() == pytest.approx([row.low, row.high])
    assert len(main_parameters(leaned_on(with_drop=False)).axes) == 1
    with pytest.raises(InvalidSetting, match="most=0"):
        main_parameters(leaned_on(), most=0)


def test_groups_that_stand_out_come_first_each_with_its_units_and_both_accuracies() -> None:
    figure = diagnosis(diagnosed(), most=2, units=2)
    units, answers = figure.axes
    assert [bar.get_width() for bar in units.patches] == pytest.approx([0.6, 0.1, 0.2, 0.2])
    assert [text.get_text() for text in units.texts if "answers" in text.get_text()] == [
        "30 answers (30%)  ▸ stands out",
        "60 answers (60%)",
    ]
    assert [text.get_text() for text in units.texts][1:3] == ["60% | 2%", "10% | 30%"]
    assert [text.get_text() for text in answers.texts] == ["50%", "10%", "50%", "80%"]
    assert any("groups not shown: 1" in text.get_text() for text in figure.findobj(Text))
    with pytest.raises(InvalidSetting, match="most=0"):
        diagnosis(diagnosed(), most=0)


def test_methods_stand_side_by_side_with_what_they_agree_on() -> None:
    axes = contributions_by_method(methods(), most=3).axes[0]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows[1:] == ["age", "year", "rank agreement", "ms a score"]
    words = [text.get_text() for text in axes.texts]
    assert words[:9] == ["+0.50", "+0.60", "+ all", "−0.33", "+0.20", "they differ", "+0.17", "+0.20", "+ all"]
    assert words[9:13] == ["0.40", "0.21", "0.40", "1,234"]
    blue, orange = axes.patches[0].get_facecolor(), axes.patches[2].get_facecolor()
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]
    assert "(0.00)" in [text.get_text() for text in contributions_by_method(methods()).axes[0].texts]
    with pytest.raises(InvalidSetting, match="most=0"):
        contributions_by_method(methods(), most=0)


def test_a_waterfall_goes_from_the_start_to_the_score() -> None:
    axes = waterfall(contributions(), start=0.5, most=4).axes[0]
    left, width = ([getattr(bar, f"get_{what}")() for bar in axes.patches] for what in ("x", "width"))
    assert left[0] == pytest.approx(0.5)
    assert left[1:] == pytest.approx([start + step for start, step in zip(left[:-1], width[:-1], strict=True)])
    score = 0.5 + sum(one.relevance for one in contributions())
    assert left[-1] + width[-1] == pytest.approx(score)
    assert [abs(one) for one in width[:4]] == sorted((abs(one) for one in width[:4]), reverse=True)
    assert [label.get_text() for label in axes.get_yticklabels()][-2:] == ["10 more", "score"]
    assert axes.texts[-1].get_text() == f"{score:.2f}".replace("-", "−")
    with pytest.raises(NotApplicable, match="no contribution"):
        waterfall([])
    with pytest.raises(InvalidSetting, match="most=0"):
        waterfall(contributions(), most=0)


def test_a_session_has_what_was_guessed_and_what_it_rests_on_and_wrong_guesses_are_framed() -> None:
    axes = session_table(session()).axes[0]
    words = [text.get_text() for text in axes.texts]
    assert words[:5] == ["listen", "skip 0.90", "0.70", "0.10", "0.20"]
    assert words[5:10] == ["?", "listen 0.50", "", "", ""]
    bold = [text.get_text() for text in axes.texts if text.get_weight() == "bold"]
    assert bold == ["skip 0.90", "0.70", "", "", "", "0.60"]
    framed = [one.get_x() for one in axes.patches if one.get_linewidth() == 2.0 and not one.get_fill()]
    assert framed == [pytest.approx(0.04)]
    darker = [sum(one.get_facecolor()[:3]) for one in axes.patches if one.get_y() > 2 and one.get_width() == 1]
    assert np.argsort(darker)[0] == 0
    with pytest.raises(NotApplicable, match="nothing to draw"):
        session_table(replace(session(), tracks=()))


def boxes_of(figure: Figure) -> list[Any]:
    figure.savefig(io.BytesIO(), format="png")  # places every text
    return [text.get_window_extent() for text in figure.axes[0].texts]


def test_names_on_a_map_cover_no_other_and_stay_in_the_frame() -> None:
    places = item_points()
    figure = item_map(places, named=[places.titles[3]], most=15)
    named = [text.get_text() for text in figure.axes[0].texts]
    assert named[0] == "Lantern 3"
    assert 8 <= len(named) <= 15
    assert set(named[1:3]) <= {f"Lantern {row}" for row in range(34, 40)}  # the weightiest come first
    boxes, frame = boxes_of(figure), figure.axes[0].get_window_extent()
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:place])
        assert frame.x0 <= box.x0 <= box.x1 <= frame.x1
        assert frame.y0 <= box.y0 <= box.y1 <= frame.y1
    assert not list(item_map(places, most=0).axes[0].texts)
    with pytest.raises(InvalidSetting, match="most=-1"):
        item_map(places, most=-1)


def test_groups_on_a_map_differ_by_marker_as_well_as_by_colour() -> None:
    figure = item_map(item_points())
    layers = figure.axes[0].collections
    shapes = {tuple(map(tuple, layer.get_paths()[0].vertices.round(3))) for layer in layers}
    colours = {tuple(layer.get_facecolor()[0].round(3)) for layer in layers}
    assert len(layers) == len(shapes) + 1  # what is in no group has the circle of the first one, in grey
    assert len(colours) == 3
    assert sum(len(layer.get_offsets()) for layer in layers) == 40


def test_lines_to_neighbours_are_as_wide_as_their_edges_are_heavy() -> None:
    axes = item_neighbourhood(item_and_neighbours()).axes[0]
    widths = {tuple(np.ravel(line.get_xydata()).round(6)): line.get_linewidth() for line in axes.lines}
    assert len(widths) == 4  # three of the item, one between its neighbours
    places = axes.collections[0].get_offsets()
    of_item = [widths[tuple(np.array([0, 0, *place]).round(6))] for place in places]
    assert of_item[0] == max(widths.values()) > of_item[2] > of_item[1] > min(widths.values())
    words = [text.get_text() for text in axes.texts]
    assert words[0] == "Nine Lanterns  30"
    assert "20  The Brass Orchard" in words

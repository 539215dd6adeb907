"""The law book for figures: each is drawn from an example of its first argument, and a new one is checked unasked."""

from __future__ import annotations

import inspect
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure

from whyrec import kinds
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.explanation import Contribution
from whyrec.figures.bars import bars
from whyrec.figures.learning import learning
from whyrec.figures.removal import removal
from whyrec.report_card import ReportCard, Verification
from whyrec.training import Epoch

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


EXAMPLES: dict[Any, Callable[[], Any]] = {
    Sequence[Contribution]: contributions,
    ReportCard: card,
    Sequence[Epoch]: log,
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
    assert not {tag for tag in tags if tag.lower().endswith(("script", "foreignobject", "image"))}
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


def test_the_ceiling_is_drawn_only_while_it_is_the_lowest() -> None:
    made = card()
    made.curves["good"] = np.where(np.arange(21) > 3, made.curves["random"] - 2, made.curves["random"] - 0.5)
    assert _share_of_the_ceiling(made) == 15
    made.curves["good"] = made.curves["random"]
    made.curves["greedy"][8:] = 0.0  # not searched beyond the first units
    assert _share_of_the_ceiling(made) == 35


def _share_of_the_ceiling(card: ReportCard) -> float:
    """Where the line of the best order ends, in percent."""
    lines = {line.get_label(): line for line in removal(card).axes[0].get_lines()}
    return float(np.asarray(lines["best order found"].get_xdata())[-1])

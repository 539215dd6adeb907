"""Words of a text on the colour of their relevance, as a picture: line by line, several methods below each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path

from whyrec.errors import NotApplicable
from whyrec.explained_words import WordRelevance
from whyrec.figures import INK, MUTED, short
from whyrec.spectrum import Scale, Spectrum

Side = Literal["left", "center", "right"]

WIDTH = 9.2
"""Inches."""

LETTER = 11
"""Points of the words."""

ROW, SPACE, PAD = 0.34, 0.07, 0.06  # inches: height of a row, between words, around each
BASELINE = 0.19
"""Inches from the top of a row to where its letters stand."""

THINNEST = 0.015
"""Inches of a bar that is still seen."""

USUAL = "DejaVu Sans"
"""The font that comes with matplotlib."""

GAP = 0.2
"""Inches between two bands of words."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A word with its place on the page."""

    number: int
    text: str
    left: float  # inches
    width: float
    band: int


def words(lines: Sequence[WordRelevance], *, scale: Scale = "diverging", limit: float | None = None) -> Figure:
    """The words of one text, a row for each line of `lines`, all on one spectrum; long texts go on in bands below.

    `limit` is where the spectrum ends. Below each word is a bar, the longer the more it brought, to the right where it
    speaks for and to the left where it speaks against, so that nothing hangs on colour alone. Needs a font with the
    letters of the text: `coloured_words` writes HTML, which browsers have fonts for.
    """
    if not lines or not lines[0].words:
        raise NotApplicable("there are no words to draw; explain a text that is not empty")
    if len({line.words for line in lines}) > 1:
        raise NotApplicable("these lines are of several texts; draw each text by itself")
    spectrum = Spectrum.of([float(value) for line in lines for value in line.relevance], scale, limit=limit)
    names = [short(line.method) for line in lines]
    texts = [short(word) for word in lines[0].words]
    families = _families([*texts, *names, short(lines[0].label)])
    left = max(_width(name, LETTER - 2, families) for name in names) + 0.25
    placed = _placed(texts, [_width(text, LETTER, families) + 2 * PAD for text in texts], left)
    bands = placed[-1].band + 1
    height = 0.62 + bands * (len(lines) * ROW + GAP) + 0.62
    figure, axes = _page(height)
    first = lines[0]
    title = f"{short(first.label)} {_signed(first.value)} ({first.target}), word by word"
    _text(axes, 0.2, 0.36, title, 10, INK, "left")
    for row, (line, name) in enumerate(zip(lines, names, strict=True)):
        for band in range(bands):
            _text(axes, left - 0.1, _top(band, row, len(lines)) + BASELINE, name, LETTER - 2, MUTED, "right")
        for word in placed:
            _word(axes, word, float(line.relevance[word.number]), _top(word.band, row, len(lines)), spectrum)
    _legend(axes, spectrum, first.unit, height - 0.42)
    for text in axes.texts:
        text.set_fontfamily(families)
    return figure


def _page(height: float) -> tuple[Figure, Axes]:
    """A figure whose units are inches, from the upper left corner."""
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_facecolor("white")
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(height, 0)
    axes.axis("off")
    return figure, axes


def _placed(texts: list[str], widths: list[float], left: float) -> list[_Placed]:
    """Words side by side, on as many bands as they need."""
    found: list[_Placed] = []
    at, band = left, 0
    for number, (text, width) in enumerate(zip(texts, widths, strict=True)):
        if at + width > WIDTH - 0.2 and at > left:
            at, band = left, band + 1
        found.append(_Placed(number, text, at, width, band))
        at += width + SPACE
    return found


def _top(band: int, row: int, rows: int) -> float:
    return 0.62 + band * (rows * ROW + GAP) + row * ROW


def _width(text: str, points: float, families: Sequence[str]) -> float:
    """Inches that a text takes."""
    font = FontProperties(family=list(families), size=points)
    width, _, _ = text_to_path.get_text_width_height_descent(text or " ", font, ismath=False)
    return float(width) / 72


def _families(texts: Sequence[str]) -> list[str]:
    """Fonts that have all letters of some texts: the usual one, and those of Noto that add what it lacks."""
    missing, families = _lacks(findfont(USUAL), set("".join(texts)) - {" "}), [USUAL]
    for font in (one for one in fontManager.ttflist if one.name.startswith("Noto")):
        still = _lacks(font.fname, missing) if missing else missing
        if len(still) < len(missing):
            missing, families = still, [*families, font.name]
    if missing:
        raise NotApplicable(
            f"no font of this machine has the letter {min(missing)!r}; install a Noto font for the script, or write "
            "HTML with coloured_words(), which browsers have fonts for"
        )
    return families


def _lacks(font_file: str, letters: set[str]) -> set[str]:
    """The letters that a font does not have."""
    font = get_font(font_file)
    return {one for one in letters if not font.get_char_index(ord(one))}


def _word(axes: Axes, word: _Placed, value: float, top: float, spectrum: Spectrum) -> None:
    fill = _shade(spectrum.colour(value))
    axes.add_patch(Rectangle((word.left, top + 0.03), word.width, ROW - 0.1, facecolor=fill, edgecolor="none"))
    ink, middle = _shade(spectrum.ink(value)), word.left + word.width / 2
    _text(axes, middle, top + BASELINE, word.text, LETTER, ink, "center")
    reach = min(1.0, abs(value) / max(abs(spectrum.low), abs(spectrum.high))) * word.width / 2
    if reach > THINNEST:
        start = middle if value > 0 else middle - reach
        axes.add_patch(Rectangle((start, top + ROW - 0.06), reach, 0.035, facecolor=INK, edgecolor="none"))


def _legend(axes: Axes, spectrum: Spectrum, unit: str, top: float) -> None:
    """The spectrum with its numbers, and what the bars mean."""
    steps, width = 120, 2.2
    for step in range(steps):
        value = spectrum.low + (spectrum.high - spectrum.low) * step / (steps - 1)
        fill = _shade(spectrum.colour(value))
        axes.add_patch(
            Rectangle((0.2 + width * step / steps, top), width / steps * 1.05, 0.11, facecolor=fill, edgecolor="none")
        )
    low, middle, high = (_signed(tick) for tick in spectrum.ticks())
    if spectrum.clipped:
        low, high = (f"≤ {low}" if spectrum.low < 0 else low), f"≥ {high}"
    ends: tuple[tuple[float, str, Side], ...] = ((0.0, low, "left"), (0.5, middle, "center"), (1.0, high, "right"))
    for share, text, side in ends:
        _text(axes, 0.2 + share * width, top + 0.28, text, 8.5, MUTED, side)
    note = f"in {unit}; bars: right for, left against"
    _text(axes, 0.2 + width + 0.25, top + 0.1, note, 8.5, MUTED, "left")


def _text(axes: Axes, x: float, y: float, text: str, size: float, ink: str, side: Side) -> None:
    axes.text(x, y, text, fontsize=size, color=ink, ha=side, va="baseline", parse_math=False)


def _shade(colour: tuple[int, int, int]) -> str:
    red, green, blue = (one / 255 for one in colour)
    return to_hex((red, green, blue))


def _signed(value: float) -> str:
    shown = f"{value:+.2f}"
    return shown[1:] if float(shown) == 0 else shown.replace("-", "−")

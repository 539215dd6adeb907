"""Words on the colour of their relevance: as HTML for notebooks and reports, and for terminals.

No meaning hangs on colour alone. In HTML a line below each word is the thicker the more it brought, solid for and
dotted against, and the number shows where the mouse rests; in a terminal one to three signs stand behind a word.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Literal

from whyrec.errors import InvalidSetting
from whyrec.explained_words import WordRelevance
from whyrec.spectrum import INK, Scale, Spectrum, hexadecimal
from whyrec.words import needs_space

Form = Literal["html", "terminal"]

THICKEST = 4
"""Pixels of the line below the strongest word."""

SUPERSCRIPT = {"+": "⁺", "-": "⁻"}
RESET = "\x1b[0m"

STYLE = """
.wr-words{max-width:64rem;margin:1rem 0;padding:1rem 1.25rem;background:#fff;color:#1f2328;border:1px solid #d1d9e0;
border-radius:.5rem;
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Noto Sans Devanagari",sans-serif}
.wr-words *{box-sizing:border-box}
.wr-words .head{display:flex;flex-wrap:wrap;gap:.15rem 1.25rem;margin:0 0 .6rem;color:#59636e;font-size:.8125rem}
.wr-words .head b{color:#1f2328;font-weight:650}
.wr-words .line{margin:0;line-height:2.15;overflow-wrap:anywhere}
.wr-words .line+.head{margin-top:1.25rem}
.wr-words .word{margin-right:1px;padding:.12em .22em .06em;border-bottom:0 solid #1f2328;border-radius:.2em .2em 0 0}
.wr-words .scroll{overflow-x:auto}
.wr-words table{border-collapse:separate;border-spacing:3px 2px;font-variant-numeric:tabular-nums}
.wr-words th{padding:.05rem .4rem;text-align:right;font-weight:400;white-space:nowrap}
.wr-words thead th{color:#59636e;font-size:.8125rem;vertical-align:bottom}
.wr-words td{min-width:3.7rem;padding:.05rem .4rem;border-bottom:0 solid #1f2328;border-radius:.2rem .2rem 0 0;
text-align:right;font-size:.8125rem}
.wr-words tfoot th,.wr-words tfoot td{color:#59636e;font-size:.8125rem}
.wr-words tfoot .sum>*{color:#1f2328;font-weight:650}
.wr-words tfoot tr:first-child>*{border-top:1px solid #1f2328;border-radius:0}
.wr-words .legend{display:flex;flex-wrap:wrap;align-items:center;gap:.4rem 1.5rem;margin-top:.9rem;color:#59636e;
font-size:.8125rem}
.wr-words .scale{flex:0 1 15rem;min-width:11rem}
.wr-words .bar{display:block;height:.7rem;border:1px solid #d1d9e0}
.wr-words .ticks{display:flex;justify-content:space-between;font-variant-numeric:tabular-nums}
.wr-words .marks{display:inline-flex;gap:.9rem}
.wr-words .marks span{padding-bottom:.05rem}
"""


class _Html(str):
    """HTML that a notebook shows as such; text everywhere else."""

    def _repr_html_(self) -> str:
        return str(self)


def coloured_words(
    lines: WordRelevance | Sequence[WordRelevance],
    *,
    to: Form = "html",
    scale: Scale = "diverging",
    limit: float | None = None,
) -> str:
    """Words on the colour of what they brought, all lines on one scale: HTML, which notebooks show, or for terminals.

    Lines of one text, explained by several methods, stand word by word below each other. `limit` is where the scale
    ends; what is beyond has the colour of the end, and the legend says so.

    >>> import numpy as np
    >>> line = WordRelevance(("so", "good", "!"), np.array([0.1, 2.0, -0.7]), "lrp", "logit", 0, "praise", 1.5)
    >>> shown = coloured_words(line, to="terminal")
    >>> "good" in shown and "⁺⁺⁺" in shown and "⁻" in shown
    True
    """
    found = [lines] if isinstance(lines, WordRelevance) else list(lines)
    if not found:
        raise InvalidSetting("there are no lines to colour; pass what word_relevance() returns")
    spectrum = Spectrum.of([float(value) for line in found for value in line.relevance], scale, limit=limit)
    if to == "terminal":
        return _terminal(found, spectrum)
    if to != "html":
        raise InvalidSetting(f"to={to!r}: there are 'html' and 'terminal'")
    same_text = len(found) > 1 and len({line.words for line in found}) == 1
    body = _aligned(found, spectrum) if same_text else "".join(_paragraph(line, spectrum) for line in found)
    return _Html(f'<div class="wr-words"><style>{STYLE}</style>{body}{_legend(found, spectrum)}</div>')


def _paragraph(line: WordRelevance, spectrum: Spectrum) -> str:
    pieces, before = [], ""
    for word, value in zip(line.words, line.relevance.tolist(), strict=True):
        space = " " if needs_space(before[-1:], word) else ""
        pieces.append(f'{space}<span class="word" {_look(value, spectrum)}>{html.escape(word)}</span>')
        before = word
    return f'{_head(line)}<p class="line" dir="auto">{"".join(pieces) or "(no words)"}</p>'


def _aligned(lines: list[WordRelevance], spectrum: Spectrum) -> str:
    """A table with a row for each word and a column for each line, and the account of each line at its foot."""
    head = "".join(f'<th scope="col">{html.escape(line.method)}</th>' for line in lines)
    rows = []
    for place, word in enumerate(lines[0].words):
        cells = "".join(
            f"<td {_look(value, spectrum, line.method)}>{_signed(value)}</td>"
            for line, value in ((line, float(line.relevance[place])) for line in lines)
        )
        rows.append(f'<tr><th scope="row" dir="auto">{html.escape(word)}</th>{cells}</tr>')
    first = lines[0]
    account = {"all words": [line.relevance.sum() for line in lines], "rest": [line.rest for line in lines]}
    sums = {**account, f"{first.label} ({first.target})": [line.value for line in lines]}
    foot = "".join(
        f'<tr{" class=sum" if name not in account else ""}><th scope="row">{html.escape(name)}</th>'
        + "".join(f"<td>{_signed(float(value))}</td>" for value in values)
        + "</tr>"
        for name, values in sums.items()
    )
    return (
        f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody>'
        f"<tfoot>{foot}</tfoot></table></div>"
    )


def _head(line: WordRelevance) -> str:
    """What is explained, and the account: words and the rest are the number."""
    account = f"words {_signed(float(line.relevance.sum()))}, rest {_signed(line.rest)}"
    return (
        f'<p class="head"><span><b>{html.escape(line.label)}</b> {_signed(line.value)} '
        f"({html.escape(line.target)})</span><span>{html.escape(line.method)}</span><span>{account}</span></p>"
    )


def _look(value: float, spectrum: Spectrum, method: str = "") -> str:
    """Fill, letters and the line below, and the number for where the mouse rests."""
    strength = abs(value) / max(abs(spectrum.low), abs(spectrum.high))
    line = round(THICKEST * min(1.0, strength))
    mark = f";border-bottom:{line}px {'solid' if value > 0 else 'dotted'} {hexadecimal(INK)}" if line else ""
    title = html.escape(f"{method} {_signed(value, 4)}".strip(), quote=True)
    fill, ink = hexadecimal(spectrum.colour(value)), hexadecimal(spectrum.ink(value))
    return f'style="background:{fill};color:{ink}{mark}" title="{title}"'


def _legend(lines: list[WordRelevance], spectrum: Spectrum) -> str:
    stops = ",".join(hexadecimal(one) for one in spectrum.stops)
    low, middle, high = (_signed(tick) for tick in spectrum.ticks())
    if spectrum.clipped:
        low, high = (f"≤ {low}" if spectrum.low < 0 else low), f"≥ {high}"
    return (
        '<div class="legend"><span class="scale">'
        f'<span class="bar" style="background:linear-gradient(to right,{stops})"></span><span class="ticks">'
        f"<span>{low}</span><span>{middle}</span><span>{high}</span></span></span>"
        '<span class="marks"><span style="border-bottom:3px solid">speaks for</span>'
        '<span style="border-bottom:3px dotted">against</span></span>'
        f"<span>in {lines[0].unit}</span></div>"
    )


def _terminal(lines: list[WordRelevance], spectrum: Spectrum) -> str:
    found = []
    for line in lines:
        account = f"words {_signed(float(line.relevance.sum()))}, rest {_signed(line.rest)}"
        found.append(f"{line.label} {_signed(line.value)} ({line.target}, {line.method}): {account}")
        shown = [_painted(*pair, spectrum) for pair in zip(line.words, line.relevance.tolist(), strict=True)]
        found.append(" ".join(shown) or "(no words)")
    ticks = " ".join(_on(f" {_signed(tick)} ", tick, spectrum) for tick in spectrum.ticks())
    found.append(f"{ticks}  ⁺ speaks for, ⁻ against{'; beyond the ends clipped' if spectrum.clipped else ''}")
    return "\n".join(found)


def _painted(word: str, value: float, spectrum: Spectrum) -> str:
    """A word with one to three signs behind it, on its colour."""
    strength = abs(value) / max(abs(spectrum.low), abs(spectrum.high))
    signs = SUPERSCRIPT["+" if value > 0 else "-"] * round(3 * min(1.0, strength))
    return _on("".join(one for one in word if one.isprintable()) + signs, value, spectrum)


def _on(text: str, value: float, spectrum: Spectrum) -> str:
    fill, ink = (";".join(map(str, one)) for one in (spectrum.colour(value), spectrum.ink(value)))
    return f"\x1b[48;2;{fill}m\x1b[38;2;{ink}m{text}{RESET}"


def _signed(value: float, digits: int = 2) -> str:
    """A number with its sign, zero without one."""
    shown = f"{value:+.{digits}f}"
    return shown[1:] if float(shown) == 0 else shown.replace("-", "−")

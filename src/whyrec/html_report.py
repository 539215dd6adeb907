"""The report: one HTML file that opens offline. How good are the lists, why these items, and are the reasons true?"""

from __future__ import annotations

import io
import math
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from whyrec import kinds
from whyrec.errors import BadInput, InvalidSetting
from whyrec.evaluation import Evaluation
from whyrec.explanation import Explanations
from whyrec.figures import INK, MUTED, RULE
from whyrec.figures.learning import learning
from whyrec.figures.removal import removal
from whyrec.reasons import VerifiedReasons, verified_reasons
from whyrec.recommendations import Recommendations
from whyrec.recommender import Recommender
from whyrec.report_card import ReportCard
from whyrec.report_content import Material, content
from whyrec.split import Split


def report(
    model: Recommender,
    recommendations: Recommendations,
    explanations: Explanations | None = None,
    card: ReportCard | None = None,
    *,
    to: str | Path,
    evaluation: Evaluation | None = None,
    reasons: VerifiedReasons | None = None,
    split: Split | None = None,
    users: int = 6,
    seed: int = 0,
) -> Path:
    """Write everything that is known to one HTML file, and return its path. An older file there is replaced.

    The lists of `users` users, drawn by `seed`, are shown in full. Reasons are verified here where `explanations` and a
    `card` are given without them. Of a part that is not given, the report says how to get it.
    """
    model.require_built()
    to = Path(to)
    if to.is_dir():
        raise BadInput(f"{to} is a folder; give the name of a file, for example {to / 'report.html'}")
    if users < 1:
        raise InvalidSetting(f"users={users}: the report shows the list of at least one user")
    if explanations is None and reasons is not None:
        explanations = reasons.explanations
    material = Material(model, recommendations, explanations, card, evaluation, reasons, split, users, seed)
    _refuse_strangers(material)
    if explanations is not None and card is not None and reasons is None:
        material = replace(material, reasons=verified_reasons(model, explanations, card))
    _write_whole(_page(material), to)
    return to


def _refuse_strangers(material: Material) -> None:
    """Pieces that are about another model, other items, methods or explanations make no report."""
    model, why, card = material.model, material.why, material.card
    name = kinds.name_of(model)
    for piece, about in (("card", card), ("evaluation", material.evaluation)):
        if about is not None and about.model != name:
            raise InvalidSetting(
                f"the {piece} is about {about.model} and the model is {name}; pass this model's {piece}"
            )
    for piece, lists in (("recommendations", material.lists), ("explanations", why.recommendations if why else None)):
        if lists is not None and lists.items.vocabulary != model.items.vocabulary:
            raise InvalidSetting(f"the {piece} name other items than the model has; make them with this model")
    if why is not None and card is not None and why.method not in (judged := [row.method for row in card.rows]):
        raise InvalidSetting(
            f"the explanations are by {why.method} and the card judges {', '.join(judged) or 'no method'}; "
            f"verify {why.method} as well, or explain by a method on the card"
        )
    if material.reasons is not None and material.reasons.explanations is not why:
        raise InvalidSetting("the reasons were made from other explanations; make them from these, or leave them out")


def _page(material: Material) -> str:
    pages = Environment(
        loader=PackageLoader("whyrec"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(fixed=_fixed, signed=_signed, exact=_exact, count=_count, share=_share, listed=_listed)
    pages.tests["known"] = lambda estimate: estimate is not None and math.isfinite(estimate.value)
    log = material.model.log
    return pages.get_template("report.html").render(
        content(material),
        learned=_drawn(learning(log), "learning") if log else None,
        measure=log[0].measure if log else None,
        removed=None if material.card is None else _drawn(removal(material.card), "removal"),
    )


def _drawn(figure: Figure, name: str) -> Markup:
    """A figure as SVG to stand in the page: text as text, the page's own ink, ids that no other figure has."""
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    drawn = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(drawn, format="svg", transparent=True, metadata=nothing)
    svg = drawn.getvalue()
    svg = re.sub(r"<style.*?</style>", "", svg[svg.index("<svg") :], flags=re.DOTALL)  # it would speak for all the page
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    for colour, variable in ((INK, "--ink"), (MUTED, "--muted"), (RULE, "--rule")):
        svg = svg.replace(colour, f"var({variable})")
    return Markup(svg)  # noqa: S704 (matplotlib escaped every text in it)


def _write_whole(page: str, to: Path) -> None:
    """Written beside and renamed, so that no half report is ever found."""
    to.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=f".{to.name}.", dir=to.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
        Path(beside).chmod(0o644)  # mkstemp made it private
        os.replace(beside, to)
    finally:
        Path(beside).unlink(missing_ok=True)


def _fixed(value: float, digits: int = 3) -> str:
    """A number with a typographic minus; ∞ where an interval has no end."""
    if math.isnan(value):
        return "not known"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    shown = f"{value:.{digits}f}"
    return (shown.lstrip("-") if float(shown) == 0 else shown).replace("-", "−")


def _signed(value: float, digits: int = 2) -> str:
    shown = _fixed(value, digits)
    return f"+{shown}" if value > 0 and float(shown) else shown


def _exact(value: float) -> str:
    """Six digits behind the point, and powers of ten for what is smaller."""
    if value == 0:
        return "0"
    return (f"{value:+.6f}" if abs(value) >= 1e-4 else f"{value:+.1e}").replace("-", "−")


def _count(value: float) -> str:
    return f"{value:,}"


def _share(value: float) -> str:
    """A percentage; 100 % and 0 % are never a matter of rounding."""
    if 0.995 <= value < 1:
        return "over 99 %"
    return "under 1 %" if 0 < value < 0.005 else f"{100 * value:.0f} %"


def _listed(words: Iterable[str]) -> str:
    """One, two and three."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last

"""Contributions as bars: what speaks for an item to the right, what speaks against it to the left."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.explanation import Contribution
from whyrec.figures import INK, MUTED, NEGATIVE, POSITIVE, plain, short


def bars(
    contributions: Sequence[Contribution], *, target: str = "logit", most: int = 10, bias: float | None = None
) -> Figure:
    """The `most` largest contributions by size, what speaks for the item first; the others summed as one bar.

    `bias` is the ledger's: what the score holds whatever the user did. Given, it is a bar of its own, so that the bars
    add up to the score of a method that promises to add up.
    """
    rows = _rows(contributions, most, bias)
    figure = Figure(figsize=(6.4, 0.7 + 0.3 * len(rows)), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    plain(axes, f"contribution to the score ({target})")
    amounts = [amount for _, amount in rows]
    axes.barh(range(len(rows)), amounts, height=0.68, color=[POSITIVE if one >= 0 else NEGATIVE for one in amounts])
    for place, amount in enumerate(amounts):
        axes.annotate(
            f"{amount:+.2f}".replace("-", "−"),
            (amount, place),
            xytext=(4 if amount >= 0 else -4, 0),
            textcoords="offset points",
            ha="left" if amount >= 0 else "right",
            va="center",
            fontsize=9,
            color=INK,
        )
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [title for title, _ in rows], parse_math=False)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_xticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.margins(x=0.16)
    axes.invert_yaxis()
    return figure


def _rows(contributions: Sequence[Contribution], most: int, bias: float | None) -> list[tuple[str, float]]:
    """A title and an amount for each bar, from top to bottom."""
    if most < 1:
        raise InvalidSetting(f"most={most}: at least one contribution has to be shown")
    if not contributions and bias is None:
        raise NotApplicable("there is no contribution to draw; explain an item of somebody with a history")
    by_size = sorted(contributions, key=lambda one: -abs(one.relevance))
    shown, others = sorted(by_size[:most], key=lambda one: -one.relevance), by_size[most:]
    rows = [(short(one.title), one.relevance) for one in shown]
    if others:
        rows.append((f"{len(others)} more", sum(one.relevance for one in others)))
    return rows if bias is None else [*rows, ("bias", bias)]

"""One score as a waterfall: from where it starts, step by step through what each input brings, to the score."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from matplotlib.figure import Figure

from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.explanation import Contribution
from whyrec.figures import INK, MUTED, NEGATIVE, POSITIVE, RULE, plain, short


def waterfall(
    contributions: Sequence[Contribution], *, start: float = 0.0, target: str = "logit", most: int = 10
) -> Figure:
    """The `most` largest contributions by size, largest first, each from where the one before it ended.

    `start` is what the score is without any of them: of a ledger, `reference + bias`. All others come as one step, so
    the end is the score of a method that promises to add up.
    """
    if most < 1:
        raise InvalidSetting(f"most={most}: at least one contribution has to be shown")
    if not contributions:
        raise NotApplicable("there is no contribution to draw; explain an item of somebody with a history or columns")
    steps = _steps(contributions, most)
    ends = list(accumulate((amount for _, amount in steps), initial=start))
    figure = Figure(figsize=(6.4, 1.0 + 0.3 * (len(steps) + 2)), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    plain(axes, f"from the start to the score ({target})")
    for place, ((_, amount), before, after) in enumerate(zip(steps, ends, ends[1:], strict=False), start=1):
        axes.barh(place, amount, left=before, height=0.68, color=POSITIVE if amount >= 0 else NEGATIVE)
        axes.plot([after] * 2, [place - 0.34, place + 1.34], color=MUTED, linewidth=0.7)
        _amount(figure, f"{amount:+.2f}", max(before, after), place)
    for place, value in ((0, start), (len(steps) + 1, ends[-1])):
        axes.plot([value] * 2, [place - 0.34, place + 0.34], color=INK, linewidth=2.0)
        _amount(figure, f"{value:.2f}", value, place)
    axes.plot([start] * 2, [0, 1.34], color=MUTED, linewidth=0.7)
    axes.set_yticks(range(len(steps) + 2), ["start", *(title for title, _ in steps), "score"], parse_math=False)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=RULE, linewidth=0.6)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.use_sticky_edges = False  # numbers need room on the right of the last step, too
    axes.margins(x=0.16)
    axes.invert_yaxis()
    return figure


def _steps(contributions: Sequence[Contribution], most: int) -> list[tuple[str, float]]:
    """A title and an amount for each step, from top to bottom."""
    by_size = sorted(contributions, key=lambda one: -abs(one.relevance))
    steps = [(short(one.title), one.relevance) for one in by_size[:most]]
    others = by_size[most:]
    return [*steps, (f"{len(others)} more", sum(one.relevance for one in others))] if others else steps


def _amount(figure: Figure, text: str, right: float, place: int) -> None:
    """A number to the right of a step."""
    figure.axes[0].annotate(
        text.replace("-", "−"),
        (right, place),
        xytext=(4, 0),
        textcoords="offset points",
        ha="left",
        va="center",
        fontsize=9,
        color=INK,
    )

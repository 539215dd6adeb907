"""Models by a setting of theirs: a panel for each metric, a line with 95 % intervals for each model, bands beside."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.figures import DASHES, MARKS, MUTED, beside, plain
from whyrec.statistics import Estimate

Handle = Artist | tuple[Artist, ...]
"""What a legend takes: a line, or a line with its whiskers."""

SPREAD = 0.4
"""Share of the distance between two values of the setting over which the models at one value are spread."""

MISSING = Estimate(float("nan"), float("nan"), float("nan"), 0)
"""Where a model lacks a value, its line is broken."""


def by_setting(
    models: Mapping[str, Mapping[int, Mapping[str, Estimate]]],
    *,
    setting: str = "factors",
    baselines: Mapping[str, Mapping[str, Estimate]] | None = None,
    measured: str = "",
) -> Figure:
    """Each model's metrics at each value of `setting`, and as bands what models without that setting reach.

    `models` is name -> value of the setting -> metric -> estimate; a model may lack values. Whiskers and bands are the
    95 % intervals of the estimates. Values stand at equal distances, in rising order.
    """
    values = sorted({value for found in models.values() for value in found})
    metrics = _metrics(models)
    figure = Figure(figsize=(8.2, 3.7), facecolor="white", layout="constrained")
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        plain(axes, metric)
        handles = [
            *_models(axes, models, metric, values),
            *_bands(axes, {name: found[metric] for name, found in (baselines or {}).items() if metric in found}),
        ]
        axes.set_xticks(range(len(values)), [str(value) for value in values])
        axes.set_xlim(-0.5, len(values) - 0.5)
        axes.set_xlabel(setting, parse_math=False)
        axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    beside(figure, handles, measured)
    return figure


def _metrics(models: Mapping[str, Mapping[int, Mapping[str, Estimate]]]) -> list[str]:
    points = [(name, value, found) for name, by_value in models.items() for value, found in by_value.items()]
    if not points:
        raise NotApplicable("there is no model to draw; measure one at some values of the setting")
    metrics = list(points[0][2])
    for name, value, found in points:
        if missing := [metric for metric in metrics if metric not in found]:
            raise InvalidSetting(f"{name!r} at {value} has no {', '.join(missing)}; measure all alike")
    return metrics


def _models(
    axes: Axes, models: Mapping[str, Mapping[int, Mapping[str, Estimate]]], metric: str, values: list[int]
) -> list[Handle]:
    drawn: list[Handle] = []
    for place, (name, by_value) in enumerate(models.items()):
        colour, marker = MARKS[place % len(MARKS)]
        aside = SPREAD * ((place + 0.5) / len(models) - 0.5)
        found = [by_value[value][metric] if value in by_value else MISSING for value in values]
        whiskers = [[one.value - one.low for one in found], [one.high - one.value for one in found]]
        drawn.append(
            axes.errorbar(
                [at + aside for at in range(len(values))],
                [one.value for one in found],
                yerr=whiskers,
                label=name,
                color=colour,
                marker=marker,
                markersize=5,
                linewidth=1.2,
                elinewidth=1.0,
                capsize=2.5,
            )
        )
    return drawn


def _bands(axes: Axes, baselines: Mapping[str, Estimate]) -> list[Handle]:
    drawn: list[Handle] = []
    for place, (name, found) in enumerate(baselines.items()):
        if found.has_interval:
            axes.axhspan(found.low, found.high, color=MUTED, alpha=0.13, linewidth=0, zorder=0)
        dashes = DASHES[place % len(DASHES)]
        drawn.append(axes.axhline(found.value, label=name, color=MUTED, linewidth=1.2, linestyle=dashes, zorder=1))
    return drawn

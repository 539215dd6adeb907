"""Several runs in one figure: a panel for each metric, a line for each run, and what simple models reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.figures import DASHES, MARKS, MUTED, beside, plain


def by_epoch(
    runs: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
    measured: str = "",
) -> Figure:
    """Each run's metrics after epoch 1, 2, ... as lines; models that have no epochs as dashed lines across.

    `runs` and `baselines` are name -> metric -> values, the metrics those of the first run. `measured` says in a few
    words on which part and how, and stands below the figure.
    """
    metrics = _metrics(runs)
    figure = Figure(figsize=(8.2, 3.5), facecolor="white", layout="constrained")
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        plain(axes, metric)
        lines = [_run(axes, place, name, run[metric]) for place, (name, run) in enumerate(runs.items())]
        across = [
            _baseline(axes, place, name, found[metric])
            for place, (name, found) in enumerate((baselines or {}).items())
            if metric in found
        ]
        _scale(axes)
    beside(figure, [*lines, *across], measured)
    return figure


def _metrics(runs: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
    if not runs or not next(iter(runs.values())):
        raise NotApplicable("there is no run to draw; measure a model after each epoch")
    metrics = list(next(iter(runs.values())))
    for name, run in runs.items():
        if missing := [metric for metric in metrics if not len(run.get(metric, ()))]:
            raise InvalidSetting(f"the run {name!r} has no {', '.join(missing)}; measure all runs alike")
    return metrics


def _run(axes: Axes, place: int, name: str, values: Sequence[float]) -> Line2D:
    colour, marker = MARKS[place % len(MARKS)]
    epochs = range(1, len(values) + 1)
    return axes.plot(epochs, values, label=name, color=colour, linewidth=1.5, marker=marker, markersize=4)[0]


def _baseline(axes: Axes, place: int, name: str, value: float) -> Line2D:
    dashes = DASHES[place % len(DASHES)]
    return axes.axhline(value, label=name, color=MUTED, linewidth=1.3, linestyle=dashes, zorder=1)


def _scale(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.set_xlabel("epoch")
    axes.margins(y=0.08)

"""How a model learned: losses and the validation NDCG@10 (RMSE, of ratings) of every epoch, and which one was kept."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from whyrec.errors import NotApplicable
from whyrec.figures import INK, MUTED, NEGATIVE, POSITIVE, plain
from whyrec.training import Epoch, chosen_epoch


def learning(log: Sequence[Epoch]) -> Figure:
    """Two panels by epoch: the loss in training and on the validation part, and what chooses the epoch.

    The kept epoch is the best on validation, or the last where nothing was set aside for it. The training loss is a
    mean over an epoch in which the weights moved and parts of histories were hidden: it may lie above the other one.
    """
    if not log:
        raise NotApplicable("there is no training log to draw: a model in closed form is solved in one step")
    figure = Figure(figsize=(6.8, 2.7), facecolor="white", layout="constrained")
    loss, validation = figure.subplots(1, 2)
    kept = chosen_epoch(log)
    plain(loss, {"RMSE": "squared error", "NDCG@10": "loss (nats)", None: "loss"}[kept.measure])
    plain(validation, f"validation {kept.measure or ''}".strip())
    _line(loss, {epoch.number: epoch.loss for epoch in log}, POSITIVE, "o", "training")
    held_out = {epoch.number: epoch.validation_loss for epoch in log if epoch.validation_loss is not None}
    if held_out:
        _line(loss, held_out, NEGATIVE, "s", "validation")
        loss.legend(frameon=False, fontsize=9, labelcolor=INK)
    judged = {epoch.number: abs(epoch.merit) for epoch in log if epoch.merit is not None}
    if judged:
        _line(validation, judged, NEGATIVE, "s", "validation")
        _mark(validation, kept.number, judged[kept.number])
    else:
        validation.text(0.5, 0.5, "no validation part", ha="center", color=MUTED, transform=validation.transAxes)
    _mark(loss, kept.number, kept.loss)
    return figure


def _line(axes: Axes, by_epoch: dict[int, float], colour: str, marker: str, name: str) -> None:
    epochs, values = list(by_epoch), list(by_epoch.values())
    axes.plot(epochs, values, color=colour, linewidth=1.6, marker=marker, markersize=3, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("epoch")
    axes.margins(y=0.14)


def _mark(axes: Axes, epoch: int, value: float) -> None:
    """A ring around the kept epoch, and its number."""
    axes.axvline(epoch, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    axes.plot([epoch], [value], marker="o", markersize=8, fillstyle="none", markeredgewidth=1.4, color=INK)
    right = epoch < sum(axes.get_xlim()) / 2
    axes.annotate(
        f"kept: epoch {epoch}",
        (epoch, axes.get_ylim()[0]),
        xytext=(4 if right else -4, 4),
        textcoords="offset points",
        ha="left" if right else "right",
        fontsize=9,
        color=INK,
    )

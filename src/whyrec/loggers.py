"""Where the epochs of a training run can be written; each function makes a watcher for `fit(..., watchers=(...,))`."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, fields
from pathlib import Path

from whyrec.epochs import Watcher
from whyrec.errors import BadInput, NotApplicable
from whyrec.training import Epoch


def to_csv(path: str | Path) -> Watcher:
    """One row an epoch, below a header; a file that is there is added to, where it has the same columns."""
    path, columns = Path(path), [field.name for field in fields(Epoch)]
    if path.exists() and _header(path) != columns:
        raise BadInput(f"{path} has other columns than {', '.join(columns)}; name a new file")

    def watch(epoch: Epoch) -> None:
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            if new:
                writer.writeheader()
            writer.writerow(asdict(epoch))

    return watch


def _header(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file), [])


def to_json_lines(path: str | Path) -> Watcher:
    """One JSON object an epoch; a file that is there is added to."""
    path = Path(path)

    def watch(epoch: Epoch) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(epoch)) + "\n")

    return watch


def to_tensorboard(folder: str | Path) -> Watcher:
    """Losses, validation NDCG@10 and HR@10 (RMSE, of ratings) as TensorBoard scalars; needs the package tensorboard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise NotApplicable("TensorBoard is not installed; pip install tensorboard, or log to_csv") from None
    writer = SummaryWriter(str(folder))

    def watch(epoch: Epoch) -> None:
        for name, value in _measured(epoch).items():
            writer.add_scalar(name, value, epoch.number)
        writer.flush()

    return watch


def to_mlflow() -> Watcher:
    """The same as metrics of MLflow's active run; needs the package mlflow or mlflow-skinny."""
    try:
        import mlflow
    except ImportError:
        raise NotApplicable("MLflow is not installed; pip install mlflow-skinny, or log to_csv") from None

    def watch(epoch: Epoch) -> None:
        mlflow.log_metrics(_measured(epoch), step=epoch.number)

    return watch


def _measured(epoch: Epoch) -> dict[str, float]:
    measured = {
        "training loss": epoch.loss,
        "validation loss": epoch.validation_loss,
        "validation NDCG at 10": epoch.validation,
        "validation HR at 10": epoch.hit_rate,
        "validation RMSE": epoch.rmse,
        "validation MAA": epoch.maa,
    }
    return {name: value for name, value in measured.items() if value is not None}

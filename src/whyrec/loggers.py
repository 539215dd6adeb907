"""Where the epochs of a training run can be written; each function makes a watcher for `fit(..., watchers=(...,))`."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, fields
from pathlib import Path

from whyrec.errors import NotApplicable
from whyrec.train import Watcher
from whyrec.training import Epoch


def to_csv(path: str | Path) -> Watcher:
    """One row an epoch, below a header; a file that is there is added to."""
    path = Path(path)

    def watch(epoch: Epoch) -> None:
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Epoch)])
            if new:
                writer.writeheader()
            writer.writerow(asdict(epoch))

    return watch


def to_json_lines(path: str | Path) -> Watcher:
    """One JSON object an epoch; a file that is there is added to."""
    path = Path(path)

    def watch(epoch: Epoch) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(epoch)) + "\n")

    return watch


def to_tensorboard(folder: str | Path) -> Watcher:
    """Loss and validation NDCG@10 as TensorBoard scalars; needs the package tensorboard."""
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
    """Loss and validation NDCG@10 as metrics of MLflow's active run; needs the package mlflow or mlflow-skinny."""
    try:
        import mlflow
    except ImportError:
        raise NotApplicable("MLflow is not installed; pip install mlflow-skinny, or log to_csv") from None

    def watch(epoch: Epoch) -> None:
        mlflow.log_metrics(_measured(epoch), step=epoch.number)

    return watch


def _measured(epoch: Epoch) -> dict[str, float]:
    validation = {} if epoch.validation is None else {"validation NDCG at 10": epoch.validation}
    return {"training loss": epoch.loss, **validation}

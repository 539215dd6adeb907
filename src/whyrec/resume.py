"""A training run as one file: weights, optimizer, random state and log, so that it goes on to the same last bit.

The file is written beside and renamed, so a run killed in the middle of writing, or a full disk, leaves the last good
one. Equality to the last bit holds for the same build of PyTorch, the same thread count and the same instruction set.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from whyrec.errors import BadInput
from whyrec.lazy_adam import LazyAdam
from whyrec.training import Epoch


@dataclass(frozen=True, eq=False)
class Kept:
    """A run as it stood after an epoch."""

    chosen: tuple[Epoch, ...]
    """The epochs that chose how many to train, once that is settled and the refit is under way; else empty."""
    log: tuple[Epoch, ...]
    tensors: dict[str, Tensor]
    remarks: tuple[str, ...]
    """What differs from the run that was interrupted, one sentence each; with any of it the last bits may differ."""


def keep(
    path: Path,
    identity: dict[str, Any],
    *,
    chosen: tuple[Epoch, ...],
    log: tuple[Epoch, ...],
    weights: dict[str, Tensor],
    best: dict[str, Tensor],
    first: dict[str, Tensor],
    optimizer: LazyAdam,
    generator: torch.Generator,
) -> None:
    """Write all that the next epoch depends on to `path`, whole or not at all."""
    groups = {"weights": weights, "best": best, "first": first, "optimizer": optimizer.state()}
    tensors = {
        f"{group}/{name}": tensor.detach().cpu() for group, named in groups.items() for name, tensor in named.items()
    }
    tensors |= {"chance/own": generator.get_state(), "chance/global": torch.get_rng_state()}
    epochs = {"chosen": [asdict(epoch) for epoch in chosen], "log": [asdict(epoch) for epoch in log]}
    about = {**epochs, "identity": identity, "machine": _machine()}
    beside = path.with_name(f".{path.name}.writing")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        copies = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}  # no two may share memory
        save_file(copies, beside, metadata={"about": json.dumps(about)})
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def find(path: Path, identity: dict[str, Any]) -> Kept | None:
    """The run kept at `path`, None where there is none. Refuses one with other settings, users, items or events."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise BadInput(f"{path} is not a whole training checkpoint; take it away to start anew") from None
    for name, value in identity.items():
        if about["identity"].get(name) != value:
            raise BadInput(
                f"{path} is of a run with another {name}; give the same model, settings and data, or take it away"
            )
    then, now = about["machine"], _machine()
    remarks = tuple(
        f"the run began with {name} {then[name]}, now it is {now[name]}" for name in now if then[name] != now[name]
    )
    chosen, log = (tuple(Epoch(**epoch) for epoch in about[part]) for part in ("chosen", "log"))
    return Kept(chosen, log, tensors, remarks)


def put_back(kept: Kept, model: nn.Module, optimizer: LazyAdam, generator: torch.Generator) -> dict[str, Tensor]:
    """Restore everything, and return the best weights so far."""
    model.load_state_dict(group(kept, "weights"))
    optimizer.restore(group(kept, "optimizer"))
    generator.set_state(kept.tensors["chance/own"])
    torch.set_rng_state(kept.tensors["chance/global"])
    return group(kept, "best")


def group(kept: Kept, name: str) -> dict[str, Tensor]:
    """The tensors of one group by their own names."""
    start = f"{name}/"
    return {key.removeprefix(start): tensor for key, tensor in kept.tensors.items() if key.startswith(start)}


def _machine() -> dict[str, Any]:
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "processor": platform.machine()}

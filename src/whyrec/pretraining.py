"""NeuMF that begins as a trained GMF and a trained MLP: three fits in a row, on one split, by one seed.

He et al. 2017, Neural collaborative filtering, section 3.4.1.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pydantic import Field

from whyrec import kinds
from whyrec.checkpoint import about, load, save
from whyrec.errors import InvalidSetting
from whyrec.models.gmf import GMF
from whyrec.models.mlp import MLP
from whyrec.models.neumf import NeuMF
from whyrec.recommender import Recommender
from whyrec.settings import make, settings, to_json
from whyrec.split import Split
from whyrec.train import fit
from whyrec.training import Training
from whyrec.vectors import VectorRecommender

PARTS = ("gmf", "mlp")


@settings
class Pretraining:
    """How a NeuMF begins."""

    pretrain: bool = False
    """Whether it begins as a GMF and an MLP that are trained first; else it begins by chance."""
    alpha: float = Field(default=0.5, ge=0, le=1)
    """Weight of the GMF's output beside the MLP's, equation 13 of the paper."""


def asked_for(family: type[Recommender], values: Mapping[str, Any]) -> Pretraining:
    """What these settings ask for; `InvalidSetting` where a model has nothing to begin with."""
    found = make(Pretraining, values, owner="Pretraining")
    if values and kinds.name_of(family) != "neumf":
        raise InvalidSetting(
            f"{next(iter(values))}: {family.__name__} has no such setting; only neumf begins as other models"
        )
    if "alpha" in values and not found.pretrain:
        raise InvalidSetting("alpha weighs the GMF that a NeuMF begins with; set pretrain=true as well")
    return found


def fit_pretrained(
    model: Recommender, split: Split, training: Training, *, alpha: float = 0.5, checkpoint: Path
) -> Recommender:
    """A trained NeuMF with the settings of `model`, begun as a GMF and an MLP of its size.

    The parts are trained on the training part of `split` alone, whatever `training.refit` says: validation still has
    to choose the epoch of the whole. All three fits keep their state beside `checkpoint`, a part that is done too, and
    a run found there goes on as `fit` does. All of it is taken away at the end.
    """
    own: Any = model.settings
    if own.shared_vectors or own.fusion != "concat":
        raise InvalidSetting(
            "pretrain=true gives each branch its own vectors and joins the branches side by side; leave shared_vectors "
            "and fusion as they come"
        )
    size = {"factors": own.factors, "user": own.user, "history": own.history, "init_std": own.init_std}
    parts = [GMF(**size), MLP(**size, depth=own.depth, interaction=own.interaction)]
    alone = replace(training, refit=False)
    gmf, mlp = (_trained(part, split, alone, _kept(checkpoint, kinds.name_of(part))) for part in parts)
    fused = fit(NeuMF.from_pretrained(gmf, mlp, alpha=alpha), split, training, checkpoint=checkpoint)
    forget(checkpoint)
    return fused


def forget(checkpoint: Path) -> None:
    """Take away what an earlier run left beside `checkpoint`."""
    checkpoint.unlink(missing_ok=True)
    for name in PARTS:
        folder = _kept(checkpoint, name)
        shutil.rmtree(folder, ignore_errors=True)
        _state(folder).unlink(missing_ok=True)


def _trained(part: VectorRecommender, split: Split, training: Training, folder: Path) -> VectorRecommender:
    """The part as an earlier run left it in `folder`, or as it is trained now."""
    if not folder.exists():
        save(fit(part, split, training, checkpoint=_state(folder)), folder, split=split)
    found, data = about(folder), split.dataset
    there = (found["settings"], found["training"], found["data"]["fingerprint"], found["data"]["how"])
    if there != (to_json(part.settings), to_json(part.usually(training)), data.fingerprint(), split.how):
        raise InvalidSetting(f"{folder} holds a {type(part).__name__} of another run; leave --resume out to start anew")
    return cast(VectorRecommender, load(folder, device=training.device))


def _kept(checkpoint: Path, name: str) -> Path:
    return checkpoint.with_name(f"{checkpoint.stem}.{name}")


def _state(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.safetensors")

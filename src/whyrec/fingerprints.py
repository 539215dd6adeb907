"""Which model, and which input: short digests that tell whether an answer can be given again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from whyrec import kinds
from whyrec.interactions import Id
from whyrec.recommender import Recommender
from whyrec.settings import to_json

LENGTH = 32
"""Hex digits of a digest."""


def model_fingerprint(model: Recommender) -> str:
    """Changes with the family, the settings, any weight, and which item is which; not with users' events."""
    digest = hashlib.sha256(kinds.name_of(model).encode())
    digest.update(json.dumps(to_json(model.settings), sort_keys=True).encode())
    digest.update(json.dumps([str(name) for name in model.require_built().items.vocabulary.ids()]).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:LENGTH]


def input_fingerprint(model: Recommender, user: str | None, row: int, history: Sequence[Id]) -> str:
    """Changes with whom the model was asked about, and with what it looked at: past items in order, and columns.

    `user` is a pseudonym, `row` the user's row, -1 for somebody new.
    """
    columns: dict[str, Any] = {}
    if model.reads_columns and row >= 0:
        columns = {name: repr(column.values[row]) for name, column in model.users.columns.items()}
    content = {"user": user, "history": [str(one) for one in history], "columns": columns}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:LENGTH]

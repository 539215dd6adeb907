"""A user's data taken out of a saved model: events, id, title, columns, and the row of a table of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from whyrec.checkpoint import about, load, load_split, save
from whyrec.dataset import Catalog, Dataset
from whyrec.errors import NotApplicable, UnknownId
from whyrec.interactions import Id, Interactions, Vocabulary
from whyrec.recommender import Recommender
from whyrec.split import Split


@dataclass(frozen=True, slots=True)
class Erased:
    """What went, and what only training again takes away."""

    events: int
    rows: int
    """Rows of tables that were this user's alone, now zeros; with any, the model's digest is another."""

    def __str__(self) -> str:
        return (
            f"{self.events} events and {self.rows} rows of the user are gone; "
            "what other weights learned from them goes when the model is trained again"
        )


def erase_from(folder: str | Path, user: Id) -> Erased:
    """Take a user out of the model in a folder, which is replaced as a whole. Files elsewhere are not touched.

    The user's place stays, without a name, so that everybody else's answers stay what they were.
    """
    model = load(folder)
    if user not in model.users.vocabulary:
        raise UnknownId(f"user {user!r} is not among the users of {folder}; perhaps they are erased already")
    if model.reads_columns:
        raise NotApplicable(
            f"{folder}: a {type(model).__name__} is rebuilt from the columns of its users, so nobody can be taken out; "
            "train it again on data without the user"
        )
    row = int(model.users.vocabulary.rows([user])[0])
    split = load_split(folder) if about(folder)["data"] else None
    model.users = _without_name(model.users, row)
    rows = _zero_rows(model, row)
    if split is None and model.known is None:
        save(model, folder, without_data=True)
        return Erased(0, rows)
    if split is None:
        events = model.require_known()
        model.known = _without(events, row)
        save(model, folder)
        return Erased(_count(events, row), rows)
    found = _count(split.dataset.interactions, row)
    save(model, folder, split=_split_without(split, row, model.users))
    return Erased(found, rows)


def _without_name(users: Catalog, row: int) -> Catalog:
    """The same users, one of them with no id, title or columns of their own."""
    ids = users.vocabulary.ids()
    name = ids[row] = f"erased {row}"
    titles = None if users.titles is None else (*users.titles[:row], name, *users.titles[row + 1 :])
    columns = {name: replace(column, values=column.values.copy()) for name, column in users.columns.items()}
    for column in columns.values():
        column.values[row] = float("nan") if column.kind == "numeric" else None
    return Catalog(Vocabulary(ids, kind="user"), titles, columns)


@torch.no_grad()
def _zero_rows(model: Recommender, row: int) -> int:
    """Rows of tables with one row for each user."""
    tables = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and name.startswith("user") and len(module.weight) == len(model.users)
    ]
    own = [table for table in tables if "user" in model.unit_kinds]
    for table in own:
        table.weight[row] = 0.0
    return len(own)


def _split_without(split: Split, row: int, users: Catalog) -> Split:
    data: Dataset = replace(split.dataset, interactions=_without(split.dataset.interactions, row), users=users)
    train, validation, test = (_without(part, row) for part in (split.train, split.validation, split.test))
    return replace(split, dataset=data, train=train, validation=validation, test=test)


def _without(events: Interactions, row: int) -> Interactions:
    return events.where(events.users != row)


def _count(events: Interactions, row: int) -> int:
    return int((events.users == row).sum())

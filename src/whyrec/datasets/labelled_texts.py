"""Texts with a label each, from a file at hand: a table with a column of texts and a column of labels."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyrec.cells import Cells, Layout, layout_of, opened
from whyrec.dataset import Catalog, Column, Dataset
from whyrec.errors import BadInput
from whyrec.frames import Frame
from whyrec.interactions import Interactions, Rows, Vocabulary

USUAL_NAMES = {
    "text": ("text", "sentence", "tweet", "post", "review", "comment", "message", "content"),
    "label": ("label", "class", "category", "sentiment", "target"),
}
"""Column names that are recognised unasked, the likeliest first; case does not count."""


def load(
    source: str | Path | Frame,
    *,
    text: str | None = None,
    label: str | None = None,
    labels: Mapping[str, str] | None = None,
    ids: str | None = None,
    name: str | None = None,
) -> Dataset:
    """A table of texts as a data set: a text is a user, a label an item, and an event is the label of a text.

    `source` is a .csv, .tsv or .jsonl file with a header, a Parquet file, or a frame. `text` and `label` name columns
    whose names are not the usual ones, `ids` a column of names for the texts; else they are numbered from 0. `labels`
    says what the label of a cell is called, {"0": "friendly", "1": "rude"}, and what is not in it is refused; the order
    of labels is that of the map, else the alphabet's. An empty text stays and is counted in `findings`. Split it with
    `by_ratio(data, per_user=False)`: each text has one event.

    Raises `BadInput` with file, line and column of what cannot be used.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "posts.csv")
    ...     _ = path.write_text("tweet,class\\nso good,1\\nso bad,0\\n")
    ...     data = load(path, labels={"0": "against", "1": "for"})
    >>> data.items.vocabulary.ids(), data.interactions.items
    (['against', 'for'], array([1, 0]))
    """
    layout = layout_of(source)
    columns = {what: _column(layout, what, given) for what, given in (("text", text), ("label", label))}
    for given in (one for one in (ids,) if one is not None):
        _column(layout, "ids", given)
    with opened(layout, tuple(filter(None, (*columns.values(), ids)))) as cells:
        texts = cells.texts(columns["text"])[:-1]
        rows, known = _labels(cells, columns["label"], labels)
        named = range(len(texts)) if ids is None else cells.unique(ids)
    empty = int(sum(one is None for one in texts))
    findings = (f"{empty:,} of {len(texts):,} texts are empty; a model can only guess their label",) if empty else ()
    events = Interactions(np.arange(len(texts)), rows, user_count=len(texts), item_count=len(known))
    users = Catalog(Vocabulary(named, kind="user"), columns={"text": Column("text", "text", texts)})
    items = Catalog(Vocabulary(known, kind="item"))
    return Dataset(name or layout.path.stem, events, users, items, source=str(layout.path), findings=findings)


def _column(layout: Layout, what: str, given: str | None) -> str:
    """What a column is called in a file: as given, else one of the usual names."""
    if given is not None and given in layout.columns:
        return given
    plain = {name.strip().casefold(): name for name in layout.columns}
    usual = [plain[one] for one in USUAL_NAMES.get(what, ()) if one in plain]
    if given is not None or not usual:
        missing = f"no column {given!r}" if given is not None else f"no column that looks like a {what}"
        raise BadInput(f"{layout.path}: there is {missing} among {', '.join(layout.columns)}; name it with {what}=")
    return usual[0]


def _labels(cells: Cells, column: str, labels: Mapping[str, str] | None) -> tuple[Rows, list[str]]:
    """The row of each cell's label, and what the labels are called."""
    found: NDArray[Any] = cells.texts(column)[:-1]
    for row, cell in enumerate(found):
        if cell is None or (labels is not None and cell not in labels):
            shown = "an empty cell" if cell is None else reprlib.repr(cell)
            wanted = f"none of {', '.join(map(repr, labels))}" if labels else "no label"
            raise BadInput(f"{cells.place(row)}, column {column!r}: {shown} is {wanted}; fill it in, or extend labels=")
    called = dict(labels) if labels is not None else {cell: cell for cell in sorted(set(found.tolist()))}
    known = list(dict.fromkeys(called.values()))
    row_of = {cell: known.index(label) for cell, label in called.items()}
    return np.array([row_of[cell] for cell in found.tolist()], dtype=np.int64), known

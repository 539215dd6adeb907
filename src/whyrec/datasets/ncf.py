"""The split of the NCF paper: training ratings, one held-out item for each user, and the items to rank it against.

He et al. 2017, Neural Collaborative Filtering. Its HR@10 and NDCG@10 on MovieLens 1M are the figures that most later
papers compare with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from whyrec.cells import Cells, Layout, opened
from whyrec.dataset import Catalog, Dataset
from whyrec.errors import BadInput
from whyrec.interactions import Interactions, Rows, Vocabulary
from whyrec.split import Split, given

SOURCE = (
    "He et al. 2017, Neural Collaborative Filtering, https://doi.org/10.1145/3038912.3052569; "
    "files of github.com/hexiangnan/neural_collaborative_filtering"
)
LICENCE = "Split: Apache-2.0. Ratings: the terms of their provider, for MovieLens research use without redistribution"
WITH_TIME, WITHOUT_TIME = ".train.rating", ".train.notime.tsv.gz"
TEST, NEGATIVES = ".test.rating", ".test.negative"


def load(folder: str | Path, prefix: str | None = None, *, seed: int = 0) -> Split:
    """The published split whose files in `folder` begin with `prefix`, which is found where there is only one.

    Ids are whole numbers from 0. `Split.candidates` holds the published negatives of each user. The paper has no
    validation part, so one training interaction of each user is drawn for it, by `seed`. A user's held-out item may
    stand among the user's negatives, as it does in the released files; it stays there and counts as one candidate.
    """
    start = _start(Path(folder), prefix)
    timed = _file(start, WITH_TIME).is_file()
    train = _events(_file(start, WITH_TIME if timed else WITHOUT_TIME), timed)
    test = _events(_file(start, TEST), timed=True)
    user_count = 1 + int(max(train.users.max(), test.users.max()))
    candidates = _candidates(_file(start, NEGATIVES), test, user_count)
    item_count = 1 + int(max(train.items.max(), test.items.max(), candidates.max()))
    data = Dataset(
        f"ncf-{start.name}",
        replace(train, user_count=user_count, item_count=item_count),
        Catalog(Vocabulary(range(user_count), kind="user")),
        Catalog(Vocabulary(range(item_count), kind="item")),
        SOURCE,
        LICENCE,
        _findings(test, candidates),
    )
    test = replace(test, user_count=user_count, item_count=item_count)
    return given(data, test=test, candidates=candidates, seed=seed)


def _start(folder: Path, prefix: str | None) -> Path:
    """What the names of all files of the split begin with, the folder included."""
    found = sorted(path.name.removesuffix(TEST) for path in folder.glob(f"*{TEST}"))
    if prefix is None and len(found) != 1:
        what = f"more than one split here, of {', '.join(found)}" if found else f"no file *{TEST}"
        raise BadInput(f"{folder}: {what}; name the folder of an NCF split, and its prefix where it holds several")
    return folder / (found[0] if prefix is None else prefix)


def _file(start: Path, ending: str) -> Path:
    return start.with_name(start.name + ending)


def _events(path: Path, timed: bool) -> Interactions:
    """The interactions in a file without a header."""
    columns = ("user", "item", "rating", "time") if timed else ("user", "item", "rating")
    with opened(Layout(path, columns)) as cells:
        users, items = _numbered(cells, "user"), _numbered(cells, "item")
        return Interactions(users, items, cells.numbers("rating"), cells.seconds("time") if timed else None)


def _numbered(cells: Cells, column: str) -> Rows:
    """A column of ids that are rows already: whole numbers from 0; (events,)."""
    codes, texts = cells.encoded(column)
    for code, text in enumerate(texts):
        if not re.fullmatch("[0-9]{1,8}", text):
            place = cells.place(int(np.argmax(codes == code)))
            raise BadInput(f"{place}, column {column!r}: {text!r} is no whole number; number users and items from 0")
    return np.array([int(text) for text in texts])[codes]


def _candidates(path: Path, test: Interactions, user_count: int) -> Rows:
    """The published negatives of each user, -1 where fewer; (users, negatives)."""
    held_out = dict(zip(test.users.tolist(), test.items.tolist(), strict=True))
    if len(held_out) < len(test):
        raise BadInput(f"{path}: {len(test):,} held-out rows for {len(held_out):,} users; leave one for each")
    negatives = _negatives(path, held_out)
    for user in (user for user in held_out if user not in negatives):
        raise BadInput(f"{path}: there is no line for user {user}, who has a held-out item; add it")
    candidates = np.full((user_count, max(map(len, negatives.values()))), -1, dtype=np.int64)
    for user, items in negatives.items():
        candidates[user, : len(items)] = items
    return candidates


def _negatives(path: Path, held_out: Mapping[int, int]) -> dict[int, list[int]]:
    """Negatives by user, from lines such as `(0,25) 1064 174` with tabs for blanks."""
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file; it belongs beside the test file")
    pattern = re.compile(r"\(([0-9]{1,8}),([0-9]{1,8})\)((?:\t[0-9]{1,8})+)\s*")
    negatives: dict[int, list[int]] = {}
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        found = pattern.fullmatch(line)
        if found is None:
            raise BadInput(f"{path}, line {number:,}: this is not (user,item) and its negatives, with tabs between")
        user = int(found[1])
        if held_out.get(user) != int(found[2]) or user in negatives:
            raise BadInput(f"{path}, line {number:,}: ({user},{found[2]}) must stand here once, and in the test file")
        negatives[user] = [int(text) for text in found[3].split()]
    return negatives


def _findings(test: Interactions, candidates: Rows) -> tuple[str, ...]:
    among = int((candidates[test.users] == test.items[:, None]).any(axis=1).sum())
    return (f"{among:,} users have their held-out item among their negatives; it counts once",) if among else ()

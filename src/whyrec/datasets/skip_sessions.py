"""The Music Streaming Sessions Dataset of Spotify: logs of sessions and features of tracks, from files at hand.

Brost, Mehrotra and Jehan 2019. It may not be passed on, so nothing is fetched: ask its provider for a copy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyrec.cells import Cells, Layout, layout_of, opened
from whyrec.dataset import Catalog
from whyrec.errors import BadInput
from whyrec.interactions import Rows, Vocabulary
from whyrec.sessions import FLAGS, HALF, LOG_COLUMNS, LONGEST, SKIPPED, TRACK_COLUMNS, Sessions

PLAY = ("session_id", "session_position", "session_length", "track_id_clean")
"""What every play has, also those whose log is withheld."""

WORDS = tuple(dict.fromkeys(name.partition("=")[0] for name in LOG_COLUMNS if "=" in name))
"""Columns of the file that hold words."""

FIRST_DAY = date(2018, 7, 13)
"""Days are counted from here, before the first session."""

SOURCE = "Brost, Mehrotra and Jehan (2019), The Music Streaming Sessions Dataset, Spotify Research"
LICENCE = "Terms of Spotify Research; no redistribution"

Values = NDArray[np.float32]


def load(logs: str | Path, tracks: str | Path | None = None) -> Sessions:
    """The sessions of `logs`, a file or a folder of files, with the features of their tracks.

    `tracks` is a file or a folder, too; None where the features stand somewhere below the folder of logs: a file with
    a column `track_id` holds tracks, one with `session_id` plays. Files end in .csv, .csv.gz or .parquet. A file may
    lack all columns of the log but the first four, as the half to be guessed does in the challenge. A session takes
    about 2 kB of memory: name some files, not all 130 million sessions.

    Raises `BadInput` with file, line and column of what cannot be used.
    """
    found = _layouts(Path(logs))
    described = [one for one in found if "track_id" in one.columns] if tracks is None else _layouts(Path(tracks))
    plays = [one for one in found if tracks is not None or "session_id" in one.columns]
    if not plays or not described:
        missing = "column session_id" if not plays else "column track_id; name the features of tracks, too"
        raise BadInput(f"{logs}: no file here has a {missing}")
    catalog, features = _tracks(described)
    return _Filling(catalog.vocabulary).all_of(plays, str(logs), catalog, features)


def _layouts(path: Path) -> list[Layout]:
    endings = (".csv", ".csv.gz", ".parquet")
    if not path.is_dir():
        return [layout_of(path)]
    return [layout_of(file) for file in sorted(path.rglob("*")) if file.name.lower().endswith(endings)]


def _tracks(layouts: list[Layout]) -> tuple[Catalog, Values]:
    """Tracks of all files with their features, (tracks, TRACK_COLUMNS); called by their names where they have any."""
    ids: dict[str, str] = {}
    titles: list[str] = []
    features: list[Values] = []
    for layout in layouts:
        year = "release_year" if "release_year" in layout.columns else "release_date_estimate"
        _require(layout, ("track_id", year, *(name for name in TRACK_COLUMNS if name != "release_year")))
        with opened(layout) as cells:
            own = cells.unique("track_id")
            for row, track in enumerate(own):
                if track in ids:
                    raise BadInput(f"{cells.place(row)}, column 'track_id': {track!r} stands in {ids[track]} already")
            ids |= dict.fromkeys(own, layout.path.name)
            names = cells.texts("track_name")[:-1] if "track_name" in layout.columns else own
            titles += [name or track for name, track in zip(names, own, strict=True)]
            features.append(np.stack([_feature(cells, name, year) for name in TRACK_COLUMNS], axis=1))
    return Catalog(Vocabulary(ids, kind="track"), tuple(titles)), np.concatenate(features)


def _feature(cells: Cells, name: str, year: str) -> Values:
    if name == "release_year":
        return _parsed(cells, year, _year, "no year, and no date that holds one, as 2018 or 31/01/2018")
    if name == "mode":
        return _parsed(cells, name, _CODES.get, "neither major nor minor")
    return cells.numbers(name)


class _Filling:
    """Sessions that grow file by file: the two halves of one may stand in two files."""

    def __init__(self, tracks: Vocabulary) -> None:
        self.tracks, self.rows = tracks, dict[str, int]()
        self.length = np.zeros(0, dtype=np.int64)
        self.track = np.zeros((0, LONGEST), dtype=np.int64)
        self.log = np.zeros((0, HALF, len(LOG_COLUMNS)), dtype=np.float32)
        self.skipped = np.zeros((0, LONGEST), dtype=np.float32)

    def all_of(self, layouts: list[Layout], name: str, tracks: Catalog, features: Values) -> Sessions:
        """Sessions of all files."""
        for layout in layouts:
            _require(layout, PLAY)
            with opened(layout) as cells:
                self._take(cells)
        short = int(((self.track >= 0).sum(1) < self.length).sum())
        findings = (f"{short:,} sessions lack some of their plays",) if short else ()
        ids = Catalog(Vocabulary(self.rows, kind="session"))
        arrays = (features, self.length, self.track, self.log, self.skipped)
        return Sessions(name, ids, tracks, *arrays, SOURCE, LICENCE, findings)

    def _take(self, cells: Cells) -> None:
        codes, names = cells.encoded("session_id")
        lengths, positions = (_whole(cells, name) for name in ("session_length", "session_position"))
        _refuse(cells, "session_length", (lengths < 2) | (lengths > LONGEST), f"a session has 2 to {LONGEST} plays")
        _refuse(cells, "session_position", (positions < 1) | (positions > lengths), "it is outside of its session")
        rows, slots = self._rows(names)[codes], HALF - lengths // 2 + positions - 1
        said = np.zeros_like(self.length)
        said[rows[::-1]] = lengths[::-1]  # by the first play of each session
        self.length = np.where(self.length > 0, self.length, said)
        _refuse(cells, "session_length", self.length[rows] != lengths, "other plays of the session say otherwise")
        place = rows * LONGEST + slots
        again = np.ones(len(rows), dtype=bool)
        again[np.unique(place, return_index=True)[1]] = False
        again |= self.track[rows, slots] >= 0
        _refuse(cells, "session_position", again, "the session has a play at this position already")
        self.track[rows, slots] = self._track_rows(cells)
        self._take_log(cells, rows, slots)

    def _rows(self, names: list[str]) -> Rows:
        """Rows of sessions, new ones behind those that are there; (names,)."""
        for name in names:
            self.rows.setdefault(name, len(self.rows))
        more = len(self.rows) - len(self.length)
        self.length = np.concatenate([self.length, np.zeros(more, dtype=np.int64)])
        self.track = np.concatenate([self.track, np.full((more, LONGEST), -1)])
        self.skipped = np.concatenate([self.skipped, np.full((more, LONGEST), np.nan, dtype=np.float32)])
        self.log = np.concatenate([self.log, np.full((more, *self.log.shape[1:]), np.nan, dtype=np.float32)])
        return np.array([self.rows[name] for name in names])

    def _track_rows(self, cells: Cells) -> Rows:
        codes, names = cells.encoded("track_id_clean")
        unknown = np.array([name not in self.tracks for name in names])
        _refuse(cells, "track_id_clean", unknown[codes], "there are no features of this track; add its file to tracks")
        return self.tracks.rows(names)[codes]

    def _take_log(self, cells: Cells, rows: Rows, slots: Rows) -> None:
        """What the log says, of plays of the first half; of the others only whether they were skipped."""
        needed = tuple(dict.fromkeys(_source(name) for name in LOG_COLUMNS))
        if not set(needed) & set(cells.layout.columns):
            return  # withheld
        _require(cells.layout, needed)
        first = slots < HALF
        words = {name: cells.encoded(name) for name in WORDS}
        for place, name in enumerate(LOG_COLUMNS):
            values = _is_word(name, words) if "=" in name else _logged(cells, name)
            self.log[rows[first], slots[first], place] = values[first]
            if name == SKIPPED:
                self.skipped[rows, slots] = values


def _source(name: str) -> str:
    """The column of the file that a column of the log is made from."""
    return "date" if name == "days" else name.partition("=")[0]


def _is_word(name: str, words: Mapping[str, tuple[Rows, list[str]]]) -> Values:
    """A one-hot, (rows,)."""
    column, _, word = name.partition("=")
    codes, texts = words[column]
    return np.array([text == word for text in texts], dtype=np.float32)[codes]


def _logged(cells: Cells, name: str) -> Values:
    if name == "days":
        return _parsed(cells, "date", _days, "no date; write 2018-07-15 or 15/07/2018")
    if name in FLAGS:
        return _parsed(cells, name, _CODES.get, "neither true nor false")
    return cells.numbers(name)


def _parsed(cells: Cells, column: str, value_of: Callable[[str], float | None], why_not: str) -> Values:
    """Each cell's value by its text; (rows,)."""
    codes, texts = cells.encoded(column)
    values = [value_of(text.lower()) for text in texts]
    _refuse(cells, column, np.array([value is None for value in values])[codes], f"it is {why_not}")
    return np.array(values, dtype=np.float32)[codes]


_CODES = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "major": 1.0, "minor": 0.0}


def _days(text: str) -> float | None:
    found = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", text) or re.fullmatch(r"(\d\d)/(\d\d)/(\d{4})", text)
    if found is None:
        return None
    year, month, day = sorted(found.groups(), key=len, reverse=True) if "-" in text else found.groups()[::-1]
    try:
        return float((date(int(year), int(month), int(day)) - FIRST_DAY).days)
    except ValueError:
        return None


def _year(text: str) -> float | None:
    found = re.fullmatch(r"(?:\d\d/\d\d/)?(\d{4})(?:\.0+|-\d\d-\d\d)?", text)
    return None if found is None else float(found[1])


def _whole(cells: Cells, column: str) -> Rows:
    values = cells.numbers(column)
    _refuse(cells, column, values != np.floor(values), "it is no whole number")
    return values.astype(np.int64)


def _require(layout: Layout, names: tuple[str, ...]) -> None:
    for name in (name for name in names if name not in layout.columns):
        raise BadInput(f"{layout.path}: there is no column {name!r}, which this data set has; copy the file again")


def _refuse(cells: Cells, column: str, wrong: NDArray[np.bool_], why: str) -> None:
    """Say which is the first cell of a column that is wrong, where any is."""
    if wrong.any():
        row = int(wrong.argmax())
        raise BadInput(f"{cells.place(row)}, column {column!r}: {cells.texts(column)[row]!r} cannot be: {why}")

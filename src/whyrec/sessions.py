"""Listening sessions whose second half is to be guessed: tracks in order, what the log says of the first half, skips.

As in the sequential skip prediction challenge of WSDM Cup 2019 a session of L plays is cut after the first L // 2. Of
those the whole log is known, of the others only which track comes. A play is skipped where `skip_2` says so.

    slots    0 ... 9       the first half, its last play always in slot 9
             10 ... 19     the second half, its first play always in slot 10

Brost, Mehrotra and Jehan 2019, The music streaming sessions dataset, has the columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from whyrec.dataset import Catalog
from whyrec.errors import InvalidSetting
from whyrec.interactions import Rows, Vocabulary

HALF = 10
"""Slots of a half."""

LONGEST = 2 * HALF

REASONS = (
    "endplay",
    "fwdbtn",
    "clickrow",
    "trackdone",
    "uriopen",
    "remote",
    "playbtn",
    "backbtn",
    "trackerror",
    "popup",
    "appload",
)
"""Why a play starts or ends; any other reason is none of them."""

CONTEXTS = ("radio", "catalog", "personalized_playlist", "editorial_playlist", "user_collection", "charts")
"""Where a play comes from; any other place is none of them."""

Group = Literal["persistence", "interaction", "context", "release", "musical"]

LOG: Mapping[Group, tuple[str, ...]] = {
    "persistence": ("skip_1", "skip_2", "skip_3", "not_skipped"),
    "interaction": (
        "context_switch",
        "no_pause_before_play",
        "short_pause_before_play",
        "long_pause_before_play",
        "hist_user_behavior_is_shuffle",
        "hist_user_behavior_n_seekfwd",
        "hist_user_behavior_n_seekback",
        *(f"hist_user_behavior_reason_start={reason}" for reason in REASONS),
        *(f"hist_user_behavior_reason_end={reason}" for reason in REASONS),
    ),
    "context": ("hour_of_day", "days", "premium", *(f"context_type={context}" for context in CONTEXTS)),
}
"""What is known of each play of the first half; a word behind = is a one-hot."""

TRACK: Mapping[Group, tuple[str, ...]] = {
    "release": ("duration", "release_year", "us_popularity_estimate"),
    "musical": (
        *("acousticness", "beat_strength", "bounciness", "danceability", "dyn_range_mean", "energy", "flatness"),
        *("instrumentalness", "key", "liveness", "loudness", "mechanism", "mode", "organism", "speechiness", "tempo"),
        *("time_signature", "valence", *(f"acoustic_vector_{place}" for place in range(8))),
    ),
}
"""What is known of each track, so of both halves."""

FLAGS = (*LOG["persistence"], *LOG["interaction"][:5], "premium")
"""Columns of yes and no."""

SKIPPED = "skip_2"
"""The flag that is to be guessed."""


def columns_of(known: Mapping[Group, tuple[str, ...]]) -> tuple[str, ...]:
    """The columns of all groups, in their order."""
    return tuple(name for names in known.values() for name in names)


LOG_COLUMNS, TRACK_COLUMNS = columns_of(LOG), columns_of(TRACK)


@dataclass(frozen=True, eq=False)
class Sessions:
    """Sessions as aligned arrays. What is not known is -1 among tracks, and NaN elsewhere."""

    name: str
    sessions: Catalog = field(repr=False)
    tracks: Catalog = field(repr=False)
    features: NDArray[np.float32] = field(repr=False)  # (tracks, TRACK_COLUMNS)
    length: Rows = field(repr=False)  # (sessions,) plays
    track: Rows = field(repr=False)  # (sessions, LONGEST) rows of tracks
    log: NDArray[np.float32] = field(repr=False)  # (sessions, HALF, LOG_COLUMNS) of the first half
    skipped: NDArray[np.float32] = field(repr=False)  # (sessions, LONGEST) 1 skipped, 0 not
    source: str = ""
    licence: str = ""
    findings: tuple[str, ...] = ()
    """What reading noticed and a person should know, one sentence each."""
    rules: tuple[str, ...] = ()
    """What decides, in sessions that were made."""
    ruled: NDArray[np.int64] | None = field(default=None, repr=False)
    """(sessions, HALF) which of the `rules` decides a play of the second half, -1 where there is none."""

    def __len__(self) -> int:
        return len(self.sessions)

    def __deepcopy__(self, _memo: object) -> Self:
        return self  # frozen, and large

    def where(self, keep: NDArray[Any]) -> Sessions:
        """The sessions that `keep` (a mask, or positions in the wanted order) selects; tracks stay as they are."""
        rows = np.arange(len(self))[keep]
        return replace(
            self,
            sessions=Catalog(Vocabulary(self.sessions.vocabulary.ids(rows), kind="session")),
            length=self.length[rows],
            track=self.track[rows],
            log=self.log[rows],
            skipped=self.skipped[rows],
            ruled=None if self.ruled is None else self.ruled[rows],
        )

    def parts(self, *shares: float, seed: int = 0) -> tuple[Sessions, ...]:
        """Disjoint parts of these sizes, drawn at random, and the rest behind them.

        >>> from whyrec.datasets.planted_sessions import load
        >>> [len(part) for part in load(sessions=50).parts(0.6, 0.2)]
        [30, 10, 10]
        """
        if min(shares, default=0) <= 0 or sum(shares) >= 1:
            raise InvalidSetting(f"parts: {shares} are no shares of a whole; give some above 0 that leave a rest")
        ends = np.rint(np.cumsum(shares) * len(self)).astype(np.int64)
        order = np.random.default_rng(seed).permutation(len(self))
        return tuple(self.where(np.sort(some)) for some in np.split(order, ends))

    @cached_property
    def as_users(self) -> Catalog:
        """The sessions as a recommender knows those it recommends to."""
        return Catalog(Vocabulary(self.sessions.vocabulary.ids(), kind="user"))

    @cached_property
    def to_guess(self) -> NDArray[np.bool_]:
        """Which places of the second half hold a play whose skip is known, (sessions, HALF)."""
        found: NDArray[np.bool_] = (self.track[:, HALF:] >= 0) & ~np.isnan(self.skipped[:, HALF:])
        return found

    def title(self, row: int, slot: int) -> str:
        """What to call the play in a slot of a session."""
        track = int(self.track[row, slot])
        return "no track" if track < 0 else self.tracks.title(track)

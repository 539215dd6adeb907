"""Which kind of evidence each guess about a session rests on: shares of experts, by category, track by track."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from whyrec.interactions import Id
from whyrec.recommendations import Recommendations
from whyrec.sessions import HALF
from whyrec.skip_accuracy import guesses
from whyrec.skip_model import PLACES, SkipModel
from whyrec.skip_session import SkipSession
from whyrec.statistics import Array
from whyrec.subset_table import SubsetShares, subset_shares

SKIP, LISTEN = "skip", "listen"


def session_lists(model: SkipModel, sessions: Sequence[Id] | None = None) -> Recommendations:
    """The second half of each session as a list of places, in their order: to be explained and verified like any list.

    All sessions that the model looks at where none are named. Scores are the model's, above 0 for a skip.

    >>> import whyrec as wr
    >>> made = wr.planted_sessions(sessions=60)
    >>> model = wr.fit_skips(wr.SkipSession(width=8), made, training=wr.Training(epochs=1, batch_size=20))
    >>> why = wr.explain(model, session_lists(model, ["s3"]), wr.ExpertShares())
    >>> why.contributions(0, 0)[0].kind
    'column'
    """
    data = model.require_sessions()
    rows = np.arange(len(data)) if sessions is None else data.sessions.vocabulary.rows(sessions)
    there = data.track[rows, HALF:] >= 0
    scores = torch.from_numpy(guesses(model.on(data.where(rows))).scores)
    items = torch.arange(HALF).expand(len(rows), -1)
    present = torch.from_numpy(there)
    return Recommendations(
        model.users,
        PLACES,
        torch.from_numpy(rows),
        torch.where(present, items, -1),
        scores.masked_fill(~present, -torch.inf),
        torch.zeros(len(rows), 0, dtype=torch.int64),
    )


@dataclass(frozen=True, eq=False)
class SessionReasons:
    """One session's second half: what was guessed, what happened, who was listened to. Printing it shows a table."""

    session: Id
    tracks: tuple[str, ...]
    chance: Array  # (tracks,) probability of a skip
    skipped: Array = field(repr=False)  # (tracks,) 1 skipped, 0 not, NaN unknown
    categories: tuple[str, ...]
    shares: Array  # (tracks, categories) zeros where no expert had an opinion
    mostly: tuple[str | None, ...]
    """The subset that was listened to most; None where no expert had an opinion."""

    def __str__(self) -> str:
        wide = max(map(len, ("track", *self.tracks)))
        head = "  ".join(f"{name:>11}" for name in self.categories)
        lines = [f"{self.session}", f"{'track':<{wide}}  guess   was     {head}"]
        for place, title in enumerate(self.tracks):
            row = "  ".join(f"{share:>11.2f}" for share in self.shares[place])
            lines.append(f"{title:<{wide}}  {self.guess(place):<6}  {self.truth(place):<6}  {row}")
        return "\n".join(lines)

    def guess(self, place: int) -> str:
        """What the model says of a track: skip or listen."""
        return SKIP if self.chance[place] > 0.5 else LISTEN

    def truth(self, place: int) -> str:
        """What happened to a track: skip or listen, or ? where nobody knows."""
        known = self.skipped[place]
        return "?" if np.isnan(known) else SKIP if known == 1 else LISTEN


def session_reasons(model: SkipSession, session: Id) -> SessionReasons:
    """The attribution table of one session: shares of experts added up by category of evidence, for each track.

    Categories are persistence (skips so far), interaction (how, when and where tracks were played), musical (what the
    tracks are) and several, for experts that see more than one kind. A column of the table sums to 1.
    """
    data, lists = model.require_sessions(), session_lists(model, [session])
    shares, row = subset_shares(model, lists), int(lists.user_rows[0])
    places = np.flatnonzero(lists.present[0].numpy())
    by_category = shares.by(model.categories)
    return SessionReasons(
        session,
        tuple(data.title(row, HALF + int(place)) for place in places),
        (1 + lists.scores[0, places].double().numpy()) / 2,
        data.skipped[row, HALF + places].astype(np.float64),
        tuple(by_category),
        np.stack([one[0, places] for one in by_category.values()], axis=1),
        tuple(shares.best(0, int(place)) for place in places),
    )


def shares_by_rule(model: SkipSession, shares: SubsetShares) -> dict[str, dict[str, float]]:
    """The mean share of each category where each rule decides, in made sessions: rule -> category -> share."""
    data = model.require_sessions()
    ruled: NDArray[np.int64] = np.full((len(data), HALF), -1) if data.ruled is None else data.ruled
    ruled = np.where(shares.decided, ruled[shares.recommendations.user_rows.numpy()], -1)
    return {
        rule: {name: float(some[ruled == place].mean()) for name, some in shares.by(model.categories).items()}
        for place, rule in enumerate(data.rules)
        if (ruled == place).any()
    }

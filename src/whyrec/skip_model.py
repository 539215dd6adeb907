"""Models that say which tracks of a session will be skipped: a session is a user, a place of its second half an item.

What such a model scores from is the session alone, cut into the parts of `sessions.Group`: a unit is what one group of
columns says of one play. A place asks for one moment of the second half, and which places are asked for changes nothing
else, so a list of places can be scored, explained and verified like a list of items.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Never, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from whyrec.dataset import Catalog
from whyrec.errors import NotApplicable, NotFitted
from whyrec.interactions import Rows, Vocabulary
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind
from whyrec.sessions import FLAGS, HALF, LOG, LOG_COLUMNS, LONGEST, TRACK, TRACK_COLUMNS, Group, Sessions
from whyrec.training import Loss, Training

GROUPS: tuple[Group, ...] = (*LOG, *TRACK)
WIDTHS: Mapping[Group, int] = {name: len(columns) for known in (LOG, TRACK) for name, columns in known.items()}
"""Columns of each group."""

MOMENT = LONGEST + 1
"""Channels that say where in a session a play stands: its slot, and how long the session is."""

PLACES = Catalog(
    Vocabulary(range(1, HALF + 1), kind="item"), tuple(f"track {place} to be guessed" for place in range(1, HALF + 1))
)
"""What a list of a session consists of."""

FARTHEST = 5.0
"""Standard deviations from the mean beyond which a number counts as this far."""

USUALLY = Training(epochs=12, batch_size=256, learning_rate=3e-3, patience=3, loss="log")

CALLED: Mapping[Group, str] = {  # persistence is called by what happened
    "interaction": "buttons and pauses at",
    "context": "time and place of",
    "release": "release of",
    "musical": "sound of",
}


class SkipModel(Recommender):
    """Scores each place of the second half of sessions: above 0 for a skip, below for none.

    `fit_skips` trains it; `on` gives it other sessions to look at. Sessions are data, and a saved folder does not hold
    them.
    """

    usual_loss: ClassVar[Loss] = "log"
    sessions: Sessions | None = None
    """What it looks at."""
    log_shift: Tensor  # (LOG_COLUMNS,)
    log_scale: Tensor
    track_shift: Tensor  # (TRACK_COLUMNS,)
    track_scale: Tensor

    def make(self, user_count: int, item_count: int) -> None:
        """Create weights and buffers; they depend on no session."""
        for name, columns in (("log", LOG_COLUMNS), ("track", TRACK_COLUMNS)):
            self.register_buffer(f"{name}_shift", torch.zeros(len(columns)))
            self.register_buffer(f"{name}_scale", torch.ones(len(columns)))
        self.make_network()

    @abstractmethod
    def make_network(self) -> None:
        """Create what is trained."""

    def learn_scales(self, sessions: Sessions) -> None:
        """Read off training sessions how numbers are spread; yes and no become 1 and -1, words stay 1 and 0."""
        heard = sessions.features[np.unique(sessions.track[sessions.track >= 0])]
        logged = sessions.log[~np.isnan(sessions.log[..., 0])]
        for name, columns, values in (("log", LOG_COLUMNS, logged), ("track", TRACK_COLUMNS, heard)):
            middle, spread = values.mean(0, dtype=np.float64), values.std(0, dtype=np.float64)
            for place, column in enumerate(columns):
                if column in FLAGS:
                    middle[place], spread[place] = 0.5, 0.5
                elif "=" in column:
                    middle[place], spread[place] = 0.0, 1.0
            getattr(self, f"{name}_shift").copy_(torch.from_numpy(middle))
            getattr(self, f"{name}_scale").copy_(torch.from_numpy(1 / np.where(spread > 0, spread, 1.0)))

    def on(self, sessions: Sessions) -> Self:
        """The same model, weights shared, with other sessions to look at."""
        self.require_built()
        other = copy.copy(self)
        other.sessions, other.users = sessions, sessions.as_users
        return other

    def require_sessions(self) -> Sessions:
        """What the model looks at; raises `NotFitted` where there is nothing."""
        if self.sessions is None:
            raise NotFitted(f"this {type(self).__name__} has no sessions to look at; call model.on(sessions) first")
        return self.sessions

    def require_known(self) -> Never:
        """There are no events: raises `NotApplicable`."""
        raise NotApplicable(
            f"a {type(self).__name__} guesses which tracks of a session are skipped and recommends nothing; call "
            "session_lists(model) for lists to explain, or evaluate_skips(model)"
        )

    def usually(self, training: Training | None) -> Training:
        """As `Recommender.usually`, but other numbers where none are given: a session is a whole row of a batch."""
        return super().usually(training or USUALLY)

    @property
    def hides(self) -> float:
        """The largest share of the units of a session that training hides."""
        return 0.0

    @property
    def max_trained_drop(self) -> float:
        return self.hides

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return dict.fromkeys(GROUPS, "column")

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        """What a group says of a play, for example `sound of Nine Lanterns (play 12)`."""
        sessions = self.require_sessions()
        if user < 0:
            return f"{part} of slot {unit + 1}"
        play = unit - HALF + int(sessions.length[user]) // 2 + 1
        fate = "skipped" if sessions.skipped[user, unit] == 1 else "listened to"
        said = CALLED.get(cast(Group, part), fate)
        return f"{said} {sessions.title(user, unit)} (play {play})"

    def embed(self, request: Request) -> Inputs:
        """Each group of columns, with zeros where nothing is known, then the moments and the places asked for."""
        sessions, rows = self.require_sessions(), request.users.cpu().numpy()
        if (rows < 0).any():
            raise NotApplicable("somebody new has no session to look at; read it, and call model.on(sessions)")
        track, there = sessions.track[rows], (sessions.track[rows] >= 0)[..., None]
        features = np.where(there, sessions.features[track], np.float32("nan"))
        moments = torch.from_numpy(_moments(sessions.length[rows]) * there)
        parts = {
            **self._cut(LOG, sessions.log[rows], self.log_shift, self.log_scale),
            **self._cut(TRACK, features, self.track_shift, self.track_scale),
            "moment": Part.of(moments.to(self.log_shift).unsqueeze(1)),
        }
        if self.training and self.hides:
            parts |= {name: _hidden(parts[name], self.hides) for name in GROUPS}
        return {**parts, "place": Part.of(F.one_hot(request.items, HALF).to(self.log_shift))}

    def _cut(
        self, known: Mapping[Group, tuple[str, ...]], values: NDArray[np.float32], shift: Tensor, scale: Tensor
    ) -> dict[str, Part]:
        """One part for each group, (sessions, 1, slots, columns)."""
        raw = torch.from_numpy(values).to(shift.device).unsqueeze(1)
        there = ~raw[..., 0].isnan()
        even = ((raw - shift) * scale).nan_to_num(0.0).clamp(-FARTHEST, FARTHEST)
        groups = even.split([len(columns) for columns in known.values()], dim=-1)
        return {name: Part.of(one, present=there) for name, one in zip(known, groups, strict=True)}

    def timeline(self, inputs: Inputs) -> tuple[list[Tensor], torch.Size]:
        """Channels of each group in each slot, (rows, LONGEST, channel), the moment among them; and what the rows are.

        Rows are users times items, or users alone where the list shares its inputs.
        """
        lead = torch.broadcast_shapes(*(inputs[name].values.shape[:2] for name in (*GROUPS, "moment")))
        moment = _rows(inputs["moment"].values, lead)
        found = []
        for name in GROUPS:
            own = _rows(inputs[name].values, lead)
            later = own.new_zeros(len(own), LONGEST - own.shape[1], own.shape[2])
            found.append(torch.cat([torch.cat([own, later], 1), moment], -1))
        return found, lead

    def at_places(self, found: Tensor, lead: torch.Size, inputs: Inputs) -> Tensor:
        """What was found in each slot, (rows, LONGEST, channel), at the places asked for: (users, items, channel)."""
        second = found[:, HALF:].unflatten(0, lead)  # (users, items | 1, HALF, channel)
        asked: Tensor = (second * inputs["place"].values.unsqueeze(-1)).sum(-2)
        return asked


def _moments(length: Rows) -> NDArray[np.float64]:
    """Which slot it is, as a one-hot, and how long the session is, (sessions, LONGEST, MOMENT)."""
    found = np.zeros((len(length), LONGEST, MOMENT))
    found[:, range(LONGEST), range(LONGEST)] = 1.0
    found[..., -1] = length[:, None] / LONGEST
    return found


def _rows(values: Tensor, lead: Sequence[int]) -> Tensor:
    """(users | 1, items | 1, slot, channel) -> (users * items, slot, channel)."""
    return values.expand(*lead, *values.shape[2:]).flatten(0, 1)


def _hidden(part: Part, most: float) -> Part:
    """Some units of each session out of sight, up to the share `most` of them."""
    share = most * torch.rand(len(part.values), 1, 1, device=part.values.device)
    keep = torch.rand(part.present.shape, device=part.values.device) >= share
    return Part.of(part.values * keep.unsqueeze(-1), present=part.present & keep)

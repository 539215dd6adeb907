"""Which events a model learns from, which choose it, and which judge it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whyrec.dataset import Catalog, Dataset
from whyrec.errors import BadInput, InvalidSetting
from whyrec.interactions import Interactions, Rows


@dataclass(frozen=True, eq=False)
class TrainingData:
    """All that `fit` may see. It has no test part, so nothing can be selected on it."""

    name: str
    train: Interactions
    validation: Interactions
    users: Catalog
    items: Catalog


@dataclass(frozen=True, eq=False)
class Split:
    """A data set in three parts. `how` says in one sentence how it was made."""

    dataset: Dataset
    train: Interactions
    validation: Interactions
    test: Interactions
    how: str
    candidates: Rows | None = None  # (users, negatives) items to rank against, -1 where fewer; row = user
    """Given negatives of a published protocol; None where the evaluation draws its own."""

    def for_training(self) -> TrainingData:
        """The split without its test part."""
        return TrainingData(self.dataset.name, self.train, self.validation, self.dataset.users, self.dataset.items)

    @property
    def known(self) -> Interactions:
        """Train and validation together: what is known of a user when the test part is to be guessed."""
        return self.train.together_with(self.validation)


def leave_last_out(data: Dataset, *, validation: bool = True) -> Split:
    """Each user's last event is the test, the one before it the validation, the rest train.

    Users with too few events (fewer than three; two without validation) stay in train whole. Without times the
    order of the file stands for the order of events, and `how` says so.
    """
    events = data.interactions
    later, counts = events.age_rank(), events.user_counts[events.users]
    held_out = 2 if validation else 1
    splittable = counts > held_out
    test = splittable & (later == 0)
    chosen = splittable & (later == 1) if validation else np.zeros(len(events), dtype=bool)
    if not test.any():
        raise BadInput(
            f"{data.name}: no user has more than {held_out} interactions, so nothing can be held out; "
            "bring more data, or use given() with a test part of your own"
        )
    order = "time" if events.times is not None else "file order (there is no time column)"
    aside = "; the one before it for validation" if validation else ""
    whole = int(((events.user_counts > 0) & (events.user_counts <= held_out)).sum())
    left = f"; {whole:,} users with at most {held_out} interactions stay in train" if whole else ""
    return Split(
        data,
        train=events.where(~test & ~chosen),
        validation=events.where(chosen),
        test=events.where(test),
        how=f"leave-last-out by {order}{aside}{left}",
    )


def by_ratio(
    data: Dataset, *, test: float = 0.2, validation: float = 0.1, per_user: bool = True, seed: int = 0
) -> Split:
    """Random events are held out: the shares `test` and `validation` of each user's events, or of all, by `seed`.

    Per user, shares are rounded to the nearest whole number of events and at least one event stays in train; so users
    with few events have no test part. An item, and over all events a user, may occur in the test part only; `how`
    counts such test events. For ratings without an order: where there are times, a model learns from the future.
    """
    _refuse_shares(test, validation)
    events = data.interactions
    order = _shuffled(events, np.random.default_rng(seed), per_user)
    counts = events.user_counts[events.users[order]] if per_user else np.full(len(events), len(events))
    place = np.arange(len(events)) - (events.offsets[:-1][events.users[order]] if per_user else 0)
    tested = np.minimum(np.rint(counts * test), counts - 1)
    chosen = np.minimum(np.rint(counts * validation), counts - 1 - tested)
    part = np.empty(len(events), dtype=np.int64)
    part[order] = np.where(place < tested, 2, np.where(place < tested + chosen, 1, 0))
    whose = "each user's" if per_user else "all"
    split = _parts(data, part, f"random {test:.0%} of {whose} events for test, {validation:.0%} for validation")
    if not len(split.test):
        raise BadInput(f"{data.name}: {test:.0%} of {whose} events are none; hold out more, or bring more data")
    return replace(split, how=f"{split.how} (seed {seed}){_say_unseen(split)}")


def by_time(data: Dataset, *, test: float = 0.2, validation: float = 0.1, keep_unseen: bool = False) -> Split:
    """The latest events of everybody are the test, those before them the validation: one cut in time for all.

    Every event of a part is later than all events of the part before; so the shares are met as nearly as equal times
    allow. Events of users or items that do not occur in train are left out of the later parts, because nothing is
    learned of them, and `how` counts them; `keep_unseen` keeps them, for models that know new items by their columns.
    """
    _refuse_shares(test, validation)
    times = data.interactions.times
    if times is None:
        raise BadInput(f"{data.name}: there are no times to cut at; name their column, or use by_ratio()")
    moments, counts = np.unique(times, return_counts=True)
    needed = 3 if validation else 2
    if len(moments) < needed:
        raise BadInput(f"{data.name}: {len(moments)} different times do not make {needed} parts; use by_ratio()")
    before = np.concatenate([[0], np.cumsum(counts)])  # events before each moment
    last = _nearest(before, len(times) * (1 - test), needed - 1, len(moments) - 1)
    first = _nearest(before, len(times) * (1 - test - validation), 1, last - 1) if validation else last
    since = f", validation from {_date(moments[first])} on" if validation else ""
    how = f"by time: test from {_date(moments[last])} on{since}"
    split = _parts(data, np.searchsorted(moments[[first, last]], times, side="right"), how)
    return replace(split, how=split.how + _say_unseen(split)) if keep_unseen else _without_unseen(split)


def k_fold(data: Dataset, *, folds: int = 5, validation: float = 0.1, seed: int = 0) -> list[Split]:
    """As many splits as `folds`: each event is in the test part of exactly one of them, drawn over all events.

    Of the other events of a split the share `validation` is put aside to choose on. Test parts differ in size by one
    event at most. A user or an item may occur in the test part only; `how` counts such test events.
    """
    events = data.interactions
    if not 2 <= folds <= len(events):
        raise InvalidSetting(f"folds={folds} cannot be taken: take 2 to {len(events):,}, the events of {data.name}")
    if not 0 <= validation < 1:
        raise InvalidSetting(f"validation={validation:g} cannot be taken: it is a share, 0 or more and below 1")
    generator = np.random.default_rng(seed)
    fold = np.empty(len(events), dtype=np.int64)
    fold[generator.permutation(len(events))] = np.arange(len(events)) % folds
    splits = []
    for number in range(folds):
        others = np.flatnonzero(fold != number)
        part = np.where(fold == number, 2, 0)
        put_aside = min(round(len(others) * validation), len(others) - 1)
        part[generator.choice(others, put_aside, replace=False)] = 1
        split = _parts(data, part, f"fold {number + 1} of {folds}, {validation:.0%} of the rest for validation")
        splits.append(replace(split, how=f"{split.how} (seed {seed}){_say_unseen(split)}"))
    return splits


def given(
    data: Dataset,
    *,
    test: Interactions,
    candidates: Rows | None = None,
    validation: Interactions | None = None,
    seed: int = 0,
) -> Split:
    """A split that somebody published: `data` holds the training events, `test` the held-out ones.

    Where no validation part is given, one random training event of each user with at least two is put aside for it
    (by `seed`), so that choosing never touches the test part.
    """
    events = data.interactions
    if validation is not None:
        return Split(data, events, validation, test, "given train, validation and test parts", candidates)
    chosen = one_per_user(events, np.random.default_rng(seed))
    return Split(
        data,
        train=events.where(~chosen),
        validation=events.where(chosen),
        test=test,
        how=f"given train and test parts; one random training interaction per user for validation (seed {seed})",
        candidates=candidates,
    )


def one_per_user(events: Interactions, generator: np.random.Generator) -> np.ndarray:
    """Mask of one random event of each user that has at least two; (n,)."""
    picked = events.offsets[:-1] + generator.integers(0, np.maximum(events.user_counts, 1))
    chosen = np.zeros(len(events), dtype=bool)
    chosen[events.oldest_first[picked[events.user_counts >= 2]]] = True
    return chosen


def unseen_in_train(split: Split, part: Interactions) -> NDArray[np.bool_]:
    """Which events of `part` are of a user or an item that train does not have; (n,)."""
    unseen: NDArray[np.bool_] = (split.train.user_counts[part.users] == 0) | (split.train.item_counts[part.items] == 0)
    return unseen


def _parts(data: Dataset, part: Rows, how: str) -> Split:
    """Events of `part` 0 are train, of 1 validation, of 2 test."""
    train, validation, test = (data.interactions.where(part == number) for number in range(3))
    return Split(data, train, validation, test, how)


def _refuse_shares(test: float, validation: float) -> None:
    if not (0 < test < 1 and 0 <= validation < 1 and test + validation < 1):
        raise InvalidSetting(
            f"test={test:g} and validation={validation:g} cannot be taken: they are shares of the events, such as 0.2 "
            "and 0.1 (or 0 for no validation), and together below 1"
        )


def _shuffled(events: Interactions, generator: np.random.Generator, per_user: bool) -> Rows:
    """Positions of all events in a random order, or by user and in a random order inside each; (n,)."""
    chance = generator.random(len(events))
    return np.lexsort((chance, events.users)) if per_user else np.argsort(chance, kind="stable")


def _nearest(before: Rows, wanted: float, lowest: int, highest: int) -> int:
    """The cut, of those from `lowest` to `highest`, with most nearly `wanted` events before it."""
    return lowest + int(np.argmin(np.abs(before[lowest : highest + 1] - wanted)))


def _without_unseen(split: Split) -> Split:
    validation, test = (part.where(~unseen_in_train(split, part)) for part in (split.validation, split.test))
    if not len(test):
        raise BadInput(
            f"{split.dataset.name}: all test events are of users or items that are not in train; "
            "pass keep_unseen=True, or use by_ratio()"
        )
    left = len(split.validation) + len(split.test) - len(validation) - len(test)
    out = f"; {left:,} later events of users or items that are not in train are left out" if left else ""
    return replace(split, validation=validation, test=test, how=split.how + out)


def _say_unseen(split: Split) -> str:
    unseen = int(unseen_in_train(split, split.test).sum())
    return f"; {unseen:,} test events are of users or items that are not in train" if unseen else ""


def _date(seconds: int) -> str:
    """A time as a person writes it, in UTC."""
    return str(np.datetime64(int(seconds), "s")).replace("T", " ")

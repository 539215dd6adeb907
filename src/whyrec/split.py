"""Which events a model learns from, which choose it, and which judge it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whyrec.dataset import Catalog, Dataset
from whyrec.errors import BadInput
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
    whole = int((data.interactions.user_counts <= held_out).sum())
    left = f"; {whole:,} users with at most {held_out} interactions stay in train" if whole else ""
    return Split(
        data,
        train=events.where(~test & ~chosen),
        validation=events.where(chosen),
        test=events.where(test),
        how=f"leave-last-out by {order}{aside}{left}",
    )


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

"""What a person should know of a data set, or of a split, before anything is trained on it; each with what to do."""

from __future__ import annotations

import time

import numpy as np

from whyrec.dataset import Dataset
from whyrec.doctor import Finding
from whyrec.interactions import Interactions, Rows
from whyrec.split import Split, unseen_in_train

FACTORS = 64
"""Length of the vectors that the memory of models is reckoned for."""
MUCH = 16e9
"""Bytes that many machines do not have."""


def check(data: Dataset | Split, *, now: float | None = None) -> list[Finding]:
    """A check-up of a data set; of a split also whether its parts keep apart what they should.

    What is `bad` should be mended before anything is trained, a `note` should be known. `now` is what counts as today,
    in seconds since 1970.

    >>> from whyrec.datasets import planted
    >>> found = check(planted.load(users=60, items=60))
    >>> found[0].level, found[0].what
    ('good', '... interactions of 60 users and 60 items; ... % of all pairs are filled')
    """
    events = data.known.together_with(data.test) if isinstance(data, Split) else data.interactions
    if not len(events):
        return [Finding("bad", "there are no interactions", "bring a log with a row for each time a user met an item")]
    return [
        *_size(events),
        *_repeats(events),
        *_rare(events),
        *_only_in_tables(events),
        *_largest(events),
        *_values(events),
        *_times(events, time.time() if now is None else now),
        *_memory(events),
        *(_parts(data) if isinstance(data, Split) else []),
    ]


def _size(events: Interactions) -> list[Finding]:
    users, items = events.user_count, events.item_count
    pairs = len(np.unique(events.pairs))
    filled = f"{pairs / (users * items):.2%} of all pairs are filled".replace("%", " %")
    found = [Finding("good", f"{len(events):,} interactions of {users:,} users and {items:,} items; {filled}")]
    typical = float(np.median(_counted(events.user_counts)))
    if typical < 5:
        advice = "there is little to learn tastes from: compare with Popularity, and group users or items where you can"
        found.append(Finding("note", f"half of the users have {typical:.0f} interactions or fewer", advice))
    return found


def _repeats(events: Interactions) -> list[Finding]:
    repeated = len(events) - len(np.unique(events.pairs))
    if not repeated:
        return [Finding("good", "no user meets the same item twice")]
    advice = (
        'if they are copies, pass duplicates="last" (--duplicates last); else the same item may be in train and test'
    )
    return [Finding("note", f"{_some(repeated, events)} repeat an earlier one of the same user and item", advice)]


def _rare(events: Interactions) -> list[Finding]:
    users, items = _counted(events.user_counts), _counted(events.item_counts)
    found = []
    if (users < 3).all():
        advice = "leave_last_out needs three of at least one user: bring more data, or use by_ratio(per_user=False)"
        found.append(Finding("bad", "no user has more than two interactions", advice))
    if once := int((users == 1).sum()):
        advice = "they say nothing of who goes with whom, and no metric is about them; leave them out, or know it"
        found.append(Finding("note", f"{_share(once, len(users))} users have a single interaction", advice))
    if once := int((items == 1).sum()):
        advice = "held out, they cannot be learned; leave them out, or use a model that knows items by their columns"
        found.append(Finding("note", f"{_share(once, len(items))} items have a single interaction", advice))
    return found


def _only_in_tables(events: Interactions) -> list[Finding]:
    sides = (("users", events.user_counts), ("items", events.item_counts))
    advice = "nothing is learned of them from events; take them out, or use a model that knows them by their columns"
    return [
        Finding("note", f"{_share(int((counts == 0).sum()), len(counts))} {side} occur in no interaction", advice)
        for side, counts in sides
        if (counts == 0).any()
    ]


def _largest(events: Interactions) -> list[Finding]:
    found = []
    for side, counts, advice in (
        ("user", events.user_counts, "this may be a program or a shared account; look at it, and leave it out if so"),
        ("item", events.item_counts, "whatever ranks it high looks good: compare with Popularity"),
    ):
        share = counts.max() / len(events)
        if share > 0.05 and share > 5 / len(_counted(counts)):
            found.append(Finding("note", f"a single {side} has {_percent(share)} of all interactions", advice))
    return found


def _values(events: Interactions) -> list[Finding]:
    if events.values is None:
        return [Finding("good", "there are no ratings: each interaction counts the same")]
    values, counts = np.unique(events.values, return_counts=True)
    if len(values) == 1:
        advice = "it tells nothing apart; leave the column out"
        return [Finding("note", f"each rating is {values[0]:g}", advice)]
    share, most = counts.max() / len(events), values[counts.argmax()]
    if share > 0.8:
        advice = "a model that always says so is nearly always right: judge by ranking, not by the error of ratings"
        return [Finding("note", f"{_percent(share)} of the ratings are {most:g}", advice)]
    spread = f"{len(values):,} different values from {values[0]:g} to {values[-1]:g}"
    return [Finding("good", f"ratings have {spread}, {most:g} the most frequent")]


def _times(events: Interactions, now: float) -> list[Finding]:
    if events.times is None:
        advice = "leave_last_out takes the order of the file for the order of events; name the column if there is one"
        return [Finding("note", "there are no times", advice)]
    first, last = int(events.times.min()), int(events.times.max())
    typical = float(np.median(events.times))
    if typical > 1e11:  # in seconds: after the year 5000
        unit, divisor = next((name, per) for name, per, most in FINER if typical < most)
        return [Finding("bad", f"times look like {unit}", f"divide them by {divisor:,}: whyrec counts seconds")]
    if first == last:
        advice = "they order nothing: the order of the file stands for the order of events"
        return [Finding("note", "all times are the same", advice)]
    if late := int((events.times > now).sum()):
        advice = "check clocks and time zones: what seems the latest is held out as the test"
        return [Finding("note", f"{_some(late, events)} are in the future", advice)]
    days = (last - first) / 86_400
    return [Finding("good", f"times span {days:,.0f} days" if days >= 1 else f"times span {last - first:,} seconds")]


FINER = (("milliseconds", 10**3, 1e14), ("microseconds", 10**6, 1e17), ("nanoseconds", 10**9, np.inf))
"""Units that times come in by mistake, how many make a second, and below what they are believed."""


def _memory(events: Interactions) -> list[Finding]:
    users, items = events.user_count, events.item_count
    ease = 28 * items**2  # X'X and its inverse in float64, the quotient in float64, the weights in float32
    vectors = 16 * FACTORS * (users + 2 * items)  # a float32 with its gradient and the two moments of Adam
    found = []
    for what, size, advice in (
        (f"EASE solves {items:,} x {items:,} weights", ease, "take a vector model, or leave out rare items"),
        (f"vector models with {FACTORS} factors", vectors, "take fewer factors, or leave out rare users and items"),
    ):
        much = size > MUCH
        found.append(Finding("note" if much else "good", f"{what}: about {_bytes(size)}", advice if much else ""))
    return found


def _parts(split: Split) -> list[Finding]:
    """Whether what is learned from could give away what is asked."""
    train, test = split.train, split.test
    sizes = f"{len(train):,} train, {len(split.validation):,} validation and {len(test):,} test interactions"
    found = [Finding("good", f"{sizes}: {split.how}")]
    if not len(test) or not len(train):
        return [*found, Finding("bad", "a part is empty", "hold out another share, or bring more data")]
    if both := int(np.isin(test.pairs, train.pairs).sum()):
        advice = "the answer is in the question: keep one interaction for each user and item"
        found.append(Finding("note", f"{_share(both, len(test))} test interactions have their pair in train", advice))
    if unseen := int(unseen_in_train(split, test).sum()):
        advice = "a model of ids can only guess there; leave them out, or use a model of columns"
        what = "test interactions are of users or items that are not in train"
        found.append(Finding("note", f"{_share(unseen, len(test))} {what}", advice))
    return [*found, *_leaks(train, test)]


def _leaks(train: Interactions, test: Interactions) -> list[Finding]:
    """Training on what came after the event that is to be foretold."""
    if train.times is None or test.times is None:
        advice = "without times in both parts nobody can say whether training knows the future"
        return [Finding("note", "leakage in time cannot be judged", advice)]
    earliest = np.full(train.user_count, np.iinfo(np.int64).max)
    np.minimum.at(earliest, test.users, test.times)
    own = int((train.times > earliest[train.users]).sum())
    any_ = int((train.times > test.times.min()).sum())
    if own:
        advice = "a user's future tells of the past; use leave_last_out() or by_time()"
        what = "training interactions are later than a test interaction of the same user"
        return [Finding("note", f"{_share(own, len(train))} {what}", advice)]
    if any_:
        advice = "others' future may tell of a user's past, as in every leave-last-out; by_time() cuts for all at once"
        what = "training interactions are later than the first test interaction, all of other users"
        return [Finding("note", f"{_share(any_, len(train))} {what}", advice)]
    return [Finding("good", "no training interaction is later than any test interaction")]


def _counted(counts: Rows) -> Rows:
    """Counts of those that occur at all."""
    return counts[counts > 0]


def _some(number: int, events: Interactions) -> str:
    return f"{_share(number, len(events))} interactions"


def _share(number: int, total: int) -> str:
    return f"{number:,} of {total:,}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _bytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{max(1, size / 1e6):,.0f} MB"

"""How often the report card's 95 % intervals hold the true number, on planted data with 200 users a card.

python benchmarks/interval_coverage.py [--cards 2000]     needs no data; five minutes on one thread

5,000 users of the planted cinema are all the users there are: the report card of all of them says what is true. Then
2,000 cards of 200 users each are drawn from them with replacement, which is how a card looks at the users it is about;
each computes its intervals as `wr.verify` and `ReportCard.compare` do, by the same functions, with a bootstrap seed of
its own. A perfect 95 % interval is seen to cover 94 to 96 % of the time in 2,000 cards. `perfect` is beside it: users
whose value is drawn from a normal distribution, where theory knows the answer.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from record import recorded

import whyrec as wr
from whyrec.report_card import ReportCard
from whyrec.statistics import Array, Estimate, bootstrap, mean_interval, wilson

POPULATION, USERS, K = 5_000, 200, 5
METHODS = {"lrp": wr.LRP(), "cosine": wr.ByCosine()}
MEANS = (f"deletion@{K}", f"sufficiency@{K}", "srg", "necessity", "enough")
NORMALISED = (f"deletion@{K}", f"sufficiency@{K}", "necessity", "enough")
Interval = Callable[[Array, int], Estimate]
"""Some users' columns and a seed to the interval that a card prints; (users, columns)."""


def population() -> ReportCard:
    """The card of everybody, of a network that learned the planted cinema."""
    split = wr.leave_last_out(wr.planted(users=10_000))
    model = wr.fit(wr.NeuMF(), split, wr.Training(epochs=5), progress=False)
    settings = wr.Verification(k=K, also=(), users=POPULATION)
    return wr.verify(model, wr.recommend(model), list(METHODS.values()), settings=settings)


def mean(users: Array, seed: int) -> Estimate:
    return mean_interval(users[:, 0], seed=seed)


def ratio(users: Array, seed: int) -> Estimate:
    return bootstrap(users, lambda means: means[:, 0] / means[:, 1], seed=seed)


def numbers(card: ReportCard) -> dict[str, tuple[Interval, Array]]:
    """What a card prints with an interval: how, and from which columns, (users, columns)."""
    found: dict[str, tuple[Interval, Array]] = {}
    floor, ceiling = card.per_user["floor"], card.per_user["ceiling"]
    for method in METHODS:
        own = card.per_user[method]
        found |= {f"{name} of {method}": (mean, own[name][:, None]) for name in MEANS}
        for name in NORMALISED:
            columns = np.stack([own[name] - floor[name], ceiling[name] - floor[name]], 1)
            found[f"normalised {name} of {method}"] = ratio, columns
    one, other, name = *(card.per_user[method] for method in METHODS), f"deletion@{K}"
    found[f"difference of normalised {name}, lrp - cosine"] = (
        ratio,
        np.stack([one[name] - other[name], ceiling[name] - floor[name]], 1),
    )
    found["perfect"] = mean, np.random.default_rng(0).normal(size=(POPULATION, 1))
    return found


def truth(interval: Interval, columns: Array) -> float:
    """The number of everybody."""
    means = columns.mean(0)
    return float(means[0] if interval is mean else means[0] / means[1])


def covered(interval: Interval, columns: Array, cards: int) -> dict[str, Any]:
    """How often the interval of a card holds the truth, and on which side it misses."""
    true, below, above, widths = truth(interval, columns), 0, 0, []
    for card in range(cards):
        drawn = np.random.default_rng([0, card]).integers(0, len(columns), USERS)
        found = interval(columns[drawn], card)
        below, above = below + (found.high < true), above + (found.low > true)
        widths.append(found.high - found.low)
    share = wilson(cards - below - above, cards)
    return {
        "truth": true,
        "coverage": share.to_json(),
        "within 93 to 97 %": bool(0.93 <= share.value <= 0.97),
        "intervals below the truth": below / cards,
        "intervals above the truth": above / cards,
        "median width": float(np.median(widths)),
    }


def as_the_card(card: ReportCard) -> None:
    """Refuse to go on where these intervals are not those that the card of everybody prints."""
    small = replace(
        card, per_user={who: {name: one[:USERS] for name, one in own.items()} for who, own in card.per_user.items()}
    )
    columns = numbers(small)
    printed = small.compare(*METHODS).difference
    if ratio(columns[f"difference of normalised deletion@{K}, lrp - cosine"][1], 0) != printed:
        raise SystemExit("the difference is not computed as ReportCard.compare does")
    for row in card.rows:
        whole = numbers(card)
        for name, found in (("deletion", row.deletion), ("sufficiency", row.sufficiency)):
            label = f"{name}@{K} of {row.method}"
            if (mean(whole[label][1], 0), ratio(whole[f"normalised {label}"][1], 0)) != (
                found.estimate,
                found.normalised,
            ):
                raise SystemExit(f"{label} is not computed as wr.verify does")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--cards", type=int, default=2000)
    choice = asked.parse_args()
    torch.set_num_threads(1)
    with recorded(__file__, "the report card's 95 % intervals hold the truth 93 to 97 % of the time") as found:
        card = population()
        as_the_card(card)
        found |= {"seed": 0, "cards": choice.cards, "users a card": USERS, "users in all": POPULATION}
        for name, (interval, columns) in numbers(card).items():
            found[name] = covered(interval, columns, choice.cards)
            print(f"{name:<55}{found[name]['coverage']}", flush=True)


if __name__ == "__main__":
    main()

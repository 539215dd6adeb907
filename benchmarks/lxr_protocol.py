"""MovieLens 1M by the protocol of the LXR papers: the first recommendation of 1,208 users whom no model was trained on.

python benchmarks/lxr_protocol.py [--models mf autoencoder] [--users 1208]     needs ml-1m; twenty minutes

Ratings of 4 and 5, users and items with at least two of them (6,037 and 3,381), a random fifth of the users for test:
Barkan et al. 2024, A counterfactual framework for learning and evaluating explanations for recommender systems (LXR),
and the same group's Refining fidelity metrics for explainable recommendations, SIGIR 2025. Past items go in the order
of a method, in two ways:

    11 points    0, 10, ..., 100 % of the history, and the mean over the 11: what the papers' tables hold
    k = 1 ... 5  the k first, and only those; a share of the history rewards whoever is right about the last half of it

POS@K is the share of users whose item stays among their K best, candidates being what the user had not rated; PN is
1 - POS. PS@K is the share whose item is among the K best when only the k first are in sight. CDCG, which the papers'
code calls NDCG, is 1 / log2(1 + rank). DEL and INS are in units of the score: g(x) - g(without), g(only) - g(nothing);
where a model was trained on probabilities, the papers' ratios of probabilities stand beside them.

Everything that a method reaches is put between 20 random orders, 0, and the best order that was found, 1: greedily by
score for DEL, INS and PS, greedily by rank for PN. That is no more than a lower bound of the best order there is.

`accent` is ACCENT (Tran et al. 2021) without the bug of the papers' code: a past item counts by what it does to the gap
between the item and one rival; the rival is the one, of 20, that takes the fewest removals to get ahead, most clearly
ahead where several take as few. What an item does to a score is what is lost without it, in the model as it stands.
Beside it stands what the papers' code computes in its place: what a past item does to the four items behind.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from record import DATA, recorded
from torch import Tensor

import whyrec as wr
from whyrec import kinds
from whyrec.attribution import Attribution, account
from whyrec.coalitions import Players
from whyrec.dataset import Catalog, Dataset
from whyrec.errors import WhyrecError
from whyrec.faithfulness.srg import srg
from whyrec.interactions import Interactions, Rows, Vocabulary
from whyrec.orders import at_random, by_relevance, greedy
from whyrec.question import Question, ask
from whyrec.rank_game import RankGame, greedy_by_rank
from whyrec.recommendations import Recommendations
from whyrec.recommender import Recommender, Request, Solved
from whyrec.split import Split, one_per_user
from whyrec.statistics import Array, Estimate, bootstrap, mean_interval

LENGTHS, LISTS, POINTS = (1, 2, 3, 4, 5), (1, 5, 10, 20), 10
RIVALS, FLOOR, LONGEST = 20, 20, 1500
BLOCK = 5_000_000
"""Users times the square of their past items that are explained together: what a sampled Shapley value holds."""
SETTINGS: dict[str, dict[str, Any]] = {
    "mf": {"factors": 32, "history": {"limit": LONGEST, "exponent": 0.0, "dropout": 0.0}},
    "autoencoder": {"history": {"limit": LONGEST}},
}
"""Whole histories for everybody; MF as in the papers, 32 factors and a plain sum."""
METHODS: dict[str, Callable[[Question], Attribution]] = {
    "popularity": wr.ByPopularity(),
    "cosine": wr.ByCosine(),
    "lime": wr.LIME(),
    "integrated gradients": wr.IntegratedGradients(),
    "lrp": wr.LRP(),
    "leave one out": wr.LeaveOneOut(),
    "shapley, 10 orders": wr.PermutationShapley(10),
}
MISTAKEN = "accent as in the papers' code"
PerUser = dict[str, Array]


def liked() -> Dataset:
    """Ratings of 4 and 5, of users and items that have at least two."""
    data = wr.movielens(DATA / "ml-1m")
    events = data.interactions.where(data.interactions.values >= 4)
    while True:
        often = (events.user_counts[events.users] >= 2) & (events.item_counts[events.items] >= 2)
        if often.all():
            break
        events = events.where(often)
    (users, user_rows), (items, item_rows) = (
        np.unique(rows, return_inverse=True) for rows in (events.users, events.items)
    )
    fewer = replace(events, users=user_rows, items=item_rows, user_count=len(users), item_count=len(items))
    return replace(data, interactions=fewer, users=some(data.users, users), items=some(data.items, items))


def some(catalog: Catalog, rows: Rows) -> Catalog:
    """Some rows of a catalogue, ids and titles."""
    titles = None if catalog.titles is None else tuple(catalog.titles[row] for row in rows)
    return Catalog(Vocabulary(catalog.vocabulary.ids(rows), kind="id"), titles=titles)


def by_user(data: Dataset, seed: int) -> tuple[Split, Rows]:
    """A fifth of the users for the test, who are returned; one event of each other user chooses the epoch."""
    generator, events = np.random.default_rng(seed), data.interactions
    tested = np.sort(generator.permutation(len(data.users))[: math.ceil(0.2 * len(data.users))])
    theirs = np.isin(events.users, tested)
    train = events.where(~theirs)
    chosen = one_per_user(train, generator)
    how = f"a random fifth of the users for test, one random event of each other user for validation (seed {seed})"
    return Split(data, train.where(~chosen), train.where(chosen), events.where(theirs), how), tested


class Block:
    """Some users, their first recommendations, and what becomes of these without some past items."""

    def __init__(
        self, model: Recommender, train: Interactions, lists: Recommendations, rows: Tensor, seed: int
    ) -> None:
        history = lists.history[rows]
        history = history[:, : int((history >= 0).sum(1).max())]
        self.rivals, self.seed = lists.item_rows[rows, 1:], seed
        self.question = replace(
            ask(model, Request(lists.user_rows[rows], lists.item_rows[rows, :1], history), seed=seed), train=train
        )
        self.players = Players(self.question)
        self.game = RankGame(self.players)
        present = self.players.present
        self.count = present.sum(-1, keepdim=True)  # (users, 1, 1)
        self.whole, self.nothing = self.players.worth(torch.stack([present, torch.zeros_like(present)]))

    def order(self, name: str) -> Tensor:
        """Ranks of the past items by a method, 0 the most relevant; (orders, users, 1, players)."""
        generator = torch.Generator().manual_seed(self.seed)
        if name == "random":
            return at_random(self.players, FLOOR, generator)
        own = {"accent": self.accent, MISTAKEN: self.mistaken_accent}
        return by_relevance(self.players, {**METHODS, **own}[name](self.question), generator)

    def at_lengths(self, order: Tensor) -> dict[str, Tensor]:
        """What the first 1 to 5 do, a number a user."""
        gone = torch.stack([torch.full_like(self.count, length) for length in LENGTHS])
        taken = self._first(order, gone)
        rank, alone_rank = self._ranks(~taken), self._ranks(taken)
        score, alone = self._scores(~taken), self._scores(taken)
        found = {}
        for place, length in enumerate(LENGTHS):
            for size in LISTS:
                found[f"PN@{size},{length}"] = rank[place] > size
                found[f"PS@{size},{length}"] = alone_rank[place] <= size
            found[f"CDCG@{length}"] = 1 / torch.log2(1 + rank[place])
            found[f"DEL@{length}"] = self.whole - score[place]
            found[f"INS@{length}"] = alone[place] - self.nothing
            found[f"ratio DEL@{length}"] = self._ratio(score[place])
            found[f"ratio INS@{length}"] = self._ratio(alone[place])
        return _each_user(found)

    def at_points(self, order: Tensor) -> dict[str, Tensor]:
        """Means over 0, 10, ..., 100 % of the history, a number a user; SRG is an area between two curves."""
        steps = range(POINTS + 1)  # numpy.array_split, which the papers' code uses, makes the first steps the longer
        gone = torch.stack([self.count // POINTS * step + (self.count % POINTS).clamp(max=step) for step in steps])
        taken = self._first(order, gone)
        rank, score, alone = self._ranks(~taken), self._scores(~taken), self._scores(taken)
        found = {f"POS@{size}": (rank <= size).double().mean(0) for size in LISTS}
        found["CDCG"] = (1 / torch.log2(1 + rank)).mean(0)
        found["ratio DEL"], found["ratio INS"] = self._ratio(score).mean(0), self._ratio(alone).mean(0)
        found["SRG"] = srg(self.players, order, POINTS)
        return _each_user(found)

    def accent(self, question: Question) -> Attribution:
        """What each past item does to the gap to the rival that is overtaken soonest."""
        scores, effects = self._with_rivals(question)
        gap, on_gap = scores[:, :1] - scores[:, 1:], effects[:, :1] - effects[:, 1:]
        soonest = soonest_overtaken(gap, on_gap.masked_fill(~question.present("history"), -torch.inf))
        return self._said(torch.take_along_dim(on_gap, soonest[:, None, None], dim=1))

    def mistaken_accent(self, question: Question) -> Attribution:
        """What each past item does to the next four items, for which the papers' code takes ACCENT."""
        _, effects = self._with_rivals(question)
        return self._said(effects[:, 1:5].sum(1, keepdim=True))

    def _with_rivals(self, question: Question) -> tuple[Tensor, Tensor]:
        """Scores of item and rivals, (users, 1 + rivals), and what each past item does to them, (..., length)."""
        asked = replace(question.request, items=torch.cat([question.request.items, self.rivals], dim=1))
        wider = ask(question.model, asked, seed=self.seed)
        effects = wr.LeaveOneOut()(wider)
        return effects.ledger.target, effects.relevance["history"]

    def _said(self, by_past_item: Tensor) -> Attribution:
        relevance, present = {"history": by_past_item}, {"history": self.question.present("history")}
        return Attribution(relevance, present, account(self.whole, relevance), complete=False)

    def best(self) -> dict[str, Tensor]:
        """The best that was found for each number of the first 1 to 5; orders that are best for that number alone."""
        most = LENGTHS[-1]
        by_score = self.at_lengths(greedy(self.players, most, remove=True))
        arriving = self.at_lengths(greedy(self.players, most, remove=False))
        by_rank = self.at_lengths(greedy_by_rank(self.game, most))
        return {
            name: (arriving if "INS" in name or "PS" in name else by_score if "DEL" in name else by_rank)[name]
            for name in by_score
        }

    def _first(self, order: Tensor, gone: Tensor) -> Tensor:
        """Which are among the first: order (orders, users, 1, players), gone (lengths, users, 1, 1)."""
        return order < gone.unsqueeze(1)  # (lengths, orders, users, 1, players)

    def _ranks(self, keep: Tensor) -> Tensor:
        return self.game.rank((keep & self.players.present).flatten(0, 1)).unflatten(0, keep.shape[:2])

    def _scores(self, keep: Tensor) -> Tensor:
        return self.players.worth((keep & self.players.present).flatten(0, 1)).unflatten(0, keep.shape[:2])

    def _ratio(self, score: Tensor) -> Tensor:
        return torch.sigmoid(score) / torch.sigmoid(self.whole)


def soonest_overtaken(gap: Tensor, on_gap: Tensor) -> Tensor:
    """Which rival is ahead after the fewest removals, (users,); of several the one that is then furthest ahead.

    `gap` (users, rivals) is the item's lead, `on_gap` (users, rivals, length) what each past item adds to it. Where no
    rival gets ahead, the one that gets nearest.
    """
    left = gap.unsqueeze(-1) - on_gap.sort(dim=-1, descending=True).values.cumsum(-1)  # after 1, 2, ... removals
    ahead = left < 0
    steps = torch.where(ahead.any(-1), ahead.long().argmax(-1), left.shape[-1])
    remaining = torch.where(
        ahead.any(-1), left.gather(-1, steps.clamp(max=left.shape[-1] - 1).unsqueeze(-1))[..., 0], left.amin(-1)
    )
    return remaining.masked_fill(steps > steps.amin(1, keepdim=True), torch.inf).argmin(1)


def _each_user(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Means over orders, (orders, users, 1) -> (users,)."""
    return {name: values.double().mean(0)[:, 0] for name, values in found.items()}


def blocks(model: Recommender, train: Interactions, lists: Recommendations, seed: int) -> Iterator[Block]:
    """Users by the length of their past, so that few places are empty."""
    lengths = (lists.history >= 0).sum(1)
    order = lengths.argsort()
    start = 0
    while start < len(order):
        size = 1
        while size < 128 and start + size < len(order) and (size + 1) * int(lengths[order[start + size]]) ** 2 <= BLOCK:
            size += 1
        yield Block(model, train, lists, order[start : start + size], seed)
        start += size


def measured(model: Recommender, train: Interactions, lists: Recommendations, seed: int) -> dict[str, Any]:
    """Every method's numbers, user by user, and seconds; a method that does not apply says why."""
    per_user: dict[str, list[dict[str, Tensor]]] = {
        name: [] for name in ("random", *METHODS, "accent", MISTAKEN, "best found")
    }
    seconds, refused = dict.fromkeys(per_user, 0.0), {}
    evaluation = {"5 lengths": 0.0, "11 points": 0.0}
    for block in blocks(model, train, lists, seed):
        for name in (name for name in per_user if name not in refused):
            clock = [time.perf_counter()]
            if name == "best found":
                per_user[name].append(block.best())
                seconds[name] += time.perf_counter() - clock[0]
                continue
            try:
                order = block.order(name)
            except WhyrecError as why:
                refused[name] = str(why)
                continue
            clock.append(time.perf_counter())
            found = block.at_lengths(order)
            clock.append(time.perf_counter())
            per_user[name].append(found | block.at_points(order))
            clock.append(time.perf_counter())
            spent = [later - before for before, later in pairwise(clock)]
            seconds[name] += spent[0]
            if name == "leave one out":
                evaluation = {
                    what: so_far + one for (what, so_far), one in zip(evaluation.items(), spent[1:], strict=True)
                }
        print(f"{len(per_user['random'])} blocks, longest past {int(block.count.max())}", flush=True)
    joined = {name: together(found) for name, found in per_user.items() if name not in refused}
    return {"per user": joined, "seconds to explain": seconds, "refused": refused, "evaluation": evaluation}


def together(found: list[dict[str, Tensor]]) -> PerUser:
    return {name: torch.cat([one[name] for one in found]).numpy() for name in found[0]}


def row(own: PerUser, floor: PerUser, best: PerUser, *, ratios: bool) -> dict[str, Any]:
    """Means with intervals, and where a number stands between random orders and the best found."""
    numbers = {name: values for name, values in own.items() if ratios or not name.startswith("ratio")}
    found: dict[str, Any] = {name: mean_interval(values).to_json() for name, values in numbers.items()}
    for name in (name for name in numbers if name in best and name.startswith(("DEL", "INS", "PN", "PS"))):
        found[f"normalised {name}"] = normalised(own[name], floor[name], best[name])
    return found


def normalised(own: Array, floor: Array, best: Array) -> dict[str, Any] | None:
    """0 random, 1 the best found: a ratio of means; None where there is nothing to find."""
    if best.mean() == floor.mean():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        return bootstrap(np.stack([own - floor, best - floor], 1), lambda means: means[:, 0] / means[:, 1]).to_json()


def gives_logits(model: Recommender) -> bool:
    """Whether a score is the logit of one item's probability, so that the papers' ratios mean what they say."""
    return not isinstance(model, Solved) and model.trained_by is not None and model.trained_by.loss == "log"


def table(rows: dict[str, dict[str, Any]], columns: tuple[str, ...]) -> str:
    """Markdown, a row a method."""
    lines = [" | ".join(("method", *columns)), " | ".join(["---"] * (len(columns) + 1))]
    for name, one in rows.items():
        cells = [one.get(column) for column in columns]
        lines.append(" | ".join([name, *("–" if cell is None else str(Estimate(**cell)) for cell in cells)]))
    return "\n".join(f"| {line} |" for line in lines)


def judged(name: str, split: Split, tested: Rows, seed: int) -> dict[str, Any]:
    """One model: trained, asked for everybody's first item, and explained."""
    model = kinds.load("models", name)(**SETTINGS.get(name, {}))
    started = time.perf_counter()
    wr.fit(model, split, wr.Training(seed=seed), progress=False)
    training = time.perf_counter() - started
    model.known = split.known.together_with(split.test)  # whom it was not trained on, it knows by what they rated
    lists = wr.recommend(model, model.users.vocabulary.ids(tested), k=1 + RIVALS)
    found = measured(model, split.known, lists, seed)
    per_user, ratios = found.pop("per user"), gives_logits(model)
    floor, best = per_user["random"], per_user["best found"]
    rows = {method: row(own, floor, best, ratios=ratios) for method, own in per_user.items()}
    print(name, found["refused"], found["evaluation"])
    print(table(rows, ("POS@5", "POS@20", "CDCG", "ratio DEL", "ratio INS", "SRG")))
    print(table(rows, ("PN@10,5", "PS@10,5", "normalised DEL@5", "normalised INS@5", "normalised PN@10,5")))
    validation = max((epoch.validation for epoch in model.log if epoch.validation is not None), default=None)
    return {
        "validation NDCG@10": validation,
        "seconds of training": training,
        "test users": len(tested),
        **found,
        **rows,
    }


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--models", nargs="+", default=["mf", "autoencoder"])
    asked.add_argument("--users", type=int, default=None, help="fewer test users, to try it out")
    asked.add_argument("--seed", type=int, default=0)
    choice = asked.parse_args()
    data = liked()
    split, tested = by_user(data, choice.seed)
    for name in choice.models:
        claim = f"{name} by LXR's protocol, with random floor, best order found and intervals"
        with recorded(__file__, claim, to=f"lxr_protocol_{name}") as found:
            found |= {"users": len(data.users), "items": len(data.items), "events": len(data.interactions)}
            found |= {"split": split.how, "seed": choice.seed}
            found |= judged(name, split, tested[: choice.users], choice.seed)


if __name__ == "__main__":
    main()

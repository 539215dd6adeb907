"""Which products go together by their looks: accuracy on rooms, where the maps point, and what VGG-16 costs.

    python benchmarks/visual_relations.py            whole; `--small` runs all in shrunken form, and writes nothing

Accuracy is that of pairs from rooms nobody learned from, half of them sharing a room; chance is .5. Maps are judged on
planted pictures by the share of relevance that lies on the motif, beside what the area, the middle of the picture and
its edges would get. Costs are the medians of repeated runs in one process.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from record import DATA, recorded
from torch import Tensor
from torch.nn import functional as F

import whyrec as wr
from whyrec.datasets import product_rooms
from whyrec.pictures import Features, Looks, Pictures
from whyrec.product_links import LinkSplit, ProductLinks, split_links
from whyrec.relation_accuracy import evaluate_relations, pair_scores
from whyrec.relation_survival import perturb_pairs

SMALL = "--small" in sys.argv[1:]
RANKS = (10,) if SMALL else (10, 100, 500)
SEEDS = (0,) if SMALL else (0, 1, 2)
VGG_SIDE, REPEATS = (64, 1) if SMALL else (224, 5)
ROOMS = DATA / "ikea"
BINS = 4
"""Of red, green and blue each, in the histogram of colours."""


def rooms() -> dict[str, Any]:
    """Accuracy by kind of features and rank: what a simple rival reaches, frozen random weights, and end to end."""
    links = product_rooms.load(ROOMS, size=32 if SMALL else 64)
    found = dict[str, Any]()
    for seed in SEEDS:
        parts = split_links(links, seed=seed)
        for name, looks in (("colours", histogram(links)), ("types", types(links))):
            for rank in (None, RANKS[0]):
                found.setdefault(f"{name}, rank {rank}", []).append(accuracy(links, parts, looks, rank, seed))
        for rank in RANKS:
            for name, frozen in (("frozen random", True), ("end to end", False)):
                found.setdefault(f"{name}, rank {rank}", []).append(accuracy(links, parts, None, rank, seed, frozen))
    return {"pairs": len(set(links.keys.tolist())), "accuracy by split": found}


def accuracy(
    links: ProductLinks, parts: LinkSplit, looks: Looks | None, rank: int | None, seed: int, frozen: bool = False
) -> float:
    """Of the test pairs, after training on features where they are given, else through a network."""
    network = None if looks is not None else seeded_network(seed)
    given = [shown(one, looks or links.looks) for one in (parts.train, parts.validation, parts.test, links)]
    training = wr.Training(
        epochs=1 if SMALL else 30, batch_size=512 if network is None else 128, learning_rate=3e-3, patience=4, seed=seed
    )
    train = given[0].where(np.arange(256)) if SMALL else given[0]
    model = wr.VisualRelation(network, rank=rank)
    wr.fit_relations(model, train, given[1], training, frozen=frozen, known=given[3])
    return round(evaluate_relations(model, given[2], given[3]).mean, 4)


def seeded_network(seed: int) -> wr.ImageNetwork:
    return wr.ImageNetwork.small(width=8 if SMALL else 24, depth=4, features=128, seed=seed)


def shown(links: ProductLinks, looks: Looks) -> ProductLinks:
    return ProductLinks(links.name, looks, links.relations, links.query, links.item, links.relation)


def histogram(links: ProductLinks) -> Features:
    """The share of the pixels of each colour, its square root, so that distances are Hellinger's."""
    pixels = links.looks.pixels.long() * BINS // 256
    codes = ((pixels[:, 0] * BINS + pixels[:, 1]) * BINS + pixels[:, 2]).flatten(1)
    return Features(links.looks.items, F.one_hot(codes, BINS**3).float().mean(1).sqrt())


def types(links: ProductLinks) -> Features:
    """A one-hot of what kind of product it is, by the table: what goes with what, without a look."""
    with (ROOMS / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        kinds = {row["id"]: row["type"] for row in csv.DictReader(file)}
    named = [kinds.get(str(one), "") for one in links.looks.items.vocabulary.ids()]
    known = {name: place for place, name in enumerate(sorted(set(named)))}
    return Features(links.looks.items, F.one_hot(torch.tensor([known[one] for one in named])).float())


def maps() -> dict[str, Any]:
    """Share of positive relevance on the motif of the asked relation, and of each null; new pictures."""
    links = wr.planted_pictures(pictures=60 if SMALL else 400)
    train = links.where(np.random.default_rng(0).permutation(len(links))[: 300 if SMALL else 8000])
    training = wr.Training(epochs=1 if SMALL else 12, batch_size=32, learning_rate=3e-3)
    model = wr.VisualRelation(wr.ImageNetwork.small(width=16, features=64), rank=4)
    wr.fit_relations(model, train, training=training, known=links)
    unseen = wr.planted_pictures(pictures=80, seed=9)
    model, found = model.on(unseen.looks), dict[str, Any]()
    right = unseen.where(pair_scores(model, unseen) > 0)
    for place, relation in enumerate(unseen.relations):
        some = right.under(relation)
        pairs = [(f"p{a}", f"p{b}") for a, b in zip(some.query[:150], some.item[:150], strict=True)]
        if not pairs:
            continue
        why = wr.explain_pairs(model, pairs, relation)
        cause, decoy = unseen.truth.causes[place][why.rows], unseen.truth.decoys[why.rows]
        survival = perturb_pairs(model, why, region=4)
        found[relation] = {
            "pairs": len(pairs),
            "accuracy": evaluate_relations(model, unseen).by_relation[relation].to_json(),
            "motif": mass(why.both.clamp(min=0), cause),
            "decoys": mass(why.both.clamp(min=0), decoy),
            "motif by area": float(cause.double().mean()),
            "decoys by area": float(decoy.double().mean()),
            "motif by the middle": mass(middle(why.both), cause),
            "motif by edges": mass(edges(why.pictures), cause),
            "largest gap of the ledger": float(why.ledger.relative_gap({"": why.both.unsqueeze(1)}).max()),
            "fall of the score": {order: survival.fall(order) for order in survival.scores},
        }
    return found


def mass(amounts: Tensor, mask: Tensor) -> float:
    return float((amounts * mask).sum() / amounts.sum())


def middle(like: Tensor) -> Tensor:
    """A bell in the middle of each picture, a quarter of its side wide."""
    side = like.shape[-1]
    bell = torch.exp(-(((torch.arange(side) - (side - 1) / 2) / (side / 4)) ** 2) / 2)
    return torch.outer(bell, bell).double().expand_as(like)


def edges(pictures: Tensor) -> Tensor:
    """How steep the light is, by Sobel's filters."""
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    grey = pictures.float().mean(2).flatten(0, 1).unsqueeze(1)
    steep = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), torch.stack([across, across.T]).unsqueeze(1))
    return steep.square().sum(1).sqrt().unflatten(0, pictures.shape[:2]).double()


def vgg() -> dict[str, Any]:
    """Seconds of one training step, of forward and backward to the pixels of a pair, and of its maps; and the ratio."""
    network = wr.ImageNetwork.vgg16()
    names = wr.planted_pictures(pictures=20, links=3).looks.items
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (20, 3, VGG_SIDE, VGG_SIDE), dtype=torch.uint8, generator=generator)
    one, other = np.arange(10), np.arange(10, 20)
    links = ProductLinks("noise", Pictures(names, pixels), ("alike",), one, other, np.zeros(10, dtype=np.int64))
    model = wr.VisualRelation(network, rank=100, patch=VGG_SIDE // 8).build_for(links)

    def plain() -> None:
        leaf = links.looks.of(torch.tensor([0, 10])).requires_grad_()
        first, second = model.features(leaf)
        torch.autograd.grad(model.distance(first, second, 0), leaf)

    def mapped(plan: str) -> Callable[[], object]:
        return lambda: wr.explain_pairs(model, [("p0", "p10")], "alike", plan=plan)

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)

    def stepped() -> None:
        first, second = model.train().features(links.looks.of(torch.tensor([0, 10])))
        F.softplus(model.distance(first, second, 0) - model.threshold[0]).backward()
        optimizer.step()
        model.zero_grad()
        model.eval()

    seconds = {"forward and backward": timed(plain)} | {plan: timed(mapped(plan)) for plan in ("image", "embedding")}
    ratio = {plan: round(seconds[plan] / seconds["forward and backward"], 2) for plan in ("image", "embedding")}
    return {"side": VGG_SIDE, "seconds": seconds | {"training step": timed(stepped)}, "maps to plain": ratio}


def timed(run: Callable[[], object]) -> float:
    run()
    found = list[float]()
    for _ in range(REPEATS):
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return round(median(found), 3)


def main() -> None:
    parts = {"planted pictures": maps, "VGG-16, one pair": vgg, "rooms": rooms}
    if SMALL:
        print({name: part() for name, part in parts.items()})
        return
    claim = "maps of both pictures point at what makes them go together, at about the cost of a gradient"
    with recorded(__file__, claim) as found:
        found.update({name: part() for name, part in parts.items()})


if __name__ == "__main__":
    main()

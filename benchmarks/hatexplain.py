"""Words of posts beside the words that people marked: HateXplain, where three people said why a post is not normal.

    python benchmarks/hatexplain.py          a small transformer from scratch, six minutes on one thread
    python benchmarks/hatexplain.py 200      so many marked posts

Mathew et al. 2021, HateXplain. The published training part is not here, so the model learns from the validation part
and is judged on the test part: nobody should compare the macro F1 with published ones. Explained is the lead of the
label that people gave a post (hate or offensive) above "normal"; a word is marked where at least half of those who
marked anything marked it. No post is ever printed or written: results are numbers alone.
"""

from __future__ import annotations

import ast
import csv
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from record import DATA, recorded
from torch.nn import functional as F

import whyrec as wr
from whyrec.dataset import Catalog, Dataset
from whyrec.interactions import Interactions, Vocabulary
from whyrec.label_accuracy import LabelAccuracy
from whyrec.pieces import WordPieces
from whyrec.split import Split
from whyrec.text_model import TextModel
from whyrec.text_table import catalog_of_texts

CLAIM = "LRP names the words that people marked more often than chance does, on a classifier nobody patched"
LABELS = ("hate", "normal", "offensive")
NORMAL = 1
FEW = 300
"""Posts for methods that ask the model hundreds of times."""
TRAINING = wr.Training(epochs=40, batch_size=32, learning_rate=1e-3, patience=6)
METHODS: dict[str, Any] = {
    "LRP (CP)": wr.LRP(),
    "LRP gamma": wr.LRP(gamma=0.25),
    "AttnLRP": wr.LRP(composite="attnlrp"),
    "integrated gradients": wr.IntegratedGradients(),
    "gradient x input": wr.GradientTimesInput(),
    "leave one out": wr.LeaveOneOut(),
    "random": wr.Random(),
}
COSTLY: dict[str, Any] = {"LIME": wr.LIME(), "Shapley": wr.PermutationShapley()}


@dataclass(frozen=True)
class Posts:
    """Posts with their labels, and which words people marked."""

    texts: dict[str, str]
    labels: NDArray[np.int64]
    marked: list[NDArray[np.bool_]]

    def marked_only(self, most: int | None = None) -> Posts:
        """Posts that people said a reason for, in a random order."""
        rows = [row for row, marks in enumerate(self.marked) if marks.any() and self.labels[row] != NORMAL]
        rows = np.random.default_rng(0).permutation(rows)[:most].tolist()
        ids = list(self.texts)
        return Posts(
            {ids[row]: self.texts[ids[row]] for row in rows}, self.labels[rows], [self.marked[row] for row in rows]
        )


def read(part: str) -> Posts:
    """Posts of one part; words are the tokens of the data set."""
    texts, labels, marked = {}, [], []
    with (DATA / "hatexplain" / f"df_{part}_processed.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            words = [str(one) for one in ast.literal_eval(row["post_tokens"])]
            marks = np.array(ast.literal_eval(row["rationales"]) or np.zeros((1, len(words))))
            texts[row["id"]] = " ".join(re.sub(r"\s", "_", one) or "_" for one in words)
            labels.append(Counter(ast.literal_eval(row["annotators"])["label"]).most_common(1)[0][0])
            marked.append((marks.mean(0) >= 0.5) & marks.any(0))
    return Posts(texts, np.array(labels, dtype=np.int64), marked)


def tokens(text: str) -> list[tuple[int, int]]:
    """Where each token begins and ends."""
    return [found.span() for found in re.finditer(r"\S+", text)]


def learned(posts: Posts) -> TextModel:
    """A small transformer, its epoch chosen on a tenth of the posts."""
    users = catalog_of_texts(posts.texts, "text")
    events = Interactions(np.arange(len(users)), posts.labels, user_count=len(users), item_count=len(LABELS))
    data = Dataset("hatexplain, validation part", events, users, Catalog(Vocabulary(LABELS, kind="item")))
    held_out = np.random.default_rng(0).random(len(events)) < 0.1
    split = Split(data, events.where(~held_out), events.where(held_out), events.where(held_out), "a tenth")
    model = wr.TextClassifier(vocabulary=4000, width=64, layers=1, word_dropout=0.5, class_weights="balanced")
    wr.fit(model, split, TRAINING, progress=False)
    return model


def bag_of_words(train: Posts, test: Posts) -> LabelAccuracy:
    """Logistic regression on which words a post has, with the ridge penalty that is best on a tenth of the posts."""
    rows = [np.unique(WordPieces().located(text)[0]) for text in train.texts.values()]
    keys, counts = np.unique(np.concatenate(rows), return_counts=True)
    keys = keys[counts >= 2]

    def table(posts: Posts) -> torch.Tensor:
        return torch.stack(
            [torch.from_numpy(np.isin(keys, WordPieces().located(text)[0])).float() for text in posts.texts.values()]
        )

    x, y, asked = table(train), torch.from_numpy(train.labels), table(test)
    held_out = torch.from_numpy(np.random.default_rng(0).random(len(y)) < 0.1)
    best, weights = -1.0, torch.zeros(0)
    for penalty in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2):
        found = _logistic(x[~held_out], y[~held_out], penalty)
        right = float((_scores(found, x[held_out]).argmax(1) == y[held_out]).double().mean())
        if right > best:
            best, weights = right, found
    return LabelAccuracy("bag of words", LABELS, _scores(weights, asked).double().numpy(), test.labels)


def _logistic(x: torch.Tensor, y: torch.Tensor, penalty: float) -> torch.Tensor:
    weights = torch.zeros(x.shape[1] + 1, len(LABELS), requires_grad=True)
    balance = len(y) / (len(LABELS) * torch.bincount(y, minlength=len(LABELS)))
    optimizer = torch.optim.LBFGS([weights], max_iter=60)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(_scores(weights, x), y, weight=balance) + penalty * weights[:-1].square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach()


def _scores(weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return x @ weights[:-1] + weights[-1]


def agreement(model: TextModel, posts: Posts, name: str, explainer: Any, target: Any) -> dict[str, Any]:
    """One method beside people's marks."""
    here = model.on(posts.texts, cut=tokens)
    lists = wr.recommend(here, k=len(LABELS))
    own = torch.from_numpy(posts.labels)[:, None]
    asked = replace(
        lists, item_rows=own, scores=lists.scores.gather(1, (lists.item_rows == own).int().argmax(1)[:, None])
    )
    started = time.perf_counter()
    found = wr.explain(here, asked, explainer, target=target)
    seconds = time.perf_counter() - started
    brought = found.attribution.relevance["words"][:, 0]
    amounts = [one[: len(marks)].numpy() for one, marks in zip(brought, posts.marked, strict=True)]
    judged = wr.rationale_agreement(amounts, posts.marked, method=name)
    print(judged, f"{seconds:.0f} s", flush=True)
    return {
        **{metric: one.to_json() for metric, one in judged.metrics.items()},
        "floor": dict(judged.floor),
        "milliseconds a post": round(1000 * seconds / len(posts.texts), 1),
    }


def run(most: int | None) -> dict[str, Any]:
    """Accuracy beside a bag of words, and every method beside people."""
    train, test = read("val"), read("test")
    model = learned(train)
    here = model.on(test.texts, cut=tokens)
    events = Interactions(np.arange(len(test.texts)), test.labels, user_count=len(test.texts), item_count=len(LABELS))
    accuracy: dict[str, LabelAccuracy] = {
        "transformer": wr.evaluate_labels(here, events),
        "bag of words": bag_of_words(train, test),
    }
    for one in accuracy.values():
        print(one, flush=True)
    lead = wr.Contrast(LABELS[NORMAL])
    marked, few = test.marked_only(most), test.marked_only(min(most or FEW, FEW))
    print(f"{len(marked.texts)} posts with marks")
    near = {name: agreement(model, marked, name, one, lead) for name, one in METHODS.items()}
    near["attention"] = agreement(model, marked, "attention", wr.AttentionWeights(), None)
    near |= {name: agreement(model, few, name, one, lead) for name, one in COSTLY.items()}
    return {
        "learned from": f"{len(train.texts)} posts of the validation part",
        "posts": len(test.texts),
        "epochs": len(model.log),
        "accuracy": {name: one.to_json() for name, one in accuracy.items()},
        "posts with marks": len(marked.texts),
        "posts for LIME and Shapley": len(few.texts),
        "agreement": near,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    posts = int(sys.argv[1]) if len(sys.argv) > 1 else None
    name = Path(__file__).stem if posts is None else f"{Path(__file__).stem}_small"
    with recorded(__file__, CLAIM, to=name) as result:
        result |= run(posts)

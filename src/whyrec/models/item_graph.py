"""Item graph: items are alike when random walks over the graph of co-ratings pass them by in the same company.

    walks over the co-rating graph  ->  skip-gram with negative sampling  ->  a vector x_i for each item
    s_ji = cos(x_j, x_i), where positive
    score(user, i) = sum of s_ji over those past items j that are among the `neighbours` nearest to i

Walks as in Grover and Leskovec 2016, node2vec; vectors as in Mikolov et al. 2013. Two items that nobody took together
can be near each other, because others link them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from whyrec.errors import BadInput, NotApplicable
from whyrec.graph import Graph, Weight, co_rating_graph
from whyrec.interactions import Id, Interactions
from whyrec.item_weights import ItemWeights, largest_of_columns
from whyrec.search_space import SearchSpace
from whyrec.settings import settings
from whyrec.similar_items import SimilarItem, nearest_items
from whyrec.skipgram import SkipGram, embed_walks
from whyrec.walks import Walks, random_walks


class ItemGraph(ItemWeights):
    """Sum of cosines to past items, of vectors learned from walks. Past item j brings exactly its similarity.

    Solving needs Numba: `pip install 'whyrec[graph]'`; a saved model needs nothing. An item without an edge has no
    vector: it is like nothing, and scores 0.
    """

    @settings
    class Settings:
        """The graph, the walks, and how vectors are learned from them."""

        min_rating: float | None = None
        """Only ratings this high or higher link items; None takes all."""
        min_common_users: int = Field(default=5, ge=1)
        """Users that two items need in common to be linked."""
        weight: Weight = "pmi"
        """What an edge weighs: count, pmi or cosine."""
        within: int | None = Field(default=None, ge=0)
        """Only users count who rated both items within so many seconds; None takes all."""
        walks_per_item: int = Field(default=10, ge=1)
        """Walks from each item."""
        walk_length: int = Field(default=80, ge=2)
        """Items of a walk."""
        p: float = Field(default=1.0, gt=0)
        """Larger turns back less often."""
        q: float = Field(default=1.0, gt=0)
        """Smaller walks farther away, larger stays near."""
        sharpness: float = Field(default=1.0, gt=0)
        """Edges are walked in proportion to weight to this power: larger keeps to the heaviest."""
        factors: int = Field(default=64, ge=1)
        """Length of the vectors."""
        window: int = Field(default=2, ge=1)
        """Steps along a walk up to which items are company."""
        negatives: int = Field(default=5, ge=1)
        """Noise items for each pair."""
        epochs: int = Field(default=5, ge=1)
        """Passes over the walks."""
        learning_rate: float = Field(default=0.05, gt=0)
        """Step size in the beginning."""
        neighbours: int = Field(default=100, ge=1)
        """Items that may speak for an item in a list: those most like it."""
        threads: int = Field(default=1, ge=1)
        """More than one learn faster, and not the same to the last bit each time."""

    settings: Settings
    search_space: ClassVar[SearchSpace] = {
        "min_common_users": ("int", 2, 20),
        "weight": ("choice", ("count", "pmi", "cosine")),
        "sharpness": ("linear", 0.5, 5.0),
        "q": ("log", 0.25, 4.0),
        "factors": ("choice", (32, 64, 128)),
        "window": ("int", 1, 10),
        "epochs": ("int", 1, 10),
        "learning_rate": ("log", 0.01, 0.2),
        "neighbours": ("int", 10, 1000),
    }
    vectors: Tensor  # (items, factors), zeros for an item without an edge
    losses: Tensor  # (epochs, 2) mean loss of company and of noise by epoch, nats a pair

    def make(self, user_count: int, item_count: int) -> None:
        super().make(user_count, item_count)
        self.register_buffer("vectors", torch.zeros(item_count, self.settings.factors))
        self.register_buffer("losses", torch.zeros(self.settings.epochs, 2))
        self._seed = int(torch.randint(2**31, ()))  # from the seed of training, as first weights are elsewhere

    def solve(self, train: Interactions) -> None:
        asked, graph = self.settings, self.graph(train)
        if not graph.edge_count:
            raise BadInput(
                f"no two items are linked ({graph.how}); lower min_common_users or min_rating, or bring more data"
            )
        how = Walks(asked.walks_per_item, asked.walk_length, asked.p, asked.q, asked.sharpness)
        walks = random_walks(graph, how, seed=self._seed, threads=asked.threads)
        learning = SkipGram(asked.factors, asked.window, asked.negatives, asked.epochs, asked.learning_rate)
        found = embed_walks(walks, graph.node_count, learning, seed=self._seed, threads=asked.threads)
        there = torch.from_numpy(graph.degrees > 0)
        self.vectors.copy_(torch.from_numpy(found.vectors) * there[:, None])
        self.losses.copy_(torch.tensor([(epoch.positives, epoch.negatives) for epoch in found.log]))
        directions = F.normalize(self.vectors, dim=-1)
        alike = (directions @ directions.T).clamp(min=0).fill_diagonal_(0.0)
        self.weights.copy_(largest_of_columns(alike, asked.neighbours))

    def graph(self, events: Interactions | None = None) -> Graph:
        """The co-rating graph of `events` by these settings; of all that the model knows where none are given."""
        asked = self.settings
        events = self.require_known() if events is None else events
        found = co_rating_graph(
            events,
            min_rating=asked.min_rating,
            min_common_users=asked.min_common_users,
            weight=asked.weight,
            within=asked.within,
        )
        return replace(found, nodes=self.items)

    def similar(self, item: Id, k: int = 10) -> list[SimilarItem]:
        """The k items most like an item, the most alike first.

        `UnknownId` where the model has never heard of it, `NotApplicable` where it has no edge in the graph.
        """
        row = int(self.require_built().items.vocabulary.rows([item])[0])
        if not self.vectors[row].any():
            raise NotApplicable(
                f"{self.items.title(row)!r} has no edge in the graph: no other item has "
                f"{self.settings.min_common_users} users in common with it; lower min_common_users or min_rating"
            )
        return nearest_items(self.vectors, self.items, row, k)

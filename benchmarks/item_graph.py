"""Item graphs: five films and what is like them, genres and tags of the nearest, links that were held out.

python benchmarks/item_graph.py     needs ml-100k and ml-latest-small in the folder of public data; some minutes

Lift is the mean Jaccard index of genres (or tags) between a film and its ten nearest, over that of all pairs: 1 is
chance. Its interval is over films, the denominator held. A link is predicted where a held-out edge has a larger number
than a pair that is no edge: once any such pair, once one whose second film is as linked as the edge's own, so that
popularity alone tells nothing. HR@10 and NDCG@10 on the NCF paper's split are in `classic_on_ncf.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from record import DATA, recorded

import whyrec as wr
from whyrec.dataset import Dataset
from whyrec.graph import Graph, graph_of
from whyrec.skipgram import SkipGram, embed_walks
from whyrec.split import Split
from whyrec.statistics import mean_interval
from whyrec.walks import random_walks

QUERIES = {
    "Matrix, The (1999)": (
        "Gladiator (2000)",
        "Miracle on 34th Street (1947)",
        "Crash (2004)",
        "Enemy of the State (1998)",
        "Dark Knight Rises, The (2012)",
    ),
    "Star Wars: Episode IV - A New Hope (1977)": (
        "Star Wars: Episode V - The Empire Strikes Back (1980)",
        "Star Wars: Episode VI - Return of the Jedi (1983)",
        "First Blood (Rambo: First Blood) (1982)",
        "Jurassic Park (1993)",
        "Fantasia (1940)",
    ),
    "Lion King, The (1994)": (
        "Dolores Claiborne (1995)",
        "Casper (1995)",
        "Beauty and the Beast (1991)",
        "Sleepless in Seattle (1993)",
        "Rush (2013)",
    ),
    "Terminator 2: Judgment Day (1991)": (
        "Star Wars: Episode VI - Return of the Jedi (1983)",
        "Total Recall (1990)",
        "Net, The (1995)",
        "Cabin in the Woods, The (2012)",
        "Aliens (1986)",
    ),
    "Godfather, The (1972)": (
        "Godfather: Part II, The (1974)",
        "French Connection, The (1971)",
        "Three Days of the Condor (3 Days of the Condor) (1975)",
        "Christmas Story, A (1983)",
        "On the Waterfront (1954)",
    ),
}
"""Films, and what a textbook run of walks and skip-gram on this data set listed as the five most similar."""
WANTED = {
    "a sequel of Matrix": (0, ("Matrix Reloaded, The (2003)", "Matrix Revolutions, The (2003)")),
    "Star Wars V": (1, ("Star Wars: Episode V - The Empire Strikes Back (1980)",)),
    "Star Wars VI": (1, ("Star Wars: Episode VI - Return of the Jedi (1983)",)),
    "Godfather II": (4, ("Godfather: Part II, The (1974)",)),
}
"""Sequels, which anybody would list: the query, and the films of which one is looked for."""
SEEDS = range(5)
NEAREST = 10


def jaccard(data: Dataset, column: str) -> np.ndarray:
    """The Jaccard index of the words of two items, (items, items); NaN where an item has none."""
    words = [frozenset(one or ()) for one in data.items.columns[column].values]
    names = {word: place for place, word in enumerate(sorted(frozenset().union(*words)))}
    table = np.zeros((len(words), len(names)), dtype=np.float32)
    for row, found in enumerate(words):
        table[row, [names[word] for word in found]] = 1
    both = table @ table.T
    sizes = table.sum(1)
    either = sizes[:, None] + sizes - both
    found = np.divide(both, either, out=np.full(both.shape, np.nan, dtype=np.float32), where=either > 0)
    found[sizes == 0] = found[:, sizes == 0] = np.nan
    return found


def genre_table(data: Dataset) -> np.ndarray:
    """How alike the genres of films are."""
    return jaccard(data, "genres")


def lift(vectors: np.ndarray, near: np.ndarray, linked: np.ndarray) -> dict[str, Any]:
    """How much more alike an item's ten nearest by cosine are than any two of `linked`, with an interval over items."""
    x = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return lift_by(x @ x.T, near, linked)


def lift_by(score: np.ndarray, near: np.ndarray, linked: np.ndarray) -> dict[str, Any]:
    """The same by any table of numbers, (items, items)."""
    linked = linked[~np.isnan(np.diagonal(near)[linked])]
    among, alike = score[np.ix_(linked, linked)].astype(float), near[np.ix_(linked, linked)]
    np.fill_diagonal(among, -np.inf)
    nearest = np.argsort(-among, axis=1, kind="stable")[:, :NEAREST]
    own = np.take_along_axis(alike, nearest, axis=1).mean(1)
    chance = (alike.sum() - np.trace(alike)) / (len(linked) * (len(linked) - 1))
    return {**mean_interval(own / chance).to_json(), "items": len(linked)}


def whole(data: Dataset, min_rating: float | None) -> Split:
    """All ratings as training, those high enough."""
    events = data.interactions
    assert events.values is not None
    kept = events if min_rating is None else events.where(events.values >= min_rating)
    nothing = events.where(np.zeros(len(events), dtype=bool))
    return Split(replace(data, interactions=kept), kept, nothing, nothing, "everything")


def queries(data: Dataset) -> dict[str, Any]:
    """The lists of the first seed, and where sequels stand with each seed."""
    ids = {title: data.items.id(row) for row, title in enumerate(data.items.titles or ())}
    lists, ranks = {}, {name: [] for name in WANTED}
    for seed in SEEDS:
        model = wr.fit(wr.ItemGraph(min_rating=4.0), whole(data, None), wr.Training(seed=seed))
        assert isinstance(model, wr.ItemGraph)
        for name, (query, sequels) in WANTED.items():
            found = model.similar(ids[list(QUERIES)[query]], k=len(data.items))
            ranks[name].append(min((one.rank for one in found if one.title in sequels), default=None))
        if seed == 0:
            for title, document in QUERIES.items():
                own = [one.title for one in model.similar(ids[title], k=NEAREST)]
                lists[title] = {"ours": own, "the document": list(document)}
                beside = zip(own, (*document, *[""] * NEAREST), strict=False)
                print(title, *(f"   {one:<55} {other}" for one, other in beside), sep="\n", flush=True)
    return {"lists of seed 0": lists, "rank of sequels by seed": ranks, "edges of a stricter graph": strict(data, ids)}


def strict(data: Dataset, ids: dict[str, Any]) -> dict[str, Any]:
    """Where sequels stand among plain neighbours by edge weight, films that 40 users rated 3 or higher; no vectors."""
    graph = wr.co_rating_graph(data, min_rating=3, min_common_users=40, weight="pmi")
    found = {}
    for name, (query, sequels) in WANTED.items():
        links = graph.links_of(graph.row(ids[list(QUERIES)[query]]))
        order = graph.neighbours[links][np.argsort(-graph.weights[links], kind="stable")]
        titles = [graph.nodes.title(int(row)) for row in order]
        found[name] = min((titles.index(one) + 1 for one in sequels if one in titles), default=None)
    return found


def lifts(data: Dataset, min_common_users: int) -> dict[str, Any]:
    """Genre and tag lift of vectors, of co-rating cosine, and of ItemKNN, on the nodes of one graph."""
    asked = {"min_rating": 4.0, "min_common_users": min_common_users}
    models = {
        "item graph": wr.fit(wr.ItemGraph(**asked), whole(data, None)),
        "item graph, cosine, sharpness 3": wr.fit(
            wr.ItemGraph(**asked, weight="cosine", sharpness=3), whole(data, None)
        ),
    }
    vectors = {name: model.get_buffer("vectors").numpy() for name, model in models.items()}
    linked = np.flatnonzero((vectors["item graph"] != 0).any(1))
    cosine = wr.co_rating_graph(data, **asked, weight="cosine")
    knn = wr.fit(wr.ItemKNN(neighbours=len(data.items)), whole(data, 4.0)).get_buffer("weights").numpy()
    tables = {name: _cosines(one) for name, one in vectors.items()} | {
        "co-rating cosine": dense(cosine),
        "ItemKNN": knn,
    }
    columns = [one for one in ("genres", "tags") if one in data.items.columns]
    return {
        "films": len(linked),
        "edges": cosine.edge_count,
        **{
            column: {name: lift_by(table, jaccard(data, column), linked) for name, table in tables.items()}
            for column in columns
        },
    }


def _cosines(vectors: np.ndarray) -> np.ndarray:
    x = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    found: np.ndarray = x @ x.T
    return found


def dense(graph: Graph) -> np.ndarray:
    """Weights as a table, 0 where there is no edge."""
    found = np.zeros((graph.node_count, graph.node_count), dtype=np.float32)
    found[np.repeat(np.arange(graph.node_count), graph.degrees), graph.neighbours] = graph.weights
    return found


def links(data: Dataset, min_common_users: int) -> dict[str, Any]:
    """How often a held-out edge is told from a pair that is none, by vectors and by what needs no vectors."""
    graph = wr.co_rating_graph(data, min_rating=4, min_common_users=min_common_users, weight="pmi")
    chance, known = np.random.default_rng(0), dense(graph)
    one, other = np.nonzero(np.triu(known))
    held = chance.permutation(len(one))[: len(one) // 10]
    kept = np.setdiff1d(np.arange(len(one)), held)
    left = graph_of(one[kept], other[kept], known[one[kept], other[kept]], node_count=graph.node_count)
    learned = embed_walks(random_walks(left), left.node_count, SkipGram(window=2, learning_rate=0.05))
    table = dense(left) > 0
    scores = {
        "item graph, cosine": _cosines(learned.vectors),
        "item graph, vector times context": learned.vectors @ learned.contexts.T,
        "neighbours in common": (table.astype(np.float32) @ table),
        "degrees multiplied": np.outer(left.degrees, left.degrees).astype(float),
    }
    rivals = {
        name: _rivals(chance, known, left.degrees, other[held], one[held], matched=name == "as linked")
        for name in ("any pair", "as linked")
    }
    return {
        "held-out edges": len(held),
        **{
            name: {
                how: mean_interval(_wins(score[one[held], other[held]], score[one[held], rival])).to_json()
                for how, rival in rivals.items()
            }
            for name, score in scores.items()
        },
    }


def _wins(right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    found: np.ndarray = (right > wrong) + 0.5 * (right == wrong)
    return found


def _rivals(
    chance: np.random.Generator,
    known: np.ndarray,
    degrees: np.ndarray,
    wanted: np.ndarray,
    given: np.ndarray,
    *,
    matched: bool,
) -> np.ndarray:
    """For each held-out edge a node that its first end has no edge to; as linked as its second end where matched."""
    linked = np.flatnonzero(degrees)
    found = np.empty(len(wanted), dtype=np.int64)
    for place, (node, right) in enumerate(zip(given, wanted, strict=True)):
        free = linked[(known[node, linked] == 0) & (linked != node)]
        gap = np.abs(degrees[free] - degrees[right])
        found[place] = chance.choice(free[gap == gap.min()] if matched else free)
    return found


def main() -> None:
    small, hundred = wr.movielens(DATA / "ml-latest-small"), wr.movielens(DATA / "ml-100k")
    with recorded(__file__, "Item graph: sequels in lists, genre and tag lift, held-out links") as found:
        found["queries"] = queries(small)
        print(found["queries"]["rank of sequels by seed"], found["queries"]["edges of a stricter graph"], flush=True)
        for name, data, users in (("ml-100k", hundred, 20), ("ml-latest-small", small, 5)):
            found[name] = {"lift": lifts(data, users), "links": links(data, users)}
            print(name, found[name], flush=True)


if __name__ == "__main__":
    main()

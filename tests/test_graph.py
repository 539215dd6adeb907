"""What graphs promise: edges of the slow definition, arrays without loops or repeats, and a refusal with a reason."""

from __future__ import annotations

from itertools import combinations, pairwise, permutations
from math import log, sqrt

import numpy as np
import pytest
from tests.worlds import dataset

import whyrec as wr
from whyrec import graph as graph_file
from whyrec.errors import BadInput, InvalidSetting, UnknownId
from whyrec.graph import Graph, co_rating_graph, graph_of, user_item_graph
from whyrec.graph_paths import why_similar
from whyrec.graph_summary import components, summarise_graph
from whyrec.interactions import Interactions


def rated(users: int = 40, items: int = 15, count: int = 300) -> Interactions:
    """Ratings of 1 to 5 with times; some pairs stand twice, and the last two items and users have none."""
    chance = np.random.default_rng(3)
    return Interactions(
        chance.integers(0, users - 2, count),
        chance.integers(0, items - 2, count),
        chance.integers(1, 6, count).astype(np.float32),
        chance.integers(0, 1000, count),
        user_count=users,
        item_count=items,
    )


Edges = dict[tuple[int, int], tuple[int, float]]
"""Users in common and weight of each pair."""


def slow_edges(events: Interactions, least: int, min_rating: float, within: int | None, weight: str) -> Edges:
    """The definition, user by user and pair by pair."""
    assert events.values is not None
    assert events.times is not None
    when: dict[int, dict[int, int]] = {}
    for place in np.argsort(events.times, kind="stable"):
        if events.values[place] >= min_rating:
            when.setdefault(int(events.users[place]), {})[int(events.items[place])] = int(events.times[place])
    takers = [sum(item in one for one in when.values()) for item in range(events.item_count)]
    found = {}
    for pair in combinations(range(events.item_count), 2):
        both = [times for times in when.values() if pair[0] in times and pair[1] in times]
        count = sum(within is None or abs(times[pair[0]] - times[pair[1]]) <= within for times in both)
        if count < least:
            continue
        product = takers[pair[0]] * takers[pair[1]]
        weighed = {"count": float(count), "cosine": count / sqrt(product), "pmi": log(count * len(when) / product)}
        if weighed[weight] > 0:
            found[pair] = count, weighed[weight]
    return found


def edges_of(graph: Graph) -> Edges:
    assert graph.common is not None
    source = np.repeat(np.arange(graph.node_count), graph.degrees)
    return {
        (int(one), int(other)): (int(count), float(weight))
        for one, other, count, weight in zip(source, graph.neighbours, graph.common, graph.weights, strict=True)
    }


@pytest.mark.parametrize("weight", ["count", "cosine", "pmi"])
@pytest.mark.parametrize(("least", "min_rating", "within"), [(1, 1, None), (3, 3, None), (2, 2, 300)])
@pytest.mark.parametrize("block", [1, 1 << 21])
def test_edges_and_weights_are_those_of_the_definition(
    weight: graph_file.Weight,
    least: int,
    min_rating: float,
    within: int | None,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph_file, "BLOCK_PAIRS", block)
    events = rated()
    found = edges_of(
        co_rating_graph(events, min_rating=min_rating, min_common_users=least, weight=weight, within=within)
    )
    truth = slow_edges(events, least, min_rating, within, weight)
    assert len(truth) > 2
    assert set(found) == {pair for one in truth for pair in (one, one[::-1])}
    for pair, (count, weighed) in truth.items():
        assert found[pair] == found[pair[::-1]] == (count, pytest.approx(weighed, rel=1e-6))


def test_counting_by_sorting_and_by_a_table_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    by_table = edges_of(co_rating_graph(rated()))
    monkeypatch.setattr(graph_file, "CELLS_PER_PAIR", 0)
    assert edges_of(co_rating_graph(rated())) == by_table


def test_neighbours_rise_within_a_node_and_no_item_is_its_own() -> None:
    graph = co_rating_graph(rated(), min_common_users=2)
    for node in range(graph.node_count):
        near = graph.neighbours_of(node)
        assert (np.diff(near) > 0).all()
        assert node not in near
    assert graph.strengths == pytest.approx([graph.weights[graph.links_of(node)].sum() for node in range(15)])


def test_the_graph_of_users_and_items_holds_each_rating_once() -> None:
    data = dataset()
    graph = user_item_graph(data)
    assert graph.node_count == len(data.items) + len(data.users)
    assert graph.edge_count == len(np.unique(data.interactions.pairs))
    ben = [graph.nodes.id(int(row)) for row in graph.neighbours_of(graph.row("user ben"))]
    assert ben == ["item egg", "item fig", "item jam"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"min_common_users": 0}, "at least one user"),
        ({"weight": "lift"}, "count, pmi, cosine"),
        ({"within": -1}, "less than 0 seconds"),
        ({"max_memory": 100}, "raise min_common_users or min_rating, or give more"),
    ],
)
def test_what_cannot_be_built_is_refused(asked: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidSetting, match=words):
        co_rating_graph(rated(), **asked)  # type: ignore[arg-type]


def test_ratings_and_times_that_are_not_there_cannot_be_asked_for() -> None:
    bare = Interactions(np.array([0, 0]), np.array([0, 1]), user_count=1, item_count=2)
    with pytest.raises(BadInput, match="no ratings, so min_rating=4 cannot be kept"):
        co_rating_graph(bare, min_rating=4)
    with pytest.raises(BadInput, match="no times, so within=60 cannot be kept"):
        co_rating_graph(bare, within=60)
    with pytest.raises(BadInput, match="weights have to be positive; raise min_rating"):
        user_item_graph(Interactions(np.array([0]), np.array([0]), np.zeros(1, np.float32), user_count=1, item_count=1))


@pytest.mark.parametrize(
    ("one", "other", "weights", "words"),
    [
        ([0, 1], [1, 1], [1, 1], "edge 1 goes from node 1 to itself"),
        ([0], [3], [1], "there are 3, and rows count from 0"),
        ([0], [1], [0], "edge 0 weighs 0"),
        ([0], [1], [np.nan], "edge 0 weighs nan"),
        ([0, 1], [1, 0], [1, 1], "the edge of 0 and 1 stands twice"),
    ],
)
def test_edges_that_make_no_graph_are_refused(
    one: list[int], other: list[int], weights: list[float], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        graph_of(np.array(one), np.array(other), np.array(weights, dtype=float), node_count=3)


def test_one_user_links_all_items_and_nobody_links_none() -> None:
    one = Interactions(np.zeros(4, np.int64), np.arange(4), user_count=1, item_count=5)
    assert co_rating_graph(one).edge_count == 6
    nobody = one.where(np.zeros(4, dtype=bool))
    empty = co_rating_graph(nobody, weight="pmi")
    assert empty.edge_count == 0
    assert empty.degrees.tolist() == [0] * 5
    assert "5 nodes and no edge" in str(summarise_graph(empty))


def slow_components(graph: Graph) -> list[int]:
    found = list(range(graph.node_count))
    for _ in range(graph.node_count):
        for node in range(graph.node_count):
            found[node] = min([found[node], *(found[near] for near in graph.neighbours_of(node))])
    return found


def test_pieces_are_found_along_a_chain_and_in_graphs_of_chance() -> None:
    chance = np.random.default_rng(0)
    order = chance.permutation(60)
    chain = graph_of(order[:-1], order[1:], np.ones(59), node_count=60)
    assert components(chain).tolist() == [0] * 60
    for edges in (10, 25, 40):
        ends = np.unique(np.sort(chance.integers(0, 40, (edges, 2)), axis=1), axis=0)
        ends = ends[ends[:, 0] < ends[:, 1]]
        graph = graph_of(ends[:, 0], ends[:, 1], np.ones(len(ends)), node_count=40)
        assert components(graph).tolist() == slow_components(graph)
        summary = summarise_graph(graph)
        assert summary.isolated == int((graph.degrees == 0).sum())
        assert summary.components == len(set(slow_components(graph))) - summary.isolated


def test_a_summary_says_what_to_do_about_nodes_without_edges() -> None:
    lines = str(summarise_graph(co_rating_graph(rated(), min_common_users=2))).splitlines()
    assert lines[0].startswith("  ok  15 nodes and ")
    assert any(line.startswith(" note 2 of 15 nodes have no edge: ") for line in lines)


def slow_paths(graph: Graph, first: int, last: int, edges: int, by: str) -> list[tuple[float, tuple[int, ...]]]:
    weight = {pair: weighed for pair, (_, weighed) in edges_of(graph).items()}
    total = [sum(one for (end, _), one in weight.items() if end == node) for node in range(graph.node_count)]
    found = []
    others = [node for node in range(graph.node_count) if node not in (first, last)]
    for between in range(edges):
        for middle in permutations(others, between):
            path = (first, *middle, last)
            steps = list(pairwise(path))
            if all(step in weight for step in steps):
                shares = [weight[step] / sqrt(total[step[0]] * total[step[1]]) for step in steps]
                found.append((float(np.prod(shares)) if by == "product" else min(shares), path))
    return sorted(found, key=lambda one: -one[0])


@pytest.mark.parametrize("by", ["product", "bottleneck"])
@pytest.mark.parametrize("edges", [1, 2, 3])
def test_paths_are_the_strongest_of_all(by: str, edges: int) -> None:
    graph = co_rating_graph(rated(), min_common_users=3, min_rating=2, weight="cosine")
    for other in (2, 7):
        found = why_similar(graph, 0, other, paths=6, edges=edges, by=by)  # type: ignore[arg-type]
        truth = slow_paths(graph, 0, other, edges, by)
        assert [path.strength for path in found.paths] == pytest.approx([one for one, _ in truth[:6]], rel=1e-5)
        known = edges_of(graph)
        for path in found.paths:
            assert path.strength == pytest.approx({nodes: one for one, nodes in truth}[path.nodes], rel=1e-5)
            assert [known[step][0] for step in pairwise(path.nodes)] == list(path.common_users)


def test_paths_are_told_with_titles_and_users_and_their_absence_too() -> None:
    split = wr.leave_last_out(wr.planted())
    graph = co_rating_graph(split.dataset, min_common_users=3)
    one, other = graph.nodes.vocabulary.ids([0, 1])
    said = str(why_similar(graph, one, other, paths=3))
    assert said.splitlines()[0] == f"why {graph.nodes.title(0)} is near {graph.nodes.title(1)}:"
    assert said.count(" users) ") >= 3
    lonely = graph_of(np.array([0]), np.array([1]), np.ones(1), node_count=3)
    assert str(why_similar(lonely, 0, 2)) == "no path of at most 3 edges leads from 0 to 2"
    assert str(why_similar(lonely, 0, 1)).splitlines()[1].endswith("0 (1) 1")
    with pytest.raises(InvalidSetting, match="name two items"):
        why_similar(lonely, 1, 1)
    with pytest.raises(InvalidSetting, match="1 to 3 edges"):
        why_similar(lonely, 0, 1, edges=4)
    with pytest.raises(UnknownId, match="node '9' is not among the 3 known"):
        why_similar(lonely, 0, 9)

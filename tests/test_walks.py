"""What walks and skip-gram promise: chances of the definition, the same for any number of threads, exact steps."""

from __future__ import annotations

import sys
from itertools import product

import numpy as np
import pytest
import torch

from whyrec.errors import BadInput, InvalidSetting, NotApplicable, WhyrecError
from whyrec.graph import Graph, graph_of
from whyrec.skipgram import SkipGram, chance_to_stay, embed_walks, first_vectors
from whyrec.skipgram_batches import embed_walks_by_batches, skipgram_loss
from whyrec.walks import Walks, random_walks

pytest.importorskip("numba", reason="walks and skip-gram are compiled by Numba")

from whyrec import compiled, skipgram_kernels, walk_kernels, walks


def kite() -> Graph:
    """Five nodes: a triangle 0-1-2 with a tail 2-3-4, and 3 also linked to 1; weights differ."""
    one, other = np.array([0, 0, 1, 2, 3, 1]), np.array([1, 2, 2, 3, 4, 3])
    return graph_of(one, other, np.array([1.0, 4.0, 2.0, 3.0, 0.5, 1.5]), node_count=5)


def dense(graph: Graph) -> np.ndarray:
    table = np.zeros((graph.node_count, graph.node_count))
    for node in range(graph.node_count):
        table[node, graph.neighbours_of(node)] = graph.weights[graph.links_of(node)]
    return table


def biased(graph: Graph, p: float, q: float, before: int, node: int) -> np.ndarray:
    """How likely each node is the next, by the definition of node2vec."""
    table = dense(graph)
    bias = np.where(table[before] > 0, 1.0, 1 / q)
    bias[before] = 1 / p
    chances = table[node] * bias
    return chances / chances.sum()


def assert_as_likely(counts: np.ndarray, chances: np.ndarray) -> None:
    """Within four standard errors each; what cannot happen does not."""
    total = counts.sum()
    assert total > 1000
    error = np.sqrt(chances * (1 - chances) / total)
    assert (np.abs(counts / total - chances) <= 4 * error + 1e-12).all()


def test_a_first_step_is_taken_in_proportion_to_weight() -> None:
    graph = kite()
    found = random_walks(graph, Walks(per_node=4000, length=2), seed=5, threads=1)
    for node in range(5):
        counts = np.bincount(found[found[:, 0] == node, 1], minlength=5)
        assert_as_likely(counts, dense(graph)[node] / dense(graph)[node].sum())


@pytest.mark.parametrize("sharpness", [0.5, 3.0])
def test_a_sharper_walk_takes_heavy_edges_more_often(sharpness: float) -> None:
    graph = kite()
    found = random_walks(graph, Walks(per_node=4000, length=2, sharpness=sharpness), seed=6, threads=1)
    for node in range(5):
        chances = dense(graph)[node] ** sharpness
        assert_as_likely(np.bincount(found[found[:, 0] == node, 1], minlength=5), chances / chances.sum())
    assert random_walks(graph, Walks(per_node=1, sharpness=500.0)).min() >= 0  # nothing divides by zero


@pytest.mark.parametrize("by_bits", [True, False])
@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (1.0, 0.5), (4.0, 0.25), (0.25, 4.0), (0.01, 1.0), (100.0, 100.0)])
def test_later_steps_are_taken_with_the_biases_of_node2vec(
    p: float, q: float, by_bits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not by_bits:
        monkeypatch.setattr(walks, "BITS_UP_TO", 0)
    graph = kite()
    found = random_walks(graph, Walks(per_node=1500, length=40, p=p, q=q), seed=1, threads=1)
    steps = np.stack([found[:, :-2].ravel(), found[:, 1:-1].ravel(), found[:, 2:].ravel()])
    compared = 0
    for before in range(5):
        for node in graph.neighbours_of(before):
            counts = np.bincount(steps[2, (steps[0] == before) & (steps[1] == node)], minlength=5)
            if counts.sum() > 1000:
                assert_as_likely(counts, biased(graph, p, q, before, int(node)))
                compared += 1
    assert compared > 5


def test_where_all_proposals_are_refused_the_chances_are_still_those_of_the_definition() -> None:
    """From the hub all ways but the one back are a thousandth as likely as proposals think."""
    leaves = np.arange(1, 4)
    star = graph_of(np.zeros(3, np.int64), leaves, np.array([0.001, 1.0, 2.0]), node_count=4)
    found = random_walks(star, Walks(per_node=6000, length=3, p=1000.0, q=1000.0), seed=2, threads=1)
    from_first = found[found[:, 0] == 1]
    assert_as_likely(np.bincount(from_first[:, 2], minlength=4), biased(star, 1000.0, 1000.0, 1, 0))


def test_walks_are_the_same_for_any_number_of_threads_and_differ_by_seed() -> None:
    asked = Walks(per_node=7, length=9, q=0.5)
    alone = random_walks(kite(), asked, seed=3, threads=1)
    for threads in (2, 3, 50):
        assert np.array_equal(random_walks(kite(), asked, seed=3, threads=threads), alone)
    assert not np.array_equal(random_walks(kite(), asked, seed=4, threads=1), alone)


def test_every_linked_node_starts_once_a_round_and_each_step_follows_an_edge() -> None:
    lonely = graph_of(np.array([0, 1]), np.array([1, 3]), np.ones(2), node_count=5)
    found = random_walks(lonely, Walks(per_node=3, length=6), seed=0)
    assert found.shape == (9, 6)
    for number in range(3):
        assert sorted(found[3 * number : 3 * number + 3, 0]) == [0, 1, 3]
    table = dense(lonely)
    assert (table[found[:, :-1], found[:, 1:]] > 0).all()


def test_a_graph_without_edges_has_no_walks_and_nothing_to_learn() -> None:
    empty = graph_of(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), node_count=3)
    found = random_walks(empty)
    assert found.shape == (0, 80)
    with pytest.raises(BadInput, match="no node has an edge; lower min_common_users"):
        embed_walks(found, 3)


def test_more_memory_than_allowed_and_no_threads_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="50 walks of 80 nodes take 16,000 bytes"):
        random_walks(kite(), max_memory=15_999)
    with pytest.raises(InvalidSetting, match="at least one thread"):
        random_walks(kite(), threads=0)


def test_an_alias_table_draws_in_proportion_to_weight() -> None:
    weights = np.array([0.0, 5.0, 1.0, 3.0, 1.0])
    chance, other = skipgram_kernels.noise_table(weights)
    implied = np.zeros(5)
    for place in range(5):
        implied[place] += chance[place] / 5
        implied[other[place]] += (1 - chance[place]) / 5
    assert implied == pytest.approx(weights / weights.sum(), abs=1e-12)


def test_random_numbers_are_even_and_streams_are_their_own() -> None:
    states = {compiled.state_of(*map(np.uint64, asked)) for asked in product(range(9), repeat=3)}
    assert len(states) == 729
    starts = [np.uint64(compiled.state_of(np.uint64(0), np.uint64(1), np.uint64(walk))) for walk in range(4000)]
    bits = [compiled.mixed(one) for one in starts]
    assert_as_likely(np.bincount([compiled.below(np.uint64(one), 7) for one in bits], minlength=7), np.full(7, 1 / 7))
    shares = np.array([compiled.share(np.uint64(one)) for one in bits])
    assert_as_likely(np.histogram(shares, 10, (0, 1))[0], np.full(10, 0.1))


@pytest.mark.parametrize("scale", [0.1, 1.0, 8.0])
def test_a_compiled_step_is_the_step_of_pytorch(scale: float) -> None:
    """The same pair and noise, one step of plain gradient descent each; losses agree as well."""
    chance = np.random.default_rng(0)
    for _ in range(20):
        vectors, contexts = (chance.normal(0, scale / 4, (12, 16)).astype(np.float32) for _ in range(2))
        asked = chance.permutation(12)[:6].astype(np.int32)
        centre, rate = int(chance.integers(12)), 0.05
        leaves = [torch.tensor(table, requires_grad=True) for table in (vectors, contexts)]
        near, noise = torch.tensor(asked[:1]).long(), torch.tensor(asked[None, 1:]).long()
        positives, negatives = skipgram_loss(*leaves, torch.tensor([centre]), near, noise)
        (positives.sum() + negatives.sum()).backward()
        truth = [(leaf - rate * leaf.grad).detach().numpy() for leaf in leaves]
        odds = np.ones(2)
        skipgram_kernels.step(vectors, contexts, centre, asked, 6, np.float32(rate), np.empty(16, np.float32), odds)
        for found, expected in zip((vectors, contexts), truth, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
        assert -np.log(odds) == pytest.approx([positives.sum().item(), negatives.sum().item()], rel=1e-5, abs=1e-6)


def test_the_first_losses_are_those_of_knowing_nothing() -> None:
    """Context vectors begin at zero, so each first answer is a half, and the gradient of small vectors is small."""
    learned = embed_walks(np.array([[0, 1], [2, 3]], dtype=np.int32), 4, SkipGram(factors=4, window=1, epochs=1))
    assert learned.log[0].positives == pytest.approx(np.log(2), rel=1e-3)
    assert learned.log[0].negatives == pytest.approx(np.log(2), rel=1e-3)
    begun, _ = first_vectors(4, 4, 0)
    assert np.abs(begun).max() <= 0.5 / 4
    assert learned.contexts.any()


def test_only_the_ends_of_edges_and_noise_are_moved() -> None:
    """A node that no walk meets is no centre, no context and no noise."""
    learned = embed_walks(np.array([[0, 1], [1, 0]] * 9, dtype=np.int32), 3, SkipGram(factors=4, window=1, epochs=2))
    begun, contexts = first_vectors(3, 4, 0)
    assert np.array_equal(learned.vectors[2], begun[2])
    assert np.array_equal(learned.contexts[2], contexts[2])
    assert not np.isclose(learned.vectors[:2], begun[:2]).all()


def test_one_thread_learns_the_same_to_the_last_bit_and_says_so() -> None:
    found = random_walks(kite(), Walks(per_node=20, length=20))
    asked = SkipGram(factors=8, epochs=2)
    one, again, other = (embed_walks(found, 5, asked, seed=seed) for seed in (0, 0, 1))
    assert one.is_reproducible
    assert np.array_equal(one.vectors, again.vectors)
    assert np.array_equal(one.contexts, again.contexts)
    assert not np.array_equal(one.vectors, other.vectors)
    several = embed_walks(found, 5, asked, threads=3)
    assert not several.is_reproducible
    assert several.log[-1].positives == pytest.approx(one.log[-1].positives, rel=0.05)


def two_cliques() -> np.ndarray:
    chance = np.random.default_rng(0)
    rows = [chance.integers(0, 6, 20) + 6 * (number % 2) for number in range(120)]
    return np.array(rows, dtype=np.int32)


@pytest.mark.parametrize("embed", [embed_walks, embed_walks_by_batches])
def test_nodes_of_the_same_walks_come_near_each_other_and_losses_fall(embed: object) -> None:
    learned = embed(two_cliques(), 12, SkipGram(factors=8, epochs=4, learning_rate=0.1))  # type: ignore[operator]
    x = learned.vectors / np.linalg.norm(learned.vectors, axis=1, keepdims=True)
    alike = x @ x.T
    assert alike[:6, :6].min() > alike[:6, 6:].max()
    assert [epoch.number for epoch in learned.log] == [1, 2, 3, 4]
    totals = [epoch.positives + 5 * epoch.negatives for epoch in learned.log]
    assert totals[-1] < totals[0]


@pytest.mark.parametrize("embed", [embed_walks, embed_walks_by_batches])
def test_a_context_is_never_its_own_noise(embed: object) -> None:
    """Of two nodes each is the other's only company: nothing pulls them apart again, and the loss goes to zero."""
    pair = np.array([[0, 1]] * 200, dtype=np.int32)
    learned = embed(pair, 2, SkipGram(factors=4, window=1, epochs=12, learning_rate=0.2))  # type: ignore[operator]
    assert learned.log[-1].positives < 0.1


def test_the_loop_in_pytorch_learns_as_the_compiled_one_does() -> None:
    asked = SkipGram(factors=8, epochs=4, learning_rate=0.1)
    one, other = (embed(two_cliques(), 12, asked).log[-1] for embed in (embed_walks, embed_walks_by_batches))
    assert other.positives == pytest.approx(one.positives, rel=0.1)
    assert other.negatives == pytest.approx(one.negatives, rel=0.1)


def test_frequent_nodes_are_left_out_as_often_as_word2vec_leaves_them_out() -> None:
    counts = np.array([900.0, 99.0, 1.0, 0.0])
    share = counts / 1000
    expected = np.minimum(1, (np.sqrt(share[:2] / 0.01) + 1) * 0.01 / share[:2])
    assert chance_to_stay(counts, 0.01) == pytest.approx([*expected, 1.0, 1.0])
    assert chance_to_stay(counts, 0.0).tolist() == [1.0] * 4
    found = np.zeros((50, 30), dtype=np.int32)
    found[:, ::3] = 1
    everything, some = (embed_walks(found, 2, SkipGram(epochs=1, subsample=one)) for one in (0.0, 1e-3))
    assert np.abs(some.contexts).sum() < np.abs(everything.contexts).sum()


def test_walks_that_name_no_node_and_training_that_runs_away_are_refused() -> None:
    with pytest.raises(BadInput, match="a walk meets node 5, and there are 3"):
        embed_walks(np.array([[0, 5]], dtype=np.int32), 3)
    with pytest.raises(WhyrecError, match="skip-gram diverged"):
        embed_walks(two_cliques(), 12, SkipGram(factors=8, learning_rate=1e30))


def test_a_walk_that_ends_early_is_learned_up_to_its_end() -> None:
    whole = embed_walks(np.array([[0, 1, 2]] * 5, dtype=np.int32), 4, SkipGram(factors=4, epochs=1))
    padded = embed_walks(np.array([[0, 1, 2, -1, -1]] * 5, dtype=np.int32), 4, SkipGram(factors=4, epochs=1))
    assert np.array_equal(whole.vectors, padded.vectors)


def test_without_numba_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compiled", "walk_kernels", "skipgram_kernels"):
        monkeypatch.delitem(sys.modules, f"whyrec.{name}", raising=False)
        monkeypatch.delattr(f"whyrec.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    for ask in (lambda: random_walks(kite()), lambda: embed_walks(two_cliques(), 12)):
        with pytest.raises(NotApplicable, match=r"need Numba: pip install 'whyrec\[graph\]'"):
            ask()


def test_code_is_compiled_where_nothing_may_be_kept_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(compiled.numba, "njit", refuse)
    assert compiled.compiled(abs) is abs


def test_chances_of_links_are_looked_up_by_bits_and_by_search_alike() -> None:
    graph = kite()
    bits = walk_kernels.adjacency(graph.offsets, graph.neighbours)
    for one in range(5):
        for other in range(5):
            truth = other in graph.neighbours_of(one)
            for table in (bits, np.zeros((0, 0), np.uint64)):
                assert bool(walk_kernels.linked(graph.offsets, graph.neighbours, table, one, other)) == truth

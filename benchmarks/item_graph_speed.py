"""Walks beside pecanpy's, skip-gram beside gensim's, and how the time of building a graph grows.

python benchmarks/item_graph_speed.py --pecanpy PYTHON --gensim PYTHON [--rounds 5] [--threads 2]

Needs ml-100k and ml-1m in the folder of public data; some minutes. PYTHON is the Python of an environment that has the
peer. The graph is MovieLens 100K, both films rated 4 or higher by 20 users or more: 563 films, 35,904 edges; walks of
80 steps, ten from each film, p = 1 and q = 0.5. Both sides take turns. What pecanpy makes ready for pairs of nodes and
gensim's vocabulary are left out of their times; our tables are in ours. The
generated logs have 40 items a user; each graph of them is built in a process of its own, timed in CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from item_graph import genre_table, lift
from record import DATA, recorded
from turns import in_turns

import whyrec as wr
from whyrec.graph import Graph
from whyrec.skipgram import SkipGram, embed_walks
from whyrec.walks import Walks, random_walks

SCRIPT = Path(__file__).parent / "graph_peer.py"
WALKS = Walks(per_node=10, length=80, p=1.0, q=0.5)
LEARNING = SkipGram(factors=64, window=5, negatives=5, epochs=5, learning_rate=0.025)
PARTS = (1, 2, 4, 8, 10)
"""Multiples of the smallest generated log."""


class Peer:
    """Another library at work in its own process, one piece of work for each line it is told."""

    def __init__(self, python: str, name: str, folder: Path, asked: dict[str, Any]) -> None:
        (folder / "asked.json").write_text(json.dumps(asked))
        command = [python, str(SCRIPT), name, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.wait("ready")

    def wait(self, word: str) -> None:
        assert self.process.stdout is not None
        while (line := self.process.stdout.readline().strip()) != word:
            if not line and self.process.poll() is not None:
                raise RuntimeError(f"the peer ended with {self.process.returncode}")

    def tell(self, word: str = "work") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        self.wait("done")


@contextmanager
def peer(python: str, name: str, folder: Path, asked: dict[str, Any]) -> Iterator[Peer]:
    """A peer that ends with the block."""
    found = Peer(python, name, folder, asked)
    try:
        yield found
    finally:
        found.process.terminate()
        found.process.wait()


def walks_beside(graph: Graph, python: str, folder: Path, rounds: int, threads: int) -> dict[str, Any]:
    """Tokens a second of both sides, and how often both step from film to film."""
    source = np.repeat(np.arange(graph.node_count), graph.degrees)
    once = source < graph.neighbours
    lines = zip(source[once], graph.neighbours[once], graph.weights[once], strict=True)
    (folder / "edges.edg").write_text("".join(f"{one}\t{other}\t{weight}\n" for one, other, weight in lines))
    asked = {"p": WALKS.p, "q": WALKS.q, "per_node": WALKS.per_node, "length": WALKS.length, "threads": threads}
    tokens = int((graph.degrees > 0).sum()) * WALKS.per_node * WALKS.length
    with peer(python, "pecanpy", folder, asked) as theirs:
        found = in_turns(lambda: random_walks(graph, WALKS, threads=threads), theirs.tell, rounds)
        theirs.tell("keep")
    steps = [_steps(one, graph.node_count) for one in (random_walks(graph, WALKS), np.load(folder / "walks.npy"))]
    again = _steps(random_walks(graph, WALKS, seed=1), graph.node_count)
    return {
        "whyrec tokens/s": tokens / found.ours,
        "pecanpy tokens/s": tokens / found.theirs,
        "pecanpy over whyrec, seconds": found.quartiles,
        "half the sum of differences of step frequencies": {
            "whyrec and pecanpy": float(np.abs(steps[0] - steps[1]).sum() / 2),
            "whyrec and whyrec with another seed": float(np.abs(steps[0] - again).sum() / 2),
        },
    }


def _steps(walks: np.ndarray, nodes: int) -> np.ndarray:
    pairs = walks[:, :-1].astype(np.int64) * nodes + walks[:, 1:]
    return np.bincount(pairs.ravel(), minlength=nodes * nodes) / pairs.size


def skipgram_beside(
    graph: Graph, near: np.ndarray, python: str, folder: Path, rounds: int, threads: int
) -> dict[str, Any]:
    """Seconds of five epochs on the same walks, and the genre lift of both sides' vectors."""
    walks = random_walks(graph, WALKS)
    np.save(folder / "walks.npy", walks)
    names = ("factors", "window", "negatives", "epochs", "learning_rate")
    asked = {name: getattr(LEARNING, name) for name in names} | {"threads": threads, "nodes": graph.node_count}
    linked = np.flatnonzero(graph.degrees)
    with peer(python, "gensim", folder, asked) as theirs:
        theirs.tell()
        theirs.tell("keep")
        vectors = np.load(folder / "vectors.npy")
        found = in_turns(lambda: embed_walks(walks, graph.node_count, LEARNING, threads=threads), theirs.tell, rounds)
    ours = embed_walks(walks, graph.node_count, LEARNING, threads=threads)
    return {
        "whyrec tokens/s": walks.size * LEARNING.epochs / found.ours,
        "gensim tokens/s": walks.size * LEARNING.epochs / found.theirs,
        "gensim over whyrec, seconds": found.quartiles,
        "genre lift": {"whyrec": lift(ours.vectors, near, linked), "gensim": lift(vectors, near, linked)},
        "losses": [(one.positives, one.negatives) for one in ours.log],
    }


GROWTH = """
import json, re, sys, time
import numpy as np
from whyrec.graph import co_rating_graph
from whyrec.interactions import Interactions
users = int(sys.argv[1])
chance = np.random.default_rng(0)
items = (chance.random((users, 40)) ** 2 * users).astype(np.int64).ravel()
events = Interactions(np.repeat(np.arange(users), 40), items, user_count=users, item_count=users)
def kilobytes(name): return int(re.search(name + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1])
before = kilobytes("VmRSS")
started = time.process_time()
graph = co_rating_graph(events, max_memory="16GB")
seconds = time.process_time() - started
after = kilobytes("VmHWM")
kept = sum(one.nbytes for one in (graph.offsets, graph.neighbours, graph.weights, graph.common))
print(json.dumps({"users and items": users, "events": len(events), "edges": graph.edge_count, "CPU seconds": seconds,
                  "MB held": kept / 1e6, "MB more at the peak": (after - before) / 1e3}))
"""


def growth(smallest: int) -> list[dict[str, Any]]:
    """Logs of growing size, each in a process of its own, so that peaks do not add up."""
    rows = []
    for part in PARTS:
        command = [sys.executable, "-c", GROWTH, str(part * smallest)]
        rows.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        print(rows[-1], flush=True)
    return rows


def ml_1m() -> dict[str, Any]:
    """Seconds to build the graph of MovieLens 1M, all ratings and those from 4 on."""
    data, rows = wr.movielens(DATA / "ml-1m"), {}
    for name, asked in {"all pairs": {}, "4 or higher, 5 users": {"min_rating": 4.0, "min_common_users": 5}}.items():
        started = time.perf_counter()
        graph = wr.co_rating_graph(data, **asked)
        rows[name] = {"seconds": time.perf_counter() - started, "edges": graph.edge_count}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pecanpy", required=True)
    parser.add_argument("--gensim", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--smallest", type=int, default=1700, help="users of the smallest generated log")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    data = wr.movielens(DATA / "ml-100k")
    graph = wr.co_rating_graph(data, min_rating=4, min_common_users=20)
    with recorded(__file__, "Walks, skip-gram and graphs: as fast as compiled peers or faster") as found:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            found["walks"] = walks_beside(graph, asked.pecanpy, folder, asked.rounds, asked.threads)
            print(found["walks"], flush=True)
            near = genre_table(data)
            found["skip-gram"] = skipgram_beside(graph, near, asked.gensim, folder, asked.rounds, asked.threads)
            print(found["skip-gram"], flush=True)
        found["graph of MovieLens 1M"] = ml_1m()
        found["growth"] = growth(asked.smallest)
        found["threads of walks and skip-gram, both sides"] = asked.threads


if __name__ == "__main__":
    main()

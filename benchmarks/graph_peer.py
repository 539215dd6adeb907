"""The side of pecanpy or gensim in `item_graph_speed.py`, run by a Python that has them; imports nothing of whyrec.

python benchmarks/graph_peer.py pecanpy|gensim FOLDER

Reads what FOLDER holds, then does the work once for each line on standard input and answers "done"; the line "keep"
leaves the result in FOLDER. pecanpy wants NumPy 1.26, so each peer may have an environment of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np


class Pecanpy:
    """Second-order walks with chances made ready for each pair of nodes, its fastest way on this graph."""

    def __init__(self, folder: Path, asked: dict[str, float]) -> None:
        from pecanpy import pecanpy

        self.asked = asked
        self.graph = pecanpy.PreComp(p=asked["p"], q=asked["q"], workers=asked["threads"], verbose=False)
        self.graph.read_edg(str(folder / "edges.edg"), weighted=True, directed=False)
        self.graph.preprocess_transition_probs()

    def work(self) -> None:
        self.walks = self.graph.simulate_walks(self.asked["per_node"], self.asked["length"])

    def keep(self, folder: Path) -> None:
        np.save(folder / "walks.npy", np.array(self.walks, dtype=np.int32))


class Gensim:
    """word2vec on the same walks; the vocabulary is made beforehand, outside of what is timed."""

    def __init__(self, folder: Path, asked: dict[str, float]) -> None:
        from gensim.models import Word2Vec

        self.asked, self.walks = asked, [list(map(str, walk)) for walk in np.load(folder / "walks.npy").tolist()]
        self.fresh = lambda: Word2Vec(
            vector_size=asked["factors"], window=asked["window"], negative=asked["negatives"], sg=1, hs=0, sample=0,
            min_count=0, workers=asked["threads"], alpha=asked["learning_rate"], min_alpha=1e-4, seed=1,
        )  # fmt: skip
        self.prepare()

    def prepare(self) -> None:
        self.model = self.fresh()
        self.model.build_vocab(self.walks)

    def work(self) -> None:
        self.model.train(self.walks, total_examples=len(self.walks), epochs=self.asked["epochs"])

    def keep(self, folder: Path) -> None:
        found = np.zeros((self.asked["nodes"], self.asked["factors"]), dtype=np.float32)
        for node, place in self.model.wv.key_to_index.items():
            found[int(node)] = self.model.wv.vectors[place]
        np.save(folder / "vectors.npy", found)


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    side = {"pecanpy": Pecanpy, "gensim": Gensim}[sys.argv[1]](folder, json.loads((folder / "asked.json").read_text()))
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "keep":
            side.keep(folder)
        else:
            if isinstance(side, Gensim) and line.strip() == "prepare":
                side.prepare()
            else:
                side.work()
        print("done", flush=True)

"""PlantedRec: every explanation method in every world whose truth is known exactly, with floors and intervals.

python benchmarks/leaderboard.py   needs no data; less than three minutes on one thread

First on the planted functions themselves, then on networks that learned them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from record import recorded

import whyrec as wr
from whyrec.figures.heat_map import heat_map
from whyrec.planted_scores import SCORES
from whyrec.standings import Leaderboard

HERE = Path(__file__).parent
PICTURES = HERE.parent / "docs" / "images"
TIERS = {"planted": "The planted functions themselves", "trained": "Networks that learned them"}


def page(boards: dict[str, Leaderboard]) -> str:
    """The leaderboards as Markdown."""
    contest = boards["planted"].settings
    head = f"# PlantedRec\n\n{contest.lists} users in each world, seed {contest.seed}. In brackets: not shown to beat "
    return head + "random relevances.\n\n" + "\n".join(_tier(TIERS[tier], board) for tier, board in boards.items())


def _tier(title: str, board: Leaderboard) -> str:
    """A table for each score, then why some methods do not apply somewhere."""
    tables = [f"### {score.what.capitalize()}\n\n{board.table(name)}\n" for name, score in SCORES.items()]
    refusals: dict[tuple[str, str], list[str]] = {}
    for entry in board.entries:
        if entry.not_applicable is not None:
            refusals.setdefault((entry.method, entry.not_applicable), []).append(entry.world.replace("_", " "))
    reasons = [f"- {method}, in {', '.join(worlds)}: {why}" for (method, why), worlds in refusals.items()]
    return "\n".join([f"## {title}\n", *tables, "### Not applicable\n", *reasons, ""])


torch.set_num_threads(1)
boards = {}
with recorded(__file__, "Explanation methods against the exact truth of twelve planted worlds") as found:
    for tier, title in TIERS.items():
        boards[tier] = wr.leaderboard(settings=wr.Contest(trained=tier == "trained"))
        print(title, boards[tier], sep="\n")
        found[tier] = boards[tier].to_json()
(HERE / "results" / "leaderboard.md").write_text(page(boards), encoding="utf-8")
for tier, score in (("planted", "rank"), ("planted", "leak"), ("trained", "rank")):
    heat_map(boards[tier], score).savefig(PICTURES / f"leaderboard-{tier}-{score}.png", dpi=120)

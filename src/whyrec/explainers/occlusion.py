"""Leave one out: take each unit away by itself and see how far the score falls."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whyrec.attribution import Attribution, account
from whyrec.coalitions import Players
from whyrec.question import Question


@dataclass(frozen=True)
class LeaveOneOut:
    """Exact about single removals; blind where two causes stand in for each other, and no promise that it adds up."""

    def __call__(self, question: Question) -> Attribution:
        players = Players(question)
        with torch.no_grad():
            target = question.value(question.inputs)
        drops = torch.where(players.present, target.unsqueeze(-1) - _without_each(players), 0.0).double()
        relevance = players.part(drops)
        present = {name: question.present(name) for name in question.parts}
        return Attribution(relevance, present, account(target, relevance), complete=False)


def _without_each(players: Players) -> Tensor:
    """The target without each player, (users, items, players)."""
    users, _ = players.question.shape
    all_but_one = ~torch.eye(players.count, dtype=torch.bool, device=players.present.device)
    keep = all_but_one[:, None, None, :].expand(-1, users, -1, -1)  # (players, users, 1, players)
    return players.worth(keep).permute(1, 2, 0)

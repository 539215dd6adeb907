"""Where an item stands in the catalogue when some past items are out of sight: what "in the list because of" means.

A score is not a rank: removing past items lowers other items' scores, too. Ranks are among the items that the user did
not know with the whole history; a removed past item does not come back as a rival. Ties count half.

    r_y = 1 + number of i with z_i > z_y + 1/2 number of i with z_i = z_y
"""

from __future__ import annotations

import torch
from torch import Tensor

from whyrec.coalitions import Players
from whyrec.errors import NotApplicable
from whyrec.question import Question
from whyrec.ranking import block_size
from whyrec.recommender import Recommender, Request, scores_of
from whyrec.targets import seen_of


class RankGame:
    """Ranks of the explained items with only some past items in sight. For models whose asked units are past items."""

    def __init__(self, players: Players) -> None:
        self.players, question = players, players.question
        model = _require_past_items(question)
        self._catalogue = torch.arange(len(model.items), device=model.device)[None]
        self._rivals = _unknown(model, question.request)  # (users, catalogue) bool

    @torch.no_grad()
    def rank(self, keep: Tensor) -> Tensor:
        """Rank of every explained item, (coalitions, users, items) float64, 1 the top.

        `keep` is (coalitions, users, items, players) bool, as `Players.worth` takes it.
        """
        model, request = self.players.question.model, self.players.question.request
        coalitions, users, items, _ = keep.shape
        rows = torch.arange(users, device=keep.device)[None, :, None].expand(coalitions, -1, items).reshape(-1)
        wanted = request.items.expand(users, -1)[None].expand(coalitions, -1, -1).reshape(-1)
        hidden = ~keep.reshape(len(rows), -1)
        found = []
        for block in torch.arange(len(rows), device=keep.device).split(block_size(model, model.floats_to_rank())):
            who = rows[block]
            also = hidden[block] if request.hidden is None else hidden[block] | request.hidden[who]
            asked = Request(request.users[who], self._catalogue, request.history[who], also, compact=True)
            found.append(_rank(scores_of(model, asked), wanted[block], self._rivals[who]))
        return torch.cat(found).view(coalitions, users, items)


def greedy_by_rank(game: RankGame, steps: int, among: int = 20) -> Tensor:
    """A ceiling of necessity by search: step by step the past item whose removal puts the explained one lowest.

    Rank of every player, (1, users, items, players), as `orders.greedy`. At each step the `among` players are tried
    whose removal by itself costs most of the target; where ranks are level, the one that costs more goes first.
    """
    players = game.players
    drops = players.single_drops().masked_fill(~players.present, -torch.inf)
    tried = drops.topk(min(among, players.count), dim=-1).indices  # (users, items, tried), the dearest first
    gone = torch.zeros_like(players.present)
    ranks = torch.full(players.present.shape, steps, dtype=torch.int64, device=gone.device)
    for step in range(steps):
        one_more = gone[None] | torch.nn.functional.one_hot(tried, players.count).bool().permute(2, 0, 1, 3)
        found = game.rank(players.present & ~one_more).permute(1, 2, 0)  # (users, items, tried)
        found = found.masked_fill(gone.gather(-1, tried) | ~players.present.gather(-1, tried), -torch.inf)
        best = tried.gather(-1, found.argmax(-1, keepdim=True))
        possible = found.amax(-1, keepdim=True) > -torch.inf
        ranks.scatter_(-1, best, torch.where(possible, step, ranks.gather(-1, best)))
        gone = gone.scatter(-1, best, possible | gone.gather(-1, best))
    return ranks[None]


def _require_past_items(question: Question) -> Recommender:
    kinds = {part: question.model.unit_kinds[part] for part in question.parts}
    if set(kinds.values()) != {"past item"} or len(kinds) != 1:
        asked = ", ".join(f"{part} ({kind})" for part, kind in kinds.items())
        raise NotApplicable(
            f"ranks without some units are defined for past items, and asked about are {asked}; "
            "choose a model with user='history', or a check of scores such as deletion"
        )
    return question.model


def _unknown(model: Recommender, request: Request) -> Tensor:
    """Items that were no past item of each user, as far as is known, (users, catalogue) bool."""
    seen, items = seen_of(model, request), len(model.items)
    rivals = torch.ones(len(seen), items + 1, dtype=torch.bool, device=seen.device)  # padding has a column of its own
    return rivals.scatter(1, torch.where(seen >= 0, seen, items), False)[:, :-1]


def _rank(scores: Tensor, wanted: Tensor, rivals: Tensor) -> Tensor:
    """Rank of one wanted item in each row among `rivals`, (rows,) float64."""
    own = scores.gather(1, wanted[:, None])
    others = rivals.scatter(1, wanted[:, None], False)
    ahead, level = ((scores > own) & others).sum(1), ((scores == own) & others).sum(1)
    return 1 + ahead.double() + 0.5 * level.double()

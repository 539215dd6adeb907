"""Somebody new in a model that knows users by id: a vector is solved from a few past items, nothing is trained.

    p = argmin  sum over past items j of log(1 + exp(-s_j))  +  m n / N  sum over all items i of log(1 + exp(s_i))
                + 1/2 (p - mean)' diag(1 / variance) (p - mean),          s_i = a_i . p + b_i

That is the loss the model was trained by, n past items with the m negatives each of them brings in expectation, while
all N items stay as they are. Mean and variance are those of the trained users' vectors: somebody of whom nothing is
known is the average user. The problem is convex, so it has one answer, which Newton's method finds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from whyrec.errors import NotApplicable
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind, spread
from whyrec.settings import settings

NEWTON_STEPS = 12
"""Ten reach single precision from the mean user; a finished search stays where it is."""

SHARES = (1.0, 0.5, 0.25, 0.0625, 0.0)
"""How much of a Newton step is tried; the one with the least loss is taken."""

LEAST_VARIANCE = 1e-6
AFFINE_TO = 1e-3
"""Relative error up to which a score counts as affine in the user's vector; single precision leaves 1e-6."""


class FoldedIn(Recommender):
    """A trained model whose users are what they took. Made by `fold_in`, not by hand.

    Past items are its inputs, so it recommends to somebody new, leave-one-out says what each past item brings, and
    counterfactuals take some away: each time the vector is solved anew. LRP has no rule for that and says so.
    """

    @settings
    class Settings:
        """What the trained model brings along."""

        factors: int = Field(ge=1)
        """Length of the vectors."""
        negatives: int = Field(ge=1)
        """m: items not taken that each taken one brought along in training."""

    settings: Settings
    belongs_elsewhere: ClassVar[bool] = True  # save the model itself, and fold in again

    vectors: Tensor  # (items, factors)
    offsets: Tensor  # (items,)
    mean: Tensor  # (factors,)
    precision: Tensor  # (factors,)

    def make(self, user_count: int, item_count: int) -> None:
        width = self.settings.factors
        self.register_buffer("vectors", torch.zeros(item_count, width))
        self.register_buffer("offsets", torch.zeros(item_count))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("precision", torch.ones(width))

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {"history": "past item", "item": "factor"}

    @property
    def history_limit(self) -> int:
        return len(self.items)

    @property
    def max_trained_drop(self) -> float:
        return 1.0  # every part of a history is solved for as a history of its own

    def floats_per_user(self, items: int) -> int:
        return items + (len(self.items) + self.settings.factors) * (self.settings.factors + len(SHARES))

    def embed(self, request: Request) -> Inputs:
        rows, index = request.item_rows()
        there = request.in_sight  # (users, length)
        past = request.history.clamp(min=0)
        both = torch.cat([self.vectors[past], self.offsets[past].unsqueeze(-1)], dim=-1) * there.unsqueeze(-1)
        return {
            "history": Part.of(both.unsqueeze(1), present=there.unsqueeze(1)),
            "item": Part.of(self.vectors[rows].unsqueeze(-1), index=index),
            "item_bias": Part.of(self.offsets[rows].unsqueeze(-1), index=index),
        }

    def score(self, inputs: Inputs) -> Tensor:
        item, bias = inputs["item"], inputs["item_bias"]
        match = (self._user(inputs["history"]) * spread(item.values.squeeze(-1), item.index)).sum(-1)
        return match + spread(bias.values, bias.index).squeeze(-1)

    def rank_scores(self, request: Request) -> Tensor:
        """The same scores as one matrix product, where one list of items serves all users."""
        if request.items.shape[0] != 1:
            return self.score(self.embed(request))
        user = self._user(self.embed(request)["history"])[:, 0]
        return user @ self.vectors[request.items[0]].T + self.offsets[request.items[0]]

    def _user(self, past: Part) -> Tensor:
        """The best vector for each history, (users, items | 1, factors)."""
        vectors, offsets, there = past.values[..., :-1], past.values[..., -1], past.present
        spent = self.settings.negatives * there.sum(-1, keepdim=True) / len(self.offsets)  # m n / N
        user = self.mean.expand(*there.shape[:-1], -1)
        for _ in range(NEWTON_STEPS):
            way = self._newton_step(user, vectors, offsets, there, spent)
            tried = torch.stack([user - share * way for share in SHARES])  # (shares, users, items | 1, factors)
            best = self._loss(tried, vectors, offsets, there, spent).argmin(0, keepdim=True)
            user = torch.take_along_dim(tried, best.unsqueeze(-1), dim=0)[0]
        return user

    def _newton_step(self, user: Tensor, vectors: Tensor, offsets: Tensor, there: Tensor, spent: Tensor) -> Tensor:
        """Inverse Hessian times gradient of the loss, like `user`."""
        own = torch.sigmoid((vectors @ user.unsqueeze(-1)).squeeze(-1) + offsets)  # (..., length)
        every = torch.sigmoid(user @ self.vectors.T + self.offsets)  # (..., catalogue)
        pull = (((own - 1) * there).unsqueeze(-2) @ vectors).squeeze(-2)
        gradient = pull + (spent * every) @ self.vectors + self.precision * (user - self.mean)
        curved = (vectors * (own * (1 - own) * there).unsqueeze(-1)).mT @ vectors
        curved = curved + (self.vectors * (spent * every * (1 - every)).unsqueeze(-1)).mT @ self.vectors
        step: Tensor = torch.linalg.solve(curved + torch.diag(self.precision), gradient)
        return step

    def _loss(self, user: Tensor, vectors: Tensor, offsets: Tensor, there: Tensor, spent: Tensor) -> Tensor:
        own = F.softplus(-(vectors @ user.unsqueeze(-1)).squeeze(-1) - offsets) * there
        every = F.softplus(user @ self.vectors.T + self.offsets) * spent
        return own.sum(-1) + every.sum(-1) + (self.precision * (user - self.mean).square()).sum(-1) / 2


@torch.no_grad()
def fold_in(model: Recommender) -> FoldedIn:
    """A model that knows users by id, as one that knows them by what they took; the trained one stays as it is.

    For models whose score is affine in the user's vector (MF, GMF), trained with `loss="log"`.

    >>> import whyrec as wr
    >>> split = wr.leave_last_out(wr.planted(users=60, items=60))
    >>> model = wr.fit(wr.MF(factors=4, user="id"), split, wr.Training(epochs=5))
    >>> len(wr.recommend(wr.fold_in(model), history=model.items.vocabulary.ids([3, 5]), k=3).lines(0))
    3
    """
    known, trained_by = model.require_built().require_known(), model.trained_by
    if "user" not in model.unit_kinds:
        raise NotApplicable(f"this {type(model).__name__} has no vector of each user to solve; use it as it is")
    if trained_by is None or trained_by.loss != "log":
        raise NotApplicable(
            f"folding in solves the log loss, and this {type(model).__name__} was not trained by it; "
            "fit it with Training(loss='log'), or with user='history'"
        )
    vectors, offsets = _affine_items(model)
    people = torch.from_numpy(known.user_counts).nonzero()[:, 0].to(model.device)
    users = model.embed(Request(people, people.new_zeros(1, 1), people.new_empty(len(people), 0)))["user"].values
    folded = FoldedIn(factors=vectors.shape[1], negatives=trained_by.negatives)
    folded.build(model.users, model.items).to(offsets)
    folded.vectors, folded.offsets, folded.mean = vectors, offsets, users[:, 0, :, 0].mean(0)
    folded.precision = 1 / users[:, 0, :, 0].var(0, correction=0).clamp(min=LEAST_VARIANCE)
    folded.known, folded.trained_by = known, trained_by
    return folded


def _affine_items(model: Recommender) -> tuple[Tensor, Tensor]:
    """a and b of score = a . user + b for every item, (items, factors) and (items,), found by asking.

    Scores of the zero vector, of each unit vector, and of one more vector, which has to fit.
    """
    everything = torch.arange(len(model.items), device=model.device)[None]
    inputs = model.embed(Request(everything.new_zeros(1), everything, everything.new_empty(1, 0)))
    user = inputs["user"]
    width = user.values.shape[2]
    unit = torch.eye(width, dtype=user.values.dtype, device=model.device)
    last = torch.linspace(-1, 1, width + 2, dtype=unit.dtype, device=model.device)[None, 1:-1]
    asked = torch.cat([torch.zeros_like(last), unit, last])
    present = user.present.expand(len(asked), *user.present.shape[1:])
    scores = model.score({**inputs, "user": replace(user, values=asked[:, None, :, None], present=present)})
    offsets, vectors = scores[0], (scores[1:-1] - scores[0]).T
    error = (vectors @ last[0] + offsets - scores[-1]).abs().max()
    if error > AFFINE_TO * scores.abs().max().clamp(min=1e-6):
        raise NotApplicable(
            f"a score of {type(model).__name__} is not affine in the user's vector, so solving for it may have many "
            "answers; use MF or GMF, or train this model with user='history'"
        )
    return vectors, offsets

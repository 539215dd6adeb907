"""Small worlds for tests: events that are known, tiny models with random weights, scores written by hand.

Everything is made anew from its arguments and a seed; nothing is trained, downloaded or kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyrec import kinds
from whyrec.calls import Plan
from whyrec.dataset import Catalog, Column, Dataset
from whyrec.errors import NotApplicable, NotExplainableByMasking
from whyrec.explainers.intrinsic import Intrinsic
from whyrec.explainers.lrp import LRP
from whyrec.interactions import Interactions, Vocabulary
from whyrec.question import Question, ask
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind
from whyrec.relevance import Relevance, Taken
from whyrec.settings import settings
from whyrec.split import Split, leave_last_out

EVENTS = {
    "ada": "egg tea jam oat rye fig",
    "ben": "jam fig egg",
    "cyd": "nut oat tea jam pea rye egg",
    "dan": "rye pea",
    "eve": "fig nut tea egg",
}
"""What each user took, the first first."""
ITEMS = ("egg", "fig", "jam", "nut", "oat", "pea", "rye", "tea")
SMALL: Mapping[str, Mapping[str, object]] = {
    "ials": {"factors": 4},
    "attention_ncf": {"factors": 4, "depth": 2, "tokens": 2},
    "biased_mf": {"factors": 4},
    "masked_experts": {"width": 4, "hidden": (6,)},
    "ncf_regressor": {"factors": 4, "width": 8},
    "pooled_words": {"width": 4, "hidden": (6,), "vocabulary": 20},
    "proto_mf": {"factors": 4, "user_prototypes": 3, "item_prototypes": 3},
    "rating_item_knn": {"damping": 0.5},
    "rating_user_knn": {"damping": 0.5},
    "residual_hybrid": {"factors": 3, "width": 8},
    "text_classifier": {"width": 8, "layers": 1, "heads": 2, "vocabulary": 20, "max_pieces": 8},
    "text_rating": {"width": 4, "vocabulary": 20, "max_pieces": 6},
}
"""Settings that fit the pantry: with more factors than items iALS solves every score to zero, but for rounding, long
vectors of random numbers look at one token alone, all sets of factors can be tried of short ones, and where
little damps a quotient, the first step of a path holds nearly all of its way."""


Model = TypeVar("Model", bound=nn.Module)


def dataset() -> Dataset:
    """Five users and a newcomer without events, eight items, 22 events one second apart."""
    pairs = [(user, ITEMS.index(item)) for user, taken in enumerate(EVENTS.values()) for item in taken.split()]
    users, items = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    events = Interactions(
        users,
        items,
        times=np.arange(len(items), dtype=np.int64),
        user_count=len(EVENTS) + 1,
        item_count=len(ITEMS),
    )
    names = Vocabulary([*EVENTS, "flo"], kind="user")
    return Dataset("pantry", events, Catalog(names), Catalog(Vocabulary(ITEMS, kind="item")))


def split() -> Split:
    """The last event of each user with three or more for testing, the one before it for validation."""
    return leave_last_out(dataset())


def with_random_weights(model: Model, *, seed: int = 0) -> Model:
    """The same model in eval mode with every number drawn from N(0, 1/4), variances positive, volumes and bools 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=torch.float64) / 2)
            elif tensor.dtype is torch.bool:
                tensor.fill_(True)
        for name, tensor in model.named_buffers():
            if name.endswith("running_var"):
                tensor.abs_()
            if name.endswith("volume"):
                tensor.fill_(1.0)
    return model.eval()


def without_biases(model: Model) -> Model:
    """The same model with all that is called a bias at zero."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if "bias" in name:
                tensor.zero_()
    return model


VARIANTS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "attention_ncf, id": ("attention_ncf", {"factors": 4, "depth": 2, "tokens": 2, "user": "id", "product": False}),
    "biased_mf, past items": ("biased_mf", {"factors": 4, "implicit": True}),
    "ncf_regressor, past items and norm": ("ncf_regressor", {"factors": 4, "implicit": True, "batch_norm": True}),
    "residual_hybrid, past items": ("residual_hybrid", {"factors": 4, "implicit": True, "alpha": "learned"}),
    "masked_experts, in one matrix": ("masked_experts", {"width": 4, "hidden": (6,), "realisation": "matrix"}),
    "masked_experts, added up": ("masked_experts", {"width": 4, "hidden": (6,), "subsets": 2, "gate": "constant"}),
    "mlp, bilinear": ("mlp", {"factors": 4, "depth": 2, "interaction": "bilinear"}),
    "neumf, bilinear": ("neumf", {"factors": 4, "depth": 2, "interaction": "bilinear"}),
    "neumf, bilinear fusion": ("neumf", {"factors": 4, "depth": 2, "fusion": "bilinear"}),
}
"""Settings with which a model takes steps that it does not take as it comes: name -> model, settings."""


OF_TEXT = ("pooled_words", "text_classifier", "text_rating")
"""Models that read words of users or items."""


def with_texts(people: Catalog) -> Catalog:
    """The same rows with three or four words each."""
    words = ("plain", "dark", "very", "sweet", "old")
    lines = [" ".join(words[(row + step) % 5] for step in range(3 + row % 2)) for row in range(len(people))]
    texts = Column("text", "text", np.array(lines, dtype=object))
    return Catalog(people.vocabulary, people.titles, {**people.columns, "text": texts})


def built(
    name: str,
    *,
    values: Mapping[str, object] | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Recommender:
    """A model of models/, or a variant, that knows the pantry's training events and has random weights."""
    data = split()
    family, usual = VARIANTS.get(name, (name, SMALL.get(name, {})))
    model: Recommender = kinds.load("models", family)(**(values or usual))
    users, items = data.dataset.users, data.dataset.items
    if family in OF_TEXT:
        users, items = with_texts(users), with_texts(items)
    model.build(users, items, seed=seed).to(dtype)
    model.known = data.train
    return with_random_weights(model, seed=seed)


def request(model: Recommender, users: list[int] | None = None) -> Request:
    """Four items for each user, other ones for each, some of them in the user's past; the newcomer comes last."""
    rows = torch.arange(len(EVENTS) + 1) if users is None else torch.tensor(users)
    items = (rows[:, None] + torch.tensor([0, 2, 3, 5])) % len(ITEMS)
    return Request(rows, items, model.seen_by(rows))


def explainable_models() -> list[str]:
    """Models, and variants of them, that have something to explain by."""
    found = []
    for name in [*kinds.names("models"), *VARIANTS]:
        model = built(name)
        try:
            ask(model, request(model))
        except NotExplainableByMasking:
            continue
        found.append(name)
    return found


WITHOUT_RULES: tuple[str, ...] = ()
"""Models whose score takes a step that no relevance rule shares out."""


def models_with_rules() -> list[str]:
    """Models that LRP explains."""
    return [name for name in explainable_models() if name not in WITHOUT_RULES]


def models_that_are_no_sums() -> list[str]:
    """Models that say that their score is no sum of what each past item brings."""
    found = []
    for name in explainable_models():
        model = built(name)
        try:
            Intrinsic()(ask(model, request(model)))
        except NotApplicable:
            found.append(name)
    return found


Values = Mapping[str, Tensor]
Score = Callable[[Values], Tensor]


class Wired(Recommender):
    """A recommender whose inputs are given and whose score is a function of their values."""

    @settings
    class Settings:
        """There are none."""

    def __init__(self, score: Score, inputs: Inputs) -> None:
        super().__init__()
        self.function, self.inputs = score, inputs  # a torch module becomes a child, and so brings its weights

    def make(self, user_count: int, item_count: int) -> None:
        """Nothing to make."""

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return dict.fromkeys(self.inputs, "column")

    def embed(self, request: Request) -> Inputs:
        return {
            name: Part(part.values[request.users], part.present[request.users], part.baseline)
            for name, part in self.inputs.items()
        }

    def score(self, inputs: Inputs) -> Tensor:
        score: Tensor = self.function({name: part.values for name, part in inputs.items()})
        return score


class AttentionPooling(Wired):
    """Past items weighed by how well they go with the item, (users, 1, past, channel), and a bias of the model."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__(lambda _values: torch.empty(0), inputs)
        self.value = with_random_weights(nn.Linear(3, 3).double(), seed=7)

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {"history": "past item", "item": "factor"}

    def attention(self, inputs: Inputs) -> Mapping[str, Tensor]:
        """Softmax over the past items that are there, (users, items, past)."""
        past, item = inputs["history"], inputs["item"].values.flatten(2)
        fit = item @ past.values[:, 0].transpose(-1, -2)
        weights = fit.masked_fill(~past.present, -1e9).softmax(-1)
        return {"history": weights.masked_fill(~past.present, 0.0)}  # nothing, where nobody is there

    def score(self, inputs: Inputs) -> Tensor:
        pooled = self.attention(inputs)["history"] @ self.value(inputs["history"].values[:, 0])
        score: Tensor = (pooled * inputs["item"].values.flatten(2)).sum(-1) + 0.5
        return score


def attention_pooling(*, parts: tuple[str, ...] | None = None) -> Question:
    """Ask an attention model about four users with up to five past items, and three items each."""
    there = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 0, 0, 0, 0]]).bool()[:, None]
    past = Part.of(noise(4, 1, 5, 3) * there[..., None], present=there)
    return asked_of(AttentionPooling({"history": past, "item": Part.of(noise(4, 3, 3, 1, seed=1))}), 4, 3, parts)


def wired(score: Score, values: Mapping[str, Tensor], *, parts: tuple[str, ...] | None = None) -> Question:
    """Ask how a score written by hand splits over inputs of shape (users, items | 1, *unit, channel)."""
    model = Wired(score, {name: Part.of(value) for name, value in values.items()})
    users, items = (max(value.shape[axis] for value in values.values()) for axis in (0, 1))
    return asked_of(model, users, items, parts)


def asked_of(model: Wired, users: int, items: int, parts: tuple[str, ...] | None) -> Question:
    people = Catalog(Vocabulary(range(users), kind="user"))
    model.build(people, Catalog(Vocabulary(range(items), kind="item")))
    rows = torch.arange(users)
    return ask(model, Request(rows, torch.arange(items).repeat(users, 1), rows.new_empty(users, 0)), parts=parts)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def network(*widths: int, bias: bool = True, seed: int = 0) -> nn.Sequential:
    """Linear layers with ReLU between them, float64, weights and biases far from zero."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Linear(wide, narrow, bias=bias), nn.ReLU()]
    return with_random_weights(nn.Sequential(*layers[:-1]).double(), seed=seed)


class Hybrid(nn.Module):
    """A product branch and a network branch on [user, item], joined by one linear layer."""

    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.tower = network(6, 5, 4, bias=bias)
        self.output = with_random_weights(nn.Linear(7, 1, bias=bias).double(), seed=1)

    def forward(self, parts: Values) -> Tensor:
        p, q = side_by_side(parts)
        joined = torch.cat([p * q, F.relu(self.tower(torch.cat([p, q], dim=-1)))], dim=-1)
        score: Tensor = self.output(joined).squeeze(-1)
        return score


class TwoTowers(nn.Module):
    """The same tower on both sides, and the dot product of what comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = network(3, 6, 4, bias=False)

    def forward(self, parts: Values) -> Tensor:
        p, q = side_by_side(parts)
        score: Tensor = (self.tower(p) * self.tower(q)).sum(-1)
        return score


class Gated(nn.Module):
    """GMF: a linear layer on the product."""

    def __init__(self) -> None:
        super().__init__()
        self.h = with_random_weights(nn.Linear(3, 1, bias=False).double())

    def forward(self, parts: Values) -> Tensor:
        p, q = side_by_side(parts)
        score: Tensor = self.h(p * q).squeeze(-1)
        return score


class Network(nn.Module):
    """MLP: a network on [user, item]."""

    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.net = network(6, 8, 4, 1, bias=bias)

    def forward(self, parts: Values) -> Tensor:
        score: Tensor = self.net(torch.cat(side_by_side(parts), dim=-1)).squeeze(-1)
        return score


class Residual(nn.Module):
    """A product, and a layer whose input is added to its output."""

    def forward(self, parts: Values) -> Tensor:
        p, q = side_by_side(parts)
        return (p * q + (q + F.relu(q))).sum(-1)


def side_by_side(parts: Values) -> list[Tensor]:
    """The parts' factors, (users, items, factor), each spread over the list."""
    values = [value.flatten(2) for value in parts.values()]
    return [value.expand(torch.broadcast_shapes(*(one.shape for one in values))) for value in values]


def pair(score: Callable[[Values], Tensor], *, users: int = 4, items: int = 3) -> Question:
    """A user's and an item's factors, three each, asked about together."""
    return wired(score, {"p": noise(users, 1, 3, 1), "q": noise(users, items, 3, 1, seed=1)})


def in_place(change: Callable[[Tensor], object], x: Tensor) -> Tensor:
    """What `x` is after a change in place, made to a copy that depends on it."""
    changed = x * 1.0
    change(changed)
    return changed


@dataclass(frozen=True)
class Followed:
    """What a function under the rules gave, and where the relevance of its output went."""

    value: Tensor  # (users, ...)
    seed: Tensor  # like value: how much relevance each number of it stands for, per unit
    relevance: tuple[Tensor, ...]  # one for each leaf, like it
    bias: Tensor  # (users,)
    stabilizer: Tensor  # (users,)
    reference: Tensor  # (users,)

    @property
    def inputs(self) -> Tensor:
        """What all leaves got; (users,)."""
        return torch.stack([one.flatten(1).sum(1) for one in self.relevance]).sum(0)

    @property
    def gap(self) -> float:
        """The largest |seeded output - relevance - bias - stabiliser| of a user, relative to what was shared out."""
        target = (self.value * self.seed).reshape(len(self.value), -1).sum(1)
        missing = (target - self.inputs - self.bias - self.stabilizer - self.reference).abs()
        spent = torch.stack([one.abs().flatten(1).sum(1) for one in self.relevance]).sum(0) + self.bias.abs()
        return float((missing / torch.maximum(target.abs(), spent).clamp(min=1e-300)).max())


def follow(
    function: Callable[..., Tensor],
    *leaves: Tensor,
    epsilon: float = 0.0,
    plan: Plan | None = None,
    seed: Tensor | None = None,
    layers: int | None = None,
) -> Followed:
    """Run a function of leaves, users their first axis, under the rules of a plan (LRP's), and share its output out."""
    opened = [leaf.clone().requires_grad_() for leaf in leaves]
    taken = Taken((len(leaves[0]),))
    with Relevance(LRP(epsilon).rules if plan is None else plan, taken, layers=layers) as mode:
        for leaf in opened:
            mode.follow(leaf)
        value = function(*opened)
    assert mode.is_live(value), "the function's result does not depend on its leaves"
    seed = torch.ones_like(value) if seed is None else seed
    carriers = mode.carriers(opened)
    asked = [*opened, *(one for one in carriers if one is not None)]
    gradients = list(torch.autograd.grad(value, asked, seed, materialize_grads=True))
    written = iter(gradients[len(opened) :])
    relevance = tuple(
        (leaf * slope).detach() + (0.0 if carrier is None else next(written))
        for leaf, slope, carrier in zip(opened, gradients, carriers, strict=False)
    )
    return Followed(value.detach(), seed, relevance, *taken.settle())


def expect_twins(odd: Callable[..., Tensor], plain: Callable[..., Tensor], *leaves: Tensor) -> None:
    """Both ways have one value and share it alike, with and without a stabiliser, and leave no gap."""
    for epsilon in (0.0, 0.1):
        one, other = (follow(way, *leaves, epsilon=epsilon) for way in (odd, plain))
        assert one.gap <= 1e-12
        for ours, theirs in (
            (one.value, other.value),
            *zip(one.relevance, other.relevance, strict=True),
            (one.bias, other.bias),
            (one.stabilizer, other.stabilizer),
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-13)

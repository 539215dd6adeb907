"""A module that was trained elsewhere becomes a recommender: every explainer and every check runs on it.

What its users and items are depends on what the module takes and gives.

    one table of rows, one output       rows are users, the output is the only item
    one table of rows, many outputs     rows are users, outputs (classes) are items
    tables of users and of items        every pair is a row for the module, which gives it one score
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Never

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from whyrec.dataset import Catalog
from whyrec.errors import InvalidSetting, NotApplicable, WhyrecError
from whyrec.interactions import Id, Interactions, Vocabulary
from whyrec.named_inputs import NamedInput, Side
from whyrec.recommender import Inputs, Part, Recommender, Request, UnitKind
from whyrec.settings import settings

OUTPUT = "output"
"""The part that says which output of the module each place of a list asks for."""

PROBED = 2
"""Rows that the module is tried on; more than one, so that an output that has lost its rows is noticed."""

Score = Callable[..., Tensor]


def adapt(
    module: nn.Module | Score,
    parts: Mapping[str, NamedInput],
    *,
    users: Catalog | Sequence[Id] | None = None,
    items: Catalog | Sequence[Id] | None = None,
    score: Score | None = None,
    known: Interactions | None = None,
    max_trained_drop: float = 0.0,
) -> TrainedModule:
    """A recommender that scores with a trained `module`, which stays as it is.

    `parts` names what the module takes, in the order of its arguments. The rows of tables of users are the users, and
    what is ranked for them are the rows of tables of items or, where there are none, the module's outputs; `users` and
    `items` are their ids or catalogs, else they are numbered. The module gives one number a row, or one for each
    output: logits or ratings, no probabilities. Where it gives something else, `score(module, *tensors)` does, with the
    module it is handed. `known` are events to leave out of lists, and `max_trained_drop` is the largest share of the
    units that training hid, by dropout on the inputs for example.

    A plain function instead of a module can be explained by taking units away, not by gradients or rules, unless it is
    made of PyTorch operations; without weights to shuffle, one check of `verify` is left out and it says so.

    >>> from whyrec.explanation import explain
    >>> from whyrec.named_inputs import Columns
    >>> from whyrec.recommendations import recommend
    >>> net = nn.Linear(2, 1).eval()
    >>> _ = net.weight.data.copy_(torch.tensor([[3.0, -1.0]])), net.bias.data.zero_()
    >>> model = adapt(net, {"person": Columns(torch.tensor([[1.0, 2.0], [0.0, 1.0]]), ["age", "income"])})
    >>> print(explain(model, recommend(model, users=[0], k=1)))
    0: score (1.00) because of age +3.00, income -2.00
    """
    _refuse_unusable(module, parts)
    model = TrainedModule(module, dict(parts), score or _plain_call, max_trained_drop)
    model.users = _catalog(users, _rows(parts, "user"), "user")
    model.outputs, model.row_floats = _probed(model)
    model.items = _catalog(items, _rows(parts, "item") or model.outputs, "item")
    model.known = _known(known, len(model.users), len(model.items))
    model.eval()
    if score is not None:
        _refuse_a_score_of_another_module(model)
    return model


class TrainedModule(Recommender):
    """A module trained elsewhere behind `embed` and `score`; made by `whyrec.adapt`."""

    @settings
    class Settings:
        """There are none: a trained module brings its own."""

    belongs_elsewhere = True
    outputs: int
    row_floats: int

    def __init__(
        self,
        module: nn.Module | Score,
        named: dict[str, NamedInput],
        call: Score,
        max_trained_drop: float,
    ) -> None:
        super().__init__()
        self.module, self.named, self.call = module, named, call
        self._trained_drop = max_trained_drop

    def make(self, user_count: int, item_count: int) -> Never:
        """There is nothing to make."""
        raise NotApplicable(
            "a trained module brings its weights and cannot be built anew; train it in its own code, then adapt it"
        )

    @property
    def unit_kinds(self) -> Mapping[str, UnitKind]:
        return {name: one.kind for name, one in self.named.items()}

    @property
    def max_trained_drop(self) -> float:
        return self._trained_drop

    @property
    def scores_pairs(self) -> bool:
        """Whether the module takes a user and an item, and not a user alone."""
        return any(one.of == "item" for one in self.named.values())

    def floats_per_user(self, items: int) -> int:
        return self.row_floats * items if self.scores_pairs else self.row_floats + items

    def embed(self, request: Request) -> Inputs:
        if (request.users < 0).any():
            raise NotApplicable(
                "a trained module knows somebody new by a row of its tables only; add the row, and adapt it again"
            )
        rows = {"user": request.users[:, None], "item": request.items}
        parts = {name: one.part(rows[one.of]) for name, one in self.named.items()}
        if not self.scores_pairs:
            asked = request.items[:, :, None, None]  # as numbers of the parts' type: a part is floating point
            parts[OUTPUT] = Part.of(asked.to(next(iter(parts.values())).values.dtype))
        return parts

    def score(self, inputs: Inputs) -> Tensor:
        values = [inputs[name].values for name in self.named]
        users, items = torch.broadcast_shapes(*(one.shape[:2] for one in values))
        rows = [one.expand(users, items, *one.shape[2:]).flatten(0, 1) for one in values]
        found = self.call(self.module, *(one.tensor(x) for one, x in zip(self.named.values(), rows, strict=True)))
        outputs = found.reshape(users, items, -1)
        if self.scores_pairs:
            return outputs.squeeze(-1)
        asked = inputs[OUTPUT].values.flatten(2).long()  # (users | 1, places, 1)
        return torch.take_along_dim(outputs, asked, dim=-1).squeeze(-1)

    def unit_title(self, part: str, unit: int, *, user: int, item: int) -> str:
        one = self.named[part]
        return one.title(user if one.of == "user" else item, unit)


def _plain_call(module: Score, *tensors: Tensor) -> Tensor:
    return module(*tensors)


def _refuse_unusable(module: nn.Module | Score, parts: Mapping[str, NamedInput]) -> None:
    if OUTPUT in parts or not any(one.of == "user" for one in parts.values()):
        raise InvalidSetting(
            f"parts has {', '.join(map(repr, parts)) or 'nothing'}: name at least one table of users (of='user'), and "
            f"none {OUTPUT!r}, which is what the module gives"
        )
    for side in ("user", "item"):
        lengths = {name: len(one) for name, one in parts.items() if one.of == side}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{name!r} has {length:,}" for name, length in lengths.items())
            raise InvalidSetting(f"tables of {side}s have a row for each {side}, in one order, but {found} rows")
    if isinstance(module, nn.Module) and any(one.training for one in module.modules()):
        raise WhyrecError("the module is in train mode, where dropout makes scores random; call module.eval() first")


def _rows(parts: Mapping[str, NamedInput], side: Side) -> int:
    """Rows of the tables of one side; 0 where there are none."""
    return next((len(one) for one in parts.values() if one.of == side), 0)


def _catalog(given: Catalog | Sequence[Id] | None, rows: int, side: Side) -> Catalog:
    if given is None:
        given = ["score"] if side == "item" and rows == 1 else range(rows)
    catalog = given if isinstance(given, Catalog) else Catalog(Vocabulary(given, kind=side))
    if len(catalog) != rows:
        raise InvalidSetting(f"{side}s names {len(catalog):,} {side}s, and the parts and the module have {rows:,}")
    return catalog


def _known(given: Interactions | None, users: int, items: int) -> Interactions:
    """What to leave out of lists: nothing, where nothing is given."""
    if given is None:
        nothing = np.zeros(0, dtype=np.int64)
        return Interactions(nothing, nothing, user_count=users, item_count=items)
    if (given.user_count, given.item_count) != (users, items):
        raise InvalidSetting(
            f"known are events of {given.user_count:,} users and {given.item_count:,} items, and the model has "
            f"{users:,} and {items:,}; count rows as the tables do"
        )
    return given


class _Widest(TorchFunctionMode):
    """While open, notes the most numbers that any operation gives for one row."""

    floats = 1

    def __torch_function__(
        self, function: Score, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        if isinstance(found, Tensor) and found.ndim and found.shape[0] == PROBED:
            self.floats = max(self.floats, found.numel() // PROBED)
        return found


@torch.no_grad()
def _probed(model: TrainedModule) -> tuple[int, int]:
    """How many outputs the module gives for a row, and how many numbers it holds for it at its widest."""
    first = torch.zeros(PROBED, 1, dtype=torch.int64, device=model.device)
    with _Widest() as widest:
        tensors = [one.tensor(one.part(first).values.flatten(0, 1)) for one in model.named.values()]
        found = model.call(model.module, *tensors)
    shape = tuple(found.shape) if isinstance(found, Tensor) else None
    if shape is None or len(shape) not in (1, 2) or shape[0] != PROBED or not found.is_floating_point():
        raise InvalidSetting(
            f"for {PROBED} rows the module gave {type(found).__name__ if shape is None else shape}; it has to give "
            f"floats of shape ({PROBED},) or ({PROBED}, outputs): take them with score=lambda module, *x: ..."
        )
    outputs = found.numel() // PROBED
    if model.scores_pairs and outputs != 1:
        raise InvalidSetting(
            f"for a user and an item the module gave {outputs} numbers; say with score=lambda module, *x: ... which one"
        )
    return outputs, widest.floats


@torch.no_grad()
def _refuse_a_score_of_another_module(model: TrainedModule) -> None:
    """Weights of zero must make a difference, or shuffled ones and those in double precision would make none either."""
    weights = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    row = torch.zeros(1, dtype=torch.int64, device=model.device)
    inputs = model.embed(Request(row, torch.arange(len(model.items), device=model.device)[None, :1], row[:, None] - 1))
    nothing = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    if weights and torch.func.functional_call(model, nothing, (inputs,)).equal(model.score(inputs)):
        raise InvalidSetting(
            "score= does not use the weights of the module it is handed; write score=lambda module, x: module(x)[:, 0] "
            "with that very argument, or checks that change weights would change nothing"
        )

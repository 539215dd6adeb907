"""Methods side by side on the same scores: what each says that a column brings, where they agree, what they cost.

Means are over the explained places of each user's list, then over users, with intervals over users. Methods have
different units (a first layer's weights are no logits), so they are compared by sign, by rank and by share:

    share of a column = mean contribution / sum over columns of |mean contribution|
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from whyrec.attribution import Attribution, account
from whyrec.backward import input_times_gradient, open_leaves, with_values
from whyrec.dataset import Catalog, Column
from whyrec.errors import InvalidSetting, NotApplicable
from whyrec.explanation import Explanations
from whyrec.question import Question
from whyrec.spearman import spearman, unit_correlation
from whyrec.statistics import Array, Estimate, mean_interval

Sign = Literal["for", "against", "differ", "not told"]

FEWEST = 10
"""Users who have a value, at least: the mean of fewer is hardly more than their chance."""


@dataclass(frozen=True, eq=False)
class SideBySide:
    """One row an input (a column, or a value of one), one entry a method. Printing it shows the table."""

    inputs: tuple[str, ...]
    means: Mapping[str, tuple[Estimate, ...]]
    """Method -> mean contribution of each input, in the method's own unit."""
    agreement: Array  # (methods, methods) Spearman over the units of a score, mean over scores; of values: of the means
    milliseconds: Mapping[str, float]
    """What a method takes for one explained score."""
    of: str = ""
    """The column whose values the inputs are; none where they are columns."""

    @property
    def methods(self) -> tuple[str, ...]:
        """In the order in which they were given."""
        return tuple(self.means)

    def shares(self, method: str) -> Array:
        """Mean contributions as parts of the method's total size, (inputs,)."""
        values = np.array([one.value for one in self.means[method]])
        found: Array = values / max(float(np.nansum(np.abs(values))), 1e-300)  # NaN: an input that nobody has
        return found

    def sign(self, place: int) -> Sign:
        """What the methods make of an input.

        *For* and *against* where all of them say so, beyond their intervals; *differ* where one says for and another
        against; *not told* where an interval has both signs and no two methods are opposed.
        """
        found = {_sign(row[place]) for row in self.means.values()}
        if {1, -1} <= found:
            return "differ"
        return "not told" if 0 in found else ("for" if found == {1} else "against")

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "of": self.of,
            "inputs": [
                {
                    "title": title,
                    "sign": self.sign(place),
                    **{method: row[place].to_json() for method, row in self.means.items()},
                }
                for place, title in enumerate(self.inputs)
            ],
            "shares": {method: self.shares(method).tolist() for method in self.methods},
            "agreement": self.agreement.tolist(),
            "milliseconds": dict(self.milliseconds),
        }

    def __str__(self) -> str:
        wide = max(map(len, (*self.inputs, "milliseconds")))
        columns = [max(len(method), 7) for method in self.methods]
        head = "  ".join(f"{method:>{size}}" for method, size in zip(self.methods, columns, strict=True))
        lines = [f"{'':<{wide}}  {head}  all methods"]
        shares = [self.shares(method) for method in self.methods]
        for place, title in enumerate(self.inputs):
            cells = "  ".join(f"{one[place]:>{size}.3f}" for one, size in zip(shares, columns, strict=True))
            lines.append(f"{title:<{wide}}  {cells}  {self.sign(place)}")
        costs = "  ".join(f"{one:>{size}.3f}" for one, size in zip(self.milliseconds.values(), columns, strict=True))
        return "\n".join([*lines, f"{'milliseconds':<{wide}}  {costs}"])


def side_by_side(explanations: Mapping[str, Explanations]) -> SideBySide:
    """Mean contribution of every column by every method; `explanations` are those of one and the same lists, by name.

    >>> import whyrec as wr
    >>> split = wr.leave_last_out(wr.planted(users=100, items=60))
    >>> model = wr.fit(wr.FeatureMLP(ids=False), split, wr.Training(epochs=1))
    >>> lists = wr.recommend(model, k=2)
    >>> methods = {"LRP": wr.LRP(), "ablation": wr.LeaveOneOut()}
    >>> found = side_by_side({name: wr.explain(model, lists, method) for name, method in methods.items()})
    >>> found.inputs
    ('age', 'gender', 'occupation', 'genres', 'year')
    """
    _refuse_other_lists(explanations)
    first = next(iter(explanations.values()))
    units = _units(first)
    titles = tuple(first.unit_title(part, unit, user=-1, item=-1) for part, unit in units)
    masks = [first.attribution.present[part].flatten(2)[..., unit] for part, unit in units]
    return _table(explanations, titles, units, masks)


def by_value(explanations: Mapping[str, Explanations], column: str, *, most: int = 12) -> SideBySide:
    """Mean contribution of a column for each of its values, those with most users first, at most `most`.

    A list of words, such as genres, counts for each of its words; numbers are parted at their quartiles.
    """
    _refuse_other_lists(explanations)
    if most < 1:
        raise InvalidSetting(f"most={most}: at least one value has to be shown")
    first = next(iter(explanations.values()))
    part, unit = _unit_called(first, column)
    lists = first.recommendations
    catalog, rows = (
        (lists.items, lists.item_rows)
        if column in lists.items.columns
        else (lists.users, lists.user_rows[:, None].expand_as(lists.item_rows))
    )
    there = first.attribution.present[part].flatten(2)[..., unit].cpu() & lists.present & (rows >= 0)
    masks = {value: there & torch.from_numpy(of)[rows] for value, of in _values(catalog, column).items()}
    common = sorted(masks, key=lambda value: -int(masks[value].any(1).sum()))[:most]
    shown = [value for value in common if int(masks[value].any(1).sum()) >= FEWEST]
    if not shown:
        raise NotApplicable(f"no value of {column!r} is that of {FEWEST} or more of the explained users; explain more")
    return _table(explanations, tuple(shown), [(part, unit)] * len(shown), [masks[value] for value in shown], column)


def first_layer(question: Question) -> Attribution:
    """What each unit brings to the first dense layer that reads it, the mean over the numbers of that layer.

    The *learned weights* of a network as an explanation: it knows nothing of what later layers make of them, and is
    in no unit of the score. Raises `NotApplicable` for models without such a layer.
    """
    leaves = open_leaves(question)
    with torch.enable_grad(), _Dense() as dense:
        target = question.value(with_values(question.inputs, leaves))
    found = (_first(dense.outputs, leaf) for leaf in leaves.values())
    firsts = {id(first): first for first in found if first is not None}
    if not firsts or any(one.ndim != 3 for one in firsts.values()):
        raise NotApplicable(
            f"{type(question.model).__name__} has no dense layer that reads {' and '.join(question.parts)} before "
            "anything else does; choose another method, for example GradientTimesInput"
        )
    with torch.enable_grad():
        brought = torch.stack([one.mean(-1).expand(question.shape) for one in firsts.values()]).sum(0)
    relevance = input_times_gradient(question, leaves, brought)
    present = {name: question.present(name) for name in question.parts}
    return Attribution(relevance, present, account(target, relevance), complete=False)


class _Dense(TorchFunctionMode):
    """While open, keeps what dense layers give that depends on an explained input."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[Tensor] = []

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        if function is F.linear and args[0].requires_grad:
            self.outputs.append(found)
        return found


def _first(outputs: Sequence[Tensor], leaf: Tensor) -> Tensor | None:
    """The first output that depends on a leaf."""
    for output in outputs:
        if torch.autograd.grad(output.sum(), leaf, retain_graph=True, allow_unused=True)[0] is not None:
            return output
    return None


def _refuse_other_lists(explanations: Mapping[str, Explanations]) -> None:
    if not explanations:
        raise InvalidSetting("there is no explanation to show; give at least one, by the name of its method")
    first, *others = explanations.values()
    for other in others:
        ours, theirs = first.recommendations, other.recommendations
        same = torch.equal(ours.item_rows, theirs.item_rows) and torch.equal(ours.user_rows, theirs.user_rows)
        if not same or first.attribution.relevance.keys() != other.attribution.relevance.keys():
            raise InvalidSetting("the methods explained different lists or parts; explain the same ones with each")
    for part, kind in first.kinds.items():
        if kind != "column":
            raise NotApplicable(f"{part!r} has {kind}s, which mean something else for each user; explain columns")


def _table(
    explanations: Mapping[str, Explanations],
    titles: tuple[str, ...],
    units: Sequence[tuple[str, int]],
    masks: Sequence[Tensor],
    of: str = "",
) -> SideBySide:
    means = {
        name: tuple(_mean(why, *unit, mask) for unit, mask in zip(units, masks, strict=True))
        for name, why in explanations.items()
    }
    scores = max(1, int(next(iter(explanations.values())).recommendations.present.sum()))
    costs = {name: 1000 * why.seconds / scores for name, why in explanations.items()}
    agreement = _agreement_of_means(means) if of else _agreement(explanations)
    return SideBySide(titles, means, agreement, costs, of)


def _agreement(explanations: Mapping[str, Explanations]) -> Array:
    """How alike two methods order the columns within a score."""
    found = [why.attribution for why in explanations.values()]
    return np.array([[float(unit_correlation(one, other).nanmean()) for other in found] for one in found])


def _agreement_of_means(means: Mapping[str, tuple[Estimate, ...]]) -> Array:
    """How alike two methods order the values of a column."""
    found = torch.tensor([[one.value for one in row] for row in means.values()], dtype=torch.float64)
    there = torch.ones(found.shape[1], dtype=torch.bool)
    return np.array([[float(spearman(one, other, there)) for other in found] for one in found])


def _mean(why: Explanations, part: str, unit: int, mask: Tensor) -> Estimate:
    """Over the places of a user's list where the mask holds, then over users."""
    found = why.attribution.relevance[part].flatten(2)[..., unit]
    mask = mask & why.recommendations.present.to(mask.device)
    sums, counts = (found * mask).sum(1), mask.sum(1)
    return mean_interval(torch.where(counts > 0, sums / counts.clamp(min=1), torch.nan).double().numpy())


def _sign(mean: Estimate) -> int:
    """1 or -1 where the whole interval has that sign."""
    return int(mean.low > 0) - int(mean.high < 0)


def _units(why: Explanations) -> list[tuple[str, int]]:
    """Part and position of each column."""
    there = why.attribution.present.items()
    return [(part, unit) for part, present in there for unit in range(present.flatten(2).shape[2])]


def _unit_called(why: Explanations, column: str) -> tuple[str, int]:
    names = {why.unit_title(*unit, user=-1, item=-1): unit for unit in _units(why)}
    lists = why.recommendations
    if column not in names or column not in {**lists.users.columns, **lists.items.columns}:
        there = [name for name in names if name in {**lists.users.columns, **lists.items.columns}]
        raise InvalidSetting(f"no explained column is called {column!r}; there are {', '.join(there) or 'none'}")
    return names[column]


def _values(catalog: Catalog, column: str) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Each value, and which rows of the catalog have it."""
    found = catalog.columns[column]
    if found.kind == "numeric":
        return _quarters(found)
    listed = [
        () if value is None else tuple(map(str, value)) if found.kind == "multi" else (str(value),)
        for value in found.values
    ]
    words = dict.fromkeys(word for one in listed for word in one)
    return {word: np.array([word in one for one in listed]) for word in words}


def _quarters(column: Column) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    values = column.values.astype(np.float64)
    ends = np.unique(np.nanquantile(values, (0, 0.25, 0.5, 0.75, 1)))
    found = {}
    for place, (low, high) in enumerate(pairwise(ends)):
        above = values >= low if place == 0 else values > low
        found[f"{low:g} to {high:g}"] = above & (values <= high)
    return found

"""Columns of users and items in groups that are seen together, by name.

    age            the column of that name, of users or of items, or of both where both have one
    user age       that of users only
    user id        the id, a column like others

A group of columns of one side is one part of a model's inputs, and one of both sides is two: a column is a unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

from torch import nn

from whyrec.column_inputs import ColumnInputs
from whyrec.dataset import Catalog
from whyrec.errors import InvalidSetting
from whyrec.experts import Half
from whyrec.interactions import Interactions
from whyrec.recommender import Inputs, Part, Request, vector

Side = Literal["user", "item"]
SIDES: tuple[Side, Side] = ("user", "item")

Groups = Mapping[str, tuple[str, ...]] | Literal["content", "columns"]
"""Names of columns by group; or everything that is known, `content`, beside the ids of user and item; or each column as
a group of its own."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Some columns of one side as a part."""

    group: int
    side: Side
    units: tuple[int, ...]


class ColumnGroups(nn.Module):
    """The columns of both catalogs, embedded, cut into the parts of groups."""

    def __init__(
        self, users: Catalog, items: Catalog, groups: Groups, *, width: int, dropout: float, init_std: float
    ) -> None:
        super().__init__()
        self.catalogs = {"user": users, "item": items}
        if not groups:
            raise InvalidSetting("groups: there are none; name columns by group, or choose 'content' or 'columns'")
        wanted = None if isinstance(groups, str) else {name: self._columns(name, groups[name]) for name in groups}
        self.columns = nn.ModuleDict()
        for side in SIDES:
            asked = None if wanted is None else [name for found in wanted.values() for at, name in found if at == side]
            if asked is None or asked:
                self.columns[side] = ColumnInputs(
                    self.catalogs[side],
                    width,
                    ids=f"{side} id" if asked is None or f"{side} id" in asked else None,
                    exclude=() if asked is None else [name for name in self._known(side) if name not in asked],
                    dropout=dropout,
                    init_std=init_std,
                )
        self.width = width
        chosen = wanted or (self._content() if groups == "content" else self._each())
        self.names = tuple(chosen)
        self.slices = self._sliced(chosen)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each group."""
        units = [0] * len(self.names)
        for one in self.slices.values():
            units[one.group] += len(one.units)
        return tuple(count * self.width for count in units)

    def units(self, side: Side) -> int:
        """How many columns of a side there are."""
        return len(self._inputs(side).names) if side in self.columns else 0

    def unit_names(self, part: str) -> tuple[str, ...]:
        """What the columns of a part are called."""
        one = self.slices[part]
        return tuple(self._inputs(one.side).names[unit] for unit in one.units)

    def learn_from(self, train: Interactions, fewest: int) -> None:
        """Learn no value that training hardly meets: it counts as missing."""
        for side, counts in (("user", train.user_counts), ("item", train.item_counts)):
            if side in self.columns:
                self._inputs(side).learn_from(counts.nonzero()[0], fewest)

    def parts(self, request: Request) -> Inputs:
        """The parts of all groups."""
        whole = {
            side: self._inputs(side).part(*(request.user_rows() if side == "user" else request.item_rows()))
            for side in self.columns
        }
        return {name: _cut(whole[one.side], one.units) for name, one in self.slices.items()}

    def halves(self, inputs: Inputs) -> list[list[Half]]:
        """The channels of each group, those of users and those of items apart."""
        found: list[list[Half]] = [[] for _ in self.names]
        for name, one in self.slices.items():
            found[one.group].append((vector(inputs[name]), inputs[name].index))
        return found

    def title(self, part: str, unit: int, *, user: int, item: int) -> str:
        """What to call a unit of a part, with what it holds for a user and an item."""
        one = self.slices[part]
        return self._inputs(one.side).title(one.units[unit], user if one.side == "user" else item)

    def _columns(self, group: str, names: tuple[str, ...]) -> list[tuple[Side, str]]:
        """The side and the name of each column that a group names."""
        found: list[tuple[Side, str]] = []
        for name in names:
            at = [(side, name) for side in SIDES if name in self._known(side)]
            at = at or [(side, name.removeprefix(f"{side} ")) for side in SIDES if name.startswith(f"{side} ")]
            at = [(side, column) for side, column in at if column in self._known(side)]
            if not at:
                known = (*self._known("user"), *self._known("item"))
                raise InvalidSetting(f"groups: {group!r} names {name!r}, and the columns are {', '.join(known)}")
            found += at
        return found

    def _known(self, side: str) -> tuple[str, ...]:
        catalog = self.catalogs[side]
        year = () if catalog.titles is None or "year" in catalog.columns else ("year",)
        return (*catalog.columns, *year, f"{side} id")

    def _content(self) -> dict[str, list[tuple[Side, str]]]:
        """All that is known, then the ids."""
        ids: dict[str, list[tuple[Side, str]]] = {"item": [("item", "item id")], "user": [("user", "user id")]}
        known = [(side, name) for side in SIDES for name in self._inputs(side).names if name != f"{side} id"]
        return {"content": known, **ids} if known else ids

    def _each(self) -> dict[str, list[tuple[Side, str]]]:
        """Each column by itself; by its side's name, too, where both sides have one of that name."""
        both = set(self._inputs("user").names) & set(self._inputs("item").names)
        return {
            f"{side} {name}" if name in both else name: [(side, name)]
            for side in SIDES
            for name in self._inputs(side).names
        }

    def _sliced(self, wanted: Mapping[str, list[tuple[Side, str]]]) -> dict[str, Slice]:
        _refuse_shared(wanted)
        found: dict[str, Slice] = {}
        for place, (group, columns) in enumerate(wanted.items()):
            sides = [side for side in SIDES if any(at == side for at, _ in columns)]
            if not sides:
                raise InvalidSetting(f"groups: {group!r} names no column; leave it out")
            for side in sides:
                part = group if len(sides) == 1 else f"{group} of the {side}"
                if part in found:
                    raise InvalidSetting(f"groups: two would be called {part!r}; rename one")
                found[part] = Slice(place, side, tuple(self._unit(side, name) for at, name in columns if at == side))
        return found

    def _unit(self, side: Side, name: str) -> int:
        inputs = self._inputs(side)
        if name not in inputs.names:
            why = inputs.left_out.get(name, "it names no year of release")
            raise InvalidSetting(f"groups: {name!r} of the {side}s cannot be learned from: {why}")
        return inputs.names.index(name)

    def _inputs(self, side: str) -> ColumnInputs:
        return cast(ColumnInputs, self.columns[side])


def _refuse_shared(wanted: Mapping[str, list[tuple[Side, str]]]) -> None:
    """Raise where a column is in two groups: experts on one of them would see what the other is muted for."""
    taken: dict[tuple[Side, str], str] = {}
    for group, columns in wanted.items():
        for one in columns:
            if one in taken:
                raise InvalidSetting(
                    f"groups: {one[1]!r} of the {one[0]}s is in {taken[one]!r} and in {group!r}; a column belongs to "
                    "one group, and a subset may hold several groups"
                )
            taken[one] = group


def _cut(part: Part, units: tuple[int, ...]) -> Part:
    return replace(part, values=part.values[..., units, :], present=part.present[..., units])

"""What a trained module takes, cut into units that a person can name, and put together again for the module.

`Columns` is a table, `Patches` are images. Anything else is a class with the methods of `NamedInput`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, Self

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from whyrec.errors import InvalidSetting
from whyrec.recommender import Part, UnitKind

Side = Literal["user", "item"]


class NamedInput(Protocol):
    """One argument of a module: a table of rows, and how a row falls into units.

    `whyrec.adapt` copies models to shuffle their weights; give a class with large tables a `__deepcopy__` that returns
    the object itself, as those below have.
    """

    @property
    def of(self) -> Side:
        """Whose rows these are: those of the users, or those of the items."""

    @property
    def kind(self) -> UnitKind:
        """What a unit is."""

    def __len__(self) -> int:
        """Rows of the table."""

    def part(self, rows: Tensor) -> Part:
        """Units of some rows: rows (users, 1) or (users | 1, items) -> values (*rows, *unit, channel)."""

    def tensor(self, values: Tensor) -> Tensor:
        """What the module takes: values (rows, *unit, channel) -> (rows, ...). Plain PyTorch, so that relevance flows.

        A row that nobody changed comes out as it stands in the table.
        """

    def title(self, row: int, unit: int) -> str:
        """What to call a unit, with what it holds in a row where the row is not -1."""


@dataclass(frozen=True, eq=False)
class Columns:
    """A table whose columns have names, as a module takes it: (rows, columns), floating point.

    >>> scaled = torch.tensor([[0.5, 1, 0], [-0.5, 0, 1]])
    >>> people = Columns(scaled, {"age": 1, "drink": 2}, shown=[[43, "tea"], [21, "rum"]])
    >>> people.title(1, 0), people.title(1, 1)
    ('age = 21', 'drink = rum')
    >>> part = people.part(torch.tensor([[1]]))
    >>> part.values.shape, people.tensor(part.values[0]).tolist()
    (torch.Size([1, 1, 2, 2]), [[-0.5, 0.0, 1.0]])
    """

    table: Tensor  # (rows, columns)
    names: Sequence[str] | Mapping[str, int]
    """A name for each column, or name -> how many neighbouring columns hold it: a one-hot is one unit, never half."""
    of: Side = "user"
    baseline: Literal["mean", "zero"] | Tensor = "mean"
    """What stands in for a removed unit: the mean of its columns over the table, zeros, or a row of one's own."""
    shown: Sequence[Sequence[Any]] | None = None  # (rows, units)
    """What a person would write in each field, where the table holds it scaled or one-hot."""

    def __post_init__(self) -> None:
        _refuse_unusable(self.table, "Columns: table", axes=("rows", "columns"))
        if len(self.widths) != len(self.names):
            raise InvalidSetting("Columns: the same name stands twice; names tell the units apart")
        if sum(self.widths.values()) != self.table.shape[1]:
            raise InvalidSetting(
                f"Columns: the names cover {sum(self.widths.values())} columns and the table has "
                f"{self.table.shape[1]}; name every column once, a one-hot as name -> how many columns"
            )
        if self.shown is not None and len(self.shown) != len(self.table):
            raise InvalidSetting(f"Columns: shown has {len(self.shown):,} rows and the table {len(self.table):,}")

    def __deepcopy__(self, _memo: object) -> Self:
        return self  # frozen, and tables are large

    def __len__(self) -> int:
        return len(self.table)

    @property
    def kind(self) -> UnitKind:
        return "column"

    @cached_property
    def widths(self) -> dict[str, int]:
        """How many columns each unit has."""
        return dict(self.names) if isinstance(self.names, Mapping) else dict.fromkeys(self.names, 1)

    @cached_property
    def _places(self) -> Tensor:
        """Where each column stands among units times channel; (columns,)."""
        channel = max(self.widths.values())
        return torch.tensor(
            [unit * channel + one for unit, width in enumerate(self.widths.values()) for one in range(width)]
        )

    def part(self, rows: Tensor) -> Part:
        values = self._units(_taken(self.table, rows))
        present = torch.ones(values.shape[:-1], dtype=torch.bool, device=rows.device)
        return Part(values, present, self._units(_baseline(self.baseline, self.table)).to(rows.device))

    def _units(self, table: Tensor) -> Tensor:
        """(..., columns) -> (..., unit, channel), narrower units filled with zeros."""
        units, channel = len(self.widths), max(self.widths.values())
        wide = table.new_zeros(*table.shape[:-1], units * channel)
        wide[..., self._places.to(table.device)] = table
        return rearrange(wide, "... (unit channel) -> ... unit channel", unit=units)

    def tensor(self, values: Tensor) -> Tensor:
        wide = rearrange(values, "row unit channel -> row (unit channel)")
        return wide if wide.shape[1] == self.table.shape[1] else wide[:, self._places.to(values.device)]

    def title(self, row: int, unit: int) -> str:
        name = list(self.widths)[unit]
        return name if self.shown is None or row < 0 else f"{name} = {self.shown[row][unit]}"


@dataclass(frozen=True, eq=False)
class Patches:
    """Images cut into squares of `size` pixels: (rows, colours, height, width), floating point.

    >>> scans = Patches(torch.rand(3, 1, 8, 8), size=4)
    >>> part = scans.part(torch.tensor([[2]]))
    >>> part.values.shape, scans.title(2, 1)
    (torch.Size([1, 1, 2, 2, 16]), 'rows 1-4, columns 5-8')
    >>> torch.equal(scans.tensor(part.values[0]), scans.images[[2]])
    True
    """

    images: Tensor  # (rows, colours, height, width)
    size: int = 8
    """Side of a patch in pixels; 1 makes every pixel a unit."""
    of: Side = "user"
    baseline: Literal["mean", "zero", "blur"] | Tensor = "mean"
    """What stands in for a removed patch: the mean of all images there, zeros (black, where images are not centred),
    the image itself out of focus, or an image of one's own."""

    def __post_init__(self) -> None:
        _refuse_unusable(self.images, "Patches: images", axes=("rows", "colours", "height", "width"))
        height, width = self.images.shape[2:]
        if self.size < 1 or height % self.size or width % self.size:
            raise InvalidSetting(
                f"Patches: size={self.size} does not divide images of {height} x {width} pixels; choose one that does, "
                "or pad the images"
            )

    def __deepcopy__(self, _memo: object) -> Self:
        return self  # frozen, and images are large

    def __len__(self) -> int:
        return len(self.images)

    @property
    def kind(self) -> UnitKind:
        return "patch"

    def part(self, rows: Tensor) -> Part:
        images = _taken(self.images, rows)
        values = self._units(images)
        present = torch.ones(values.shape[:-1], dtype=torch.bool, device=rows.device)
        if isinstance(self.baseline, str) and self.baseline == "blur":
            return Part(values, present, self._units(_out_of_focus(images, self.size)))
        return Part(values, present, self._units(_baseline(self.baseline, self.images)).to(rows.device))

    def _units(self, images: Tensor) -> Tensor:
        """(..., colours, height, width) -> (..., down, across, channel)."""
        cut = "... colour (down high) (across wide) -> ... down across (colour high wide)"
        return rearrange(images, cut, high=self.size, wide=self.size)

    def tensor(self, values: Tensor) -> Tensor:
        whole = "row down across (colour high wide) -> row colour (down high) (across wide)"
        return rearrange(values, whole, high=self.size, wide=self.size)

    def title(self, row: int, unit: int) -> str:
        down, across = divmod(unit, self.images.shape[3] // self.size)
        top, left = down * self.size + 1, across * self.size + 1
        if self.size == 1:
            return f"row {top}, column {left}"
        return f"rows {top}-{top + self.size - 1}, columns {left}-{left + self.size - 1}"


def _taken(table: Tensor, rows: Tensor) -> Tensor:
    """Some rows of a table, where the rows are: only they travel to another device."""
    return table[rows.to(table.device)].to(rows.device)


def _baseline(wanted: str | Tensor, table: Tensor) -> Tensor:
    """One row like those of the table."""
    if isinstance(wanted, Tensor):
        if wanted.shape != table.shape[1:]:
            raise InvalidSetting(
                f"baseline has shape {tuple(wanted.shape)} and a row of the table {tuple(table.shape[1:])}; "
                "give one row, in the same units"
            )
        return wanted.to(table)
    if wanted not in ("mean", "zero"):
        raise InvalidSetting(f"baseline={wanted!r} cannot be taken; choose 'mean', 'zero' or, of images, 'blur'")
    return table.mean(0) if wanted == "mean" else torch.zeros_like(table[0])


def _out_of_focus(images: Tensor, size: int) -> Tensor:
    """Each pixel the mean of the square of about three patches' width around it; (..., colours, height, width)."""
    flat = images.flatten(0, -4)
    blurred = F.avg_pool2d(flat, 2 * size + 1, stride=1, padding=size, count_include_pad=False)
    return blurred.view_as(images)


def _refuse_unusable(table: Tensor, what: str, *, axes: tuple[str, ...]) -> None:
    if not (isinstance(table, Tensor) and table.is_floating_point()):
        found = f"a tensor of {table.dtype}" if isinstance(table, Tensor) else type(table).__name__
        raise InvalidSetting(f"{what} is {found}; give a floating-point tensor, such as torch.from_numpy(x).float()")
    if table.ndim != len(axes) or 0 in table.shape:
        raise InvalidSetting(f"{what} has shape {tuple(table.shape)}; its axes are ({', '.join(axes)}), none empty")
    if not torch.isfinite(table).all():
        raise InvalidSetting(f"{what} has a value that is not a finite number; fill in what is missing first")

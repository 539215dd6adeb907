"""Which inputs are seen together: subsets of named groups, and which of them lie inside which.

Afchar and Hennequin 2020, Making neural networks interpretable with attribution. Groups are inputs that belong
together; an expert sees the groups of one subset. A subset strictly inside another one is its child.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb

import torch
from torch import Tensor

from whyrec.errors import InvalidSetting

MOST_SUBSETS = 256
"""More experts than this are refused: nobody reads a reason that is one of a thousand."""


@dataclass(frozen=True)
class Lattice:
    """Chosen subsets of named groups; groups and subsets keep the order they come in.

    >>> lattice = Lattice(("content", "user"), (("content",), ("content", "user")))
    >>> lattice.titles, lattice.children
    (('content', 'content + user'), ((), (0,)))
    """

    groups: tuple[str, ...]
    subsets: tuple[tuple[str, ...], ...]
    below: tuple[tuple[int, int], ...] | None = None
    """Pairs (child, parent) of places of subsets, where children are not simply those strictly inside."""

    def __post_init__(self) -> None:
        _refuse_too_many(len(self.subsets), len(self.groups))
        for subset in self.subsets:
            self._refuse_strange(subset)
        alike = [frozenset(subset) for subset in self.subsets]
        if twice := [list(subset) for place, subset in enumerate(self.subsets) if alike[place] in alike[:place]]:
            raise InvalidSetting(f"the subset {twice[0]} stands twice; each would be the other's child; leave one out")
        if same := [title for place, title in enumerate(self.titles) if title in self.titles[:place]]:
            raise InvalidSetting(f"two subsets are both called {same[0]!r}; rename a group")
        for pair in self.below or ():
            if not all(0 <= place < len(self) for place in pair) or pair[0] == pair[1]:
                raise InvalidSetting(f"below: {pair}: give two places of the {len(self)} subsets, child and parent")

    @classmethod
    def up_to(cls, groups: Sequence[str], size: int) -> Lattice:
        """All subsets of at most `size` groups, the smallest first.

        >>> Lattice.up_to(("a", "b"), 2).titles
        ('a', 'b', 'a + b')
        """
        sizes = range(1, min(size, len(groups)) + 1)
        _refuse_too_many(sum(comb(len(groups), one) for one in sizes), len(groups))
        return cls(tuple(groups), tuple(some for one in sizes for some in combinations(groups, one)))

    @classmethod
    def around_first(cls, groups: Sequence[str]) -> Lattice:
        """All subsets that hold the first group, the smallest first.

        >>> Lattice.around_first(("content", "user", "item")).titles
        ('content', 'content + user', 'content + item', 'content + user + item')
        """
        first, others = groups[0], groups[1:]
        _refuse_too_many(1 << len(others), len(groups))
        rest = [some for size in range(len(others) + 1) for some in combinations(others, size)]
        return cls(tuple(groups), tuple((first, *some) for some in rest))

    def __len__(self) -> int:
        return len(self.subsets)

    @property
    def titles(self) -> tuple[str, ...]:
        """What to call each subset."""
        return tuple(" + ".join(subset) for subset in self.subsets)

    @cached_property
    def holds(self) -> Tensor:
        """Which groups each subset holds, (subsets, groups) bool."""
        return torch.tensor([[group in subset for group in self.groups] for subset in self.subsets])

    @cached_property
    def inside(self) -> Tensor:
        """`inside[t, s]`: t is a child of s, (subsets, subsets) bool."""
        if self.below is None:
            return contained(self.holds) & ~torch.eye(len(self), dtype=torch.bool)
        found = torch.zeros(len(self), len(self), dtype=torch.bool)
        for child, parent in self.below:
            found[child, parent] = True
        return found

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """For each subset the places of its children, in their order."""
        return tuple(tuple(column.nonzero()[:, 0].tolist()) for column in self.inside.T)

    @cached_property
    def readable(self) -> tuple[tuple[int, ...], ...]:
        """For each subset the places of those children that hold nothing it does not: all, unless `below` says else."""
        within = self.inside & contained(self.holds)
        return tuple(tuple(column.nonzero()[:, 0].tolist()) for column in within.T)

    def places(self, place: int) -> tuple[int, ...]:
        """Places of the groups that the subset at `place` holds, in the order of the groups."""
        return tuple(self.holds[place].nonzero()[:, 0].tolist())

    def _refuse_strange(self, subset: tuple[str, ...]) -> None:
        if not subset:
            raise InvalidSetting("an empty subset sees nothing; leave it out")
        if unknown := set(subset) - set(self.groups):
            raise InvalidSetting(
                f"the subset {list(subset)} names the group {min(unknown)!r}; the groups are {', '.join(self.groups)}"
            )
        if len(set(subset)) < len(subset):
            raise InvalidSetting(f"the subset {list(subset)} names a group twice; name each once")


def contained(holds: Tensor) -> Tensor:
    """`found[i, j]`: all that i holds is in j, too; from (subsets, groups) bool to (subsets, subsets) bool.

    >>> contained(torch.tensor([[1, 0], [0, 1], [1, 1]]).bool()).long().tolist()
    [[1, 0, 1], [0, 1, 1], [0, 0, 1]]
    """
    return ~(holds[:, None] & ~holds[None]).any(-1)


def block_mask(relation: Tensor, high: int, wide: int) -> Tensor:
    """Each entry of a relation as a block of `high` rows and `wide` columns of it.

    >>> block_mask(torch.tensor([[1, 1], [0, 1]]), 2, 3).tolist()
    [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]]
    """
    return torch.kron(relation, relation.new_ones(high, wide))


def _refuse_too_many(count: int, groups: int) -> None:
    if not 1 <= count <= MOST_SUBSETS:
        raise InvalidSetting(
            f"{count:,} subsets of {groups} groups: there must be 1 to {MOST_SUBSETS}; name the subsets, join groups, "
            "or give a smaller size"
        )

"""What people see of users and items (titles, columns), and the data set that holds it beside the events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

from whyrec.interactions import Id, Interactions, Vocabulary

ColumnKind = Literal["numeric", "category", "multi", "text"]


@dataclass(frozen=True, eq=False)
class Column:
    """One property of every user or item. `multi` values are tuples of words; a missing value is None or NaN."""

    name: str
    kind: ColumnKind
    values: NDArray[Any]  # (rows,)


@dataclass(frozen=True, eq=False)
class Catalog:
    """Users or items as people know them: ids, titles, columns.

    >>> items = Catalog(Vocabulary([7, 9], kind="item"), titles=("The Brass Orchard", "Nine Lanterns"))
    >>> items.title(1)
    'Nine Lanterns'
    """

    vocabulary: Vocabulary
    titles: tuple[str, ...] | None = None
    columns: Mapping[str, Column] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.vocabulary)

    def title(self, row: int) -> str:
        """What to call the thing at `row`: its title, or its id where it has none."""
        return str(self.vocabulary.ids([row])[0]) if self.titles is None else self.titles[row]

    def id(self, row: int) -> Id:
        """The id of the thing at `row`, as it came."""
        return self.vocabulary.ids([row])[0]


@dataclass(frozen=True, eq=False)
class Truth:
    """What causes what in a planted world; rows of items and users, strengths in logits. Real data has none."""

    causes: Mapping[tuple[int, int], float]
    """(past item, wanted item) -> strength."""
    pairs: Mapping[tuple[int, int, int], float]
    """(past item, past item, wanted item) -> strength, present only where both were seen."""
    columns: Mapping[tuple[str, str, str], float]
    """(user column, its value, item genre) -> strength."""
    decoy: int
    """An item that goes with everything and causes nothing."""

    def causes_of(self, item: int) -> dict[int, float]:
        """Past items that make `item` wanted, each with its strength; pairs give each side half."""
        found = {cause: strength for (cause, wanted), strength in self.causes.items() if wanted == item}
        for (first, second, wanted), strength in self.pairs.items():
            if wanted == item:
                for cause in (first, second):
                    found[cause] = found.get(cause, 0.0) + strength / 2
        return found


@dataclass(frozen=True, eq=False)
class Dataset:
    """Events with the catalogs of both sides, and where they came from."""

    name: str
    interactions: Interactions
    users: Catalog
    items: Catalog
    source: str = ""
    licence: str = ""
    findings: tuple[str, ...] = ()
    """What reading noticed and a person should know, one sentence each."""
    truth: Truth | None = None

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any event; the same on every machine."""
        return self.interactions.fingerprint()

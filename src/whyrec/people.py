"""Who is asked about: known, new, objecting to profiling or erased; looked up anew for every answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from whyrec.dataset import Catalog
from whyrec.errors import ProfilingRefused, UnknownId
from whyrec.interactions import Id
from whyrec.pseudonyms import Pseudonyms
from whyrec.record_store import RecordStore, Standing


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody an answer is about."""

    user: Id | None
    pseudonym: str | None
    row: int  # -1 for somebody new
    profiled: bool
    """Whether an answer may rest on their data."""


SOMEBODY_NEW = Asked(None, None, -1, True)


@dataclass(frozen=True, eq=False)
class People:
    """The users of a model, and how each may be treated. No answer about one ever names another."""

    users: Catalog
    pseudonyms: Pseudonyms
    store: RecordStore

    def asked(self, user: Id | None, *, new_is_fine: bool = False) -> Asked:
        """Who it is; raises `UnknownId` for whoever was never met, and for whoever was erased."""
        if user is None:
            return SOMEBODY_NEW
        standing = self.standing(user)
        if user not in self.users.vocabulary or standing == "erased":
            if new_is_fine:
                return Asked(user, None, -1, False)
            raise UnknownId(
                f"user {user!r} is not among the users of this model; send a history of past items, or ask for a list "
                "with non_profiling"
            )
        row = int(self.users.vocabulary.rows([user])[0])
        return Asked(user, self.pseudonyms.of(user), row, standing == "profiled")

    def profiled(self, user: Id | None) -> Asked:
        """Somebody whose data may be used; raises `ProfilingRefused` where they objected."""
        one = self.asked(user)
        if not one.profiled:
            raise ProfilingRefused(
                f"user {user!r} objected to profiling, so no answer rests on their past; "
                "ask POST /recommend for a list without profiling"
            )
        return one

    def standing(self, user: Id) -> Standing:
        """How a user may be treated now."""
        return self.store.standing(self.pseudonyms.of(user))

    def matches(self, search: str, limit: int) -> list[dict[str, Any]]:
        """Users whose id or title holds a text, in the order of the catalogue; none that were erased."""
        found = matches(self.users, search, limit)
        return [{"user": one["id"], "title": one["title"]} for one in found if self.standing(one["id"]) != "erased"]


def matches(catalog: Catalog, search: str, limit: int) -> list[dict[str, Any]]:
    """Ids and titles that hold a text, in any case, at most `limit` in the order of the catalogue."""
    wanted, found = search.casefold(), list[dict[str, Any]]()
    for row, name in enumerate(catalog.vocabulary.ids()):
        title = catalog.title(row)
        if wanted in title.casefold() or wanted in str(name).casefold():
            found.append({"id": name, "title": title})
            if len(found) == limit:
                break
    return found


def require_items(items: Catalog, ids: Sequence[Id]) -> None:
    """Raises `UnknownId` where one is unknown. Looks for no near ids: strangers ask often, and that takes long."""
    unknown = [one for one in ids if one not in items.vocabulary]
    if unknown:
        raise UnknownId(f"item {unknown[0]!r} is not among the items of this model; GET /items finds ids by title")

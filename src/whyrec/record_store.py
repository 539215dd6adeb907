"""Records on disk: only ever added, until they are too old or their user wants them gone; and who objected to what."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from whyrec.databases import ByAddress, Database, SQLite
from whyrec.errors import InvalidSetting, UnknownId
from whyrec.pseudonyms import secret_beside
from whyrec.records import Record, record_of

Standing = Literal["profiled", "objects", "erased"]
"""How a user may be treated: as the model would, without profiling, or as somebody never met."""

DAY = 24 * 60 * 60

SCHEMA = (
    """create table if not exists records (
           id text primary key, time double precision not null, kind text not null, subject text, item text,
           rank integer, score double precision, model text not null, input text not null, method text, verdict text,
           document text not null)""",
    "create index if not exists records_by_subject on records (subject)",
    "create index if not exists records_by_time on records (time)",
    "create table if not exists standings (subject text primary key, standing text not null, time double precision)",
    """create table if not exists cards (
           model text not null, method text not null, settings text not null, card text not null,
           primary key (model, method, settings))""",
)


class RecordStore:
    """Explanation records with the standing of users and the report cards their verdicts come from.

    Users are pseudonyms here; see `pseudonyms`. Safe to share between threads, and between processes.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, records: Sequence[Record]) -> None:
        """Add records, all or none; they are on disk when this returns."""
        self._database.transact([(_INSERT, _columns(record)) for record in records])

    def get(self, record: str) -> Record:
        """One record by its id."""
        found = self._database.query("select document from records where id = :id", {"id": record})
        if not found:
            raise UnknownId(f"there is no record {record!r}; it may be erased, or older than records are kept")
        return record_of(found[0][0])

    def of_user(self, user: str) -> list[Record]:
        """All records of a pseudonym, oldest first: what is held about a person."""
        found = self._database.query(
            "select document from records where subject = :subject order by time, id", {"subject": user}
        )
        return [record_of(text) for (text,) in found]

    def count(self) -> int:
        """How many records there are."""
        return int(self._database.query("select count(*) from records", {})[0][0])

    def delete_older_than(self, days: float) -> int:
        """Delete what is older; how many records went."""
        if not days > 0:
            raise InvalidSetting(f"days={days}: records are kept for longer than no time at all")
        limit = {"limit": time.time() - days * DAY}
        gone = self._database.transact([("delete from records where time < :limit", limit)])
        self._database.scrub()
        return gone

    def erase(self, user: str) -> int:
        """Delete every record of a pseudonym and treat it as never met from now on; how many records went."""
        gone = self._database.transact(
            [_stand(user, "erased"), ("delete from records where subject = :subject", {"subject": user})]
        )
        self._database.scrub()
        return gone

    def set_objection(self, user: str, *, objects: bool) -> None:
        """Note that a pseudonym objects to profiling, or no longer does. Whoever is erased stays so."""
        if self.standing(user) != "erased":
            self._database.transact([_stand(user, "objects" if objects else "profiled")])

    def standing(self, user: str) -> Standing:
        """How the user may be treated now."""
        found = self._database.query("select standing from standings where subject = :subject", {"subject": user})
        standing: Standing = found[0][0] if found else "profiled"
        return standing

    def keep_card(self, model: str, method: str, settings: str, card: dict[str, Any]) -> None:
        """Keep what was found about a method; the first finding stays."""
        values = {"model": model, "method": method, "settings": settings, "card": json.dumps(card)}
        self._database.transact([(_KEEP_CARD, values)])

    def card(self, model: str, method: str, settings: str) -> dict[str, Any] | None:
        """What was found about a method of a model by these settings; None where it was not judged yet."""
        values = {"model": model, "method": method, "settings": settings}
        sql = "select card from cards where model = :model and method = :method and settings = :settings"
        found = self._database.query(sql, values)
        card: dict[str, Any] | None = json.loads(found[0][0]) if found else None
        return card

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_stop: object) -> None:
        self.close()


def open_records(place: str | Path) -> RecordStore:
    """The records in a file, made where there is none, or at an address such as postgresql+pg8000://host/name."""
    database = ByAddress(str(place), SCHEMA) if "://" in str(place) else SQLite(Path(place), SCHEMA)
    return RecordStore(database)


def place_of_records(folder: Path, given: str = "") -> str:
    """Where the records of the model in `folder` are: at the given place, or else in a file beside it."""
    return given or str(folder.with_name(f"{folder.name}.records.sqlite"))


def secret_of_records(folder: Path, place: str) -> Path:
    """Where the secret of their pseudonyms is: beside the records, or beside the model where these are elsewhere."""
    return secret_beside(folder if "://" in place else Path(place))


_INSERT = """insert into records
    (id, time, kind, subject, item, rank, score, model, input, method, verdict, document) values
    (:id, :time, :kind, :subject, :item, :rank, :score, :model, :input, :method, :verdict, :document)"""

_KEEP_CARD = """insert into cards (model, method, settings, card) values (:model, :method, :settings, :card)
    on conflict (model, method, settings) do nothing"""

_STAND = """insert into standings (subject, standing, time) values (:subject, :standing, :time)
    on conflict (subject) do update set standing = excluded.standing, time = excluded.time"""


def _columns(record: Record) -> dict[str, Any]:
    """What can be searched for beside the document; of a list, which item stands where is in the document only."""
    place = record.places[0] if record.explained is not None else None
    return {
        "id": record.id,
        "time": record.time,
        "kind": record.kind,
        "subject": record.user,
        "item": None if place is None else str(place.item),
        "rank": None if place is None else place.rank,
        "score": None if place is None else place.score,
        "model": record.model,
        "input": record.input,
        "method": None if record.explained is None else record.explained.method,
        "verdict": None if record.explained is None else record.explained.verdict,
        "document": record.to_text(),
    }


def _stand(user: str, standing: Standing) -> tuple[str, dict[str, Any]]:
    return _STAND, {"subject": user, "standing": standing, "time": time.time()}

"""Where rows are kept: SQLite in a file, or PostgreSQL by its address. Both run the same statements."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from whyrec.errors import BadInput, NotApplicable

Values = Mapping[str, Any]
Statement = tuple[str, Values]
Row = tuple[Any, ...]

BUSY_SECONDS = 30
"""How long one process waits for another that is writing."""


class Database(Protocol):
    """Runs SQL with named parameters, `:name`."""

    def transact(self, statements: Sequence[Statement]) -> int:
        """All statements or none, on disk when this returns; how many rows the last one changed."""

    def query(self, sql: str, values: Values) -> list[Row]:
        """What a statement finds."""

    def scrub(self) -> None:
        """Leave nothing of deleted rows behind, as far as it is in our hands."""

    def close(self) -> None:
        """Let go of it."""


@dataclass(eq=False)
class _Waiting:
    """Statements of one thread, until they are on disk."""

    statements: Sequence[Statement]
    changed: int = 0
    problem: sqlite3.Error | None = None
    is_written: bool = False


class SQLite:
    """One file. What was committed stays when the process is killed, and when the power goes."""

    def __init__(self, file: Path, schema: Sequence[str]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(
                file, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
            )
            file.chmod(0o600)  # records are personal data
            for pragma in ("journal_mode=wal", "synchronous=full", "secure_delete=on"):
                self._connection.execute(f"pragma {pragma}")
            self._lock, self._waiting = threading.Lock(), deque[_Waiting]()
            self.transact([(sql, {}) for sql in (*schema, *NEVER_CHANGED)])
        except sqlite3.Error as wrong:
            raise BadInput(f"{file} cannot hold records: {wrong}; name a new file") from None

    def transact(self, statements: Sequence[Statement]) -> int:
        """Threads that come while another writes are written together by the first of them: one wait for the disk."""
        mine = _Waiting(statements)
        self._waiting.append(mine)
        with self._lock:
            if not mine.is_written:
                self._write_all()
        if mine.problem is not None:
            raise mine.problem
        return mine.changed

    def _write_all(self) -> None:
        """Write what waits; what fails is undone by itself and told to whoever sent it."""
        together = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            with self._connection:
                self._connection.execute("begin immediate")
                for one in together:
                    self._write(one)
        except sqlite3.Error as wrong:  # nothing was written
            for one in together:
                one.problem = one.problem or wrong
        for one in together:
            one.is_written = True

    def _write(self, one: _Waiting) -> None:
        self._connection.execute("savepoint one")
        try:
            for sql, values in one.statements:
                one.changed = self._connection.execute(sql, values).rowcount
        except sqlite3.Error as wrong:
            one.problem = wrong
            self._connection.execute("rollback to one")
        self._connection.execute("release one")

    def query(self, sql: str, values: Values) -> list[Row]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def scrub(self) -> None:
        self.query("pragma wal_checkpoint(truncate)", {})

    def close(self) -> None:
        self._connection.close()


class ByAddress:
    """A database that SQLAlchemy reaches by its address, such as postgresql+pg8000://user@host/name."""

    def __init__(self, address: str, schema: Sequence[str]) -> None:
        try:
            import sqlalchemy
        except ImportError as missing:
            raise NotApplicable("records in PostgreSQL need two packages: pip install 'whyrec[postgres]'") from missing
        self._text = sqlalchemy.text
        try:
            self._engine = sqlalchemy.create_engine(address, pool_pre_ping=True)
            postgres = self._engine.dialect.name == "postgresql"
            self.transact([(sql, {}) for sql in (*schema, *(NEVER_CHANGED_IN_POSTGRES if postgres else ()))])
        except (sqlalchemy.exc.SQLAlchemyError, ImportError) as wrong:
            first = str(wrong).splitlines()[0]
            raise BadInput(f"no records can be kept at the address given: {first}; check it, and the server") from None

    def transact(self, statements: Sequence[Statement]) -> int:
        changed = 0
        with self._engine.begin() as connection:
            for sql, values in statements:
                changed = connection.execute(self._text(sql), dict(values)).rowcount
        return changed

    def query(self, sql: str, values: Values) -> list[Row]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(self._text(sql), dict(values))]

    def scrub(self) -> None:
        """PostgreSQL cleans up in its own time (autovacuum)."""

    def close(self) -> None:
        self._engine.dispose()


NEVER_CHANGED_IN_POSTGRES = (
    """create or replace function records_stay() returns trigger language plpgsql as
       $$ begin raise exception 'records are never changed'; end $$""",
    """create or replace trigger records_stay before update on records
       for each row execute function records_stay()""",
)

NEVER_CHANGED = (
    """create trigger if not exists records_stay before update on records
       begin select raise(abort, 'records are never changed'); end""",
)

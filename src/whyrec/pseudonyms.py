"""Users in records go by a keyed hash: without the secret nobody can tell who is meant, not even by trying names."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from whyrec.errors import BadInput
from whyrec.interactions import Id, Vocabulary

KEY_BYTES = 32
LENGTH = 32
"""Hex digits of a pseudonym: 128 bits, so that no two users share one."""


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """What users are called in records, by one secret.

    >>> names = Pseudonyms(b"k" * 32)
    >>> names.of("42") == names.of(42), len(names.of("42")), names.of("42") == Pseudonyms(b"l" * 32).of("42")
    (True, 32, False)
    """

    key: bytes = field(repr=False)

    def of(self, user: Id) -> str:
        """The pseudonym of a user: HMAC-SHA256 of the id as text."""
        return hmac.new(self.key, str(user).encode(), hashlib.sha256).hexdigest()[:LENGTH]

    def row_of(self, pseudonym: str, users: Vocabulary) -> int | None:
        """The row of the user who has this pseudonym; None where none of `users` has it."""
        return next((row for row, user in enumerate(users.ids()) if self.of(user) == pseudonym), None)


def secret_beside(place: Path) -> Path:
    """Where the secret of the records at `place` is kept."""
    return place.with_name(f"{place.name}.key")


def pseudonyms_of(file: Path) -> Pseudonyms:
    """Pseudonyms by the secret in `file`, which only its owner can read; made where there is none.

    Whoever loses the file can no longer tell whose records are whose, so it belongs into a backup of its own.
    """
    if not file.exists():
        _make(file)
    if file.stat().st_mode & 0o077:
        raise BadInput(f"{file} can be read by others than its owner, so it is no secret; run chmod 600 {file}")
    text = file.read_text(encoding="ascii").strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise BadInput(
            f"{file} holds no secret of {2 * KEY_BYTES} hex digits; restore it, or remove it to begin with a new one"
        )
    return Pseudonyms(key)


def _make(file: Path) -> None:
    """Written beside and linked, so that two processes that begin together agree on one whole secret."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # readable by its owner only
    try:
        with os.fdopen(handle, "w", encoding="ascii") as opened:
            opened.write(secrets.token_hex(KEY_BYTES) + "\n")
        os.link(beside, file)
    except FileExistsError:
        pass  # the other process was first
    finally:
        Path(beside).unlink()

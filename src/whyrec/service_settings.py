"""How a service is set up: from the command line, or from the environment, each setting as WHYREC_SERVE_NAME."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from whyrec.record_store import place_of_records, secret_of_records

PREFIX = "WHYREC_SERVE_"


class ServiceSettings(BaseSettings):
    """What a service answers from, what it keeps, and what it refuses."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", use_attribute_docstrings=True)

    folder: Path
    """The model."""
    records: str = ""
    """A file for records, or the address of a PostgreSQL database; empty is FOLDER.records.sqlite beside the model."""
    keys: Path | None = None
    """A file with one API key a line; nobody needs a key where there is none."""
    cors: tuple[str, ...] = ()
    """Origins whose pages may call the service from a browser, such as https://example.org."""
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    """Names the service answers to; `*` is any. Pages of other names cannot reach a loopback address by a trick."""
    rate: str = ""
    """Requests allowed to one client, such as 100/minute, in each worker; empty is any number."""
    max_body: int = Field(default=1_000_000, ge=1_000)
    """The largest request, in bytes."""
    seconds: float = Field(default=30.0, gt=0)
    """How long one request may take."""
    threads: int = Field(default=4, ge=1)
    """Requests that one worker computes at once; others wait."""
    retention_days: float = Field(default=180.0, gt=0)
    """How long records are kept."""
    judged: tuple[str, ...] = ("lrp",)
    """Methods whose verdict is looked up, or found, when the service starts: reasons need one."""

    @property
    def store(self) -> str:
        """Where records are."""
        return place_of_records(self.folder, self.records)

    @property
    def secret(self) -> Path:
        """Where the secret of the pseudonyms is."""
        return secret_of_records(self.folder, self.store)

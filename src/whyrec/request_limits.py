"""What a request has to pass before it is answered: a name the service goes by, a key, a rate, a size."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whyrec.errors import BadInput, InvalidSetting

OPEN = ("/", "/health", "/ready")
"""Paths that need no key: they tell nothing about anybody. So do the files under /web/."""

Refusal = tuple[int, str, str]
"""Status, kind and one line that says what to do."""


class Checked:
    """An application that refuses what a check finds fault with."""

    def __init__(self, app: ASGIApp, check: Callable[[Scope], Refusal | None]) -> None:
        self.app, self.check = app, check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self.check(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await refuse(send, refusal)


class Bodies:
    """An application whose requests are read whole, up to a size and within a time, before it sees them."""

    def __init__(self, app: ASGIApp, most: int, seconds: float) -> None:
        self.app, self.most, self.seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self.seconds):
                body = await self._whole(scope, receive)
        except TimeoutError:
            await refuse(
                send, (408, "TooSlow", f"the request took longer than {self.seconds:g} s to arrive; send it again")
            )
            return
        if body is None:
            line = f"the request is larger than {self.most:,} bytes, the most that is read; ask for less at once"
            await refuse(send, (413, "TooLarge", line))
            return
        await self.app(scope, _replayed(body, receive), send)

    async def _whole(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body; None where it is too large, without reading the rest."""
        said = dict(scope["headers"]).get(b"content-length", b"")
        if said.isdigit() and int(said) > self.most:
            return None
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self.most:
                return None
            if not message.get("more_body"):
                return bytes(body)


def host_check(hosts: tuple[str, ...]) -> Callable[[Scope], Refusal | None]:
    """Refuses requests to other names: a page elsewhere could point its own name at a loopback address."""

    def check(scope: Scope) -> Refusal | None:
        asked = _header(scope, b"host").rsplit(":", 1)[0]
        if asked in hosts:
            return None
        return (
            400,
            "WrongHost",
            f"this service does not go by the name {asked[:100]!r}; start it with --allow-host NAME",
        )

    return check


def key_check(file: Path) -> Callable[[Scope], Refusal | None]:
    """Refuses requests without one of the keys in a file, one a line, sent as X-API-Key or as a bearer token."""
    keys = [_digest(line.strip()) for line in _lines(file) if line.strip() and not line.startswith("#")]
    if not keys:
        raise BadInput(f"{file} holds no key; write one a line, or leave --keys out")

    def check(scope: Scope) -> Refusal | None:
        if scope["path"] in OPEN or scope["path"].startswith("/web/"):
            return None
        given = _digest(key_of(scope))
        if any(hmac.compare_digest(given, key) for key in keys):
            return None
        return 401, "NoKey", "this service wants a key; send one as X-API-Key, or as Authorization: Bearer KEY"

    return check


def rate_check(rate: str) -> Callable[[Scope], Refusal | None]:
    """Refuses what one client, told by its key or else its address, asks beyond a rate such as 100/minute."""
    try:
        most = parse(rate)
    except ValueError:
        raise InvalidSetting(f"--rate {rate}: write a number and a time, for example 100/minute") from None
    limiter = MovingWindowRateLimiter(MemoryStorage())

    def check(scope: Scope) -> Refusal | None:
        client = key_of(scope) or (scope["client"] or ("nobody",))[0]
        if scope["path"] in OPEN or limiter.hit(most, _digest(client).hex()):
            return None
        return 429, "TooMany", f"more than {most} were asked; wait, and ask again"

    return check


def key_of(scope: Scope) -> str:
    """The key that a request brings; empty where it brings none."""
    return _header(scope, b"x-api-key") or _header(scope, b"authorization").removeprefix("Bearer ").strip()


async def refuse(send: Send, refusal: Refusal) -> None:
    """Answer with a problem in JSON."""
    status, error, detail = refusal
    body = json.dumps({"error": error, "detail": detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 413:
        headers.append((b"connection", b"close"))  # the rest of the body is never read
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _replayed(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """What was read, given once more; then whatever comes, such as that the client has gone."""
    left = [body]

    async def again() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return again


def _header(scope: Scope, name: bytes) -> str:
    found: bytes = dict(scope["headers"]).get(name, b"")
    return found.decode("latin-1")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        raise BadInput(f"{file}: there is no such file of keys; write one with a key a line")
    return file.read_text(encoding="utf-8").splitlines()

"""Connections whose answers leave at once, head and body alike."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol


class PromptProtocol(H11Protocol):
    """uvicorn's protocol without waiting for the client's delayed acknowledgement between head and body.

    asyncio turns that wait off where a socket says that it speaks TCP; the one that uvicorn binds for several workers
    does not say so, and each answer took 40 ms.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(socket.socket, transport.get_extra_info("socket")).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(cast(asyncio.Transport, transport))

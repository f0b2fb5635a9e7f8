"""uvicorn's HTTP protocol, with bounds on what has not fully arrived: uvicorn itself waits for ever, for any amount."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fuseboard.adapters.downstream.asgi import ABORT
from fuseboard.adapters.downstream.limits import Limits

_DISCARD_BYTES: Final = 8 * 1024 * 1024
"""How much of a refused body is read and thrown away, so that its sender gets to see the refusal."""


class BoundedProtocol(HttpToolsProtocol):
    """Gives a request ``read_s`` from its first byte to its last, a new connection as long for the first byte, and a
    head that does not end ``head_bytes``. It also lends the application a way to cut the connection.

    The overridden methods are those that asyncio and httptools call; ``scope``, ``cycle`` and ``loop`` are uvicorn's.
    """

    def __init__(self, limits: Limits, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._in_head = False
        self._incomplete = False
        self._message_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._incomplete:
            self._message_bytes += len(data)
        super().data_received(data)
        if not self._incomplete:
            self._disarm()
        elif self._in_head and self._message_bytes > self._limits.head_bytes:
            self._give_up(b"431 Request Header Fields Too Large")
        elif self._message_bytes > self._limits.head_bytes + self._limits.body_bytes + _DISCARD_BYTES:
            self._give_up(b"413 Content Too Large")
        elif self._deadline is None:
            self._arm()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._incomplete = True
        self._message_bytes = 0
        self.scope["extensions"] = {ABORT: self.transport.abort}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = self._incomplete = False
        super().on_message_complete()

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(self._limits.read_s, self._give_up, b"408 Request Timeout")

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self, status: bytes) -> None:
        """Answer what will not become a request, unless something is being answered already, and hang up."""
        self._disarm()
        if self._unanswered():
            self.transport.write(b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        self.transport.close()

    def _unanswered(self) -> bool:
        if self.cycle is None:
            return self._in_head
        return self.cycle.response_complete if self._in_head else not self.cycle.response_started

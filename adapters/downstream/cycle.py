"""One request and its response as ASGI has them: what the application receives and sends, and how it is written out.

uvicorn's own cycle does the same at twice the cost; head and body of a small answer leave here in one write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl

from fuseboard.adapters.downstream.asgi import Message, Receive, Send

App: TypeAlias = Callable[[Any, Receive, Send], Awaitable[None]]

_LINES: Final = MappingProxyType(
    {status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
)
_BODILESS: Final = frozenset({204, 304})
_DISCONNECT: Final = MappingProxyType({"type": "http.disconnect"})

_log = logging.getLogger("fuseboard.downstream")


class Server(Protocol):
    """What a cycle needs of its connection."""

    transport: asyncio.Transport

    @property
    def flow(self) -> FlowControl: ...

    @property
    def default_headers(self) -> Iterable[tuple[bytes, bytes]]: ...

    def answered(self, cycle: Cycle) -> None:
        """The response is out."""
        ...


class Cycle:
    """``keep_alive`` is whether the connection outlives it, ``waits`` whether the client wants to be told to go on."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_chunked",
        "_head",
        "_left_bytes",
        "_more_body",
        "_news",
        "_server",
        "_waiter",
        "complete",
        "disconnected",
        "keep_alive",
        "scope",
        "started",
        "waits",
    )

    def __init__(self, server: Server, scope: dict[str, Any], *, keep_alive: bool, waits: bool) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.waits = waits
        self.disconnected = False
        self.started = False
        self.complete = False
        self._server = server
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._more_body = True
        self._news = False
        self._waiter: asyncio.Future[None] | None = None
        self._head: bytes | None = None
        self._chunked = False
        self._left_bytes = 0

    async def run(self, app: App) -> None:
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException as fault:
            _log.error("the HTTP edge failed", exc_info=fault)
            await self._give_up()
        else:
            if not self.complete and not self.disconnected:
                _log.error("the HTTP edge left a request without its answer")
                await self._give_up()

    # The connection's side

    def feed(self, body: bytes) -> None:
        if self.complete:
            return
        self._body.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > HIGH_WATER_LIMIT:
            self._server.flow.pause_reading()
        self.wake()

    def fed(self) -> None:
        """The request has ended."""
        self._more_body = False
        self.wake()

    def lost(self) -> None:
        if not self.complete:
            self.disconnected = True
        self.wake()

    def wake(self) -> None:
        self._news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # The application's side

    async def receive(self) -> Message:
        server = self._server
        if self.waits and not server.transport.is_closing():
            server.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.waits = False
        if not self.disconnected and not self.complete:
            server.flow.resume_reading()
            while not self._news:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
            self._news = False
        if self.disconnected or self.complete:
            return dict(_DISCONNECT)
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self._body_bytes = 0
        return {"type": "http.request", "body": body, "more_body": self._more_body}

    async def send(self, message: Message) -> None:
        flow = self._server.flow
        if flow.write_paused and not self.disconnected:
            await flow.drain()
        if self.disconnected:
            return
        if not self.started:
            self._start(message["status"], message["headers"])
        elif not self.complete:
            self._go_on(message.get("body", b""), bool(message.get("more_body", False)))
        else:
            raise RuntimeError(f"{message['type']} after the end of the response")

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.started = True
        self.waits = False
        self._chunked = status not in _BODILESS and self.scope["method"] != "HEAD"
        parts = [_LINES[status]]
        for name, value in (*self._server.default_headers, *headers):
            if b"\n" in value or b"\r" in value:
                raise ValueError(f"the header {name!r} would end its line and start another")
            if name == b"content-length":
                self._left_bytes = int(value)
                self._chunked = False
            elif name == b"connection" and value == b"close":
                self.keep_alive = False
                continue
            parts += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        if self._chunked:
            parts.append(b"transfer-encoding: chunked\r\n")
        parts.append(b"\r\n")
        head = b"".join(parts)
        if self._chunked:  # a stream: its client waits for the head, and the first event may be long in coming
            self._server.transport.write(head)
        else:
            self._head = head

    def _go_on(self, body: bytes, more: bool) -> None:
        write = self._server.transport.write
        if self.scope["method"] == "HEAD":
            body = b""
            self._left_bytes = 0
        if self._chunked:
            end = b"" if more else b"0\r\n\r\n"
            if chunk := b"%x\r\n%b\r\n%b" % (len(body), body, end) if body else end:
                write(chunk)
        else:
            self._left_bytes -= len(body)
            head, self._head = self._head, None
            if head is not None and len(body) <= HIGH_WATER_LIMIT:
                write(head + body)
            else:
                if head is not None:
                    write(head)
                write(body)
        if not more:
            if self._left_bytes != 0:
                raise RuntimeError("the body is not as long as it says")
            self.complete = True
            self.wake()
            if not self.keep_alive:
                self._server.transport.close()
            self._server.answered(self)

    async def _give_up(self) -> None:
        """Say that it was our fault, where nothing has been said yet; else the cut shows that something is missing."""
        if self.started:
            self._server.transport.close()
            return
        headers = [(b"content-length", b"0"), (b"connection", b"close")]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body"})

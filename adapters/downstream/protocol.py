"""uvicorn's HTTP protocol, with bounds on what has not fully arrived: uvicorn itself waits for ever, for any amount."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from fuseboard.adapters.downstream.asgi import ABORT
from fuseboard.adapters.downstream.limits import Limits

_DISCARD_BYTES: Final = 8 * 1024 * 1024
"""How much of a refused body is read and thrown away, so that its sender gets to see the refusal."""


class _TooMuch(Exception):
    """Ends the parse of what has been read."""


class _Flow(FlowControl):
    """Reads on only once nothing holds it back any more; ``release`` is to be called when that may have changed."""

    def __init__(self, transport: asyncio.Transport, held: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._held = held
        self._due = False

    def resume_reading(self) -> None:
        self._due = self._held()
        if not self._due:
            super().resume_reading()

    def release(self) -> None:
        if self._due:
            self.resume_reading()


class BoundedProtocol(HttpToolsProtocol):
    """Gives a request ``read_s`` from its first byte to its last, a new connection as long for the first byte, and a
    head ``head_bytes`` and ``headers``, whether or not it ends. While a whole request waits for those before it, or the
    client does not read its answers, nothing more is read; of what came in one piece, ``pipelined`` requests are kept
    and answered, and then the connection ends. It also lends the application a way to cut the connection.

    The overridden methods are those that asyncio and httptools call; ``scope``, ``cycle``, ``flow``,
    ``pipeline`` and ``loop`` are uvicorn's.
    """

    def __init__(self, limits: Limits, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._in_head = False
        self._incomplete = False
        self._message_bytes = 0
        self._deaf = False
        self._served: RequestResponseCycle | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow: _Flow = _Flow(transport, self._held)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self.pipeline.clear()
        if self._served is not None:  # uvicorn tells the last request alone, which may be one that waited for this
            self._served.disconnected = True
            self._served.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
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

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer is no header, and nobody here wants one
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._head_too_large():
            self._hear_no_more()
            self._give_up(b"431 Request Header Fields Too Large")
            raise _TooMuch
        if len(self.pipeline) >= self._limits.pipelined:
            self._hear_no_more()
            self.cycle.keep_alive = False
            raise _TooMuch
        self._in_head = False
        super().on_headers_complete()
        if not self.pipeline:
            self._served = self.cycle

    def on_message_complete(self) -> None:
        self._in_head = self._incomplete = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._served = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        self.flow.release()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.flow.release()

    def send_400_response(self, msg: str) -> None:
        if not self._deaf:
            super().send_400_response(msg)

    def _held(self) -> bool:
        """Whether to read nothing now. What has begun to arrive is read to its end, or it would be found late."""
        waiting = bool(self.pipeline) and not self._incomplete
        return self._deaf or waiting or self.flow.write_paused

    def _head_too_large(self) -> bool:
        if len(self.headers) > self._limits.headers:
            return True
        return len(self.url) + sum([len(name) + len(value) for name, value in self.headers]) > self._limits.head_bytes

    def _hear_no_more(self) -> None:
        self._deaf = True
        self.flow.pause_reading()

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
        if self.pipeline:
            return False
        if self.cycle is None:
            return self._in_head
        return self.cycle.response_complete if self._in_head else not self.cycle.response_started

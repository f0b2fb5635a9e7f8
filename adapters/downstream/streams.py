"""Event streams: an :class:`Outlet` is one HTTP response, an :class:`EventStream` outlives the connections under it.

Policy for a slow reader: what it has not read is queued up to a bound; beyond that its connection is cut. The events of
a session are kept in its :class:`Journal` (bounded too, the oldest go first), so the client can come back and go on
from the last event that it saw.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from fuseboard.adapters.downstream.asgi import Headers, Send
from fuseboard.adapters.downstream.limits import Limits

_log = logging.getLogger("fuseboard.downstream")

_HEAD: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the events back
)
_PING: Final = b": ping\n\n"


def event(frame: bytes, id: bytes | None = None) -> bytes:
    """One message as a server-sent event. A frame is one line, so one ``data`` field holds it."""
    if id is None:
        return b"event: message\ndata: %b\n\n" % frame
    return b"id: %b\nevent: message\ndata: %b\n\n" % (id, frame)


class Outlet:
    """One event stream response, for as long as its connection lasts. ``put`` never waits; ``run`` does the sending."""

    __slots__ = ("_abort", "_chunks", "_closed", "_headers", "_limits", "_queued_bytes", "_send", "_wake")

    def __init__(self, send: Send, limits: Limits, *, abort: Callable[[], None], headers: Headers = ()) -> None:
        self._send = send
        self._limits = limits
        self._abort = abort
        self._headers = headers
        self._chunks: list[bytes] = []
        self._queued_bytes = 0
        self._closed = False
        self._wake = asyncio.Event()

    @property
    def open(self) -> bool:
        return not self._closed

    def put(self, chunk: bytes) -> None:
        """Queue a chunk; what comes after the end is dropped."""
        if self._closed:
            return
        self._chunks.append(chunk)
        self._queued_bytes += len(chunk)
        self._wake.set()
        # One chunk larger than the bound is let through: no reader could have been fast enough for it.
        if self._queued_bytes > self._limits.queue_bytes and len(self._chunks) > 1:
            _log.warning("a client reads its event stream too slowly: %d bytes unsent, cut", self._queued_bytes)
            self.cut()

    def close(self) -> None:
        """End the response once everything queued is sent."""
        self._closed = True
        self._wake.set()

    def cut(self) -> None:
        """End it at once, and lose what is unsent."""
        self._chunks.clear()
        self.close()
        self._abort()

    async def run(self) -> None:
        """Send until closed. A connection that is gone swallows what is sent to it."""
        head = [*_HEAD, *self._headers]
        await self._send({"type": "http.response.start", "status": 200, "headers": head})
        more = True
        while more:
            if not self._chunks and not self._closed:
                await self._silence()
            body = b"".join(self._chunks)
            self._chunks.clear()
            self._queued_bytes = 0
            more = not self._closed
            await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def run_until(self, left: Callable[[], Awaitable[None]]) -> None:
        """Send until closed, or until ``left`` returns, which says that the client has gone."""

        async def watch() -> None:
            await left()
            self.close()

        watcher = asyncio.get_running_loop().create_task(watch())
        try:
            await self.run()
        finally:
            self._closed = True
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    async def _silence(self) -> None:
        """Wait for something to send: a chunk, the end, or a sign of life."""
        self._wake.clear()
        try:
            async with asyncio.timeout(self._limits.ping_s):
                await self._wake.wait()
        except TimeoutError:
            self._chunks.append(_PING)


class Journal:
    """The latest events of one session, over all its streams. Numbers count through the session and never repeat."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._events: deque[tuple[int, int, bytes]] = deque()
        self._bytes = 0
        self.last = 0

    def number(self) -> int:
        self.last += 1
        return self.last

    def keep(self, stream: int, number: int, chunk: bytes) -> None:
        """Keep one event. The newest always stays, however large: it is what its client waits for."""
        self._events.append((stream, number, chunk))
        self._bytes += len(chunk)
        while self._bytes > self._limit_bytes and len(self._events) > 1:
            self._bytes -= len(self._events.popleft()[2])

    def after(self, stream: int, number: int) -> Iterator[bytes]:
        """The events of ``stream`` that came later than ``number``."""
        return (chunk for kept, later, chunk in self._events if kept == stream and later > number)

    def knows(self, stream: int) -> bool:
        return any(kept == stream for kept, _, _ in self._events)


class EventStream:
    """A resumable stream of one session: its events have ids ``<stream>-<number>``.

    ``retry_ms`` is given where the client's revision knows priming events (2025-11-25, "Sending Messages", 6): an id
    without data, sent first, so that a client that loses the connection early can come back too.
    """

    __slots__ = ("_id", "_journal", "_outlet", "_sent", "ended", "retry_ms")

    def __init__(self, id: int, journal: Journal, *, retry_ms: int | None) -> None:
        self._id = id
        self._journal = journal
        self.retry_ms = retry_ms
        self._outlet: Outlet | None = None
        self._sent = 0
        self.ended = False

    @property
    def resumable(self) -> bool:
        return self.retry_ms is not None

    @property
    def attached(self) -> bool:
        return self._outlet is not None and self._outlet.open

    def attach(self, outlet: Outlet, *, after: int | None = None) -> None:
        """Let ``outlet`` carry the stream, from the event ``after`` on, or from the last one that anybody was sent."""
        if self._outlet is not None:
            self._outlet.close()
        self._outlet = outlet
        missed = list(self._journal.after(self._id, self._sent if after is None else after))
        if after is None and not missed and self.retry_ms is not None:
            outlet.put(b"id: %d-%d\nretry: %d\ndata: \n\n" % (self._id, self._journal.number(), self.retry_ms))
        for chunk in missed:
            outlet.put(chunk)
        self._sent = self._journal.last
        if self.ended:
            outlet.close()

    def detach(self) -> None:
        """Close the connection and keep the stream: the client may come back for the rest."""
        if self._outlet is not None:
            self._outlet.close()
            self._outlet = None

    def push(self, frame: bytes) -> None:
        number = self._journal.number()
        chunk = event(frame, b"%d-%d" % (self._id, number))
        self._journal.keep(self._id, number, chunk)
        if self.attached:
            assert self._outlet is not None
            self._outlet.put(chunk)
            self._sent = number

    def end(self, frame: bytes | None = None) -> None:
        """Push the last event, if there is one, and end the stream."""
        if frame is not None:
            self.push(frame)
        self.ended = True
        if self._outlet is not None:
            self._outlet.close()

"""HTTP+SSE (2024-11-05): one event stream carries everything down, a POST per message carries everything up."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import anyio
import anyio.abc
from yarl import URL

from fuseboard.adapters.pipes import UNSENT_LIMIT_BYTES
from fuseboard.adapters.upstream.connection import Response
from fuseboard.adapters.upstream.events import Event, EventParser, EventTooLarge
from fuseboard.adapters.upstream.pool import HttpPool
from fuseboard.adapters.upstream.wire import BODY_BYTES, EVENTS, JSON, Wire, content_type, same_origin
from fuseboard.errors import Undelivered, UpstreamFault, UpstreamLost, UpstreamUnreachable
from fuseboard.peer import Peer
from fuseboard.ports import Inbound, Reply, Scope
from fuseboard.wire import frames

ENDPOINT_TIMEOUT_S: Final = 10.0
"""How long a server may take to name the URL for messages."""

POST_TIMEOUT_S: Final = 30.0
"""How long it may take to accept one message. The messages behind it wait."""

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

_log = logging.getLogger("fuseboard.upstream")


class SseLink:
    """One connection to one upstream. Make it with :meth:`connect`."""

    def __init__(
        self,
        name: str,
        headers: Mapping[str, str],
        wire: Wire,
        pool: HttpPool,
        inbound: Inbound,
    ) -> None:
        self._name = name
        self._headers = dict(headers)
        self._wire = wire
        self._pool = pool
        self._posts: Wire | None = None
        self._endpoint = anyio.Event()
        self._refusal: str | None = None
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._large: bytes | None = None
        """The one frame that waits although it is too large by itself."""
        self._wake = anyio.Event()
        self._running = anyio.CancelScope()
        self._peer = Peer(self._enqueue, inbound, name=name, on_lost=inbound.lost)

    @classmethod
    async def connect(
        cls,
        *,
        name: str,
        url: str,
        headers: Mapping[str, str],
        pool: HttpPool,
        inbound: Inbound,
        tasks: anyio.abc.TaskGroup,
        limit_bytes: int = BODY_BYTES,
        timeout_s: float = ENDPOINT_TIMEOUT_S,
    ) -> SseLink:
        """Open the stream and wait until the server has named the URL for messages.

        ``tasks`` reads the stream; it has to stay open until :meth:`close` has returned.

        Raises:
            UpstreamUnreachable: there is no such stream, or it names no URL of the same origin in time.
        """
        link = cls(name, headers, Wire(name, url, headers, pool, limit_bytes=limit_bytes), pool, inbound)
        met = False
        try:
            with anyio.fail_after(timeout_s):
                tasks.start_soon(link._run, await link._stream())
                await link._endpoint.wait()
            met = link._posts is not None
        except TimeoutError:
            raise UpstreamUnreachable(name, f"{name} named no URL for messages within {timeout_s:g} s") from None
        finally:
            if not met:
                await link.close()
        if not met:
            raise UpstreamUnreachable(name, link._refusal or f"{name} ended its stream at once")
        return link

    @property
    def open(self) -> bool:
        return self._peer.open

    async def request(
        self,
        method: str,
        params: bytes | None,
        scope: Scope,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        on_id: Callable[[bytes], None] | None = None,
    ) -> Reply:
        """See :class:`fuseboard.ports.Link`. On this transport nothing links what the upstream asks to a ``scope``."""
        return await self._peer.request(method, params, on_id)

    async def notify(self, method: str, params: bytes | None) -> None:
        self._peer.notify(method, params)

    async def close(self) -> None:
        self._lose("the connection was closed")

    async def _stream(self) -> Response:
        try:
            response = await self._wire.send("GET", {**self._headers, "Accept": EVENTS, "Cache-Control": "no-store"})
        except UpstreamLost as fault:  # No message of ours was in it.
            raise Undelivered(self._name, fault.message) from fault
        if response.status != 200 or content_type(response) != EVENTS:
            response.close()
            raise UpstreamUnreachable(self._name, f"{self._wire.refused(response)}: no event stream of HTTP+SSE")
        return response

    def _lose(self, reason: str) -> None:
        for frame in self._unsent:
            self._undelivered(frame, reason)
        self._unsent.clear()
        self._peer.lost(reason)
        self._running.cancel()
        self._endpoint.set()

    def _enqueue(self, frame: bytes) -> None:
        self._unsent.append(frame)
        self._unsent_bytes += len(frame)
        if self._large is None and len(frame) > UNSENT_LIMIT_BYTES:
            self._large = frame
        if self._unsent_bytes - len(self._large or b"") > UNSENT_LIMIT_BYTES:
            _log.error("%s does not accept its messages; it is given up", self._name)
            self._lose(f"{self._name} does not accept its messages")
        self._wake.set()

    async def _run(self, response: Response) -> None:
        try:
            with self._running:
                async with anyio.create_task_group() as both:
                    both.start_soon(self._write)
                    await self._read(response)
                    both.cancel_scope.cancel()
        finally:
            response.close()
            self._lose(self._refusal or f"the connection to {self._name} was lost")

    async def _read(self, response: Response) -> None:
        parser = EventParser(limit_bytes=self._wire.limit_bytes)
        try:
            while chunk := await self._wire.chunk(response):
                for event in parser.feed(chunk):
                    self._take(event)
        except EventTooLarge:
            # Whose answer it was is told that; for all others under way the connection is lost.
            self._peer.dropped(parser.head(), f"a message of more than {self._wire.limit_bytes:,} bytes was dropped")
            self._refusal = str(self._wire.too_large())

    def _take(self, event: Event) -> None:
        if event.type == "endpoint" and self._posts is None:
            self._meet(event.data)
        elif event.type == "message" and event.data:
            self._peer.receive(event.data)

    def _meet(self, endpoint: bytes) -> None:
        try:
            target = self._wire.url.join(URL(endpoint.decode()))
        except ValueError:
            target = URL()
        if not same_origin(self._wire.url, target):
            # A URL elsewhere would get our credentials and our messages.
            self._refusal = f"{self._name} wants its messages at another origin, which is refused"
            self._running.cancel()
            return
        self._posts = Wire(self._name, str(target), self._headers, self._pool, limit_bytes=self._wire.limit_bytes)
        self._endpoint.set()

    async def _write(self) -> None:
        """POST what is due, one message after the other: two under way could overtake each other."""
        await self._endpoint.wait()
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while self._unsent:
                frame = self._unsent.popleft()
                self._unsent_bytes -= len(frame)
                if frame is self._large:
                    self._large = None
                await self._post(frame)

    async def _post(self, frame: bytes) -> None:
        assert self._posts is not None
        try:
            with anyio.fail_after(POST_TIMEOUT_S):
                response = await self._posts.send("POST", {**self._headers, "Content-Type": JSON}, frame)
                self._posts.let_go(response)
        except TimeoutError:
            self._lose(f"{self._name} did not accept a message within {POST_TIMEOUT_S:g} s")
            return
        except UpstreamFault as fault:
            if isinstance(fault, Undelivered):
                self._undelivered(frame, fault.message)
            self._lose(fault.message)
            return
        if response.status in (404, 410):
            self._undelivered(frame, f"{self._name} ended the session")
            self._lose(f"{self._name} ended the session")
        elif response.status >= 300:
            self._fail(frame, self._posts.refused(response))

    def _undelivered(self, frame: bytes, reason: str) -> None:
        if (id := frames.asked_id(frame)) is not None:
            self._peer.undelivered(id, reason)

    def _fail(self, frame: bytes, fault: UpstreamFault) -> None:
        """One message was refused: what it asked will never be answered."""
        _log.debug("a message was refused: %s", fault)
        if (id := frames.asked_id(frame)) is not None:
            self._peer.failed(id, fault)

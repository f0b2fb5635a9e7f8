"""Streamable HTTP without sessions (2026-07-28): every request stands alone, closing its response stream cancels it.

What both eras share stands here too; :mod:`fuseboard.adapters.upstream.session` adds what sessions need. Import either
when the first HTTP upstream is about to be connected: a proxy over pipes needs neither.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from multidict import CIMultiDict

from fuseboard.adapters.upstream import headers as http_headers
from fuseboard.adapters.upstream.connection import Response as HttpResponse
from fuseboard.adapters.upstream.events import EventParser, EventTooLarge
from fuseboard.adapters.upstream.pool import HttpPool
from fuseboard.adapters.upstream.wire import BODY_BYTES, EVENTS, JSON, Wire, asked_wait_s, content_type
from fuseboard.errors import ProtocolFault, Undelivered, UpstreamGarbled, UpstreamLost
from fuseboard.peer import CANCELLED
from fuseboard.ports import Failure, Notification, Reply, Request, Response, Scope
from fuseboard.wire import frames

REVISION: Final = "2026-07-28"

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

_log = logging.getLogger("fuseboard.upstream")


class HttpLink:
    """A link to an upstream of the stateless revision.

    ``headers`` go with every request. ``limit_bytes`` bounds one message of the upstream.
    """

    def __init__(
        self, *, name: str, url: str, headers: Mapping[str, str], pool: HttpPool, limit_bytes: int = BODY_BYTES
    ) -> None:
        self._wire = Wire(name, url, headers, pool, limit_bytes=limit_bytes)
        self._stamps: CIMultiDict[str] = CIMultiDict(headers)
        self._stamps.update({"Accept": f"{JSON}, {EVENTS}", "Content-Type": JSON, "MCP-Protocol-Version": REVISION})
        self._open = True
        self._next_id = 0
        self._astray: set[bytes] = set()
        """The requests on whose streams there came the response to another."""

    @property
    def open(self) -> bool:
        return self._open

    async def request(
        self,
        method: str,
        params: bytes | None,
        scope: Scope,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        on_id: Callable[[bytes], None] | None = None,
    ) -> Reply:
        """See :class:`fuseboard.ports.Link`. The values of ``headers`` are sent as they are, so already encoded."""
        stamps = self._stamps.copy()
        stamps.update(http_headers.routing(method, params))
        if headers:
            stamps.update(headers)
        return await self._exchange(self._mint_id(), method, params, scope, stamps)

    async def notify(self, method: str, params: bytes | None) -> None:
        """Nothing: over HTTP this revision has no notification from client to server."""

    async def close(self) -> None:
        self._open = False

    def _mint_id(self) -> bytes:
        self._next_id += 1
        return b"%d" % self._next_id

    async def _exchange(
        self, id: bytes, method: str, params: bytes | None, scope: Scope, stamps: Mapping[str, str]
    ) -> Reply:
        if not self._open:
            raise Undelivered(self._wire.name, f"the connection to {self._wire.name} is closed")
        response = await self._wire.send("POST", stamps, frames.request(id, method, params))
        try:
            return await self._answer(response, id, scope)
        except BaseException:  # Cancellation above all: the upstream sees its stream closed at once.
            response.close()
            raise
        finally:
            self._astray.discard(id)

    async def _answer(self, response: HttpResponse, id: bytes, scope: Scope) -> Reply:
        if response.status >= 400:
            return await self._refusal(response)
        kind = content_type(response)
        if kind == EVENTS:
            return await self._streamed(response, id, scope)
        if kind != JSON:
            raise self._wire.refused(response)
        reply = self._take(await self._wire.read(response), id, scope)
        if reply is None:
            raise UpstreamGarbled(
                self._wire.name, f"{self._wire.name} answered with a message that is not the response"
            )
        return reply

    async def _refusal(self, response: HttpResponse) -> Reply:
        """The JSON-RPC error in the body, whatever its id: with one message sent there is no doubt whose it is."""
        body = await self._wire.read(response)
        self._check_session(response.status, body)
        if content_type(response) == JSON and response.status not in (401, 403):
            try:
                frame = frames.decode(body)
            except ProtocolFault:
                frame = None
            if isinstance(frame, Response) and isinstance(frame.reply, Failure):
                return self._stamped(frame.reply, response)
        _log.debug("%s answered %d: %r", self._wire.name, response.status, body[:200])
        raise self._wire.refused(response)

    def _stamped(self, failure: Failure, response: HttpResponse) -> Failure:
        """The error with what its status says beside it, where that is more than that it is one."""
        status = response.status
        return Failure(failure.raw, status, asked_wait_s(response)) if status == 429 or status >= 500 else failure

    def _check_session(self, status: int, body: bytes) -> None:
        """Raise :class:`UpstreamLost` where this answer says that the session has ended."""

    async def _streamed(self, response: HttpResponse, id: bytes, scope: Scope) -> Reply:
        scope.stream()
        reply = await self._read_events(response, EventParser(limit_bytes=self._wire.limit_bytes), id, scope)
        if reply is None:
            raise self._ended_early(id)
        return reply

    def _ended_early(self, id: bytes) -> UpstreamLost:
        """All has come that was to come, without the response to ``id``."""
        name = self._wire.name
        if id in self._astray:
            return UpstreamGarbled(name, f"{name} answered with a message that is not the response")
        return UpstreamLost(name, f"{name} ended its stream before it answered")

    async def _read_events(
        self, response: HttpResponse, parser: EventParser, id: bytes | None, scope: Scope | None
    ) -> Reply | None:
        """Read until the response to ``id`` (returned) or the end of the stream (``None``)."""
        try:
            while chunk := await self._wire.chunk(response):
                for event in parser.feed(chunk):
                    if event.type != "message" or not event.data:
                        continue
                    reply = self._take(event.data, id, scope)
                    if reply is not None:
                        self._wire.let_go(response)
                        return reply
        except EventTooLarge:
            raise self._wire.too_large() from None
        return None

    def _take(self, data: bytes, id: bytes | None, scope: Scope | None) -> Reply | None:
        """One message: the reply to ``id`` is returned, everything else goes where it belongs."""
        try:
            frame = frames.decode(data)
        except ProtocolFault as fault:
            if data.lstrip()[:1] == b"[":
                return self._take_batch(data, id, scope)
            raise UpstreamGarbled(
                self._wire.name, f"{self._wire.name} sent a broken message: {fault.message}"
            ) from fault
        if isinstance(frame, Response):
            if id is None:
                return None
            if frame.id == id or (frame.id is None and isinstance(frame.reply, Failure)):
                return frame.reply
            self._astray.add(id)
            return None
        self._aside(frame, id, scope)
        return None

    def _take_batch(self, data: bytes, id: bytes | None, scope: Scope | None) -> Reply | None:
        """2025-03-26 alone lets a server put several messages into one array."""
        try:
            messages = msgspec.json.decode(data, type=list[msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
            raise UpstreamGarbled(self._wire.name, f"{self._wire.name} sent a broken message: {fault}") from fault
        found: Reply | None = None
        for message in map(bytes, messages):
            if message[:1] != b"[":
                found = self._take(message, id, scope) or found
        return found

    def _aside(self, frame: Request | Notification, id: bytes | None, scope: Scope | None) -> None:
        """What comes besides the response. This revision lets a server notify, and ask only in a result."""
        if isinstance(frame, Notification) and frame.method != CANCELLED and scope is not None:
            scope.notify(frame.method, frame.params)

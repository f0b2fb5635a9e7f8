"""Streamable HTTP with sessions (2025-03-26 to 2025-11-25): a stream beside the calls, resumption, a goodbye."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Final

import anyio
import anyio.abc
import msgspec

from fuseboard import late
from fuseboard.adapters.upstream.asked import Asked
from fuseboard.adapters.upstream.connection import Response
from fuseboard.adapters.upstream.events import EventParser
from fuseboard.adapters.upstream.http import HttpLink
from fuseboard.adapters.upstream.pool import HttpPool
from fuseboard.adapters.upstream.wire import BODY_BYTES, EVENTS, content_type
from fuseboard.errors import Undelivered, UpstreamFault, UpstreamLost, UpstreamUnreachable
from fuseboard.late import MOST, Listener
from fuseboard.peer import CANCELLED
from fuseboard.ports import Inbound, Notification, Reply, Request, Result, Scope
from fuseboard.wire import frames

NOTICE_TIMEOUT_S: Final = 10.0
"""How long the upstream may take to accept a message that has no answer."""

GOODBYE_TIMEOUT_S: Final = 2.0
RESUME_ATTEMPTS: Final = 8
"""How often in a row a broken stream is taken up again without one new event."""

_RETRY_S: Final = 1.0
_RETRY_MIN_S: Final = 0.05
_RETRY_MAX_S: Final = 60.0
_BACKOFF_MAX_S: Final = 30.0

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_STALE: Final = re.compile(rb"(?i)no valid session|session not found|server not initialized")
"""What servers say with status 400 where the revision asks for 404 (older SDKs, after a restart)."""

_log = logging.getLogger("fuseboard.upstream")


class _Initialized(msgspec.Struct):
    protocolVersion: str


class SessionLink(HttpLink):
    """One session with one upstream. The ``initialize`` and ``notifications/initialized`` that go through it start it.

    ``inbound`` takes what the upstream says and asks outside any call. ``tasks`` runs what outlives a call; it has to
    stay open until :meth:`close` has returned. Once the upstream has ended the session, ``open`` is false for ever.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        headers: Mapping[str, str],
        pool: HttpPool,
        inbound: Inbound,
        tasks: anyio.abc.TaskGroup,
        limit_bytes: int = BODY_BYTES,
    ) -> None:
        super().__init__(name=name, url=url, headers=headers, pool=pool, limit_bytes=limit_bytes)
        del self._stamps["MCP-Protocol-Version"]
        self._inbound = inbound
        self._tasks = tasks
        self._version: str | None = None
        self._listening: anyio.CancelScope | None = None
        self._reading: set[asyncio.Task[Reply]] = set()
        """What was given up, and is read all the same."""
        self._asked = Asked(self, inbound, tasks, self._post, name=name)

    async def request(
        self,
        method: str,
        params: bytes | None,
        scope: Scope,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        on_id: Callable[[bytes], None] | None = None,
    ) -> Reply:
        id = self._mint_id()
        asking = self._exchange(id, method, params, scope, self._stamps)
        listener = late.listener() if method == "tools/call" else None
        try:
            reply = await (asking if listener is None else self._listened_for(asking, listener))
        except anyio.get_cancelled_exc_class():
            if self._version is not None and self._open:  # 2025-11-25, cancellation: never for initialize
                self._tasks.start_soon(self._tell_cancelled, id)
            raise
        finally:
            self._asked.over(id)
        if self._version is None and isinstance(reply, Result):
            self._initialized(reply)
        return reply

    async def _listened_for(self, asking: Coroutine[Any, Any, Reply], listener: Listener) -> Reply:
        """The reply, which is read to its end for a while even if nobody waits for it any more."""
        reading = asyncio.ensure_future(asking)
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            if not self._open or len(self._reading) >= MOST:
                reading.cancel()
                raise
            self._reading.add(reading)
            leave = asyncio.get_running_loop().call_later(listener.for_s, reading.cancel)

            def over(done: asyncio.Future[Reply]) -> None:
                leave.cancel()
                self._reading.discard(reading)
                if not done.cancelled() and done.exception() is None:
                    listener.heard(done.result())

            reading.add_done_callback(over)
            raise

    async def notify(self, method: str, params: bytes | None) -> None:
        accepted = await self._post(frames.notification(method, params))
        if accepted and method == "notifications/initialized" and self._listening is None:
            self._listening = anyio.CancelScope()
            self._tasks.start_soon(self._listen, self._listening)

    async def close(self) -> None:
        mine_to_end = self._open and self._in_session
        self._open = False
        if self._listening is not None:
            self._listening.cancel()
        self._asked.close()
        for reading in self._reading:
            reading.cancel()
        if not mine_to_end:
            return
        with anyio.move_on_after(GOODBYE_TIMEOUT_S, shield=True):
            try:
                self._wire.let_go(await self._wire.send("DELETE", self._stamps))
            except UpstreamFault as fault:
                _log.debug("no goodbye: %s", fault)

    async def _answer(self, response: Response, id: bytes, scope: Scope) -> Reply:
        if self._version is None and (session := response.headers.get("Mcp-Session-Id")):
            self._stamps["Mcp-Session-Id"] = session
        return await super()._answer(response, id, scope)

    @property
    def _in_session(self) -> bool:
        return "Mcp-Session-Id" in self._stamps

    def _initialized(self, reply: Result) -> None:
        try:
            version = msgspec.json.decode(reply.raw, type=_Initialized).protocolVersion
        except msgspec.MsgspecError:
            return
        if version.isascii() and version.isprintable():
            self._version = self._stamps["MCP-Protocol-Version"] = version

    async def _is_stale(self, response: Response) -> bool:
        """Whether this refusal says that the session has ended."""
        return response.status == 404 or _STALE.search(await self._wire.read(response)) is not None

    def _check_session(self, status: int, body: bytes) -> None:
        name = self._wire.name
        if self._in_session and (status == 404 or (status == 400 and _STALE.search(body))):
            # 2025-11-25, transports, Session Management: such a request was refused unread.
            raise Undelivered(name, self._ended())
        if self._version is None and status in (404, 405):
            raise UpstreamUnreachable(
                name,
                f"{name} answered HTTP {status} to the first message: this URL is no Streamable HTTP endpoint. "
                "For a server of the older HTTP+SSE transport, set `type: sse` (`--sse` with `wrap`).",
            )

    def _ended(self) -> str:
        """The upstream has ended the session; why nothing more goes over it."""
        reason = f"{self._wire.name} ended the session"
        if self._open:
            self._open = False
            if self._listening is not None:
                self._listening.cancel()
            self._inbound.lost(reason)
        return reason

    async def _streamed(self, response: Response, id: bytes, scope: Scope) -> Reply:
        """Read the answer off the stream, and off its continuations where the server breaks it off (SEP-1699)."""
        scope.stream()
        parser = EventParser(limit_bytes=self._wire.limit_bytes)
        reply = await self._read_events(response, parser, id, scope)
        attempt = 0
        while reply is None and parser.last_event_id is not None and attempt < RESUME_ATTEMPTS:
            scope.release()
            await anyio.sleep(_delay_s(parser.retry_ms, attempt))
            seen = parser.dispatched
            reply = await self._continue(parser, id, scope)
            attempt = 0 if parser.dispatched > seen else attempt + 1
        if reply is None:
            raise self._ended_early(id)
        return reply

    async def _listen(self, cancel: anyio.CancelScope) -> None:
        """Keep the stream open on which comes what belongs to no call, for as long as the session lasts."""
        parser = EventParser(limit_bytes=self._wire.limit_bytes)
        attempt = 0
        with cancel:
            while self._open:
                seen = parser.dispatched
                try:
                    await self._continue(parser, None, None)
                except UpstreamFault as fault:
                    _log.debug("no stream beside the calls: %s", fault)
                    return
                attempt = 0 if parser.dispatched > seen else attempt + 1
                await anyio.sleep(_delay_s(parser.retry_ms, attempt))

    async def _continue(self, parser: EventParser, id: bytes | None, scope: Scope | None) -> Reply | None:
        """GET a stream, from where the last one broke off, and read it to its end or to the response to ``id``.

        Raises:
            UpstreamLost: there is none, and there is no use in asking again.
        """
        stamps = self._stamps.copy()
        stamps["Accept"] = EVENTS
        del stamps["Content-Type"]
        if parser.last_event_id is not None:
            stamps["Last-Event-ID"] = parser.last_event_id
        try:
            response = await self._wire.send("GET", stamps)
        except UpstreamFault as fault:
            _log.debug("a stream could not be opened: %s", fault)
            return None
        try:
            if await self._is_stream(response):
                parser.restart()
                return await self._read_events(response, parser, id, scope)
        except BaseException:
            response.close()
            raise
        response.close()
        return None

    async def _is_stream(self, response: Response) -> bool:
        """Whether the server gave a stream; if not, it may do so later."""
        if response.status == 429 or response.status >= 500:
            return False
        if self._in_session and response.status in (400, 404) and await self._is_stale(response):
            raise UpstreamLost(self._wire.name, self._ended())
        if response.status != 200 or content_type(response) != EVENTS:
            # Lost even where the status says refused: the call that is to be resumed was sent long ago.
            raise UpstreamLost(self._wire.name, self._wire.refused(response).message)
        return True

    def _aside(self, frame: Request | Notification, id: bytes | None, scope: Scope | None) -> None:
        if isinstance(frame, Request):
            self._asked.take(frame, id, scope)
        elif frame.method == CANCELLED:
            self._asked.taken_back(frame.params)
        elif scope is not None:
            scope.notify(frame.method, frame.params)
        else:
            self._inbound.notified(frame.method, frame.params)

    async def _tell_cancelled(self, id: bytes) -> None:
        with anyio.CancelScope(shield=True):
            await self._post(frames.notification(CANCELLED, b'{"requestId":%b}' % id))

    async def _post(self, body: bytes) -> bool:
        """Send what has no answer; whether the upstream took it."""
        if not self._open:
            return False
        try:
            with anyio.move_on_after(NOTICE_TIMEOUT_S):
                response = await self._wire.send("POST", self._stamps, body)
                self._wire.let_go(response)
                if response.status == 404 and self._in_session:
                    self._ended()
                return response.status < 300
        except UpstreamFault as fault:
            _log.debug("a message was dropped: %s", fault)
        return False


def _delay_s(retry_ms: int | None, attempt: int) -> float:
    """How long to wait before a reconnection: what the server asked for, doubled each time that led nowhere."""
    asked_s = _RETRY_S if retry_ms is None else min(max(retry_ms / 1000, _RETRY_MIN_S), _RETRY_MAX_S)
    return min(asked_s * (1 << min(attempt, 10)), max(asked_s, _BACKOFF_MAX_S))

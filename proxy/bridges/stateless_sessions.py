"""The upstream sessions behind stateless clients: one for each kind of client that one origin shows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import anyio
import anyio.abc
import msgspec

from fuseboard import era
from fuseboard.bridges import questions
from fuseboard.bridges.early_roots import EarlyRoots
from fuseboard.bridges.hearing import LEVELS
from fuseboard.bridges.listening import CHANGES, Listeners
from fuseboard.errors import METHOD_NOT_FOUND, UpstreamFault, UpstreamUnreachable
from fuseboard.ports import Failure, Link, Reply, Request, Result, Scope
from fuseboard.scopes import NOWHERE
from fuseboard.upstreams.calls import PROGRESS, CallScope, progress_token, with_progress_token
from fuseboard.upstreams.handshake import HandshakeSeat
from fuseboard.upstreams.seats import NO_HEADERS, TOOLS_CHANGED
from fuseboard.upstreams.upstream import Upstream
from fuseboard.wire import frames

_log = logging.getLogger("fuseboard.bridge")

SESSIONS: Final = 64
"""How many upstream sessions one origin holds: a client that shows other capabilities each time starts as many."""

_CANONICAL: Final = msgspec.json.Encoder(order="sorted").encode
_NOBODY: Final = {"name": "unknown", "version": "0"}
_PONG: Final = Result(b"{}")


class Client(msgspec.Struct, frozen=True):
    """What a stateless request says of its client. ``key`` is the same for the same client."""

    capabilities: dict[str, Any]
    info: Any
    key: bytes

    @classmethod
    def of(cls, meta: dict[str, Any]) -> Client:
        """``meta`` is a request's ``_meta``."""
        declared = meta.get(era.CAPABILITIES_KEY)
        capabilities = questions.declared_upstream(declared if isinstance(declared, dict) else {})
        info = meta.get(era.CLIENT_INFO_KEY)
        info = info if isinstance(info, dict) and info else _NOBODY
        return cls(capabilities, info, _CANONICAL([capabilities, info]))

    @property
    def initialize(self) -> bytes:
        """The ``initialize`` params of a session for it."""
        version = era.HANDSHAKE_VERSIONS[-1]
        return msgspec.json.encode(
            {"protocolVersion": version, "capabilities": self.capabilities, "clientInfo": self.info}
        )


class OwnSession(HandshakeSeat):
    """One upstream session for one kind of client. What the upstream says is for whichever request it belongs to."""

    def __init__(
        self, upstream: Upstream, tasks: anyio.abc.TaskGroup, client: Client, *, now: Callable[[], float]
    ) -> None:
        super().__init__(upstream, tasks, NOWHERE, initialize=client.initialize)
        self._confirmed = True
        self._now = now
        self._client = client
        self.roots = EarlyRoots()
        self.uses = 0
        self.used_at = now()
        self.listeners = Listeners(self._ask, self._alive, tasks, upstream.losses)
        self._governed: dict[CallScope, None] = {}
        self._level: int | None = None
        self._levelling = anyio.Lock()
        self._tokens = 0

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep the session from being closed for doing nothing."""
        self.uses += 1
        try:
            yield
        finally:
            self.uses -= 1
            self.used_at = self._now()

    async def carry(self, method: str, params: bytes | None, scope: Scope, *, governed: bool) -> Reply:
        """Make one request. ``governed``: the upstream may ask something on its behalf."""
        sent = None
        if params is not None and progress_token(params) is not None:
            # Two requests' tokens may collide, and a held call has another with each round.
            self._tokens += 1
            sent = b"%d" % self._tokens
            params = with_progress_token(params, sent)
        call = CallScope(scope, None)
        if governed:
            self._governed[call] = None
        try:
            return await self._send(method, params, call, sent, NO_HEADERS)
        finally:
            self._governed.pop(call, None)

    async def log_at(self, level: int) -> None:
        """Have the upstream log at that level or below: the lowest that any request wanted so far."""
        async with self._levelling:
            if self._level is not None and self._level <= level:
                return
            await self.open()
            if "logging" not in self.capabilities:
                return
            reply = await self._ask("logging/setLevel", msgspec.json.encode({"level": LEVELS[level]}))
            if isinstance(reply, Failure):
                self.upstream.losses.count("logging/setLevel: refused by the server")
            self._level = level

    @property
    def capabilities(self) -> dict[str, Any]:
        """What the upstream declared, empty before it was asked."""
        return declared(self.result)

    async def asked(self, request: Request) -> Reply:
        """Nothing on the wire says which call is meant, so it is the only one, or nobody's."""
        if request.method == "ping":
            return _PONG
        if len(self._governed) == 1:
            return await next(iter(self._governed)).request(request.method, request.params)
        if not self._governed and self._waits_for_a_call(request):
            reply = await self.roots.ask(request.params)
            if reply is not None:
                return reply
        which = "several calls are under way" if self._governed else "no call is under way"
        self.upstream.losses.count(f"{request.method}: {which}")
        return frames.failure(
            METHOD_NOT_FOUND,
            f"{request.method}: {which}, so there is no telling which client's request this belongs to",
        )

    def _waits_for_a_call(self, request: Request) -> bool:
        if request.method != questions.ROOTS or not self.roots.room:
            return False
        return questions.refusal(request.method, request.params, self._client.capabilities) is None

    def told(self, method: str, params: bytes | None) -> None:
        if method in CHANGES:
            self.changed(method, params)
            return
        call = self._calls.of_progress(params) if method == PROGRESS else self._calls.only()
        if call is not None:
            call.notify(method, params)
        elif method != PROGRESS:
            self.upstream.losses.count(f"{method}: no telling whose it is")

    def changed(self, method: str, params: bytes | None) -> None:
        """A list or a resource has changed, which concerns whoever listens."""
        if method == TOOLS_CHANGED:
            self._listing.catalog.changed()
        self.listeners.told(method, params)

    async def close(self) -> None:
        self.listeners.end()
        await super().close()

    def lost(self, reason: str) -> None:
        super().lost(reason)
        self.listeners.end()

    async def _open(self) -> Link:
        self._level = None
        return await super()._open()

    async def _ask(self, method: str, params: bytes) -> Reply:
        return await self._send(method, params, CallScope(NOWHERE, None), None, NO_HEADERS)

    def _alive(self) -> bool:
        return self._link is not None and self._link.open


class OwnSessions:
    """All of one origin. Those that do nothing are closed, at the latest when others need the room."""

    def __init__(self, tasks: anyio.abc.TaskGroup, now: Callable[[], float], *, idle_s: float) -> None:
        self._tasks = tasks
        self._now = now
        self._idle_s = idle_s
        self._sessions: dict[tuple[str, bytes], OwnSession] = {}
        self._reaping = False

    def __len__(self) -> int:
        return len(self._sessions)

    def at(self, upstream: Upstream, client: Client) -> OwnSession:
        """The session of that kind of client, opened when first used.

        Raises:
            UpstreamUnreachable: there are too many.
        """
        key = (upstream.alias, client.key)
        if (session := self._sessions.get(key)) is None:
            self._make_room(upstream)
            session = self._sessions[key] = OwnSession(upstream, self._tasks, client, now=self._now)
            if not self._reaping:
                self._reaping = True
                self._tasks.start_soon(self._reap)
        session.used_at = self._now()
        return session

    async def close(self) -> None:
        sessions, self._sessions = list(self._sessions.values()), {}
        async with anyio.create_task_group() as closing:
            for session in sessions:
                closing.start_soon(session.close)

    def _make_room(self, upstream: Upstream) -> None:
        if len(self._sessions) < SESSIONS:
            return
        idle = [(session.used_at, key) for key, session in self._sessions.items() if session.uses == 0]
        if not idle:
            upstream.losses.count("a session: too many are in use")
            raise UpstreamUnreachable(
                upstream.alias,
                f"{SESSIONS} sessions with handshake servers are in use for this client already, one for each set of "
                "capabilities that it declared; end some of them first",
            )
        self._tasks.start_soon(self._close, self._sessions.pop(min(idle)[1]))

    async def _reap(self) -> None:
        try:
            while self._sessions:
                await anyio.sleep(
                    max(1.0, min(one.used_at for one in self._sessions.values()) + self._idle_s - self._now())
                )
                for key, session in list(self._sessions.items()):
                    if session.uses == 0 and self._now() - session.used_at >= self._idle_s:
                        del self._sessions[key]
                        await self._close(session)
        finally:
            self._reaping = False

    async def _close(self, session: OwnSession) -> None:
        try:
            await session.close()
        except UpstreamFault as fault:
            _log.debug("a session did not end well: %s", fault)


def declared(introduction: bytes | None) -> dict[str, Any]:
    """The capabilities in an ``initialize`` result."""
    try:
        return msgspec.json.decode(introduction or b"{}", type=_Introduction).capabilities
    except msgspec.MsgspecError:
        return {}


class _Introduction(msgspec.Struct):
    capabilities: dict[str, Any] = {}

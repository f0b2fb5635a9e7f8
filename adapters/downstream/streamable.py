"""Streamable HTTP of the handshake revisions: POST, GET and DELETE on one path, held together by ``Mcp-Session-Id``."""

from __future__ import annotations

import asyncio
import logging
import secrets

import anyio
import anyio.abc
import msgspec

from fuseboard.adapters.downstream import ladder
from fuseboard.adapters.downstream.asgi import STOPPING, Incoming, Refusal, accepts, empty, prefers_streams, refuse
from fuseboard.adapters.downstream.limits import Limits
from fuseboard.adapters.downstream.session import HttpSession, SessionCall
from fuseboard.adapters.downstream.streams import Outlet
from fuseboard.errors import INTERNAL_ERROR, ProtocolFault
from fuseboard.ports import Gateway, Request, Result
from fuseboard.wire import frames

_log = logging.getLogger("fuseboard.downstream")

SESSION = b"mcp-session-id"
LAST_EVENT = b"last-event-id"

_NEITHER = Refusal(406, "Accept must list both application/json and text/event-stream")
_NO_STREAM = Refusal(406, "Accept must list text/event-stream")
_NO_SESSION = Refusal(400, "Mcp-Session-Id is missing; send initialize first, and then the id that its answer carries")
_UNKNOWN = Refusal(404, "there is no such session (any more); send initialize without an id to open one")
_FULL = Refusal(
    503,
    "too many sessions are open here, of all clients together; end one that is done with (DELETE), or try again later",
    INTERNAL_ERROR,
)
_TAKEN = Refusal(409, "this session's stream is open already; one is allowed")
_FORGOTTEN = Refusal(400, "nothing is kept of the stream of this Last-Event-ID")


class Streamable:
    """The sessions and their endpoint."""

    def __init__(self, gateway: Gateway, limits: Limits, tasks: anyio.abc.TaskGroup) -> None:
        self._gateway = gateway
        self._limits = limits
        self._tasks = tasks
        self._sessions: dict[str, HttpSession] = {}
        self._quiet: asyncio.Event | None = None
        """Set anew by every call that ends, once nothing new is taken."""

    def __len__(self) -> int:
        return len(self._sessions)

    async def post(self, http: Incoming) -> None:
        if accepts(http.head.get(b"accept")) != (True, True):
            return await refuse(http.send, _NEITHER)
        session: HttpSession | None = None
        id = http.head.text(SESSION)
        if id is not None and (session := self._find(http, id)) is None:
            return await refuse(http.send, _UNKNOWN)
        body = await http.body(self._limits.body_bytes)
        if body is None:
            return None
        if isinstance(body, Refusal):
            return await refuse(http.send, body)
        if session is not None and session.id not in self._sessions:
            return await refuse(http.send, _UNKNOWN)  # it ended while its message was on the way
        try:
            frame = frames.decode(body, depth=self._limits.depth)
        except ProtocolFault as fault:
            return await refuse(http.send, Refusal(400, fault.message, fault.code), id=fault.id)
        if http.beside is not None and isinstance(frame, Request):
            frame = msgspec.structs.replace(frame, beside=http.beside)
        if session is None:
            if isinstance(frame, Request):
                return await self._open(http, frame)
            return await refuse(http.send, _NO_SESSION)
        if isinstance(frame, Request):
            if self._quiet is not None:
                return await refuse(http.send, STOPPING, id=frame.id)
            return await self._call(http, session, frame)
        session.take(frame)
        return await empty(http.send, 202)

    async def get(self, http: Incoming) -> None:
        if not accepts(http.head.get(b"accept"))[1]:
            return await refuse(http.send, _NO_STREAM)
        session = await self._named(http)
        if session is None:
            return None
        outlet = Outlet(http.send, self._limits, abort=http.abort)
        if last := http.head.text(LAST_EVENT):
            if not session.resume(last, outlet):
                return await refuse(http.send, _FORGOTTEN)
        elif session.standing.attached:
            return await refuse(http.send, _TAKEN)
        else:
            session.standing.attach(outlet)
        try:
            await outlet.run_until(http.left)
        finally:
            session.touched_s = _now_s()

    async def delete(self, http: Incoming) -> None:
        if (session := await self._named(http)) is not None:
            self._end(session)
            await empty(http.send, 200)

    def sweep(self, now_s: float) -> None:
        """End the sessions that have been idle for too long. ``now_s`` is the event loop's time."""
        for session in list(self._sessions.values()):
            if session.idle and now_s - session.touched_s > self._limits.session_idle_s:
                _log.info("session %s… was idle for too long and ends", session.id[:8])
                self._end(session)

    def quiet(self) -> None:
        """Take no new requests, and end the standing streams, which would go on for ever."""
        self._quiet = self._quiet or asyncio.Event()
        for session in self._sessions.values():
            session.standing.end()

    async def drained(self) -> None:
        """Wait until no session has a call under way. To be asked for after :meth:`quiet`."""
        while self._quiet is not None and any(session.calls for session in self._sessions.values()):
            self._quiet.clear()
            await self._quiet.wait()

    def close(self) -> None:
        """End every session."""
        for session in list(self._sessions.values()):
            self._end(session)

    async def _open(self, http: Incoming, request: Request) -> None:
        if request.method != "initialize":
            return await self._stray(http, request)
        if len(self._sessions) >= self._limits.sessions:
            return await refuse(http.send, _FULL, id=request.id)
        session = HttpSession(secrets.token_hex(16), http.caller, self._gateway, self._limits, now_s=_now_s())
        self._sessions[session.id] = session
        headers = ((SESSION, session.id.encode()),)
        call = session.calls[request.id] = SessionCall(http, request.id, self._limits, session, headers=headers)
        opened = False
        try:
            reply = await call.run(session.handler, request)
            opened = isinstance(reply, Result)
            if isinstance(reply, Result):
                session.negotiated(reply)
        finally:
            self._ended(session, request.id)
            session.touched_s = _now_s()  # slow upstreams can take longer over it than a session may be idle
            if not opened:
                self._end(session)
        return await call.conclude(reply)

    async def _stray(self, http: Incoming, request: Request) -> None:
        """A request without a session: of the stateless revision but without its header, or simply too early."""
        if not ladder.looks_modern(request):
            return await refuse(http.send, _NO_SESSION, id=request.id)
        rejection = ladder.judge(request, ladder.Routing(None, None, None))
        assert rejection is not None
        return await refuse(http.send, Refusal(400, rejection.message, rejection.code), id=request.id)

    async def _call(self, http: Incoming, session: HttpSession, request: Request) -> None:
        if request.id in session.calls:
            message = "a request with this id is still being answered; use a new id for each"
            return await refuse(http.send, Refusal(400, message), id=request.id)
        call = session.calls[request.id] = SessionCall(http, request.id, self._limits, session)
        if prefers_streams(http.head.get(b"accept")):
            call.prefer_streams()
        try:
            reply = await call.run(session.handler, request)
        finally:
            self._ended(session, request.id)
            session.touched_s = _now_s()
        return await call.conclude(reply)

    def _ended(self, session: HttpSession, id: bytes) -> None:
        session.calls.pop(id, None)
        if self._quiet is not None:
            self._quiet.set()

    def _find(self, http: Incoming, id: str) -> HttpSession | None:
        """The session, for whoever opened it. To anybody else it does not exist."""
        session = self._sessions.get(id)
        if session is None or session.caller != http.caller:
            return None
        session.touched_s = _now_s()
        return session

    async def _named(self, http: Incoming) -> HttpSession | None:
        """The session that a request without a body is about; ``None`` when it was refused."""
        id = http.head.text(SESSION)
        if id is None:
            await refuse(http.send, _NO_SESSION)
            return None
        session = self._find(http, id)
        if session is None:
            await refuse(http.send, _UNKNOWN)
        return session

    def _end(self, session: HttpSession) -> None:
        if self._sessions.pop(session.id, None) is None:
            return
        session.shut()
        self._tasks.start_soon(_close, session)


async def _close(session: HttpSession) -> None:
    try:
        await session.handler.close()
    except Exception:  # the root of a task that nobody awaits
        _log.exception("session %s… did not close cleanly", session.id[:8])


def _now_s() -> float:
    return asyncio.get_running_loop().time()

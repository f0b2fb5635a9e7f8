"""HTTP+SSE of 2024-11-05: one long GET carries everything down, each message up is a POST of its own."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Final

import anyio
import msgspec

from fuseboard.adapters.downstream.asgi import STOPPING, Caller, Incoming, Refusal, empty, refuse
from fuseboard.adapters.downstream.limits import Limits
from fuseboard.adapters.downstream.streams import Outlet, event
from fuseboard.errors import INTERNAL_ERROR
from fuseboard.peer import Peer
from fuseboard.ports import Beside, Gateway, Origin, Reply, Request, Scope, Session
from fuseboard.wire import frames

_log = logging.getLogger("fuseboard.downstream")

MESSAGES: Final = "/messages/"
_ID: Final = b"session_id="

_UNKNOWN = Refusal(404, "there is no such session (any more); open /sse for one")
_FULL = Refusal(503, "too many sessions are open here, of all clients together; try again later", INTERNAL_ERROR)


class _Face:
    """The handler of a peer whose session can only be made once the peer is there to lead back."""

    def __init__(self, gateway: Gateway, origin: Origin, beside: Beside | None) -> None:
        self._gateway = gateway
        self._origin = origin
        self._beside = beside
        self.session: Session | None = None
        self.quiet = False
        """Nothing new is taken. What the client says to what is being answered is."""

    def connect(self, back: Scope) -> Session:
        self.session = self._gateway.connect(self._origin, back)
        return self.session

    async def request(self, request: Request, scope: Scope) -> Reply:
        assert self.session is not None
        if self.quiet:
            return frames.failure(STOPPING.code, STOPPING.message)
        if self._beside is not None:
            request = msgspec.structs.replace(request, beside=self._beside)
        return await self.session.request(request, scope)

    def notified(self, method: str, params: bytes | None) -> None:
        assert self.session is not None
        self.session.notified(method, params)


class Sse:
    """The two endpoints."""

    def __init__(self, gateway: Gateway, limits: Limits) -> None:
        self._gateway = gateway
        self._limits = limits
        self._open: dict[str, tuple[Caller, Peer, Outlet, _Face]] = {}
        self._draining: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._open)

    async def get(self, http: Incoming) -> None:
        """Open a session that lasts as long as this response."""
        if len(self._open) >= self._limits.sessions:
            return await refuse(http.send, _FULL)
        id = secrets.token_hex(16)
        outlet = Outlet(http.send, self._limits, abort=http.abort)
        outlet.put(b"event: endpoint\ndata: %b?%b%b\n\n" % (MESSAGES.encode(), _ID, id.encode()))
        # A token before /sse holds for the session; a trace is that of one request, and this one asks nothing.
        beside = Beside(http.beside.signed) if http.beside is not None and http.beside.signed is not None else None
        face = _Face(self._gateway, Origin(http.caller.principal, "sse", http.caller.roles, session=id), beside)

        def send(frame: bytes) -> None:
            outlet.put(event(frame))

        peer = Peer(send, face, name="the client", depth=self._limits.depth)
        session = face.connect(peer)
        self._open[id] = (http.caller, peer, outlet, face)
        try:
            await outlet.run_until(http.left)
        finally:
            del self._open[id]
            peer.lost("the client closed the connection")
            with anyio.CancelScope(shield=True):
                await _close(session)

    async def post(self, http: Incoming) -> None:
        """Take one message for a session."""
        found = self._find(http)
        if found is None:
            return await refuse(http.send, _UNKNOWN)
        body = await http.body(self._limits.body_bytes)
        if body is None:
            return None
        if isinstance(body, Refusal):
            return await refuse(http.send, body)
        await empty(http.send, 202)
        return found.receive(body)

    def quiet(self) -> None:
        """End each session as soon as what it was asked is answered: the answers come on the very stream."""
        loop = asyncio.get_running_loop()
        for _, peer, outlet, face in self._open.values():
            if not face.quiet:
                face.quiet = True
                self._draining.append(loop.create_task(_drain(peer, outlet)))

    async def drained(self) -> None:
        """Wait for the ends that :meth:`quiet` brought about."""
        if self._draining:
            await asyncio.wait(self._draining)

    def close(self) -> None:
        """End every session."""
        for draining in self._draining:
            draining.cancel()
        for _, _, outlet, _ in list(self._open.values()):
            outlet.close()

    def _find(self, http: Incoming) -> Peer | None:
        """The session, for whoever opened it. To anybody else it does not exist."""
        query: bytes = http.scope["query_string"]
        id = next((part[len(_ID) :] for part in query.split(b"&") if part.startswith(_ID)), b"")
        caller, peer, *_ = self._open.get(id.decode("latin-1"), (None, None, None, None))
        return peer if caller == http.caller else None


async def _drain(peer: Peer, outlet: Outlet) -> None:
    await peer.drained()
    outlet.close()


async def _close(session: Session) -> None:
    try:
        await session.close()
    except Exception:  # the end of a session is nobody's to await
        _log.exception("a session did not close cleanly")

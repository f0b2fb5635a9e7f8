"""The core as the edges see it: it opens sessions, and every session shares what stands here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.abc

from fuseboard.exchange import Exchange
from fuseboard.identity import Identity
from fuseboard.ports import Origin, Scope, Seal, Session
from fuseboard.scopes import Silent
from fuseboard.sessions.handshake import HandshakeSession
from fuseboard.sessions.relists import Relists
from fuseboard.sessions.sight import Sight
from fuseboard.sessions.stateless import StatelessSession
from fuseboard.upstreams import inspection
from fuseboard.upstreams.own import OwnTools
from fuseboard.upstreams.shared import SharedSeats
from fuseboard.upstreams.upstream import Upstream
from fuseboard.upstreams.vaulted import Vaulted


class Board:
    """Implements :class:`fuseboard.ports.Gateway`. ``clock`` gives Unix seconds.

    ``idle_s`` is how long an upstream session that no client holds may do nothing before it is closed. ``own`` are the
    tools that we offer ourselves, if any, ``vaulted`` what of results is kept to be read later.
    """

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        exchange: Exchange,
        identity: Identity,
        tasks: anyio.abc.TaskGroup,
        clock: Callable[[], float],
        *,
        seal: Seal,
        idle_s: float,
        own: OwnTools | None = None,
        vaulted: Vaulted | None = None,
    ) -> None:
        self.upstreams = upstreams
        self.exchange = exchange
        self.tasks = tasks
        self.sight = Sight(exchange, clock)
        self.relists = Relists()
        self.seal = seal
        self.idle_s = idle_s
        self.own = own
        self.vaulted = vaulted
        self.identity = identity
        self._clock = clock
        self._shared = SharedSeats(tasks, _Everyone(self))
        self._stateless: dict[Origin, StatelessSession] = {}
        self._sessions: dict[HandshakeSession, None] = {}

    def now(self) -> float:
        return self._clock()

    def connect(self, origin: Origin, back: Scope) -> Session:
        run = self.identity.runs.of_session(origin, at=self.now())
        session = HandshakeSession(self, self._shared, origin, back, run, on_close=self._closed)
        self._sessions[session] = None
        return session

    def stateless(self, origin: Origin) -> Session:
        if (session := self._stateless.get(origin)) is None:
            session = self._stateless[origin] = StatelessSession(self, self._shared, origin, self.identity.runs)
        return session

    async def probe(self) -> None:
        """Find out which upstreams answer, side by side: for ``/readyz``, ``status`` and the log."""
        async with anyio.create_task_group() as tasks:
            for upstream in self.upstreams.values():
                tasks.start_soon(self._probe, upstream)

    async def _probe(self, upstream: Upstream) -> None:
        while True:
            found = await inspection.probe(upstream, self._shared, at=self.now())
            if found.era is not None:  # it answers, whatever it lists
                return
            await anyio.sleep(max(0.1, upstream.health.retry_at - self.now()))

    def health(self) -> dict[str, dict[str, Any]]:
        """What is known of each upstream, ready for JSON."""
        entrance = self.exchange.entrance
        busy = entrance.bulkheads.busy() if entrance is not None else {}
        return {
            alias: {
                "state": upstream.health.state,
                "error": upstream.health.error,
                "server": upstream.health.server,
                "stateless": upstream.stateless,
                **({"untranslated": dict(upstream.losses.counts)} if upstream.losses.counts else {}),
                **({"busy": busy[alias]} if alias in busy else {}),
            }
            for alias, upstream in self.upstreams.items()
        }

    def status(self) -> dict[str, Any]:
        """For ``/readyz``: ready once it is known of every upstream whether it answers, and one of them does."""
        upstreams = self.health()
        states = [one["state"] for one in upstreams.values()]
        return {"ready": "unknown" not in states and "up" in states, "upstreams": upstreams}

    async def close(self) -> None:
        for session in list(self._sessions):
            await session.close()
        for stateless in self._stateless.values():
            await stateless.close()
        await self._shared.close()

    def tell(self, method: str, params: bytes | None) -> None:
        for session in self._sessions:
            session.tell(method, params)

    def _closed(self, session: HandshakeSession) -> None:
        self._sessions.pop(session, None)


class _Everyone(Silent):
    """The scope of what concerns every client of the handshake era."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board

    def notify(self, method: str, params: bytes | None) -> None:
        self._board.tell(method, params)

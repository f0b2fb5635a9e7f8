"""The stateless era: no session, every request on its own, one link per upstream for all callers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import anyio
import msgspec

from fuseboard import __version__, era
from fuseboard.bridges.held_calls import HeldCalls
from fuseboard.bridges.listening import Listeners
from fuseboard.bridges.stateless_client import ForStatelessClient, ForStatelessClients, listeners_in_common
from fuseboard.bridges.stateless_sessions import Client, OwnSessions
from fuseboard.era import Era
from fuseboard.errors import METHOD_NOT_FOUND, UpstreamFault
from fuseboard.events import Caller
from fuseboard.ports import Origin, Reply, Request, Result, Scope
from fuseboard.runs import Run, Runs
from fuseboard.scopes import NOWHERE
from fuseboard.sessions.client import Board, ClientSession, unsupported_version
from fuseboard.sessions.introductions import merged_capabilities, merged_instructions, with_tools
from fuseboard.sessions.rollcall import RollCall, awaited
from fuseboard.upstreams.calls import LISTEN
from fuseboard.upstreams.seats import Refused, Seat
from fuseboard.upstreams.shared import SharedSeats
from fuseboard.upstreams.upstream import Upstream
from fuseboard.wire import frames

_log = logging.getLogger("fuseboard.session")

_CANONICAL: Final = msgspec.json.Encoder(order="sorted").encode


class StatelessSession(ClientSession):
    """Serves every stateless request of one origin. It keeps nothing of one request for the next but links."""

    era = Era.STATELESS

    def __init__(self, board: Board, shared: SharedSeats, origin: Origin, runs: Runs) -> None:
        super().__init__(board, origin)
        self._shared = shared
        self._runs = runs
        self._held = HeldCalls(board.seal, board.tasks, board.now, principal=origin.principal)
        self._sessions = OwnSessions(board.tasks, board.now, idle_s=board.idle_s)
        self._listeners: dict[str, Listeners] = {}

    async def _route(self, request: Request, scope: Scope) -> Reply:
        if request.method in era.REMOVED:
            return frames.failure(METHOD_NOT_FOUND, f"Method not found: {request.method} is gone since 2026-07-28")
        if request.method == LISTEN:
            return await self._listen(request, scope)
        if request.method != "server/discover":
            return await super()._route(request, scope)
        if self._only is None:
            return await self._discover(request)
        reply = await super()._route(request, scope)
        return Result(with_tools(reply.raw)) if self._board.own is not None and isinstance(reply, Result) else reply

    def notified(self, method: str, params: bytes | None) -> None:
        """The revision has no notifications from client to server but cancellation, which never gets here."""

    async def close(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._held.close()
            await self._sessions.close()
        for alias, listeners in self._listeners.items():
            self._shared.common(self._board.upstreams[alias]).ears.remove(listeners)
            listeners.end()

    def _run(self, request: Request) -> Run:
        return self._runs.of_request(self._origin, self._client_name(request), at=self._board.now())

    def _caller(self, request: Request) -> Caller:
        return Caller(self._origin.principal, self._origin.roles, self._client_name(request))

    def _declared(self, request: Request) -> Mapping[str, Any]:
        meta = (request.value or {}).get("_meta")
        capabilities = meta.get(era.CAPABILITIES_KEY) if isinstance(meta, dict) else None
        return capabilities if isinstance(capabilities, dict) else {}

    def _kind_of_caller(self, request: Request) -> bytes:
        # A list comes unparsed, and is of the same kind of caller as the calls that follow it.
        meta = request.value.get("_meta") if request.value is not None else era.meta_of(request.params)
        capabilities = meta.get(era.CAPABILITIES_KEY) if isinstance(meta, dict) else None
        return self._origin.principal.encode() + b"\n" + _CANONICAL(capabilities)

    def _client_name(self, request: Request) -> str | None:
        if request.value is not None:
            meta = request.value.get("_meta")
            return era.client_name(meta.get(era.CLIENT_INFO_KEY)) if isinstance(meta, dict) else None
        return era.client_name(era.meta_of(request.params).get(era.CLIENT_INFO_KEY))

    async def _seat(self, alias: str, request: Request) -> Seat:
        upstream = self._board.upstreams[alias]
        shared = self._shared.at(upstream)
        if upstream.stateless or await shared.speaks(_probe_params(request)):
            return shared
        bridge = self._bridge(upstream, request)
        await bridge.introduction()
        upstream.stateless = False  # it was silent when it was asked, perhaps, and it does shake hands
        return bridge

    async def _seats(self, request: Request) -> Sequence[Seat]:
        """Side by side, so that a dead upstream costs the others nothing but its own refusal."""
        upstreams = self._board.upstreams
        seats: dict[str, Seat] = {}
        call = RollCall(*awaited(upstreams))

        async def take(alias: str) -> None:
            try:
                seats[alias] = await self._seat(alias, request)
                call.present(alias)
            except UpstreamFault as fault:
                _log.debug("%s is left out: %s", alias, fault.message)  # that it is down was said when it went down
                call.absent(alias)
            except Exception:  # a task's root: one odd upstream must not end the board
                _log.exception("%s is left out", alias)
                call.absent(alias)

        for alias in upstreams:
            # Tasks of the board: a server that is slow to start goes on starting, and the next list has it.
            self._board.tasks.start_soon(take, alias)
        await call.wait()
        return [seats[alias] for alias in upstreams if alias in seats]

    def _bridge(self, upstream: Upstream, request: Request) -> ForStatelessClient | ForStatelessClients:
        """A seat at an upstream that speaks the handshake era alone."""
        if not upstream.server.bridge:
            raise Refused(upstream.alias, unsupported_version(era.STATELESS_VERSIONS[-1]))
        if upstream.server.share == "all":
            common = self._shared.common(upstream)
            if (listeners := self._listeners.get(upstream.alias)) is None:
                listeners = self._listeners[upstream.alias] = listeners_in_common(common, self._board.tasks)
            return ForStatelessClients(common, listeners)
        meta = request.value.get("_meta") if request.value is not None else era.meta_of(request.params)
        return ForStatelessClient(
            upstream, self._sessions, self._held, Client.of(meta if isinstance(meta, dict) else {})
        )

    async def _discover(self, request: Request) -> Reply:
        """``server/discover`` of all upstreams as one server."""
        found: dict[str, dict[str, Any]] = {}
        seats = await self._seats(request)
        upstreams = self._board.upstreams.values()
        if not seats and all(upstream.stateless is False and not upstream.server.bridge for upstream in upstreams):
            return unsupported_version(era.STATELESS_VERSIONS[-1])
        for seat in seats:
            try:
                reply = await seat.request(request.method, request.params, NOWHERE)
            except (UpstreamFault, Refused):
                continue
            if isinstance(reply, Result):
                found[seat.upstream.alias] = msgspec.json.decode(reply.raw, type=dict[str, Any])
        result: dict[str, Any] = {
            "resultType": "complete",
            "supportedVersions": [*era.STATELESS_VERSIONS, *reversed(era.HANDSHAKE_VERSIONS)],
            "capabilities": merged_capabilities(
                [*(one.get("capabilities") or {} for one in found.values()), *self._own_capabilities()],
                everything=len(found) < len(self._board.upstreams),
            ),
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {era.SERVER_INFO_KEY: {"name": "fuseboard", "version": __version__}},
            **merged_instructions({alias: one.get("instructions") for alias, one in found.items()}),
        }
        return Result(msgspec.json.encode(result))


def _probe_params(request: Request) -> bytes | None:
    """The envelope of a request, alone: what a probe of the upstream needs to say on its behalf."""
    meta = era.meta_of(request.params)
    kept = {key: value for key, value in meta.items() if key.startswith(era.PREFIX)}
    return msgspec.json.encode({"_meta": kept})

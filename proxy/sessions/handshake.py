"""A session of the handshake era: opened by ``initialize``, with upstream sessions of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import msgspec

from fuseboard import __version__, era
from fuseboard.bridges.handshake_client import ForHandshakeClient
from fuseboard.era import Era
from fuseboard.errors import INVALID_REQUEST, METHOD_NOT_FOUND, ProtocolFault, UpstreamFault, UpstreamUnreachable
from fuseboard.events import Caller
from fuseboard.ports import Origin, Reply, Request, Result, Scope
from fuseboard.runs import Run
from fuseboard.sessions.client import EMPTY_RESULT, Board, ClientSession
from fuseboard.sessions.introductions import LIST_CHANGED, merged_capabilities, merged_instructions
from fuseboard.sessions.rollcall import RollCall
from fuseboard.upstreams.handshake import CommonSeat, HandshakeSeat
from fuseboard.upstreams.seats import Refused, Seat
from fuseboard.upstreams.shared import SharedSeats
from fuseboard.upstreams.upstream import Upstream
from fuseboard.wire import frames, splice

_log = logging.getLogger("fuseboard.session")


class HandshakeSession(ClientSession):
    """One client of the handshake era. Its links upstream live and die with it."""

    era = Era.HANDSHAKE

    def __init__(
        self,
        board: Board,
        shared: SharedSeats,
        origin: Origin,
        back: Scope,
        run: Run,
        *,
        on_close: Callable[[HandshakeSession], None],
    ) -> None:
        super().__init__(board, origin)
        self._on_close = on_close
        self._shared = shared
        self._back = back
        self._session_run = run
        self._initialize: bytes | None = None
        self._client: dict[str, Any] = {}
        self._who = Caller(origin.principal, origin.roles)
        self._introduced = anyio.Event()
        self._confirmed = False
        self._seated: dict[str, HandshakeSeat | ForHandshakeClient] = {}
        self._seating = {alias: anyio.Lock() for alias in board.upstreams}
        self._trying: set[anyio.CancelScope] = set()

    async def _route(self, request: Request, scope: Scope) -> Reply:
        match request.method:
            case "initialize":
                return await self._open(request)
            case "ping":
                return EMPTY_RESULT
            case "server/discover":
                # A probe of the other era on this pipe: not found makes the client shake hands.
                return frames.failure(METHOD_NOT_FOUND, "Method not found: server/discover")
            case "logging/setLevel" if self._only is None:
                return await self._set_level(request, scope)
        return await super()._route(request, scope)

    def notified(self, method: str, params: bytes | None) -> None:
        if method == "notifications/initialized":
            self._confirmed = True
            for seat in self._seated.values():
                if isinstance(seat, HandshakeSeat):
                    seat.confirm()
            return
        if self._only is not None or method == "notifications/roots/list_changed":
            for seat in self._seated.values():
                seat.notify(method, params)

    async def close(self) -> None:
        self._on_close(self)
        for trying in self._trying:
            trying.cancel()
        seats, self._seated = list(self._seated.values()), {}
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                for seat in seats:
                    tasks.start_soon(seat.close)

    def tell(self, method: str, params: bytes | None) -> None:
        """Pass on what concerns every client."""
        if self._confirmed:
            self._back.notify(method, params)

    def _run(self, request: Request) -> Run:
        return self._session_run

    def _caller(self, request: Request) -> Caller:
        return self._who

    async def _seat(self, alias: str, request: Request) -> Seat:
        if (seat := self._seated.get(alias)) is not None:
            return seat
        if self._initialize is None:
            raise ProtocolFault(INVALID_REQUEST, f"{request.method} came before initialize")
        return await self._take_seat(self._board.upstreams[alias])

    async def _seats(self, request: Request) -> Sequence[Seat]:
        if self._initialize is None:
            raise ProtocolFault(INVALID_REQUEST, f"{request.method} came before initialize")
        await self._introduced.wait()  # what was sent without waiting for the answer to initialize comes after it
        # In the order of the configuration, whichever came up first.
        return [seat for alias in self._board.upstreams if (seat := self._seated.get(alias)) is not None]

    # Opening.

    async def _open(self, request: Request) -> Reply:
        if self._initialize is not None:
            raise ProtocolFault(INVALID_REQUEST, "initialize came a second time on this session")
        params = request.params or b"{}"
        self._client = msgspec.json.decode(params, type=dict[str, Any])
        self._initialize = params
        self._who = Caller(self._origin.principal, self._origin.roles, era.client_name(self._client.get("clientInfo")))
        try:
            if self._only is not None:
                return Result(await self._introduction(await self._take_seat(self._board.upstreams[self._only])))
            return await self._open_many()
        except UpstreamFault:
            self._initialize = None  # the client may try again
            raise

    async def _open_many(self) -> Reply:
        """Take all seats side by side, and answer without waiting long for any of them."""
        upstreams = self._board.upstreams
        call = RollCall(alias for alias, upstream in upstreams.items() if upstream.worth_waiting)
        for upstream in upstreams.values():
            self._board.tasks.start_soon(self._seat_sometime, upstream, call)
        await call.wait()
        introduction = await self._merged_introduction()
        self._introduced.set()
        return Result(msgspec.json.encode(introduction))

    async def _seat_sometime(self, upstream: Upstream, call: RollCall) -> None:
        with anyio.CancelScope() as trying:
            self._trying.add(trying)
            await self._keep_trying(upstream, call)
        self._trying.discard(trying)

    async def _keep_trying(self, upstream: Upstream, call: RollCall) -> None:
        """Take the seat, now or when the upstream comes up."""
        while True:
            try:
                await self._take_seat(upstream)
            except Refused as refused:
                _log.warning("%s", refused.message)
                call.absent(upstream.alias)
                return
            except UpstreamFault:
                call.absent(upstream.alias)
                await anyio.sleep(max(0.1, upstream.health.retry_at - self._board.now()))
                continue
            call.present(upstream.alias)
            if self._introduced.is_set():
                self._announce()
            return

    def _announce(self) -> None:
        """An upstream came up late: the client's lists have changed."""
        if self._confirmed:
            for what in LIST_CHANGED:
                self._back.notify(f"notifications/{what}/list_changed", None)

    async def _take_seat(self, upstream: Upstream) -> HandshakeSeat | ForHandshakeClient:
        async with self._seating[upstream.alias]:
            if (taken := self._seated.get(upstream.alias)) is not None:
                return taken
            assert self._initialize is not None
            seat = self._new_seat(upstream, self._initialize)
            try:
                await seat.open()
            except Refused:
                bridged = await self._bridge(upstream)
                if bridged is None:
                    raise
                self._seated[upstream.alias] = bridged
                return bridged
            if self._confirmed:
                seat.confirm()
            self._seated[upstream.alias] = seat
            return seat

    def _new_seat(self, upstream: Upstream, initialize: bytes) -> HandshakeSeat:
        if upstream.server.share == "all":
            return self._shared.common(upstream)
        return HandshakeSeat(upstream, self._board.tasks, self._back, initialize=initialize)

    async def _bridge(self, upstream: Upstream) -> ForHandshakeClient | None:
        """A seat at an upstream that refuses the handshake because it speaks the stateless era alone."""
        shared = self._shared.at(upstream)
        bridge = ForHandshakeClient(
            shared,
            client_info=self._client.get("clientInfo") or {"name": "unknown", "version": "0"},
            # What such an upstream would ask back cannot be passed on yet, so nothing is promised to it.
            capabilities={},
        )
        return bridge if await shared.speaks(bridge.envelope(None)) else None

    async def _introduction(self, seat: HandshakeSeat | ForHandshakeClient) -> bytes:
        """The upstream's own ``initialize`` result, byte for byte where it speaks this era."""
        if isinstance(seat, HandshakeSeat):
            if seat.result is None:
                raise UpstreamUnreachable(seat.upstream.alias, f"{seat.upstream.alias} ended while it was starting")
            if isinstance(seat, CommonSeat):  # it shook hands on our account, perhaps at another revision
                return splice.with_fields(seat.result, protocolVersion=self._version())
            return seat.result
        reply = await self._shared.at(seat.upstream).request("server/discover", seat.envelope(None), self._back)
        if not isinstance(reply, Result):
            raise Refused(seat.upstream.alias, reply)
        return era.initialize_result(reply.raw, version=self._version())

    async def _merged_introduction(self) -> dict[str, Any]:
        introductions = {
            alias: msgspec.json.decode(await self._introduction(seat), type=dict[str, Any])
            for alias in self._board.upstreams
            if (seat := self._seated.get(alias)) is not None
        }
        return {
            "protocolVersion": self._version(),
            "capabilities": merged_capabilities(
                [one.get("capabilities") or {} for one in introductions.values()],
                everything=len(introductions) < len(self._board.upstreams),
            ),
            "serverInfo": {"name": "fuseboard", "version": __version__},
            **merged_instructions({alias: one.get("instructions") for alias, one in introductions.items()}),
        }

    def _version(self) -> str:
        asked = self._client.get("protocolVersion")
        return asked if asked in era.HANDSHAKE_VERSIONS else era.HANDSHAKE_VERSIONS[-1]

    async def _set_level(self, request: Request, scope: Scope) -> Reply:
        """Every upstream logs at the client's level; that one of them cannot is no reason to refuse."""
        replies = [await seat.request(request.method, request.params, scope) for seat in await self._seats(request)]
        return next((reply for reply in replies if isinstance(reply, Result)), EMPTY_RESULT)

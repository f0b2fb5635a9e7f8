"""A session of the handshake era: opened by ``initialize``, with upstream sessions of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import anyio
import msgspec

from fuseboard import __version__, era
from fuseboard.bridges.handshake_client import LEVELS, ForHandshakeClient
from fuseboard.era import Era
from fuseboard.errors import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    UNSUPPORTED_VERSION,
    ProtocolFault,
    UpstreamFault,
    UpstreamUnreachable,
)
from fuseboard.events import Caller
from fuseboard.listings import Kind, Shown
from fuseboard.ports import Failure, Origin, Reply, Request, Result, Scope
from fuseboard.runs import Run
from fuseboard.scopes import NOWHERE
from fuseboard.sessions.changes import NOTICES, Changes, Heard, Known
from fuseboard.sessions.client import EMPTY_RESULT, Board, ClientSession
from fuseboard.sessions.introductions import merged_capabilities, merged_instructions, with_tools
from fuseboard.sessions.rollcall import RollCall, awaited
from fuseboard.upstreams.handshake import CommonSeat, HandshakeSeat
from fuseboard.upstreams.seats import Refused, Seat
from fuseboard.upstreams.shared import SharedSeats
from fuseboard.upstreams.upstream import Upstream
from fuseboard.wire import frames, splice

_log = logging.getLogger("fuseboard.session")

AHEAD_S: Final = 2.0
"""How long others wait for the first handshake of all with an upstream, before they try theirs."""


LINKS_SINCE: Final = "2025-06-18"
"""The revision in which a tool's result may hold links to resources. Clients of earlier ones choke on them."""


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
        self._log_level: bytes | None = None
        """The params of the last ``logging/setLevel``, for upstreams that come up later."""
        self._seated: dict[str, HandshakeSeat | ForHandshakeClient] = {}
        self._seating = {alias: anyio.Lock() for alias in board.upstreams}
        self._trying: set[anyio.CancelScope] = set()
        self._known = Known()
        self._changes = Changes(
            board.tasks,
            self._known,
            view=lambda alias, kind: self._view(alias, kind, Request(b"null", kind.method, None)),
            say=lambda method: self._back.notify(method, None),
            relayed=self._only is not None,
        )

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
                return await self._set_level(request)
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
        self._changes.close()
        for trying in self._trying:
            trying.cancel()
        seats, self._seated = list(self._seated.values()), {}
        self._back = NOWHERE  # the way back holds us: what is a cycle waits for the garbage collector
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                for seat in seats:
                    tasks.start_soon(seat.close)
            await self._board.exchange.ended(self._session_run)

    def tell(self, method: str, params: bytes | None) -> None:
        """Pass on what concerns every client."""
        if not self._confirmed:
            return
        told = [alias for alias, upstream in self._board.upstreams.items() if upstream.server.share == "all"]
        taken = [alias for alias in told if self._changes.takes(alias, method)]
        for alias in taken:  # which of them said it is not known here
            self._changes.take(alias, method)
        if not taken:
            self._back.notify(method, params)

    def _listed(self, kind: Kind, alias: str, shown: Shown | None, cursor: str | None) -> None:
        self._known.listed(kind, alias, shown, cursor)

    def _way_back(self, seat: Seat, scope: Scope) -> Scope:
        """Upstreams on a pipe tell of changes while a call is under way, too, and then on the way of that call."""
        if self._only is None or self._partial:
            scope = Heard(scope, seat.upstream.alias, self._changes)
        return super()._way_back(seat, scope)

    def _declared(self, request: Request) -> Mapping[str, Any]:
        capabilities = self._client.get("capabilities")
        return capabilities if isinstance(capabilities, dict) else {}

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
        self._links = str(self._client.get("protocolVersion")) >= LINKS_SINCE
        self._initialize = params
        self._who = Caller(self._origin.principal, self._origin.roles, era.client_name(self._client.get("clientInfo")))
        try:
            if self._only is not None:
                introduction = self._introduction(await self._take_seat(self._board.upstreams[self._only]))
                return Result(introduction if self._board.own is None else with_tools(introduction))
            return await self._open_many()
        except UpstreamFault:
            self._initialize = None  # the client may try again
            raise

    async def _open_many(self) -> Reply:
        """Take all seats side by side, and answer without waiting long for any of them."""
        upstreams = self._board.upstreams
        call = RollCall(*awaited(upstreams))
        for upstream in upstreams.values():
            self._board.tasks.start_soon(self._seat_sometime, upstream, call)
        await call.wait()
        introduction = self._merged_introduction()
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
                self._announce(upstream.alias)
            return

    def _announce(self, alias: str) -> None:
        """An upstream came up late: the client's lists have changed, if it has anything for them."""
        if self._confirmed:
            for method in NOTICES:
                self._changes.take(alias, method)

    async def _take_seat(self, upstream: Upstream) -> HandshakeSeat | ForHandshakeClient:
        async with self._seating[upstream.alias]:
            if (taken := self._seated.get(upstream.alias)) is not None:
                return taken
            assert self._initialize is not None
            seat = await self._shake_hands_or_bridge(upstream, self._initialize)
            self._seated[upstream.alias] = seat
            if self._log_level is not None:
                await _set_level(seat, self._log_level)
            return seat

    async def _shake_hands_or_bridge(self, upstream: Upstream, initialize: bytes) -> HandshakeSeat | ForHandshakeClient:
        """Of many clients that come at once one goes ahead: each try costs a link, over stdio a whole process."""
        with anyio.move_on_after(AHEAD_S):
            while upstream.handshake is None and upstream.first_handshake is not None:
                await upstream.first_handshake.wait()
        first: anyio.Event | None = None
        if upstream.handshake is None and upstream.first_handshake is None:
            first = upstream.first_handshake = anyio.Event()
        try:
            if upstream.handshake is not False and (seat := await self._shake_hands(upstream, initialize)) is not None:
                return seat
        finally:
            if first is not None:
                upstream.first_handshake = None
                first.set()
        return await self._bridge(upstream)

    async def _shake_hands(self, upstream: Upstream, initialize: bytes) -> HandshakeSeat | None:
        """The seat, or ``None`` where there must be a bridge instead."""
        seat = self._new_seat(upstream, initialize)
        try:
            await seat.open()
        except Refused as refused:
            if not upstream.server.bridge:
                raise
            if not await self._shared.at(upstream).speaks(self._new_bridge(upstream).envelope(None)):
                raise
            # Others need not try in vain, where the refusal is one of the era and not of this client.
            upstream.handshake = not _belongs_to_the_era(refused.reply)
            return None
        upstream.handshake = True
        if self._confirmed:
            seat.confirm()
        return seat

    def _new_seat(self, upstream: Upstream, initialize: bytes) -> HandshakeSeat:
        if upstream.server.share == "all":
            return self._shared.common(upstream)
        back = Heard(self._task_names(upstream.alias, self._back), upstream.alias, self._changes)
        return HandshakeSeat(upstream, self._board.tasks, back, initialize=initialize)

    async def _bridge(self, upstream: Upstream) -> ForHandshakeClient:
        """A seat at an upstream that refuses the handshake because it speaks the stateless era alone."""
        bridge = self._new_bridge(upstream)
        await bridge.open()
        return bridge

    def _new_bridge(self, upstream: Upstream) -> ForHandshakeClient:
        return ForHandshakeClient(
            self._shared.at(upstream),
            self._board.tasks,
            Heard(self._task_names(upstream.alias, self._back), upstream.alias, self._changes),
            client_info=self._client.get("clientInfo") or {"name": "unknown", "version": "0"},
            capabilities=self._client.get("capabilities"),
        )

    def _introduction(self, seat: HandshakeSeat | ForHandshakeClient) -> bytes:
        """The upstream's own ``initialize`` result, byte for byte where it speaks this era."""
        if isinstance(seat, ForHandshakeClient):
            return seat.introduction(self._version())
        if seat.result is None:
            raise UpstreamUnreachable(seat.upstream.alias, f"{seat.upstream.alias} ended while it was starting")
        if isinstance(seat, CommonSeat):  # it shook hands on our account, perhaps at another revision
            return splice.with_fields(seat.result, protocolVersion=self._version())
        return seat.result

    def _merged_introduction(self) -> dict[str, Any]:
        introductions = {
            alias: msgspec.json.decode(self._introduction(seat), type=dict[str, Any])
            for alias in self._board.upstreams
            if (seat := self._seated.get(alias)) is not None
        }
        return {
            "protocolVersion": self._version(),
            "capabilities": merged_capabilities(
                [*(one.get("capabilities") or {} for one in introductions.values()), *self._own_capabilities()],
                everything=len(introductions) < len(self._board.upstreams),
            ),
            "serverInfo": {"name": "fuseboard", "version": __version__},
            **merged_instructions({alias: one.get("instructions") for alias, one in introductions.items()}),
        }

    def _version(self) -> str:
        asked = self._client.get("protocolVersion")
        return asked if asked in era.HANDSHAKE_VERSIONS else era.HANDSHAKE_VERSIONS[-1]

    async def _set_level(self, request: Request) -> Reply:
        """Every upstream logs at the client's level; that one of them cannot is no reason to refuse."""
        level = msgspec.json.decode(request.params or b"{}", type=dict[str, Any]).get("level")
        if level not in LEVELS:
            raise ProtocolFault(INVALID_PARAMS, f'{request.method}: "level" must be one of {", ".join(LEVELS)}')
        self._log_level = request.params or b"{}"
        for seat in await self._seats(request):
            await _set_level(seat, self._log_level)
        return EMPTY_RESULT


async def _set_level(seat: Seat, params: bytes) -> None:
    try:
        await seat.request("logging/setLevel", params, NOWHERE)
    except UpstreamFault as fault:
        _log.info("%s keeps its log level: %s", seat.upstream.alias, fault.message)


class _Refusal(msgspec.Struct):
    code: int = 0


def _belongs_to_the_era(refusal: Failure) -> bool:
    """Whether an upstream that speaks the stateless era refused the handshake because it speaks nothing else."""
    try:
        code = msgspec.json.decode(refusal.raw, type=_Refusal).code
    except msgspec.MsgspecError:
        return False
    return code in (METHOD_NOT_FOUND, UNSUPPORTED_VERSION, HEADER_MISMATCH, MISSING_CAPABILITY)

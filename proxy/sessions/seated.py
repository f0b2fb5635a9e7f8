"""What every room of a session rests on: the board that all share, and this client's seats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import anyio
import anyio.abc
import msgspec

from fuseboard import era
from fuseboard.era import Era
from fuseboard.events import Caller
from fuseboard.exchange import Exchange
from fuseboard.identity import Identity
from fuseboard.ports import Origin, Request, Scope, Seal
from fuseboard.runs import Run
from fuseboard.sessions.relists import Relists
from fuseboard.sessions.sight import Sight
from fuseboard.upstreams.own import OwnTools
from fuseboard.upstreams.seats import Seat
from fuseboard.upstreams.upstream import Upstream
from fuseboard.upstreams.vaulted import Vaulted
from fuseboard.wire import splice


class Board(Protocol):
    """What every session shares: the gateway, as a session sees it."""

    exchange: Exchange
    identity: Identity
    tasks: anyio.abc.TaskGroup
    sight: Sight
    relists: Relists
    own: OwnTools | None
    vaulted: Vaulted | None
    upstreams: Mapping[str, Upstream]
    seal: Seal
    idle_s: float

    def now(self) -> float: ...


class Seated:
    """One client, its seats and its run. A subclass of each era says what they are."""

    era: Era
    _links = True
    """Whether the client's revision knows links to resources among a result's blocks."""

    def __init__(self, board: Board, origin: Origin) -> None:
        self._board = board
        self._origin = origin
        only = list(board.upstreams) if len(board.upstreams) == 1 else None
        self._only = only[0] if only else None

    async def _seat(self, alias: str, request: Request) -> Seat:
        """The seat at one upstream.

        Raises:
            UpstreamFault: it cannot be had now.
        """
        raise NotImplementedError

    async def _seats(self, request: Request) -> Sequence[Seat]:
        """The seats at all upstreams that can be had now."""
        raise NotImplementedError

    def _run(self, request: Request) -> Run:
        """The run of a request that names none."""
        raise NotImplementedError

    def _caller(self, request: Request) -> Caller:
        raise NotImplementedError

    def _declared(self, request: Request) -> Mapping[str, Any]:
        """The capabilities that the client declared."""
        raise NotImplementedError

    def _kind_of_caller(self, request: Request) -> bytes:
        """What an upstream may make its list depend on, within one link."""
        return b""

    def _way_back(self, seat: Seat, scope: Scope) -> Scope:
        """The scope of one request as that seat gets it."""
        return scope


def own_params(request: Request) -> bytes | None:
    """Params for a listing of our own: the envelope of the request that needs it, without its progress token."""
    meta = splice.fields(request.params).get("_meta")
    if meta is None:
        return None
    kept = {key: value for key, value in splice.fields(meta).items() if key.startswith(era.PREFIX)}
    return splice.join({"_meta": msgspec.Raw(splice.join(kept))}) if kept else None

"""The seat of a stateless client at an upstream that speaks the handshake era alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fuseboard import era
from fuseboard.era import Era
from fuseboard.errors import METHOD_NOT_FOUND
from fuseboard.ports import Reply, Scope
from fuseboard.upstreams.handshake import CommonSeat
from fuseboard.upstreams.listing import Listing
from fuseboard.upstreams.upstream import Upstream
from fuseboard.wire import frames

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_NEW: Final = frozenset({"server/discover", "subscriptions/listen"})


class ForStatelessClient:
    """A handshake upstream's seat for a client of the stateless era."""

    era = Era.HANDSHAKE

    def __init__(self, seat: CommonSeat) -> None:
        self._seat = seat

    @property
    def upstream(self) -> Upstream:
        return self._seat.upstream

    def listing(self, key: bytes) -> Listing:
        return self._seat.listing(key)

    @property
    def introduction(self) -> bytes:
        """The upstream's ``initialize`` result."""
        return self._seat.result or b"{}"

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Reply:
        if method in _NEW:
            return frames.failure(METHOD_NOT_FOUND, f"{self.upstream.alias} speaks no 2026-07-28 and has no {method}")
        return era.as_stateless(await self._seat.request(method, era.without_envelope(params), scope))

    def notify(self, method: str, params: bytes | None) -> None:
        self._seat.notify(method, params)

    async def close(self) -> None:
        await self._seat.shut()

"""The seat of a handshake client at an upstream that speaks the stateless era alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from fuseboard import era
from fuseboard.era import Era
from fuseboard.errors import METHOD_NOT_FOUND
from fuseboard.ports import Reply, Scope
from fuseboard.upstreams.listing import Listing
from fuseboard.upstreams.shared import SharedSeat
from fuseboard.upstreams.upstream import Upstream
from fuseboard.wire import frames

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_GONE: Final = frozenset({"ping", "initialize", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"})


class ForHandshakeClient:
    """A stateless upstream's seat for a client of the handshake era.

    What the upstream asks back (``input_required``) has no translation here yet and is refused, never swallowed.
    """

    era = Era.STATELESS

    def __init__(self, shared: SharedSeat, *, client_info: Any, capabilities: Any) -> None:
        self._shared = shared
        self._listing = shared.listing(b"bridged")
        self._client_info = client_info
        self._capabilities = capabilities

    @property
    def upstream(self) -> Upstream:
        return self._shared.upstream

    def listing(self, key: bytes) -> Listing:
        return self._listing

    def envelope(self, params: bytes | None) -> bytes:
        """The client's params in the envelope that every stateless request carries."""
        return era.with_envelope(params, client_info=self._client_info, capabilities=self._capabilities)

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Reply:
        if method in _GONE:
            return frames.failure(
                METHOD_NOT_FOUND, f"{self.upstream.alias} speaks only 2026-07-28, which has no {method}"
            )
        reply = await self._shared.request(method, self.envelope(params), scope, headers=headers)
        if era.asks_for_input(reply):
            return frames.failure(
                METHOD_NOT_FOUND,
                f"{self.upstream.alias} asks for input in the way of 2026-07-28, which this client's revision lacks",
            )
        return era.as_handshake(reply)

    def notify(self, method: str, params: bytes | None) -> None:
        """Nothing to send: the one notification of that era, cancellation, is the link's own affair."""

    async def close(self) -> None:
        """The link is shared: it outlives the session."""

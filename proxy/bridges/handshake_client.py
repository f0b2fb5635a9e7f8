"""The seat of a handshake client at an upstream that speaks the stateless era alone.

What has no way across and is dropped: that the client's roots changed, and its progress. What such an upstream offers
and this client cannot be given (results of tasks, structured values that are no objects) is left out or refused, and
counted in the upstream's losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import anyio
import anyio.abc
import msgspec

from fuseboard import era
from fuseboard.bridges import handshake_introduction, handshake_results
from fuseboard.bridges.handshake_subscriptions import EMPTY_RESULT, Subscriptions
from fuseboard.bridges.input_rounds import InputRounds, Unanswerable
from fuseboard.bridges.rising import Rising
from fuseboard.era import Era
from fuseboard.errors import INVALID_PARAMS, METHOD_NOT_FOUND
from fuseboard.ports import Failure, Reply, Result, Scope
from fuseboard.scopes import NOWHERE
from fuseboard.upstreams.calls import progress_token
from fuseboard.upstreams.listing import Listing
from fuseboard.upstreams.seats import TOOLS_CHANGED, Refused
from fuseboard.upstreams.shared import SharedSeat
from fuseboard.upstreams.upstream import START_TIMEOUT_S, Upstream
from fuseboard.wire import frames

LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_CANONICAL: Final = msgspec.json.Encoder(order="sorted").encode

_GONE: Final = frozenset({"initialize", "server/discover", "subscriptions/listen"}) | frozenset(
    {"tasks/get", "tasks/result", "tasks/list", "tasks/cancel", "tasks/update"}
)
"""What belongs to one era alone. The tasks of 2025-11-25 and those of 2026-07-28 share names and nothing else."""


@dataclass(slots=True)
class Envelope:
    """What every stateless request says of its client."""

    client_info: Any
    capabilities: Mapping[str, Any]
    log_level: str | None = None

    def __call__(self, params: bytes | None) -> bytes:
        """The client's params with it."""
        return era.with_envelope(
            params, client_info=self.client_info, capabilities=self.capabilities, log_level=self.log_level
        )


class ForHandshakeClient:
    """A stateless upstream's seat for one session of the handshake era. ``back`` is the way to its client."""

    era = Era.STATELESS

    def __init__(
        self, shared: SharedSeat, tasks: anyio.abc.TaskGroup, back: Scope, *, client_info: Any, capabilities: Any
    ) -> None:
        self._shared = shared
        self._capabilities = handshake_introduction.client_capabilities(capabilities)
        self.envelope = Envelope(client_info, self._capabilities)
        # The upstream may show other tools to a client of other capabilities.
        self._listing = shared.listing(b"bridged\n" + _CANONICAL(self._capabilities))
        self._subscriptions = Subscriptions(shared, tasks, self.envelope, partial(_tell, self._listing, back))
        self._discovered = b"{}"
        self._lists: tuple[str, ...] = ()

    @property
    def upstream(self) -> Upstream:
        return self._shared.upstream

    def listing(self, key: bytes) -> Listing:
        return self._listing

    async def open(self) -> None:
        """Learn what the upstream offers to this client, and listen for what it will tell of.

        Raises:
            UpstreamFault: it does not answer.
            Refused: it answers with an error.
        """
        try:
            with anyio.fail_after(START_TIMEOUT_S):
                reply = await self._shared.request("server/discover", self.envelope(None), NOWHERE)
        except TimeoutError:
            raise self.upstream.timed_out("server/discover", START_TIMEOUT_S) from None
        known = self._translated("server/discover", reply)
        if isinstance(known, Failure):
            raise Refused(self.upstream.alias, known)
        self._discovered = reply.raw
        self._lists = await self._subscriptions.start(handshake_introduction.changing_lists(reply.raw))

    def introduction(self, version: str) -> bytes:
        """The answer to ``initialize`` that says what the upstream said of itself."""
        return handshake_introduction.initialize_result(
            self._discovered, version=version, listening=self._subscriptions.served, delivered=self._lists
        )

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Reply:
        match method:
            case "ping":
                return EMPTY_RESULT
            case "logging/setLevel":
                return self._set_level(params)
            case "resources/subscribe":
                uri = _text(params, "uri")
                return await self._subscriptions.subscribe(uri) if uri is not None else _invalid(method, "uri")
            case "resources/unsubscribe":
                uri = _text(params, "uri")
                return await self._subscriptions.unsubscribe(uri) if uri is not None else _invalid(method, "uri")
        if method in _GONE:
            message = f"Method not found: {self.upstream.alias} speaks only 2026-07-28, which has no such {method}"
            return frames.failure(METHOD_NOT_FOUND, message)
        return await self._ask(method, self.envelope(params), scope, headers)

    def notify(self, method: str, params: bytes | None) -> None:
        """Nothing to send: the one notification of that era, cancellation, is the link's own affair."""
        self.upstream.losses.count(method)

    async def close(self) -> None:
        """The link is shared and outlives the session; what the session listens to does not."""
        self._subscriptions.close()

    async def _ask(self, method: str, params: bytes, scope: Scope, headers: Mapping[str, str]) -> Reply:
        """Send the request, and again with what the upstream wants to know first, until it has its answer."""
        rounds: InputRounds | None = None
        rising: Rising | None = None
        if progress_token(params) is not None:
            scope = rising = Rising(scope, self.upstream.losses)
        sent = params
        while True:
            reply = await self._shared.request(method, sent, scope, headers=headers)
            if not isinstance(reply, Result) or not handshake_results.asks_for_input(reply):
                return self._translated(method, reply)
            rounds = rounds or InputRounds(
                method,
                params,
                scope,
                alias=self.upstream.alias,
                capabilities=self._capabilities,
                losses=self.upstream.losses,
            )
            if rising is not None:
                rising.again = True
            try:
                sent = await rounds.next(reply)
            except Unanswerable as fault:
                return fault.failure

    def _translated(self, method: str, reply: Reply) -> Reply:
        return handshake_results.as_handshake(method, reply, alias=self.upstream.alias, losses=self.upstream.losses)

    def _set_level(self, params: bytes | None) -> Reply:
        """2026-07-28 has the level in each request, and no messages where none is stated."""
        level = _text(params, "level")
        if level not in LEVELS:
            return _invalid("logging/setLevel", "level", f"one of {', '.join(LEVELS)}")
        self.envelope.log_level = level
        return EMPTY_RESULT


def _tell(listing: Listing, back: Scope, method: str, params: bytes | None) -> None:
    if method == TOOLS_CHANGED:
        listing.catalog.changed()
    back.notify(method, params)


def _text(params: bytes | None, field: str) -> str | None:
    value = msgspec.json.decode(params or b"{}", type=dict[str, Any]).get(field)
    return value if isinstance(value, str) else None


def _invalid(method: str, field: str, wanted: str = "a string") -> Failure:
    return frames.failure(INVALID_PARAMS, f'{method}: "{field}" must be {wanted}')

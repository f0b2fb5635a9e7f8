"""Seats of the handshake era: a link that is one session's own, or, by the operator's word, one for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import anyio
import anyio.abc
import msgspec

from fuseboard.era import Era, own_initialize
from fuseboard.errors import METHOD_NOT_FOUND, UpstreamFault, UpstreamUnreachable
from fuseboard.ports import Failure, Link, Reply, Request, Result, Scope
from fuseboard.upstreams.calls import (
    PROGRESS,
    CallScope,
    progress_token,
    with_progress_token,
)
from fuseboard.upstreams.listing import Listing
from fuseboard.upstreams.seats import NO_HEADERS, TOOLS_CHANGED, Inbound, LinkedSeat, Refused, object_of
from fuseboard.upstreams.upstream import START_TIMEOUT_S, Upstream
from fuseboard.wire import frames, splice

INITIALIZED: Final = "notifications/initialized"


class HandshakeSeat(LinkedSeat):
    """A link that belongs to one session alone: capabilities, log level and subscriptions hang on it.

    ``initialize`` holds the client's own ``initialize`` params, so a link that is opened anew is the same client's.
    """

    era = Era.HANDSHAKE

    def __init__(self, upstream: Upstream, tasks: anyio.abc.TaskGroup, back: Scope, *, initialize: bytes) -> None:
        super().__init__(upstream, tasks)
        self._back = back
        self._listing = Listing(upstream.definitions)
        self._initialize = initialize
        self._confirmed = False
        self.result: bytes | None = None
        """The upstream's ``initialize`` result, byte for byte."""

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> Reply:
        token = progress_token(params)
        return await self._send(method, params, CallScope(scope, token), token, NO_HEADERS)

    def listing(self, key: bytes) -> Listing:
        """One caller, one list."""
        return self._listing

    def confirm(self) -> None:
        """The client is initialized. A link that is opened later says so by itself."""
        self._confirmed = True
        self.notify(INITIALIZED, None)

    async def _open(self) -> Link:
        link = await self.upstream.connect(Era.HANDSHAKE, Inbound(self))
        try:
            reply = await self._shake_hands(link)
            if isinstance(reply, Failure):
                raise Refused(self.upstream.alias, reply)
            self.upstream.health.server = object_of(_introduced(self.upstream, reply).get("serverInfo"))
        except BaseException:
            await link.close()
            raise
        self.result = reply.raw
        self.upstream.answered()
        if self._confirmed:
            await link.notify(INITIALIZED, None)
        return link

    async def _shake_hands(self, link: Link) -> Reply:
        try:
            with anyio.fail_after(START_TIMEOUT_S):
                return await link.request("initialize", self._initialize, self._back)
        except TimeoutError:
            fault = self.upstream.timed_out("initialize", START_TIMEOUT_S)
            self.upstream.failed(fault)
            raise fault from None
        except UpstreamFault as fault:
            self.upstream.failed(fault)
            raise

    async def asked(self, request: Request) -> Reply:
        """The upstream asks outside any stream: whichever call it means, the client is this session's."""
        scope = self._calls.latest() or self._back
        try:
            return await scope.request(request.method, request.params)
        except UpstreamFault as fault:
            return frames.failure(fault.code, fault.message)

    def told(self, method: str, params: bytes | None) -> None:
        if method == TOOLS_CHANGED:
            self._listing.catalog.changed()
        call = self._calls.of_progress(params) if method == PROGRESS else self._calls.latest()
        if call is not None:
            call.notify(method, params)
        elif method != PROGRESS:  # progress after the answer is late, and the specification wants none
            self._back.notify(method, params)


class CommonSeat(HandshakeSeat):
    """One link of the handshake era for all sessions: ``share: all``, the operator's word that nothing hangs on it.

    Its client is the proxy, with no capabilities, so what the upstream asks is refused; what it says outside a call is
    passed on where it concerns everybody (changed lists) and dropped where it cannot be told whom it concerns.
    """

    def __init__(self, upstream: Upstream, tasks: anyio.abc.TaskGroup, everyone: Scope) -> None:
        super().__init__(upstream, tasks, everyone, initialize=own_initialize())
        self._tokens = 0

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> Reply:
        token = progress_token(params)
        if token is None or params is None:
            return await self._send(method, params, CallScope(scope, None), None, NO_HEADERS)
        # Two sessions' tokens may collide, so the upstream sees one of ours.
        self._tokens += 1
        sent = b"%d" % self._tokens
        return await self._send(method, with_progress_token(params, sent), CallScope(scope, token), sent, NO_HEADERS)

    def confirm(self) -> None:
        if not self._confirmed:
            super().confirm()

    def notify(self, method: str, params: bytes | None) -> None:
        """What one of many clients says of itself is not said of them all; the proxy's own word alone goes out."""
        if method == INITIALIZED:
            super().notify(method, params)

    async def asked(self, request: Request) -> Reply:
        return frames.failure(METHOD_NOT_FOUND, f"{request.method}: many clients share this session, none can answer")

    def told(self, method: str, params: bytes | None) -> None:
        if method == PROGRESS:
            super().told(method, params)
        elif method.endswith("/list_changed"):
            self._listing.catalog.changed()
            self._back.notify(method, params)

    async def close(self) -> None:
        """A session has ended: the link is for the others too."""

    async def shut(self) -> None:
        await super().close()


def _introduced(upstream: Upstream, reply: Result) -> splice.Fields:
    try:
        return splice.fields(reply.raw)
    except msgspec.MsgspecError:
        fault = UpstreamUnreachable(upstream.alias, f"{upstream.alias} answered initialize with no result of it")
        upstream.failed(fault)
        raise fault from None

"""Seats of the handshake era: a link that is one session's own, or, by the operator's word, one for all."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final, Protocol

import anyio
import anyio.abc
import msgspec

from fuseboard.era import Era, own_initialize
from fuseboard.errors import INTERNAL_ERROR, METHOD_NOT_FOUND, UpstreamFault, UpstreamLost, UpstreamUnreachable
from fuseboard.ports import Failure, Link, Reply, Request, Result, Scope
from fuseboard.scopes import NOWHERE
from fuseboard.upstreams.calls import (
    PROGRESS,
    CallScope,
    progress_token,
    with_progress_token,
)
from fuseboard.upstreams.healing import COOL_DOWN_S, FIRST_TRY_S
from fuseboard.upstreams.listing import Listing
from fuseboard.upstreams.remembered import Remembered
from fuseboard.upstreams.seats import NO_HEADERS, TOOLS_CHANGED, Inbound, LinkedSeat, Refused, object_of
from fuseboard.upstreams.upstream import START_TIMEOUT_S, Upstream
from fuseboard.wire import frames, splice

INITIALIZED: Final = "notifications/initialized"

RESTORE_TIMEOUT_S: Final = 5.0
"""How long a link that was opened anew may take to hear what hung on the one before."""

QUESTIONS: Final = 256
"""How many questions outside any stream one client is asked at once."""

_log = logging.getLogger("fuseboard.seat")


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
        self._remembered = Remembered()
        self._reviving: anyio.CancelScope | None = None
        self._asking = 0
        self.result: bytes | None = None
        """The upstream's ``initialize`` result, byte for byte."""

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> Reply:
        token = progress_token(params)
        reply = await self._send(method, params, CallScope(scope, token), token, NO_HEADERS)
        if method in self._remembered.methods and isinstance(reply, Result):
            self._remembered.take(method, params)
        return reply

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
        before, self.result = self.result, reply.raw
        self.upstream.answered()
        if self._confirmed:
            await link.notify(INITIALIZED, None)
        if before is not None:
            await self._restore(link)
            self._tasks.start_soon(self._tell_what_changed, before, reply.raw)
        return link

    async def _restore(self, link: Link) -> None:
        """What hung on the link before hangs on this one: the client shall not notice that it is another."""
        with anyio.move_on_after(RESTORE_TIMEOUT_S):
            for method, params in self._remembered.requests():
                try:
                    reply = await link.request(method, params, NOWHERE)
                except UpstreamFault as fault:
                    _log.warning("%s could not be restored: %s", method, fault)
                    return
                if isinstance(reply, Failure):
                    _log.warning("%s is refused since it was started anew: %r", self.upstream.alias, reply.raw[:200])

    async def _tell_what_changed(self, before: bytes, now: bytes) -> None:
        """An upstream that was started anew may offer something else, and has nobody who would have noticed."""
        if before != now:
            _log.warning("%s introduces itself otherwise since it was started anew", self.upstream.alias)
            for what in ("tools", "prompts", "resources"):
                self.told(f"notifications/{what}/list_changed", None)
            return
        known = self._listing.catalog
        if known.learned_at is None:
            return
        fresh = Listing(self.upstream.definitions)
        try:
            await fresh.ensure(self, None, NOWHERE, clock=self.upstream.now)
        except UpstreamFault as fault:
            _log.debug("not compared: %s", fault)
            return
        if fresh.catalog.tools != known.tools:
            self.told(TOOLS_CHANGED, None)

    def lost(self, reason: str) -> None:
        super().lost(reason)
        # Whoever waits for updates sends no request that would open another.
        if self._link is not None and self._remembered.waits and self._reviving is None and not self._closed:
            self._reviving = anyio.CancelScope()
            self._tasks.start_soon(self._revive, self._reviving)

    async def _revive(self, trying: anyio.CancelScope) -> None:
        pause_s = FIRST_TRY_S
        with trying:
            while self._remembered.waits and not self._closed:
                await anyio.sleep(max(pause_s, self._lives.wait_s, self.upstream.health.retry_at - self.upstream.now()))
                try:
                    await self.open()
                    break
                except UpstreamFault as fault:
                    _log.debug("%s is not back: %s", self.upstream.alias, fault)
                pause_s = min(2 * pause_s, COOL_DOWN_S)
        self._reviving = None

    async def close(self) -> None:
        if self._reviving is not None:
            self._reviving.cancel()
        await super().close()

    async def _shake_hands(self, link: Link) -> Reply:
        try:
            with anyio.fail_after(START_TIMEOUT_S):
                return await self._initialized(link)
        except TimeoutError:
            fault = self.upstream.timed_out("initialize", START_TIMEOUT_S)
            self.upstream.failed(fault)
            raise fault from None
        except UpstreamFault as fault:
            self.upstream.failed(fault)
            raise

    async def _initialized(self, link: Link) -> Reply:
        """Over HTTP a kept connection may close just as it is used again, which says nothing of the upstream.

        So the handshake is begun once more: at worst the server keeps a session that nobody uses.
        """
        try:
            return await link.request("initialize", self._initialize, self._back)
        except UpstreamLost:
            if not (self.upstream.scoped and link.open):
                raise
        return await link.request("initialize", self._initialize, self._back)

    async def asked(self, request: Request) -> Reply:
        """The upstream asks outside any stream: whichever call it means, the client is this session's."""
        if self._asking >= QUESTIONS:
            self.upstream.losses.count(f"{request.method}: too many questions at once")
            return frames.failure(INTERNAL_ERROR, f"{request.method}: {QUESTIONS} questions wait for an answer")
        scope = self._calls.latest() or self._back
        self._asking += 1
        try:
            return await scope.request(request.method, request.params)
        except UpstreamFault as fault:
            return frames.failure(fault.code, fault.message)
        finally:
            self._asking -= 1

    def told(self, method: str, params: bytes | None) -> None:
        if method == TOOLS_CHANGED:
            self._listing.catalog.changed()
        call = self._calls.of_progress(params) if method == PROGRESS else self._calls.latest()
        if call is not None:
            call.notify(method, params)
        elif method != PROGRESS:  # progress after the answer is late, and the specification wants none
            self._back.notify(method, params)


class Ears(Protocol):
    """Who else is to hear of a common link's changes and of its end."""

    def told(self, method: str, params: bytes | None) -> None: ...

    def end(self) -> None: ...


class CommonSeat(HandshakeSeat):
    """One link of the handshake era for all sessions: ``share: all``, the operator's word that nothing hangs on it.

    Its client is the proxy, with no capabilities, so what the upstream asks is refused; what it says outside a call is
    passed on where it concerns everybody (changed lists) and dropped where it cannot be told whom it concerns.
    """

    def __init__(self, upstream: Upstream, tasks: anyio.abc.TaskGroup, everyone: Scope) -> None:
        super().__init__(upstream, tasks, everyone, initialize=own_initialize())
        self._tokens = 0
        self.ears: list[Ears] = []

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
            for ears in self.ears:
                ears.told(method, params)

    def lost(self, reason: str) -> None:
        super().lost(reason)
        for ears in self.ears:
            ears.end()

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

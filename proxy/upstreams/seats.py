"""A seat at an upstream: the link that serves a session, opened when first needed, and what comes back over it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

import anyio
import anyio.abc
import msgspec

from fuseboard.era import SERVER_INFO_KEY, Era, own_initialize, speaks_stateless
from fuseboard.errors import METHOD_NOT_FOUND, UpstreamFault, UpstreamLost, UpstreamUnreachable
from fuseboard.ports import Failure, Link, Reply, Request, Result, Scope
from fuseboard.upstreams.calls import (
    ACKNOWLEDGED,
    LISTEN,
    PROGRESS,
    Calls,
    CallScope,
    progress_token,
    with_progress_token,
)
from fuseboard.upstreams.upstream import START_TIMEOUT_S, Upstream
from fuseboard.wire import frames, splice

_log = logging.getLogger("fuseboard.seat")

INITIALIZED: Final = "notifications/initialized"
TOOLS_CHANGED: Final = "notifications/tools/list_changed"
PROBE_TIMEOUT_S: Final = 10.0
"""How long a child may think about `server/discover`: a handshake server that never heard of it may stay silent."""

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Seat(Protocol):
    """A session's place at an upstream, whatever the era on the other side."""

    @property
    def upstream(self) -> Upstream: ...

    @property
    def era(self) -> Era:
        """The era that is spoken upstream."""
        ...

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Reply: ...

    def notify(self, method: str, params: bytes | None) -> None: ...

    async def close(self) -> None: ...


class Refused(UpstreamFault):
    """The upstream answered the handshake with an error of its own, which goes to the client as it is."""

    def __init__(self, upstream: str, reply: Failure) -> None:
        super().__init__(upstream, f"{upstream} refused the handshake: {reply.raw.decode(errors='replace')}")
        self.reply = reply


class Absent:
    """The seat at an upstream that cannot be had now: a call is judged and recorded, and fails when it is sent."""

    def __init__(self, upstream: Upstream, era: Era, fault: UpstreamFault) -> None:
        self.upstream = upstream
        self.era = era
        self._fault = fault

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Reply:
        raise self._fault

    def notify(self, method: str, params: bytes | None) -> None:
        return None

    async def close(self) -> None:
        return None


class _Nowhere:
    """The scope of what no client asked for."""

    request_id: bytes | None = None

    def notify(self, method: str, params: bytes | None) -> None:
        return None

    def stream(self) -> None:
        return None

    def release(self) -> None:
        return None

    async def request(self, method: str, params: bytes | None) -> Reply:
        return frames.failure(METHOD_NOT_FOUND, f"no client is there to answer {method}")


NOWHERE: Final = _Nowhere()


class _Seat:
    """What both kinds share: a link opened when first needed and again after it died, and notifications in order."""

    era: Era

    def __init__(self, upstream: Upstream, tasks: anyio.abc.TaskGroup) -> None:
        self.upstream = upstream
        self._tasks = tasks
        self._link: Link | None = None
        self._opening = anyio.Lock()
        self._calls = Calls()
        self._outbox: deque[tuple[str, bytes | None]] = deque()
        self._outbox_empty: anyio.Event | None = None
        self._closed = False

    async def open(self) -> Link:
        """The link, opened where there is none.

        Raises:
            UpstreamFault: it cannot be opened now.
        """
        if self._link is not None and self._link.open:
            return self._link
        async with self._opening:
            if self._closed:
                raise UpstreamUnreachable(self.upstream.alias, "the session has ended")
            if self._link is not None and not self._link.open:
                await self.drop()
            if self._link is None:
                self._link = await self._open()
                self.upstream.answered()
            return self._link

    async def drop(self) -> None:
        """Let go of the link; the next request opens another."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def close(self) -> None:
        self._closed = True
        await self.drop()

    def notify(self, method: str, params: bytes | None) -> None:
        """Send a notification; a later request waits for it, since a POST could overtake another."""
        self._outbox.append((method, params))
        if self._outbox_empty is None:
            self._outbox_empty = anyio.Event()
            self._tasks.start_soon(self._send_outbox, self._outbox_empty)

    async def _send_outbox(self, done: anyio.Event) -> None:
        try:
            while self._outbox:
                method, params = self._outbox.popleft()
                if self._link is not None and self._link.open:
                    await self._link.notify(method, params)
        finally:
            self._outbox_empty = None
            done.set()

    async def _send(
        self, method: str, params: bytes | None, call: CallScope, token: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        link = self._link if self._link is not None and self._link.open else await self.open()
        if self._outbox_empty is not None:
            await self._outbox_empty.wait()
        self._calls.add(call, token)
        try:
            return await link.request(method, params, call, headers=headers)
        finally:
            self._calls.remove(call, token)

    async def _open(self) -> Link:
        raise NotImplementedError


class HandshakeSeat(_Seat):
    """A link that belongs to one session alone: capabilities, log level and subscriptions hang on it.

    ``initialize`` holds the client's own ``initialize`` params, so a link that is opened anew is the same client's.
    """

    era = Era.HANDSHAKE

    def __init__(self, upstream: Upstream, tasks: anyio.abc.TaskGroup, back: Scope, *, initialize: bytes) -> None:
        super().__init__(upstream, tasks)
        self._back = back
        self._initialize = initialize
        self._confirmed = False
        self.result: bytes | None = None
        """The upstream's ``initialize`` result, byte for byte."""

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Reply:
        token = progress_token(params)
        return await self._send(method, params, CallScope(scope, token), token, _NO_HEADERS)

    def confirm(self) -> None:
        """The client is initialized. A link that is opened later says so by itself."""
        self._confirmed = True
        self.notify(INITIALIZED, None)

    async def _open(self) -> Link:
        link = await self.upstream.connect(Era.HANDSHAKE, _Inbound(self))
        try:
            reply = await self._shake_hands(link)
            if isinstance(reply, Failure):
                raise Refused(self.upstream.alias, reply)
            self.upstream.health.server = _object(_introduced(self.upstream, reply).get("serverInfo"))
        except BaseException:
            await link.close()
            raise
        self.result = reply.raw
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
            self.upstream.catalog(self.era).changed()
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
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Reply:
        token = progress_token(params)
        if token is None or params is None:
            return await self._send(method, params, CallScope(scope, None), None, _NO_HEADERS)
        # Two sessions' tokens may collide, so the upstream sees one of ours.
        self._tokens += 1
        sent = b"%d" % self._tokens
        return await self._send(method, with_progress_token(params, sent), CallScope(scope, token), sent, _NO_HEADERS)

    def confirm(self) -> None:
        if not self._confirmed:
            super().confirm()

    async def asked(self, request: Request) -> Reply:
        return frames.failure(METHOD_NOT_FOUND, f"{request.method}: many clients share this session, none can answer")

    def told(self, method: str, params: bytes | None) -> None:
        if method == PROGRESS:
            super().told(method, params)
        elif method.endswith("/list_changed"):
            self.upstream.catalog(self.era).changed()
            self._back.notify(method, params)

    async def close(self) -> None:
        """A session has ended: the link is for the others too."""

    async def shut(self) -> None:
        await super().close()


class SharedSeat(_Seat):
    """The one link of the stateless era that all callers share: nothing of theirs hangs on it."""

    era = Era.STATELESS

    def __init__(self, upstream: Upstream, tasks: anyio.abc.TaskGroup) -> None:
        super().__init__(upstream, tasks)
        self._tokens = 0
        self._probing = anyio.Lock()
        self._subscribing = anyio.Semaphore(1)
        self._unacknowledged: CallScope | None = None

    async def speaks(self, params: bytes | None) -> bool:
        """Whether the upstream speaks this era at all; asked once. ``params`` carry the envelope of whoever asks.

        Raises:
            UpstreamFault: it cannot be asked now.
        """
        if self.upstream.stateless is None:
            async with self._probing:
                if self.upstream.stateless is None:
                    self.upstream.stateless = await self._probe(params)
        return self.upstream.stateless

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Reply:
        if method == LISTEN and not self.upstream.scoped:
            return await self._listen(params, CallScope(scope, None))
        token = progress_token(params)
        if token is None or self.upstream.scoped:
            return await self._send(method, params, CallScope(scope, token), token, headers)
        # On a shared pipe two clients' tokens may collide, so the upstream sees one of ours.
        self._tokens += 1
        sent = b"%d" % self._tokens
        assert params is not None
        return await self._send(method, with_progress_token(params, sent), CallScope(scope, token), sent, headers)

    async def _listen(self, params: bytes | None, call: CallScope) -> Reply:
        """On a pipe only the acknowledgement says by which id a subscription goes, so one is opened after the other."""
        await self._subscribing.acquire()
        self._unacknowledged = call
        try:
            link = await self.open()
            return await link.request(LISTEN, params, call)
        finally:
            self._acknowledged(call)
            self._calls.unsubscribed(call)

    def _acknowledged(self, call: CallScope) -> None:
        if self._unacknowledged is call:
            self._unacknowledged = None
            self._subscribing.release()

    async def _open(self) -> Link:
        return await self.upstream.connect(Era.STATELESS, _Inbound(self))

    async def _probe(self, params: bytes | None) -> bool:
        """Any answer but a result, or an error that only this era has, means the handshake era; so does silence."""
        link = await self.open()
        with anyio.move_on_after(PROBE_TIMEOUT_S):
            try:
                reply = await link.request("server/discover", params, NOWHERE)
            except UpstreamLost:
                await self.drop()
                return False  # a server that falls over a method it does not know shakes hands
            except UpstreamUnreachable as fault:
                if fault.answered:
                    await self.drop()
                    return False
                self.upstream.failed(fault)
                raise
            if isinstance(reply, Result):
                self.upstream.health.server = _object(_meta(reply).get(SERVER_INFO_KEY))
                return True
            if speaks_stateless(reply):
                return True
        await self.drop()
        return False

    async def asked(self, request: Request) -> Reply:
        return frames.failure(METHOD_NOT_FOUND, "2026-07-28 has no requests from server to client")

    def told(self, method: str, params: bytes | None) -> None:
        if method == TOOLS_CHANGED:
            self.upstream.catalog(self.era).changed()
        if method == ACKNOWLEDGED and (subscriber := self._unacknowledged) is not None:
            self._calls.subscribed(subscriber, params)
            self._acknowledged(subscriber)
        call = self._calls.of_progress(params) if method == PROGRESS else self._calls.of_subscription(params)
        if call is None and method != PROGRESS:
            call = self._calls.only()
        if call is not None:
            call.notify(method, params)
        else:  # another caller's message must not reach this one
            _log.debug("dropped %s of %s: no way to tell whose it is", method, self.upstream.alias)


class SharedSeats:
    """The links that belong to no session: the stateless ones, one per upstream, and those of ``share: all``."""

    def __init__(self, tasks: anyio.abc.TaskGroup, everyone: Scope = NOWHERE) -> None:
        self.tasks = tasks
        self._everyone = everyone
        self._seats: dict[str, SharedSeat] = {}
        self._common: dict[str, CommonSeat] = {}

    def common(self, upstream: Upstream) -> CommonSeat:
        if (seat := self._common.get(upstream.alias)) is None:
            seat = self._common[upstream.alias] = CommonSeat(upstream, self.tasks, self._everyone)
        return seat

    def at(self, upstream: Upstream) -> SharedSeat:
        if (seat := self._seats.get(upstream.alias)) is None:
            seat = self._seats[upstream.alias] = SharedSeat(upstream, self.tasks)
        return seat

    async def close(self) -> None:
        for seat in self._seats.values():
            await seat.close()
        for common in self._common.values():
            await common.shut()


class _Inbound:
    """What comes from an upstream outside any request's own stream, handed to the seat."""

    def __init__(self, seat: HandshakeSeat | SharedSeat) -> None:
        self._seat = seat

    async def request(self, request: Request, scope: Scope) -> Reply:
        return await self._seat.asked(request)

    def notified(self, method: str, params: bytes | None) -> None:
        self._seat.told(method, params)


def _introduced(upstream: Upstream, reply: Result) -> splice.Fields:
    try:
        return splice.fields(reply.raw)
    except msgspec.MsgspecError:
        fault = UpstreamUnreachable(upstream.alias, f"{upstream.alias} answered initialize with no result of it")
        upstream.failed(fault)
        raise fault from None


def _meta(reply: Result) -> splice.Fields:
    try:
        return splice.fields(splice.fields(reply.raw).get("_meta"))
    except msgspec.MsgspecError:
        return {}


def _object(raw: msgspec.Raw | None) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any]) if raw is not None else None
    except msgspec.MsgspecError:
        return None

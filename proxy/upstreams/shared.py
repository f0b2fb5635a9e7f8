"""Seats of the stateless era: one link per upstream, for all callers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import anyio
import anyio.abc
import msgspec

from fuseboard.era import SERVER_INFO_KEY, Era, speaks_stateless
from fuseboard.errors import METHOD_NOT_FOUND, UpstreamFault, UpstreamLost, UpstreamUnreachable
from fuseboard.ports import Link, Reply, Request, Result, Scope
from fuseboard.scopes import NOWHERE
from fuseboard.upstreams.calls import (
    ACKNOWLEDGED,
    LISTEN,
    PROGRESS,
    CallScope,
    progress_token,
    subscription_id,
    with_progress_token,
)
from fuseboard.upstreams.handshake import CommonSeat
from fuseboard.upstreams.listing import Listing, Listings
from fuseboard.upstreams.seats import NO_HEADERS, TOOLS_CHANGED, Inbound, LinkedSeat, object_of
from fuseboard.upstreams.upstream import Upstream
from fuseboard.wire import frames, splice

_log = logging.getLogger("fuseboard.seat")

PROBE_TIMEOUT_S: Final = 10.0
"""How long a child may think about `server/discover`: a handshake server that never heard of it may stay silent."""


class SharedSeat(LinkedSeat):
    """The one link of the stateless era that all callers share: nothing of theirs hangs on it."""

    era = Era.STATELESS

    def __init__(self, upstream: Upstream, tasks: anyio.abc.TaskGroup) -> None:
        super().__init__(upstream, tasks)
        self._tokens = 0
        self._listings = Listings(upstream.definitions)
        self._probing: anyio.Event | None = None
        self._probe_fault: UpstreamFault | None = None
        self._silent = False
        self._abandoned: list[object] = []
        """The connections that gave up a call on this link: a message without a name may still be about it."""

    async def speaks(self, params: bytes | None) -> bool:
        """Whether the upstream speaks this era at all; asked once. ``params`` carry the envelope of whoever asks.

        Raises:
            UpstreamFault: it cannot be asked now.
        """
        while self.upstream.stateless is None:
            if self._probing is None:
                self._probing = anyio.Event()
                # A task of its own: whoever asks may give up sooner than a silent server shows that it is one.
                self._tasks.start_soon(self._find_out, params, self._probing)
            await self._probing.wait()
            if self._probe_fault is not None:
                raise self._probe_fault
            if self._silent:
                return False
        return self.upstream.stateless

    async def _find_out(self, params: bytes | None, done: anyio.Event) -> None:
        self._probe_fault = None
        self._silent = False
        try:
            self.upstream.stateless = await self._probe(params)
            self._silent = self.upstream.stateless is None
        except UpstreamFault as fault:
            self._probe_fault = fault
        finally:
            self._probing = None
            done.set()

    def listing(self, key: bytes) -> Listing:
        return self._listings.at(key)

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> Reply:
        if method == LISTEN and not self.upstream.scoped:
            return await self._listen(params, CallScope(scope, None))
        token = progress_token(params)
        if self.upstream.scoped:
            return await self._send(method, params, CallScope(scope, token), token, headers)
        try:
            return await self._send_unscoped(method, params, scope, token, headers)
        except anyio.get_cancelled_exc_class():
            connection = getattr(scope, "connection", None)
            if connection not in self._abandoned:
                self._abandoned.append(connection)
            raise

    async def _send_unscoped(
        self, method: str, params: bytes | None, scope: Scope, token: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        if token is None:
            return await self._send(method, params, CallScope(scope, None), None, headers)
        # On a shared pipe two clients' tokens may collide, so the upstream sees one of ours.
        self._tokens += 1
        sent = b"%d" % self._tokens
        assert params is not None
        return await self._send(method, with_progress_token(params, sent), CallScope(scope, token), sent, headers)

    async def _listen(self, params: bytes | None, call: CallScope) -> Reply:
        """Notices name their subscription by the id of the request that opened it (2026-07-28, subscriptions).

        So it must be known before the request leaves: the acknowledgement may be next on the pipe.
        """
        link = await self.open()
        try:
            return await link.request(LISTEN, params, call, on_id=lambda id: self._calls.subscribed(call, id))
        finally:
            self._calls.unsubscribed(call)

    async def _open(self) -> Link:
        self._abandoned.clear()
        return await self.upstream.connect(Era.STATELESS, Inbound(self))

    async def _probe(self, params: bytes | None) -> bool | None:
        """Any answer but a result, or an error that only this era has, means the handshake era. ``None`` is silence."""
        link = await self.open()
        with anyio.move_on_after(PROBE_TIMEOUT_S):
            try:
                reply = await link.request("server/discover", params, NOWHERE)
            except UpstreamLost as fault:
                await self.drop()
                if self.upstream.scoped:  # over HTTP that may be any mishap on the way, which says nothing of the era
                    self.upstream.failed(fault)
                    raise
                return False  # a server that falls over a method it does not know shakes hands
            except UpstreamUnreachable as fault:
                if fault.answered:
                    await self.drop()
                    return False
                self.upstream.failed(fault)
                raise
            self.upstream.answered()
            if isinstance(reply, Result):
                self.upstream.health.server = object_of(_meta(reply).get(SERVER_INFO_KEY))
                return True
            if speaks_stateless(reply):
                return True
            await self.drop()
            return False
        await self.drop()
        return None  # silence may be a server that shakes hands, or one that is slow to start: asked again next time

    async def asked(self, request: Request) -> Reply:
        return frames.failure(METHOD_NOT_FOUND, "2026-07-28 has no requests from server to client")

    def told(self, method: str, params: bytes | None) -> None:
        if method == TOOLS_CHANGED:
            self._listings.changed()
        if method == PROGRESS:
            call = self._calls.of_progress(params)
        elif subscription_id(params) is not None:
            call = self._calls.of_subscription(params)
        else:
            call = self._of_nobody(method)
        if call is not None:
            call.notify(method, params)
        else:  # another caller's message must not reach this one
            _log.debug("dropped %s of %s: no way to tell whose it is", method, self.upstream.alias)

    def _of_nobody(self, method: str) -> CallScope | None:
        """The call that a message without a name belongs to: the only one under way, if it can be no other's."""
        call = self._calls.only() if method != ACKNOWLEDGED else None
        if call is not None and all(given_up is call.connection for given_up in self._abandoned):
            return call
        if method != TOOLS_CHANGED:  # which has had its effect
            self.upstream.losses.count(f"{method}: no telling whose it is")
        return None


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


def _meta(reply: Result) -> splice.Fields:
    try:
        return splice.fields(splice.fields(reply.raw).get("_meta"))
    except msgspec.MsgspecError:
        return {}

"""A seat at an upstream: the link that serves a session, opened when first needed, and what comes back over it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import Any, Final, Protocol

import anyio
import anyio.abc
import msgspec

from fuseboard.era import Era
from fuseboard.errors import Undelivered, UpstreamFault, UpstreamLost, UpstreamUnreachable
from fuseboard.ports import Failure, Link, Reply, Request, Scope
from fuseboard.upstreams.calls import (
    Calls,
    CallScope,
)
from fuseboard.upstreams.healing import FIRST_TRY_S, FREE, LONGEST_TRY_S, PATIENCE_S, Lives
from fuseboard.upstreams.listing import Listing
from fuseboard.upstreams.upstream import Upstream

_log = logging.getLogger("fuseboard.seat")

TOOLS_CHANGED: Final = "notifications/tools/list_changed"

UNSENT: Final = 1_000
UNSENT_BYTES: Final = 8 * 1024 * 1024
"""How much may wait for an upstream that takes no notifications. A client may go on notifying for ever."""

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Seat(Protocol):
    """A session's place at an upstream, whatever the era on the other side."""

    @property
    def upstream(self) -> Upstream: ...

    @property
    def era(self) -> Era:
        """The era that is spoken upstream."""
        ...

    def listing(self, key: bytes) -> Listing:
        """The tools as this seat's upstream lists them to the kind of caller that ``key`` stands for."""
        ...

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = NO_HEADERS
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
        self._listing = Listing(upstream.definitions)
        self._fault = fault

    def listing(self, key: bytes) -> Listing:
        return self._listing

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> Reply:
        raise self._fault

    def notify(self, method: str, params: bytes | None) -> None:
        return None

    async def close(self) -> None:
        return None


class LinkedSeat:
    """What both kinds share: a link opened when first needed and again after it died, and notifications in order."""

    era: Era

    def __init__(self, upstream: Upstream, tasks: anyio.abc.TaskGroup) -> None:
        self.upstream = upstream
        self._tasks = tasks
        self._link: Link | None = None
        self._opening = anyio.Lock()
        self._calls = Calls()
        self._outbox: deque[tuple[str, bytes | None]] = deque()
        self._outbox_bytes = 0
        self._outbox_empty: anyio.Event | None = None
        self._closed = False
        self._lives = Lives(upstream.now)

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
                await self._link.close()  # which says how it ended, where that has not been said yet
                self._lives.ended("its link was lost")
                self._link = None
            if self._link is None:
                await self._breathe()
                self._link = await self._open_again()
                self._lives.began()
            return self._link

    async def _breathe(self) -> None:
        """Wait the pause out that the last deaths call for, or refuse where it is long."""
        lives = self._lives
        if self.upstream.scoped or lives.wait_s <= 0:  # over HTTP a session is cheap, and its end no sign of illness
            return
        if lives.spent:
            raise UpstreamUnreachable(
                self.upstream.alias,
                f"{self.upstream.alias} was started {lives.short} times in a row and ended at once each time "
                f"({lives.last_words}); it will be tried again in {ceil(lives.wait_s)} s",
            )
        await anyio.sleep(lives.wait_s)

    async def _open_again(self) -> Link:
        """Open a link; where there was one a moment ago, its server may be starting anew and is waited for."""
        while True:
            try:
                return await self._open()
            except Undelivered:
                pause_s = max(FIRST_TRY_S, self.upstream.health.retry_at - self.upstream.now())
                if pause_s > self._lives.patience_s:
                    raise
            await anyio.sleep(pause_s)

    async def drop(self) -> None:
        """Let go of the link; the next request opens another."""
        link, self._link = self._link, None
        self._lives.over()
        if link is not None:
            await link.close()

    def lost(self, reason: str) -> None:
        """The link has died by itself."""
        if self._link is None or self._closed:
            return
        self._lives.ended(reason)
        if self._lives.spent and not self.upstream.scoped:
            self.upstream.ailing(reason)

    async def close(self) -> None:
        self._closed = True
        await self.drop()

    def notify(self, method: str, params: bytes | None) -> None:
        """Send a notification; a later request waits for it, since a POST could overtake another."""
        size_bytes = len(params or b"")
        if self._outbox and (len(self._outbox) >= UNSENT or self._outbox_bytes + size_bytes > UNSENT_BYTES):
            self.upstream.losses.count("notifications: the server does not take them")
            return
        self._outbox.append((method, params))
        self._outbox_bytes += size_bytes
        if self._outbox_empty is None:
            self._outbox_empty = anyio.Event()
            self._tasks.start_soon(self._send_outbox, self._outbox_empty)

    async def _send_outbox(self, done: anyio.Event) -> None:
        try:
            while self._outbox:
                method, params = self._outbox.popleft()
                self._outbox_bytes -= len(params or b"")
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
            reply = await link.request(method, params, call, headers=headers)
        except UpstreamFault as fault:
            reply = await self._send_again(fault, link, method, params, call, headers)
        finally:
            self._calls.remove(call, token)
        if self.upstream.health.state != "up":
            self.upstream.answered()
        return reply

    async def _send_again(
        self,
        fault: UpstreamFault,
        link: Link,
        method: str,
        params: bytes | None,
        call: CallScope,
        headers: Mapping[str, str],
    ) -> Reply:
        """Send once more what provably reached nobody, or what does no harm twice; anything else fails as it did."""
        # A server that answered until now may be starting anew; one that was down already is not waited for again.
        patient_until = anyio.current_time() + (PATIENCE_S if self.upstream.health.state == "up" else 0.0)
        pause_s = FIRST_TRY_S
        anew = False
        while True:
            if isinstance(fault, Undelivered) and link.open:
                if anyio.current_time() + pause_s > patient_until:
                    self.upstream.failed(fault)
                    raise fault
                await anyio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_TRY_S)
            elif not anew and (isinstance(fault, Undelivered) or (isinstance(fault, UpstreamLost) and method in FREE)):
                anew = True
                link = await self.open()
            else:
                raise fault
            try:
                return await link.request(method, params, call, headers=headers)
            except UpstreamFault as again:
                fault = again

    async def _open(self) -> Link:
        raise NotImplementedError

    async def asked(self, request: Request) -> Reply:
        """Answer what the upstream asks outside any request's own stream."""
        raise NotImplementedError

    def told(self, method: str, params: bytes | None) -> None:
        """Take what the upstream says outside any request's own stream."""
        raise NotImplementedError


class Inbound:
    """What comes from an upstream outside any request's own stream, handed to the seat."""

    def __init__(self, seat: LinkedSeat) -> None:
        self._seat = seat

    async def request(self, request: Request, scope: Scope) -> Reply:
        return await self._seat.asked(request)

    def notified(self, method: str, params: bytes | None) -> None:
        self._seat.told(method, params)

    def lost(self, reason: str) -> None:
        self._seat.lost(reason)


def object_of(raw: msgspec.Raw | None) -> dict[str, Any] | None:
    """A raw value as an object, ``None`` where it is none."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Any]) if raw is not None else None
    except msgspec.MsgspecError:
        return None

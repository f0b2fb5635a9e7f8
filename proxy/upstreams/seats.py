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

from fuseboard.era import Era
from fuseboard.errors import UpstreamFault, UpstreamUnreachable
from fuseboard.ports import Failure, Link, Reply, Request, Scope
from fuseboard.upstreams.calls import (
    Calls,
    CallScope,
)
from fuseboard.upstreams.listing import Listing
from fuseboard.upstreams.upstream import Upstream

_log = logging.getLogger("fuseboard.seat")

TOOLS_CHANGED: Final = "notifications/tools/list_changed"

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
            reply = await link.request(method, params, call, headers=headers)
        finally:
            self._calls.remove(call, token)
        if self.upstream.health.state != "up":
            self.upstream.answered()
        return reply

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


def object_of(raw: msgspec.Raw | None) -> dict[str, Any] | None:
    """A raw value as an object, ``None`` where it is none."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Any]) if raw is not None else None
    except msgspec.MsgspecError:
        return None

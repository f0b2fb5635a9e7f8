"""A link whose upstream is heard clean: its notifications, its questions, and its answers to what no policy judges.

Results of governed calls are cleaned where they are settled, since there is a record that says so; those of tasks too.
Lists pass as they came: what was accepted of a definition is a digest of all of it, hidden text included.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from fuseboard.cleaning.fields import Root, root_of
from fuseboard.cleaning.result import Cleaner
from fuseboard.era import Era
from fuseboard.ports import Inbound, Link, Reply, Request, Result, Scope
from fuseboard.upstreams.seats import NO_HEADERS
from fuseboard.upstreams.upstream import Connect
from fuseboard.wire.frames import GOVERNED, TASKS

_log = logging.getLogger("fuseboard.cleaning")

_LEFT_ALONE: Final = (
    GOVERNED
    | TASKS
    | {"tools/list", "prompts/list", "resources/list", "resources/templates/list", "ping", "subscriptions/listen"}
)


def cleaned(alias: str, connect: Connect, cleaner: Cleaner) -> Connect:
    """``connect``, such that what its links hear is cleaned."""
    bath = Bath(alias, cleaner)

    async def connected(era: Era, inbound: Inbound) -> Link:
        return CleanLink(await connect(era, CleanInbound(inbound, bath)), bath)

    return connected


class Bath:
    """Cleans what one upstream says beside its results. What went is told on our log: no record belongs to it."""

    def __init__(self, alias: str, cleaner: Cleaner) -> None:
        self._alias = alias
        self._cleaner = cleaner

    def of(self, method: str, raw: bytes | None, root: Root | None = None) -> bytes | None:
        if raw is None:
            return None
        clean = self._cleaner.clean(method, raw, root)
        if clean.counts:
            _log.info("cleaned %s of %s: %s", method, self._alias, dict(clean.counts))
        return clean.raw

    def asked(self, method: str, params: bytes | None) -> bytes | None:
        """The parameters of a question: prose for a model (sampling) or a person (elicitation)."""
        return self.of(method, params, Root.RESULT)

    def answer(self, method: str, reply: Reply) -> Reply:
        if method in _LEFT_ALONE:
            return reply
        raw = self.of(method, reply.raw, root_of(method) if isinstance(reply, Result) else Root.ERROR)
        return reply if raw is None or raw is reply.raw else type(reply)(raw)


class CleanScope:
    """The way back for one call."""

    __slots__ = ("_bath", "_scope")

    def __init__(self, scope: Scope, bath: Bath) -> None:
        self._scope = scope
        self._bath = bath

    @property
    def request_id(self) -> bytes | None:
        return self._scope.request_id

    def notify(self, method: str, params: bytes | None) -> None:
        self._scope.notify(method, self._bath.of(method, params))

    def stream(self) -> None:
        self._scope.stream()

    def release(self) -> None:
        self._scope.release()

    async def request(self, method: str, params: bytes | None) -> Reply:
        return await self._scope.request(method, self._bath.asked(method, params))


class CleanInbound:
    """The way back outside any call."""

    __slots__ = ("_bath", "_inbound")

    def __init__(self, inbound: Inbound, bath: Bath) -> None:
        self._inbound = inbound
        self._bath = bath

    async def request(self, request: Request, scope: Scope) -> Reply:
        params = self._bath.asked(request.method, request.params)
        if params is not request.params:
            request = msgspec.structs.replace(request, params=params)
        return await self._inbound.request(request, scope)

    def notified(self, method: str, params: bytes | None) -> None:
        self._inbound.notified(method, self._bath.of(method, params))

    def lost(self, reason: str) -> None:
        self._inbound.lost(reason)


class CleanLink:
    """A link as its users see it."""

    __slots__ = ("_bath", "_link")

    def __init__(self, link: Link, bath: Bath) -> None:
        self._link = link
        self._bath = bath

    @property
    def open(self) -> bool:
        return self._link.open

    async def request(
        self,
        method: str,
        params: bytes | None,
        scope: Scope,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        on_id: Callable[[bytes], None] | None = None,
    ) -> Reply:
        back = CleanScope(scope, self._bath)
        return self._bath.answer(method, await self._link.request(method, params, back, headers=headers, on_id=on_id))

    async def notify(self, method: str, params: bytes | None) -> None:
        await self._link.notify(method, params)

    async def close(self) -> None:
        await self._link.close()

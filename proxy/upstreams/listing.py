"""An upstream's tools as the proxy listed them itself: complete to the last page, or not at all.

What a client lists is relayed and shown, and judges nothing: a client that stops at page one, or makes its upstream
answer with a shorter list, must not thereby get the rest of the tools called unchecked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import anyio

from fuseboard import listings
from fuseboard.catalog import Catalog, Definitions
from fuseboard.era import Era
from fuseboard.errors import UpstreamFault, UpstreamUnreachable
from fuseboard.events import Tool
from fuseboard.listings import TOOLS
from fuseboard.ports import Reply, Result, Scope
from fuseboard.upstreams.upstream import Upstream
from fuseboard.wire import splice

_log = logging.getLogger("fuseboard.catalog")

LIST_TIMEOUT_S: Final = 10.0
"""How long an upstream may take over its whole list."""

PAGES: Final = 100
"""How many pages of one list are followed: a paginator that never ends must not hang anybody."""


class Asks(Protocol):
    """What a listing needs of a seat."""

    @property
    def upstream(self) -> Upstream: ...

    @property
    def era(self) -> Era: ...

    async def request(self, method: str, params: bytes | None, scope: Scope) -> Reply: ...


class Listing:
    """One catalog, and the one attempt to fill it that all who need it share."""

    def __init__(self, definitions: Definitions) -> None:
        self.catalog = Catalog(definitions)
        self._definitions = definitions
        self._attempt: anyio.Event | None = None
        self._fault: UpstreamFault | None = None

    async def ensure(self, seat: Asks, params: bytes | None, scope: Scope, *, clock: Callable[[], float]) -> None:
        """Have the tools listed, unless they are.

        Raises:
            UpstreamFault: they cannot be listed; everybody who waited for this attempt gets its fault.
        """
        while self.catalog.learned_at is None:
            if self._attempt is not None:
                await self._attempt.wait()
                if self._fault is not None:
                    raise self._fault
                continue
            attempt = self._attempt = anyio.Event()
            self._fault = None
            try:
                tools = await self._all(seat, params, scope)
                self.catalog.replace(tools, at=clock())
            except UpstreamFault as fault:
                self._fault = fault
                raise
            finally:
                self._attempt = None
                attempt.set()

    async def _all(self, seat: Asks, params: bytes | None, scope: Scope) -> Mapping[str, Tool]:
        try:
            with anyio.fail_after(LIST_TIMEOUT_S):
                return await self._pages(seat, params, scope)
        except TimeoutError:
            raise seat.upstream.timed_out(TOOLS.method, LIST_TIMEOUT_S) from None

    async def _pages(self, seat: Asks, params: bytes | None, scope: Scope) -> Mapping[str, Tool]:
        alias = seat.upstream.alias
        tools: Mapping[str, Tool] = {}
        self._definitions.look(seat.upstream.health.server)
        for number in range(PAGES):
            reply = await seat.request(TOOLS.method, params, scope)
            if not isinstance(reply, Result):
                if number == 0:
                    _log.warning("%s lists no tools (%s): calls to it have no schema to fit", alias, reply.raw[:200])
                    return tools
                raise UpstreamUnreachable(alias, f"{alias} broke its list of tools off at page {number + 1}")
            page = self._definitions.readable(reply.raw, seat.era)
            if page is None:
                raise UpstreamUnreachable(alias, f"{alias} answered {TOOLS.method} with no list of tools")
            tools = page.tools if number == 0 else {**tools, **page.tools}
            if (cursor := listings.next_cursor(reply.raw)) is None:
                return tools
            params = splice.with_fields(params, cursor=cursor)
        raise UpstreamUnreachable(alias, f"{alias} has more than {PAGES} pages of tools")


class Listings:
    """The listings of a link that many share: one for each kind of caller that the upstream may show other tools."""

    def __init__(self, definitions: Definitions, *, limit: int = 256) -> None:
        self._definitions = definitions
        self._limit = limit
        self._by_key: dict[bytes, Listing] = {}

    def at(self, key: bytes) -> Listing:
        if (listing := self._by_key.get(key)) is None:
            if len(self._by_key) >= self._limit:
                del self._by_key[next(iter(self._by_key))]
            listing = self._by_key[key] = Listing(self._definitions)
        return listing

    def changed(self) -> None:
        for listing in self._by_key.values():
            listing.catalog.changed()

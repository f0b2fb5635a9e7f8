"""Whole lists that the proxy fetches on its own account, each once for all who want it at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import anyio

from fuseboard import listings
from fuseboard.errors import UpstreamFault
from fuseboard.listings import Kind
from fuseboard.ports import Result, Scope
from fuseboard.upstreams.handshake import CommonSeat
from fuseboard.upstreams.listing import LIST_TIMEOUT_S, PAGES
from fuseboard.upstreams.seats import Seat
from fuseboard.upstreams.shared import SharedSeat
from fuseboard.wire import splice

JOIN_S: Final = 0.05
"""How long after its start others may join a fetch. Whoever heard of a change waits as long before it asks, so what it
joins began after that change."""


WHOLE_BYTES: Final = 64 * 1024 * 1024
"""How large all pages of one list may be together: as large as a single message."""


class _Wanted(NamedTuple):
    """``params`` hold the envelope: an upstream may show another client other items."""

    seat: Seat
    method: str
    params: bytes | None


@dataclass(slots=True)
class _Fetch:
    began_at: float
    done: anyio.Event = field(default_factory=anyio.Event)
    pages: Sequence[bytes] | None = None
    fault: UpstreamFault | None = None


class Relists:
    """Shared by all sessions: behind a link that they share, one change would else have each of them list it."""

    def __init__(self) -> None:
        self._fetches: dict[_Wanted, _Fetch] = {}

    async def pages(self, kind: Kind, seat: Seat, params: bytes | None, scope: Scope) -> Sequence[bytes]:
        """Every page of an upstream's list; none where it has no such list.

        Raises:
            UpstreamFault: it cannot be listed to its end, or not in time.
        """
        wanted = _Wanted(seat, kind.method, params)
        self._forget()
        while (fetch := self._fetches.get(wanted)) and _is_young(fetch):
            await fetch.done.wait()
            if fetch.fault is not None:
                raise fetch.fault
            if fetch.pages is not None:
                return fetch.pages
        fetch = self._fetches[wanted] = _Fetch(anyio.current_time())
        try:
            fetch.pages = await _fetched(kind, seat, params, scope)
            return fetch.pages
        except UpstreamFault as fault:
            fetch.fault = fault
            raise
        finally:
            # Behind a link of many, those who come in the same moment may join what is done already.
            if self._fetches.get(wanted) is fetch and not (fetch.pages and isinstance(seat, CommonSeat | SharedSeat)):
                del self._fetches[wanted]
            fetch.done.set()

    def _forget(self) -> None:
        for wanted in [
            wanted for wanted, fetch in self._fetches.items() if fetch.done.is_set() and not _is_young(fetch)
        ]:
            del self._fetches[wanted]


def _is_young(fetch: _Fetch) -> bool:
    return anyio.current_time() - fetch.began_at < JOIN_S


async def _fetched(kind: Kind, seat: Seat, params: bytes | None, scope: Scope) -> Sequence[bytes]:
    try:
        with anyio.fail_after(LIST_TIMEOUT_S):
            return await _all(kind, seat, params, scope)
    except TimeoutError:
        raise seat.upstream.timed_out(kind.method, LIST_TIMEOUT_S) from None


async def _all(kind: Kind, seat: Seat, params: bytes | None, scope: Scope) -> Sequence[bytes]:
    alias = seat.upstream.alias
    pages: list[bytes] = []
    size_bytes = 0
    while len(pages) < PAGES:
        reply = await seat.request(kind.method, params, scope)
        if not isinstance(reply, Result):
            if not pages:
                return pages
            raise UpstreamFault(alias, f"{alias} broke {kind.method} off at page {len(pages) + 1}")
        pages.append(reply.raw)
        size_bytes += len(reply.raw)
        if size_bytes > WHOLE_BYTES:
            raise UpstreamFault(alias, f"{alias} answered {kind.method} with more than {WHOLE_BYTES:,} bytes")
        if (cursor := listings.next_cursor(reply.raw)) is None:
            return pages
        params = splice.with_fields(params, cursor=cursor)
    return pages

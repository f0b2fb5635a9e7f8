"""Asking an upstream on the proxy's own account: does it answer, in which era, and what are its tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fuseboard import era
from fuseboard.era import Era
from fuseboard.errors import UpstreamFault
from fuseboard.events import Tool
from fuseboard.listings import PROMPTS, TEMPLATES, TOOLS, named
from fuseboard.scopes import NOWHERE
from fuseboard.sessions.relists import Relists
from fuseboard.upstreams.handshake import HandshakeSeat
from fuseboard.upstreams.seats import Seat
from fuseboard.upstreams.shared import SharedSeats
from fuseboard.upstreams.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Probe:
    """What asking one upstream found out. ``error`` is ``None`` where it answered."""

    alias: str
    error: str | None = None
    era: Era | None = None
    server: Mapping[str, Any] | None = None
    tools: tuple[Tool, ...] = ()
    definitions: Mapping[str, Sequence[tuple[str, bytes]]] = field(default_factory=dict)
    """Everything that is pinned, as it was listed, by the field of its list; empty where nobody asked for that."""

    @property
    def ok(self) -> bool:
        return self.error is None


async def probe(upstream: Upstream, shared: SharedSeats, *, at: float, whole: bool = False) -> Probe:
    """Ask one upstream. A link of the stateless era stays open for later use, one of the handshake era is closed.

    ``whole``: also for what it lists beside its tools, all of it as it is written.
    """
    try:
        seat = await reach(upstream, shared)
    except UpstreamFault as fault:
        return Probe(upstream.alias, error=fault.message)
    try:
        listing = seat.listing(b"")
        await listing.ensure(seat, _params(seat.era), NOWHERE, clock=lambda: at)
        definitions = await _definitions(seat) if whole else {}
    except UpstreamFault as fault:
        return Probe(upstream.alias, error=fault.message, era=seat.era, server=upstream.health.server)
    finally:
        if isinstance(seat, HandshakeSeat):
            await seat.close()
    return Probe(
        upstream.alias,
        era=seat.era,
        server=upstream.health.server,
        tools=listing.catalog.tools,
        definitions=definitions,
    )


async def _definitions(seat: Seat) -> Mapping[str, Sequence[tuple[str, bytes]]]:
    relists, found = Relists(), {}
    for kind in (TOOLS, PROMPTS, TEMPLATES):
        pages = await relists.pages(kind, seat, _params(seat.era), NOWHERE)
        found[kind.field] = [item for page in pages for item in named(kind, page)]
    return found


async def reach(upstream: Upstream, shared: SharedSeats) -> Seat:
    """A seat of our own at the upstream, in the newest era that it speaks.

    Raises:
        UpstreamFault: it does not answer.
    """
    seat = shared.at(upstream)
    if await seat.speaks(_params(Era.STATELESS)):
        return seat
    own = HandshakeSeat(upstream, shared.tasks, NOWHERE, initialize=era.own_initialize())
    await own.open()
    own.confirm()
    return own


def _params(spoken: Era) -> bytes | None:
    return msgspec.json.encode({"_meta": era.own_envelope()}) if spoken is Era.STATELESS else None

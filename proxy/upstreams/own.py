"""Fuseboard's own tool as an upstream of its own, so that a call of it takes the road of every other call.

It is no server of the configuration: nobody waits for it, it has no health, and with one server beside it names stay
bare. Only the list of tools and the way to a call know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from fuseboard.checkpoint import DEFINITION, EXPOSED, TOOL, UPSTREAM, Note
from fuseboard.era import Era
from fuseboard.errors import METHOD_NOT_FOUND, UpstreamUnreachable
from fuseboard.events import Tool
from fuseboard.listings import TOOLS
from fuseboard.ports import Inbound, Link, Reply, Result, Scope
from fuseboard.upstreams.listing import Listing
from fuseboard.upstreams.seats import NO_HEADERS
from fuseboard.upstreams.upstream import Upstream
from fuseboard.wire import frames

_NOTED: Final = "Noted. Go on."
_NOTHING_SAID: Final = 'Nothing was noted: "summary" has to say in a sentence or two how far you are.'

_CACHED: Final = b',"resultType":"complete","ttlMs":86400000,"cacheScope":"public"'
"""It is the same for everybody and changes only when the proxy starts anew, so it shortens nobody's time to live."""

_PAGES: Final = {
    Era.HANDSHAKE: b'{"tools":[%b]}' % DEFINITION,
    Era.STATELESS: b'{"tools":[%b]%b}' % (DEFINITION, _CACHED),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a configuration would say of what is our own. Its hints are our own, so they are believed."""

    expose: tuple[str, ...] = ("*",)
    trust: str = "trusted"
    sensitivity: str = "public"
    tools: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float | None = 10.0
    idle_timeout_s: float | None = None
    share: str | None = None
    bridge: bool = True
    agent: bool = False


class OwnSeat:
    """Answers at once, from this process. One for all callers of an era: it keeps nothing of theirs."""

    def __init__(self, upstream: Upstream, era: Era) -> None:
        self.upstream = upstream
        self.era = era
        self.page = _PAGES[era]
        self._listing = Listing(upstream.definitions)

    def listing(self, key: bytes) -> Listing:
        return self._listing

    async def request(
        self, method: str, params: bytes | None, scope: Scope, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> Reply:
        if method == TOOLS.method:
            return Result(self.page)
        if method != "tools/call":
            return frames.failure(METHOD_NOT_FOUND, f"Method not found: {method}")
        arguments = msgspec.json.decode(params or b"{}", type=dict[str, Any]).get("arguments")
        said = Note.read(arguments, at=0.0) if isinstance(arguments, dict) else None
        return self._answer(_NOTED if said is not None else _NOTHING_SAID, failed=said is None)

    def notify(self, method: str, params: bytes | None) -> None:
        """Nothing that a client says beside its calls concerns it."""

    async def close(self) -> None:
        """There is no link to end."""

    def _answer(self, text: str, *, failed: bool) -> Result:
        result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": failed}
        if self.era is Era.STATELESS:
            result["resultType"] = "complete"
        return Result(msgspec.json.encode(result))


class OwnTools:
    """What Fuseboard itself offers to agents. ``clock`` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        upstream = Upstream(UPSTREAM, Facts(), no_link, prefixed=True, scoped=False, clock=clock)
        self._seats = {era: OwnSeat(upstream, era) for era in Era}

    def seat(self, era: Era) -> OwnSeat:
        """The seat for clients of that era."""
        return self._seats[era]

    def tool(self, exposed: str) -> Tool | None:
        """Our tool of that name, ``None`` where it is no name of ours."""
        seat = self._seats[Era.HANDSHAKE]
        return seat.upstream.definitions.page(seat.page).tools[TOOL] if self.owns(exposed) else None

    def owns(self, exposed: str) -> bool:
        """Whether a name is our tool's. Ours goes before a single server's tool of the very same name."""
        return exposed == EXPOSED


async def no_link(era: Era, inbound: Inbound) -> Link:
    """What we are ourselves is there without one."""
    raise UpstreamUnreachable(UPSTREAM, "Fuseboard's own tools are reached by no link")

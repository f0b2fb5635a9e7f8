"""What a caller may see of an upstream's lists: judged once for each page and kind of caller, then remembered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from fuseboard import pipeline
from fuseboard.era import Era
from fuseboard.events import Caller, Effect, Tool, ToolListed, Unpinned
from fuseboard.exchange import Exchange
from fuseboard.listings import PROMPTS, RESOURCES, TEMPLATES, TOOLS, Kind, Shown, show
from fuseboard.state import EMPTY
from fuseboard.upstreams.seats import Seat
from fuseboard.upstreams.upstream import Upstream
from fuseboard.verdicts import Deny
from fuseboard.wire import splice

_log = logging.getLogger("fuseboard.session")

KEPT_BYTES: Final = 32 * 1024 * 1024
"""Of pages that were judged, those of all upstreams together."""

_REPORTED: Final = 1_000
"""Tools with invalid headers that are remembered, so that each is logged once."""

_ASKED_FOR_BY: Final = {"prompts/list": "prompts/get", "resources/list": "resources/read"}


class _Key(NamedTuple):
    """``page`` stands for the rest of what the upstream said: the same bytes, the same view."""

    alias: str
    method: str
    audience: tuple[str, tuple[str, ...]]
    stateless: bool
    strict: bool
    era: Era
    version: int
    page: bytes


class Sight:
    """Shared by all sessions. Rules and exposure never change while the process lives, so no view goes stale but by a
    person who accepts definitions: then ``version`` is another.
    """

    def __init__(self, exchange: Exchange, clock: Callable[[], float], *, kept_bytes: int = KEPT_BYTES) -> None:
        self._clock = clock
        self._policies = exchange.policies
        self._enforce = exchange.enforce
        self._personal = pipeline.tells_callers_apart(exchange.policies)
        self._kept: dict[_Key, Shown] = {}
        self._kept_bytes = 0
        self._limit_bytes = kept_bytes
        self._reported: set[tuple[str, str, str]] = set()

    def page(self, kind: Kind, seat: Seat, page: bytes, caller: Caller, *, stateless: bool) -> Shown:
        """A page of that seat's upstream as this caller may see it. ``stateless`` is the client's era.

        Raises:
            msgspec.MsgspecError: it is no list of tools.
        """
        definitions = seat.upstream.definitions
        definitions.look(seat.upstream.health.server)
        if definitions.pins is not None and kind in (PROMPTS, TEMPLATES):
            definitions.pins.listed(kind, page, seat.era)  # at each listing: what is asked for is judged by the last
        audience = (caller.principal, caller.roles) if self._personal else ("", ())
        key = _Key(
            seat.upstream.alias,
            kind.method,
            audience,
            stateless,
            mirrors_headers(seat),
            seat.era,
            definitions.version,
            page,
        )
        if (found := self._kept.pop(key, None)) is None:
            found = self._judge(kind, seat.upstream, page, caller, key)
            self._kept_bytes += _weight(key, found)
        self._kept[key] = found  # now the youngest
        while self._kept_bytes > self._limit_bytes:
            oldest = next(iter(self._kept))
            self._kept_bytes -= _weight(oldest, self._kept.pop(oldest))
        return found

    def _judge(self, kind: Kind, upstream: Upstream, page: bytes, caller: Caller, key: _Key) -> Shown:
        page = splice.unambiguous(page)  # it goes out as it came, and clients read twins as they please
        shown = self._tools if kind is TOOLS else self._others
        return show(
            kind,
            upstream.lists(kind.method, page),
            shown=shown(kind, upstream, page, caller, key),
            exposed=upstream.names.exposed,
            veiled=_veiled(upstream, page, key.era) if kind is TOOLS else None,
            personal=self._personal,
            stateless=key.stateless,
        )

    def _tools(self, kind: Kind, upstream: Upstream, page: bytes, caller: Caller, key: _Key) -> Callable[[str], bool]:
        tools: Mapping[str, Tool] = upstream.definitions.page(page, key.era).tools

        def shown(name: str) -> bool:
            tool = tools.get(name)
            if tool is None:
                return True
            if key.strict and tool.misdeclared is not None:
                self._report(tool, tool.misdeclared)
                return False
            return self._may_see(tool, caller)

        return shown

    def _others(self, kind: Kind, upstream: Upstream, page: bytes, caller: Caller, key: _Key) -> Callable[[str], bool]:
        method = _ASKED_FOR_BY.get(kind.method)
        against: Mapping[str, Unpinned | None] = {}
        if upstream.definitions.pins is not None and kind is not RESOURCES:
            against = upstream.definitions.pins.listed(kind, page, key.era)

        def shown(name: str) -> bool:
            unpinned = against.get(name)
            if method is None and unpinned is None:
                return True  # a template names no resource yet, so there is nothing else to judge
            exposed = upstream.names.exposed(name) if kind.renamed else name
            tool = Tool(upstream.alias, name, exposed, Effect.READ, unpinned=unpinned)
            return self._may_see(tool, caller, method or "resources/read")

        return shown

    def _may_see(self, tool: Tool, caller: Caller, method: str = "tools/call") -> bool:
        event = ToolListed(self._clock(), caller, tool, method)
        outcome = pipeline.descend(self._policies, event, EMPTY, enforce=self._enforce)
        return not isinstance(outcome.refused, Deny)

    def _report(self, tool: Tool, fault: str) -> None:
        """2026-07-28, streamable-http, schema extension: a client that leaves a tool out should say so."""
        report = (tool.upstream, tool.name, fault)
        if report not in self._reported and len(self._reported) < _REPORTED:
            self._reported.add(report)
            _log.warning("%s: the tool %s is left out, its headers are declared wrongly: %s", *report)


def _veiled(upstream: Upstream, page: bytes, era: Era) -> Callable[[str], bool] | None:
    """Which tools give handles in place of results; ``None``, nearly always, where none does.

    Read in the era in which it was listed: in the other one it would be accepted as what that one writes.
    """
    names = {tool.name for tool in upstream.definitions.page(page, era).tools.values() if tool.opaque}
    return names.__contains__ if names else None


def mirrors_headers(seat: Seat) -> bool:
    """Whether arguments go to that upstream in headers too: over Streamable HTTP, in the stateless era."""
    return seat.era is Era.STATELESS and seat.upstream.scoped


def _weight(key: _Key, shown: Shown) -> int:
    """Roughly, in bytes: the page as it came, as it goes out, and its items."""
    return 2 * len(key.page) + len(shown.body) + 1024

"""A link whose upstream is heard clean: its notifications, its questions, and its answers to what no policy judges.

Results of governed calls are cleaned where they are settled, since there is a record that says so; what came of a task
too, wherever it arrives. Lists pass as they came: what was accepted of a definition is a digest of all of it, hidden
text included. What goes the other way beside governed calls is cleaned as their arguments are: a client's answers, and
the parameters of what no policy judges.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from fuseboard.cleaning.fields import Root, root_of
from fuseboard.cleaning.notices import bounded
from fuseboard.cleaning.outgoing import Outgoing
from fuseboard.cleaning.result import Cleaned, Cleaner
from fuseboard.era import Era
from fuseboard.ports import Inbound, Link, Reply, Request, Result, Scope
from fuseboard.upstreams.seats import NO_HEADERS
from fuseboard.upstreams.upstream import Connect
from fuseboard.wire import splice
from fuseboard.wire.frames import GOVERNED, TASKS

_log = logging.getLogger("fuseboard.cleaning")

_LEFT_ALONE: Final = GOVERNED | {
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "tasks/result",
    "ping",
    "subscriptions/listen",
}
_STATES: Final = TASKS - {"tasks/result", "tasks/list"}
_CAME_OF_IT: Final = ("result", "error")


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
        self._outgoing = Outgoing(cleaner)

    def of(self, method: str, raw: bytes | None, root: Root | None = None) -> bytes | None:
        return None if raw is None else self._told(method, self._cleaner.clean(method, raw, root))

    def _told(self, method: str, clean: Cleaned) -> bytes:
        if clean.counts:
            _log.info("cleaned %s of %s: %s", method, self._alias, dict(clean.counts))
        return clean.raw

    def heard(self, method: str, params: bytes | None) -> bytes | None:
        """The parameters of a notification, none of them longer than a result may be."""
        if params is None:
            return None
        short = bounded(params, self._cleaner.max_bytes)
        if short is not params:
            _log.info("%s of %s had %d bytes: most is left out", method, self._alias, len(params))
        return self.of(method, short)

    def asked(self, method: str, params: bytes | None) -> bytes | None:
        """The parameters of a question: prose for a model (sampling) or a person (elicitation)."""
        return self.of(method, params, Root.RESULT)

    def answer(self, method: str, reply: Reply) -> Reply:
        """What the upstream answered."""
        if method in _LEFT_ALONE:
            return reply
        if method in _STATES and isinstance(reply, Result):
            raw: bytes | None = self._state(method, reply.raw)
        else:
            raw = self.of(method, reply.raw, root_of(method) if isinstance(reply, Result) else Root.ERROR)
        return reply if raw is None or raw is reply.raw else type(reply)(raw)

    def _state(self, method: str, raw: bytes) -> bytes:
        """A task as it stands. What came of it is cleaned where it is judged, for a record says so there."""
        try:
            fields = splice.fields(raw)
        except msgspec.MsgspecError:
            return raw  # no task, so that nobody shows it
        rest = {name: field for name, field in fields.items() if name not in _CAME_OF_IT}
        if len(rest) == len(fields):
            return self._told(method, self._cleaner.clean(method, raw))
        clean = self._cleaner.clean(method, splice.join(rest))
        return splice.join({**fields, **splice.fields(self._told(method, clean))}) if clean.counts else raw

    def answered(self, method: str, reply: Reply) -> Reply:
        """What the client, or a person, answered to a question of the upstream's."""
        raw = self._told(method, self._outgoing.of_answer(method, reply.raw))
        return reply if raw is reply.raw else type(reply)(raw)

    def sent(self, method: str, params: bytes | None) -> bytes | None:
        """The parameters of a request or notification that goes to the upstream."""
        if params is None:
            return None
        if method in GOVERNED:
            return self._outgoing.of_answers(params)
        return self._told(method, self._outgoing.of_params(method, params))


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
        self._scope.notify(method, self._bath.heard(method, params))

    def stream(self) -> None:
        self._scope.stream()

    def release(self) -> None:
        self._scope.release()

    async def request(self, method: str, params: bytes | None) -> Reply:
        return self._bath.answered(method, await self._scope.request(method, self._bath.asked(method, params)))


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
        return self._bath.answered(request.method, await self._inbound.request(request, scope))

    def notified(self, method: str, params: bytes | None) -> None:
        self._inbound.notified(method, self._bath.heard(method, params))

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
        back, params = CleanScope(scope, self._bath), self._bath.sent(method, params)
        return self._bath.answer(method, await self._link.request(method, params, back, headers=headers, on_id=on_id))

    async def notify(self, method: str, params: bytes | None) -> None:
        await self._link.notify(method, self._bath.sent(method, params))

    async def close(self) -> None:
        await self._link.close()

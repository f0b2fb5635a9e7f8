"""One client's view of everything behind the proxy: where each of its messages goes, in either era."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec

from fuseboard import era, param_headers
from fuseboard.deadline import patience_s
from fuseboard.errors import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
    ProtocolFault,
    UpstreamFault,
)
from fuseboard.events import Effect, Tool
from fuseboard.exchange import Proposal
from fuseboard.listings import KINDS, PROMPTS, TEMPLATES, Kind
from fuseboard.pins.listed import Pinned
from fuseboard.ports import Failure, Reply, Request, Result, Scope
from fuseboard.scopes import Silent
from fuseboard.sessions.resources import Resources
from fuseboard.sessions.seated import Board, own_params
from fuseboard.sessions.sight import mirrors_headers
from fuseboard.sessions.subscriptions import Sources, Subscription
from fuseboard.sessions.tasks import Tasked
from fuseboard.upstreams.listing import Listing
from fuseboard.upstreams.seats import Absent, Refused, Seat
from fuseboard.wire import frames
from fuseboard.wire.frames import GOVERNED, TASKS

__all__ = ["EMPTY_RESULT", "Board", "ClientSession", "unsupported_version"]

_log = logging.getLogger("fuseboard.session")

EMPTY_RESULT: Final = Result(b"{}")
LONGEST_NAME: Final = 1024
"""Names are kept (in rules, traces, caches), and a client can invent any."""

FRESH_S: Final = 60.0
"""How old a listing may be for a refusal to rest on it."""


class ClientSession(Resources, Tasked):
    """What both eras share. A subclass knows its seats and its run."""

    async def request(self, request: Request, scope: Scope) -> Reply:
        """Answer one request. Whatever goes wrong becomes an error reply."""
        try:
            return await self._route(request, scope)
        except Refused as refused:
            return refused.reply
        except UpstreamFault as fault:
            return frames.failure(fault.code, fault.message)
        except ProtocolFault as fault:
            return frames.failure(fault.code, fault.message)
        except msgspec.MsgspecError as fault:
            return frames.failure(INVALID_PARAMS, f"params of {request.method}: {fault}")
        except Exception:
            _log.exception("%s failed", request.method)
            return frames.failure(INTERNAL_ERROR, "Fuseboard failed to handle this request; its log says more")

    async def _route(self, request: Request, scope: Scope) -> Reply:
        method = request.method
        if method in GOVERNED:
            return await self._govern(request, scope)
        if (kind := KINDS.get(method)) is not None:
            return await self._list(kind, request, scope)
        if method == "completion/complete":
            return await self._complete(request, scope)
        if method in TASKS:
            return await self._about_task(request, scope)
        if self._only is not None:
            return await self._relay(await self._seat(self._only, request), request, scope)
        return await self._route_among_many(request, scope)

    async def _route_among_many(self, request: Request, scope: Scope) -> Reply:
        """What one upstream out of several has to answer."""
        if request.method in ("resources/subscribe", "resources/unsubscribe"):
            uri = _text(request, "uri")
            seat = await self._seat_of_resource(uri, request)
            return await self._relay(seat, request, scope)
        return frames.failure(
            METHOD_NOT_FOUND, f"{request.method}: none of several upstreams can be told to be meant; Method not found"
        )

    async def _relay(self, seat: Seat, request: Request, scope: Scope) -> Reply:
        return await seat.request(request.method, request.params, self._way_back(seat, scope))

    async def _listen(self, request: Request, scope: Scope) -> Reply:
        """``subscriptions/listen``: of all upstreams as one; of a single one that hides nothing, as it comes."""
        if self._only is not None and not self._partial:
            params, scope = self._listening(self._only, request.params, scope)
            return await (await self._seat(self._only, request)).request(request.method, params, scope)
        health = {alias: upstream.health for alias, upstream in self._board.upstreams.items()}
        sources = Sources(
            aliases=list(self._board.upstreams),
            seat=lambda alias: self._seat(alias, request),
            owners=lambda uris: self._owners(uris, request),
            view=lambda alias, kind: self._view(alias, kind, request),
            own_ids=self._own_ids,
            heard=self._task_notices,
            retry_s=lambda alias: health[alias].retry_at - self._board.now(),
        )
        return await Subscription(sources, request, scope).run()

    # Governed calls.

    async def _govern(self, request: Request, scope: Scope) -> Reply:
        at = self._board.now()  # before anything is waited for: the wait belongs to the call
        seat, tool = await self._target(request)
        if (vaulted := self._board.vaulted) is not None and vaulted.waiting:
            who, given = self._caller(request).principal, _arguments(request)
            seat, tool = await vaulted.instead(seat, tool, request.method, given, who, self.era)
        identity, (timeout_s, idle_s) = self._board.identity, patience_s(seat.upstream, tool)
        step = identity.step(request, self._origin, seat.upstream.server, at=at)
        run = self._run(request) if step is None or step.run is None else step.run
        if run.due_at <= at:
            await identity.attend(run, at=at)
        return await self._board.exchange.govern(
            Proposal(
                request=request,
                scope=self._way_back(seat, scope),
                seat=seat,
                tool=tool,
                arguments=_arguments(request),
                caller=self._caller(request),
                run=run,
                era=self.era,
                transport=self._origin.transport,
                timeout_s=timeout_s if step is None else step.within(timeout_s, at=at),
                idle_s=idle_s,
                at=at,
                refresh=lambda: self._refresh(seat, tool, request),
                relist=lambda: self._relist(seat, tool, request),
                holder=self._holder,
                declared=self._declared,
                step=step,
                links=self._links,
            )
        )

    async def _target(self, request: Request) -> tuple[Seat, Tool]:
        if request.method == "resources/read":
            uri = _text(request, "uri")
            if (vaulted := self._board.vaulted) is not None and vaulted.owns(uri):
                return await vaulted.resource(uri, self._caller(request).principal, self.era)
            seat = await self._seat_of_resource(uri, request)
            pins = await self._pins(TEMPLATES, seat, request) if self._origins.listed(uri) is None else None
            against = pins.template_of(uri) if pins is not None else None
            return seat, Tool(seat.upstream.alias, uri, uri, Effect.READ, unpinned=against)
        exposed = _text(request, "name")
        if len(exposed) > LONGEST_NAME:
            raise ProtocolFault(INVALID_PARAMS, f"a name of {len(exposed)} characters; at most {LONGEST_NAME}")
        if (ours := self._board.own) is not None and request.method == "tools/call" and ours.owns(exposed):
            here = ours.seat(self.era)
            return here, await self._tool(here, exposed, request)
        alias = self._alias_of(exposed, request.method)
        seat = await self._seat_even_if_down(alias, request)
        own = seat.upstream.names.own(exposed)
        if request.method == "prompts/get":
            pins = await self._pins(PROMPTS, seat, request)
            return seat, Tool(alias, own, exposed, Effect.READ, unpinned=pins.prompt(own) if pins is not None else None)
        try:
            tool = await self._tool(seat, exposed, request)
        except UpstreamFault as fault:
            catalog = seat.listing(self._kind_of_caller(request)).catalog
            return Absent(seat.upstream, seat.era, fault), catalog.find(own) or catalog.unlisted(own)
        if tool.unpinned is not None:
            tool = seat.upstream.definitions.again(tool)
        if tool.misdeclared is not None and mirrors_headers(seat):
            raise _unusable(tool, tool.misdeclared)
        _refuse_param_headers(tool, request)
        return seat, tool

    async def _pins(self, kind: Kind, seat: Seat, request: Request) -> Pinned | None:
        """The upstream's pins. A client that never lists must not get what changed: then the proxy lists it once."""
        pins = seat.upstream.definitions.pins
        if pins is not None and pins.unseen(kind):
            with suppress(UpstreamFault):
                await self._whole(kind, seat, request)
                pins.compared(kind)
        return pins

    async def _tool(self, seat: Seat, exposed: str, request: Request) -> Tool:
        listing = seat.listing(self._kind_of_caller(request))
        if listing.catalog.learned_at is None:
            await self._learn(seat, listing, request)
        own = seat.upstream.names.own(exposed)  # a name that was cut is known only now
        return listing.catalog.find(own) or listing.catalog.unlisted(own)

    async def _refresh(self, seat: Seat, tool: Tool, request: Request) -> Tool | None:
        """The tool as it is listed now, ``None`` where what is known of it is fresh or cannot be renewed."""
        learned_at = seat.listing(self._kind_of_caller(request)).catalog.learned_at
        if learned_at is not None and self._board.now() - learned_at < FRESH_S:
            return None
        return await self._relist(seat, tool, request)

    async def _relist(self, seat: Seat, tool: Tool, request: Request) -> Tool | None:
        listing = seat.listing(self._kind_of_caller(request))
        listing.catalog.changed()
        try:
            await self._learn(seat, listing, request)
        except UpstreamFault:
            return None
        return listing.catalog.find(tool.name)

    async def _learn(self, seat: Seat, listing: Listing, request: Request) -> None:
        await listing.ensure(seat, own_params(request), Silent(request.id), clock=self._board.now)


def unsupported_version(requested: Any) -> Failure:
    """2026-07-28, versioning: the refusal that makes a client fall back to the handshake."""
    return frames.failure(
        UNSUPPORTED_VERSION,
        "Unsupported protocol version: the upstream speaks the handshake revisions only",
        {"supported": list(era.HANDSHAKE_VERSIONS), "requested": requested},
    )


def _text(request: Request, field: str) -> str:
    value = request.value if request.value is not None else msgspec.json.decode(request.params or b"{}")
    text = value.get(field) if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise ProtocolFault(INVALID_PARAMS, f'{request.method}: "{field}" must be a string')
    return text


def _arguments(request: Request) -> Mapping[str, Any]:
    arguments = (request.value or {}).get("arguments")
    if arguments is None:
        return {}
    if not isinstance(arguments, dict):
        raise ProtocolFault(INVALID_PARAMS, f'{request.method}: "arguments" must be an object')
    return arguments


def _unusable(tool: Tool, fault: str) -> ProtocolFault:
    """2026-07-28, streamable-http, schema extension: over HTTP such a tool is to be treated as if it did not exist."""
    return ProtocolFault(
        INVALID_PARAMS,
        f"{tool.exposed} cannot be called over HTTP: its definition declares headers wrongly ({fault}). "
        "Only its server's author can mend that.",
    )


def _refuse_param_headers(tool: Tool, request: Request) -> None:
    """A header that says something else than the arguments it mirrors (2026-07-28, streamable-http, custom headers)."""
    if tool.mirrored is not None and (fault := param_headers.mismatch(tool.mirrored, request)) is not None:
        raise ProtocolFault(HEADER_MISMATCH, fault)

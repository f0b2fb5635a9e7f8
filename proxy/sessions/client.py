"""One client's view of everything behind the proxy: where each of its messages goes, in either era."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import anyio
import anyio.abc
import msgspec

from fuseboard import era, listings, param_headers, pipeline
from fuseboard.era import Era
from fuseboard.errors import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
    UPSTREAM_JUNK,
    ProtocolFault,
    UpstreamFault,
)
from fuseboard.events import Caller, Effect, Tool, ToolListed
from fuseboard.exchange import DEFAULT_TIMEOUT_S, Exchange, Proposal
from fuseboard.listings import KINDS, RESOURCES, TEMPLATES, TOOLS, Kind
from fuseboard.ports import Origin, Reply, Request, Result, Scope
from fuseboard.routing import Origins, split
from fuseboard.runs import Run
from fuseboard.scopes import Silent
from fuseboard.state import EMPTY
from fuseboard.upstreams.listing import LIST_TIMEOUT_S, PAGES, Listing
from fuseboard.upstreams.seats import Absent, Refused, Seat
from fuseboard.upstreams.upstream import Upstream
from fuseboard.verdicts import Deny
from fuseboard.wire import frames, splice
from fuseboard.wire.frames import GOVERNED

_log = logging.getLogger("fuseboard.session")

EMPTY_RESULT: Final = Result(b"{}")
LONGEST_NAME: Final = 1024
"""Names are kept (in rules, traces, caches), and a client can invent any."""

FRESH_S: Final = 60.0
"""How old a listing may be for a refusal to rest on it."""


_ASKED_FOR_BY: Final = {"prompts/list": "prompts/get", "resources/list": "resources/read"}


class Board(Protocol):
    """What every session shares: the gateway, as a session sees it."""

    exchange: Exchange
    tasks: anyio.abc.TaskGroup
    origins: Origins
    upstreams: Mapping[str, Upstream]

    def now(self) -> float: ...


class ClientSession:
    """What both eras share. A subclass knows its seats and its run."""

    era: Era

    def __init__(self, board: Board, origin: Origin) -> None:
        self._board = board
        self._origin = origin
        only = list(board.upstreams) if len(board.upstreams) == 1 else None
        self._only = only[0] if only else None

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
        if self._only is not None:
            return await self._relay(await self._seat(self._only, request), request, scope)
        return await self._route_among_many(request, scope)

    async def _route_among_many(self, request: Request, scope: Scope) -> Reply:
        """What one upstream out of several has to answer."""
        if request.method in ("resources/subscribe", "resources/unsubscribe"):
            uri = _text(request, "uri")
            seat = await self._seat_of_resource(uri, request, scope)
            return await self._relay(seat, request, scope)
        return frames.failure(
            METHOD_NOT_FOUND, f"{request.method}: none of several upstreams can be told to be meant; Method not found"
        )

    async def _relay(self, seat: Seat, request: Request, scope: Scope) -> Reply:
        return await seat.request(request.method, request.params, scope)

    # Seats: a subclass's affair.

    async def _seat(self, alias: str, request: Request) -> Seat:
        """The seat at one upstream.

        Raises:
            UpstreamFault: it cannot be had now.
        """
        raise NotImplementedError

    async def _seats(self, request: Request) -> Sequence[Seat]:
        """The seats at all upstreams that can be had now."""
        raise NotImplementedError

    def _run(self, request: Request) -> Run:
        raise NotImplementedError

    def _caller(self, request: Request) -> Caller:
        raise NotImplementedError

    # Governed calls.

    async def _govern(self, request: Request, scope: Scope) -> Reply:
        at = self._board.now()  # before anything is waited for: the wait belongs to the call
        seat, tool = await self._target(request, scope)
        return await self._board.exchange.govern(
            Proposal(
                request=request,
                scope=scope,
                seat=seat,
                tool=tool,
                arguments=_arguments(request),
                caller=self._caller(request),
                run=self._run(request),
                era=self.era,
                transport=self._origin.transport,
                timeout_s=_timeout_s(seat.upstream, tool),
                at=at,
                refresh=lambda: self._refresh(seat, tool, request),
            )
        )

    async def _target(self, request: Request, scope: Scope) -> tuple[Seat, Tool]:
        if request.method == "resources/read":
            uri = _text(request, "uri")
            seat = await self._seat_of_resource(uri, request, scope)
            return seat, Tool(seat.upstream.alias, uri, uri, Effect.READ)
        exposed = _text(request, "name")
        if len(exposed) > LONGEST_NAME:
            raise ProtocolFault(INVALID_PARAMS, f"a name of {len(exposed)} characters; at most {LONGEST_NAME}")
        alias = self._alias_of(exposed, request.method)
        seat = await self._seat_even_if_down(alias, request)
        own = seat.upstream.names.own(exposed)
        if request.method == "prompts/get":
            return seat, Tool(alias, own, exposed, Effect.READ)
        try:
            tool = await self._tool(seat, exposed, request)
        except UpstreamFault as fault:
            catalog = seat.listing(self._kind_of_caller(request)).catalog
            return Absent(seat.upstream, seat.era, fault), catalog.find(own) or catalog.unlisted(own)
        _refuse_param_headers(tool, request)
        return seat, tool

    async def _seat_even_if_down(self, alias: str, request: Request) -> Seat:
        try:
            return await self._seat(alias, request)
        except Refused:
            raise
        except UpstreamFault as fault:
            return Absent(self._board.upstreams[alias], self.era, fault)

    def _alias_of(self, exposed: str, method: str) -> str:
        if self._only is not None:
            return self._only
        parts = split(exposed)
        if parts is None or parts[0] not in self._board.upstreams:
            what = "tool" if method == "tools/call" else "prompt"
            raise ProtocolFault(INVALID_PARAMS, f"Unknown {what}: {exposed}")
        return parts[0]

    async def _tool(self, seat: Seat, exposed: str, request: Request) -> Tool:
        listing = seat.listing(self._kind_of_caller(request))
        if listing.catalog.learned_at is None:
            await self._learn(seat, listing, request)
        own = seat.upstream.names.own(exposed)  # a name that was cut is known only now
        return listing.catalog.find(own) or listing.catalog.unlisted(own)

    async def _refresh(self, seat: Seat, tool: Tool, request: Request) -> Tool | None:
        listing = seat.listing(self._kind_of_caller(request))
        learned_at = listing.catalog.learned_at
        if learned_at is not None and self._board.now() - learned_at < FRESH_S:
            return None
        listing.catalog.changed()
        try:
            await self._learn(seat, listing, request)
        except UpstreamFault:
            return None
        return listing.catalog.find(tool.name)

    async def _learn(self, seat: Seat, listing: Listing, request: Request) -> None:
        await listing.ensure(seat, _own_params(request), Silent(request.id), clock=self._board.now)

    def _kind_of_caller(self, request: Request) -> bytes:
        """What an upstream may make its list depend on, within one link."""
        return b""

    # Lists.

    async def _list(self, kind: Kind, request: Request, scope: Scope) -> Reply:
        if self._only is None:
            return await self._list_many(kind, request, scope)
        seat = await self._seat(self._only, request)
        reply = await self._relay(seat, request, scope)
        if not isinstance(reply, Result):
            return reply
        try:
            return Result(self._shown(kind, seat, reply.raw, request))
        except msgspec.MsgspecError as fault:
            return frames.failure(UPSTREAM_JUNK, f"{self._only} answered {kind.method} with no such list: {fault}")

    async def _list_many(self, kind: Kind, request: Request, scope: Scope) -> Reply:
        seats = await self._seats(request)
        pages: dict[str, list[bytes]] = {seat.upstream.alias: [] for seat in seats}
        params = _own_params(request)

        async def gather(seat: Seat) -> None:
            reason: object = f"no answer within {LIST_TIMEOUT_S:g} s"
            try:
                with anyio.move_on_after(LIST_TIMEOUT_S):
                    async for page in self._pages(seat, kind, params, scope):
                        pages[seat.upstream.alias].append(self._shown(kind, seat, page, request))
                    return
            except (UpstreamFault, msgspec.MsgspecError) as fault:
                reason = fault
            _log.warning("%s of %s is left out: %s", kind.method, seat.upstream.alias, reason)

        async with anyio.create_task_group() as tasks:
            for seat in seats:
                tasks.start_soon(gather, seat)
        whole = [page for alias in pages for page in pages[alias]]
        return Result(listings.merge(kind, whole, stateless=self.era is Era.STATELESS))

    async def _pages(self, seat: Seat, kind: Kind, params: bytes | None, scope: Scope) -> Any:
        """Every page of one upstream's list; ends early where the upstream has no such list."""
        for _ in range(PAGES):
            reply = await seat.request(kind.method, params, scope)
            if not isinstance(reply, Result):
                return
            yield reply.raw
            if (cursor := listings.next_cursor(reply.raw)) is None:
                return
            params = splice.with_fields(params, cursor=cursor)

    def _shown(self, kind: Kind, seat: Seat, page: bytes, request: Request) -> bytes:
        """The page as this caller may see it; what it teaches about names is remembered."""
        upstream = seat.upstream
        if kind is TOOLS:
            tools = upstream.definitions.page(page).tools
            caller = self._caller(request)
            return listings.edit(
                kind,
                page,
                shown=lambda name: self._may_see(tools.get(name), caller),
                exposed=upstream.names.exposed,
            )
        if self._only is None and kind in (RESOURCES, TEMPLATES):
            remember = self._board.origins.remember if kind is RESOURCES else self._board.origins.remember_template
            for name in listings.names(kind, page):
                remember(name, upstream.alias)
        method = _ASKED_FOR_BY.get(kind.method)
        if method is None:  # a template names no resource yet, so there is nothing to judge
            return listings.edit(kind, page, shown=lambda _: True, exposed=upstream.names.exposed)
        caller = self._caller(request)

        def shown(name: str) -> bool:
            exposed = upstream.names.exposed(name) if kind.renamed else name
            return self._may_see(Tool(upstream.alias, name, exposed, Effect.READ), caller, method)

        return listings.edit(kind, page, shown=shown, exposed=upstream.names.exposed)

    def _may_see(self, tool: Tool | None, caller: Caller, method: str = "tools/call") -> bool:
        if tool is None:
            return True
        event = ToolListed(self._board.now(), caller, tool, method)
        exchange = self._board.exchange
        outcome = pipeline.descend(exchange.policies, event, EMPTY, enforce=exchange.enforce)
        return not isinstance(outcome.refused, Deny)

    # Resources and completion.

    async def _seat_of_resource(self, uri: str, request: Request, scope: Scope) -> Seat:
        """The upstream that listed the URI; where none did, the one that can read it."""
        if self._only is not None:
            return await self._seat_even_if_down(self._only, request)
        if (alias := self._board.origins.find(uri)) is None:
            for kind in (RESOURCES, TEMPLATES):
                await self._list_many(kind, request, Silent(request.id))
            alias = self._board.origins.find(uri)
        if alias is None:
            raise ProtocolFault(INVALID_PARAMS, f"Resource not found: {uri}; no upstream listed it")
        return await self._seat_even_if_down(alias, request)

    async def _complete(self, request: Request, scope: Scope) -> Reply:
        if self._only is not None:
            return await self._relay(await self._seat(self._only, request), request, scope)
        fields = splice.fields(request.params)
        ref = msgspec.json.decode(fields.get("ref", b"{}"), type=dict[str, Any])
        if ref.get("type") == "ref/prompt":
            exposed = str(ref.get("name"))
            seat = await self._seat(self._alias_of(exposed, "completion/complete"), request)
            ref["name"] = seat.upstream.names.own(exposed)
            return await seat.request(request.method, splice.with_fields(request.params, ref=ref), scope)
        seat = await self._seat_of_resource(str(ref.get("uri")), request, scope)
        return await self._relay(seat, request, scope)


def unsupported_version(requested: Any) -> Reply:
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


def _own_params(request: Request) -> bytes | None:
    """Params for a listing of our own: the envelope of the request that needs it, without its progress token."""
    meta = splice.fields(request.params).get("_meta")
    if meta is None:
        return None
    kept = {key: value for key, value in splice.fields(meta).items() if key.startswith(era.PREFIX)}
    return splice.join({"_meta": msgspec.Raw(splice.join(kept))}) if kept else None


def _refuse_param_headers(tool: Tool, request: Request) -> None:
    """A header that says something else than the arguments it mirrors (2026-07-28, streamable-http, custom headers)."""
    if tool.mirrored is not None and (fault := param_headers.mismatch(tool.mirrored, request)) is not None:
        raise ProtocolFault(HEADER_MISMATCH, fault)


def _timeout_s(upstream: Upstream, tool: Tool) -> float:
    facts = upstream.server.tools.get(tool.name)
    stated: float | None = facts.timeout_s if facts is not None else None
    return stated or upstream.server.timeout_s or DEFAULT_TIMEOUT_S

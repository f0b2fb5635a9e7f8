"""Lists of one client: of one upstream as it pages them, of several as one, page by page side by side."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import anyio
import msgspec

from fuseboard import listings
from fuseboard.era import Era
from fuseboard.errors import INVALID_PARAMS, METHOD_NOT_FOUND, UPSTREAM_JUNK, ProtocolFault, UpstreamFault
from fuseboard.listings import RESOURCES, TEMPLATES, TOOLS, Kind, Shown
from fuseboard.ports import Failure, Origin, Reply, Request, Result, Scope
from fuseboard.routing import Origins
from fuseboard.scopes import Silent
from fuseboard.sessions.changes import NOTHING, added
from fuseboard.sessions.cursors import Cursors, invalid
from fuseboard.sessions.seated import Board, Seated, own_params
from fuseboard.upstreams.listing import LIST_TIMEOUT_S, PAGES
from fuseboard.upstreams.seats import Seat
from fuseboard.wire import frames, splice

_log = logging.getLogger("fuseboard.session")


LONGEST_CURSOR: Final = 4096
"""In characters. All cursors go into one, and an upstream must not make it too long to be taken back."""


class _Refusal(msgspec.Struct):
    code: int = 0


class _Turn(NamedTuple):
    """One page to turn: whose, and the cursor it continues at."""

    seat: Seat
    cursor: str | None


class Lists(Seated):
    """What the client is shown. Page one is the first page of every upstream, in the order of the configuration; the
    next continues those that have more, in the same order. So each upstream pages as it does alone, and nobody waits
    for the last page of the longest.
    """

    def __init__(self, board: Board, origin: Origin) -> None:
        super().__init__(board, origin)
        self._origins = Origins(board.upstreams)
        self._cursors = Cursors(board.seal)
        self._partial = False
        """Whether anything was ever left out of what was shown."""

    async def _list(self, kind: Kind, request: Request, scope: Scope) -> Reply:
        if self._only is None:
            return await self._list_many(kind, request, scope)
        seat = await self._seat(self._only, request)
        reply = await seat.request(request.method, request.params, self._way_back(seat, scope))
        if not isinstance(reply, Result):
            own = self._own(kind, request) if _is_not_found(reply) else None
            return Result(own.raw) if own is not None else reply
        try:
            shown = self._shown(kind, seat, reply.raw, request)
        except msgspec.MsgspecError as fault:
            return frames.failure(UPSTREAM_JUNK, f"{self._only} answered {kind.method} with no such list: {fault}")
        cursor = _cursor_of(request, lenient=True)
        self._listed(kind, self._only, shown, cursor)
        own = self._own(kind, request) if cursor is None else None
        return Result(shown.raw if own is None else listings.joined(shown, own))

    def _own_capabilities(self) -> list[dict[str, Any]]:
        """What our own tools add to the capabilities of the upstreams."""
        return [{"tools": {}}] if self._board.own is not None else []

    def _own(self, kind: Kind, request: Request) -> Shown | None:
        """Our own tools as this client may see them: they go on the first page. ``None`` where there are none.

        They never change, so no notice is ever theirs, and what a client knows of an upstream's list is without them.
        """
        if self._board.own is None or kind is not TOOLS:
            return None
        here = self._board.own.seat(self.era)
        stateless = self.era is Era.STATELESS
        shown = self._board.sight.page(kind, here, here.page, self._caller(request), stateless=stateless)
        return shown if shown.count else None

    def _shown(self, kind: Kind, seat: Seat, page: bytes, request: Request) -> Shown:
        caller = self._caller(request)
        shown = self._board.sight.page(kind, seat, page, caller, stateless=self.era is Era.STATELESS)
        self._partial = self._partial or shown.filtered
        if kind is TOOLS:
            catalog = seat.listing(self._kind_of_caller(request)).catalog
            catalog.shown(seat.upstream.definitions.page(page, seat.era))
        return shown

    def _listed(self, kind: Kind, alias: str, shown: Shown | None, cursor: str | None) -> None:
        """A page has been shown to the client, the one that ``cursor`` leads to; ``None`` where there is no such list.

        A session that has to know what its client knows keeps it.
        """

    # Several upstreams as one.

    async def _list_many(self, kind: Kind, request: Request, scope: Scope) -> Reply:
        turns, number = await self._turns(kind, request)
        replies = await self._turn_all(kind, turns, request, scope)
        pages: dict[str, Shown] = {}
        for turn in turns:
            alias = turn.seat.upstream.alias
            shown = self._taken(kind, turn.seat, replies[alias], request)
            if shown is not None:
                pages[alias] = shown
            if shown is not None or isinstance(replies[alias], Failure):
                self._listed(kind, alias, shown, turn.cursor)
        if number == 0:
            for alias in self._board.upstreams.keys() - replies.keys():  # not there: when it comes, its list is new
                self._listed(kind, alias, None, None)
        if number and turns and not pages:
            raise invalid(kind.method)  # an empty page would say that the list ends here
        own = self._own(kind, request) if number == 0 else None
        more = {alias: page.cursor for alias, page in pages.items() if page.cursor is not None}
        for alias in [alias for alias in more if len(more[alias]) > LONGEST_CURSOR]:
            _log.warning("%s of %s is cut: its cursor has %d characters", kind.method, alias, len(more.pop(alias)))
        if more and number + 1 >= PAGES:
            _log.warning("%s of %s is cut after %d pages", kind.method, ", ".join(more), PAGES)
            more = {}
        cursor = await self._next(kind, more, number, request) if more else None
        merged = listings.merge(
            kind,
            [*pages.values(), *((own,) if own is not None else ())],
            stateless=self.era is Era.STATELESS,
            cursor=cursor,
            whole=len(pages) == len(turns) and (number > 0 or len(turns) == len(self._board.upstreams)),
        )
        return Result(merged)

    async def _turns(self, kind: Kind, request: Request) -> tuple[Sequence[_Turn], int]:
        """The pages that this request is about, in the order of the configuration, and the number of the merged one."""
        token = _cursor_of(request)
        if token is None:
            return [_Turn(seat, None) for seat in await self._seats(request)], 0
        principal, at = self._caller(request).principal, self._board.now()
        cursor = await self._cursors.take(token, method=kind.method, principal=principal, at=at)
        turns: list[_Turn] = []
        for alias in self._board.upstreams:
            if alias in cursor.upstreams:
                try:
                    turns.append(_Turn(await self._seat(alias, request), cursor.upstreams[alias]))
                except UpstreamFault as fault:
                    _log.warning("the rest of %s of %s is left out: %s", kind.method, alias, fault)
        if not turns:
            raise invalid(kind.method)
        return turns, cursor.page

    async def _next(self, kind: Kind, more: Mapping[str, str], number: int, request: Request) -> str:
        principal = self._caller(request).principal
        return await self._cursors.give(kind.method, principal, more, page=number + 1, at=self._board.now())

    async def _turn_all(
        self, kind: Kind, turns: Sequence[_Turn], request: Request, scope: Scope
    ) -> Mapping[str, Reply | UpstreamFault | None]:
        """Every upstream's answer, ``None`` where it took too long."""
        params = own_params(request)
        replies: dict[str, Reply | UpstreamFault | None] = {turn.seat.upstream.alias: None for turn in turns}

        async def turn_one(seat: Seat, cursor: str | None) -> None:
            own = splice.with_fields(params, cursor=cursor) if cursor is not None else params
            try:
                with anyio.move_on_after(LIST_TIMEOUT_S):
                    replies[seat.upstream.alias] = await seat.request(kind.method, own, self._way_back(seat, scope))
            except UpstreamFault as fault:
                replies[seat.upstream.alias] = fault

        async with anyio.create_task_group() as tasks:
            for turn in turns:
                tasks.start_soon(turn_one, *turn)
        return replies

    def _taken(self, kind: Kind, seat: Seat, reply: Reply | UpstreamFault | None, request: Request) -> Shown | None:
        """The page in an answer, ``None`` where there is none; what it teaches about origins is remembered."""
        reason: object = f"no answer within {LIST_TIMEOUT_S:g} s" if reply is None else reply
        if isinstance(reply, Failure):  # many have no prompts, and say so by this
            told = reply.raw[:200].decode(errors="replace")
            _log.debug("%s of %s is left out: %s", kind.method, seat.upstream.alias, told)
            return None
        if isinstance(reply, Result):
            try:
                shown = self._shown(kind, seat, reply.raw, request)
                self._learn_origins(kind, seat.upstream.alias, shown)
                return shown
            except msgspec.MsgspecError as fault:
                reason = fault
        _log.warning("%s of %s is left out: %s", kind.method, seat.upstream.alias, reason)
        return None

    def _learn_origins(self, kind: Kind, alias: str, shown: Shown) -> None:
        if kind is RESOURCES:
            for uri in shown.listed:
                self._origins.remember(uri, alias)
        elif kind is TEMPLATES:
            for template in shown.listed:
                self._origins.remember_template(template, alias)
        else:
            for uri in shown.views:
                self._origins.remember_view(uri, alias)

    # Whole lists, for our own use.

    async def _whole(self, kind: Kind, seat: Seat, request: Request) -> list[Shown]:
        """Every page of one upstream's list; none where it has no such list.

        Raises:
            UpstreamFault: it cannot be listed to its end.
        """
        alias = seat.upstream.alias
        pages = await self._board.relists.pages(kind, seat, own_params(request), Silent(request.id))
        try:
            shown = [self._shown(kind, seat, page, request) for page in pages]
        except msgspec.MsgspecError as fault:
            raise UpstreamFault(alias, f"{alias} answered {kind.method} with no such list: {fault}") from None
        for page in shown:
            self._learn_origins(kind, alias, page)
        return shown

    async def _view(self, alias: str, kind: Kind, request: Request) -> bytes:
        """The digest of one upstream's list as this client would be shown it now.

        Raises:
            UpstreamFault: it cannot be listed.
        """
        pages = await self._whole(kind, await self._seat(alias, request), request)
        return functools.reduce(added, pages, NOTHING)

    async def _explore(self, kind: Kind, request: Request) -> None:
        """List everything of everybody, to the last page, for what it teaches about origins."""

        async def explore(seat: Seat) -> None:
            try:
                await self._whole(kind, seat, request)
            except UpstreamFault as fault:
                _log.warning("whose resources are whose: %s", fault)

        async with anyio.create_task_group() as tasks:
            for seat in await self._seats(request):
                tasks.start_soon(explore, seat)


def _is_not_found(refusal: Failure) -> bool:
    """Whether an upstream has no list of that kind at all."""
    try:
        return msgspec.json.decode(refusal.raw, type=_Refusal).code == METHOD_NOT_FOUND
    except msgspec.MsgspecError:
        return False


def _cursor_of(request: Request, *, lenient: bool = False) -> str | None:
    """``lenient``: what is no cursor is the upstream's to refuse, and was not refused."""
    raw = splice.fields(request.params).get("cursor")
    if raw is None or bytes(raw) == b"null":
        return None
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.MsgspecError:
        if lenient:
            return bytes(raw).decode()
        raise ProtocolFault(INVALID_PARAMS, f'{request.method}: "cursor" must be a string') from None

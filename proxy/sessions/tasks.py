"""What a client asks about the tasks that its calls began: routed to who runs them, refused to whom they are not.

What finally comes of a task is the result of the call that began it, and is judged as such wherever it arrives: as the
answer to ``tasks/result`` (2025-11-25), inside that to ``tasks/get``, or inside a notice (2026-07-28).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import anyio
import msgspec

from fuseboard import listings, tasks
from fuseboard.era import Era
from fuseboard.errors import INVALID_PARAMS, METHOD_NOT_FOUND, ProtocolFault, UpstreamFault
from fuseboard.ports import Failure, Origin, Reply, Request, Result, Scope
from fuseboard.sessions.seated import Board, Seated, own_params
from fuseboard.sessions.task_notices import TaskNotices, judged_state
from fuseboard.tasks import Holder, Task
from fuseboard.upstreams.listing import LIST_TIMEOUT_S, PAGES
from fuseboard.upstreams.seats import Seat
from fuseboard.wire import frames, splice, strict

_log = logging.getLogger("fuseboard.session")

_FIELDS: Final = frozenset({"taskId", "_meta"})
_NONE: Final = msgspec.Raw(b"[]")
_LOCAL: Final = "local"
"""Who calls where nobody has to say who they are."""


class _Error(msgspec.Struct):
    code: int | float = 0


class _Listed(msgspec.Struct):
    id: str | None = msgspec.field(name="taskId", default=None)


LIST_BYTES: Final = 16 * 1024 * 1024
"""How large the one list of several upstreams' tasks may get, each having an equal part of it."""


class _Gathered:
    """What one upstream lists of a client's tasks."""

    def __init__(self, seat: Seat, room_bytes: int) -> None:
        self.seat = seat
        self.items: list[msgspec.Raw] = []
        self.answered = False
        self.refusal: Reply | None = None
        self._room_bytes = room_bytes

    def take(self, states: Sequence[bytes]) -> None:
        """Take one page.

        Raises:
            UpstreamFault: there is no room for it.
        """
        self.answered = True
        self._room_bytes -= sum(map(len, states))
        if self._room_bytes < 0:
            alias = self.seat.upstream.alias
            raise UpstreamFault(alias, f"{alias} lists more bytes of tasks than one list has room for")
        self.items += map(msgspec.Raw, states)


_ERROR: Final = msgspec.json.Decoder(_Error)
_LISTED: Final = msgspec.json.Decoder(_Listed)


class Tasked(Seated):
    """One client's tasks."""

    def __init__(self, board: Board, origin: Origin) -> None:
        super().__init__(board, origin)
        prefixed = self._only is None
        kept = board.exchange.tasks
        if self.era is Era.HANDSHAKE:
            self._holder = kept.session(origin.principal, prefixed=prefixed)
        else:
            self._holder = Holder(origin.principal, prefixed)

    def _way_back(self, seat: Seat, scope: Scope) -> Scope:
        return self._task_names(seat.upstream.alias, super()._way_back(seat, scope))

    def _task_names(self, alias: str, scope: Scope) -> Scope:
        """A way back on which tasks have the names that the client knows."""
        return self._task_notices(alias, scope) if self._holder.prefixed else scope

    def _task_notices(self, alias: str, scope: Scope) -> TaskNotices:
        """The way back for whatever may tell of tasks."""
        return TaskNotices(
            scope, alias, self._holder, self._board.exchange, self._board.tasks, modern=self.era is Era.STATELESS
        )

    def _listening(self, alias: str, params: bytes | None, scope: Scope) -> tuple[bytes | None, Scope]:
        """A subscription as it goes to one upstream: it names this client's own tasks there, and hears of no others."""
        if params is None:
            return params, scope
        return tasks.subscribing(params, lambda ids: self._own_ids(alias, ids)), self._task_notices(alias, scope)

    def _own_ids(self, alias: str, shown: list[str]) -> list[str]:
        return [task.id for id in shown if (task := self._find(alias, id)) is not None]

    def _find(self, alias: str, shown: str) -> Task | None:
        """This client's task at one upstream, by the id that it was shown."""
        id = tasks.own(alias, shown) if self._holder.prefixed else shown
        if self._holder.prefixed and id == shown:
            return None
        return self._board.exchange.tasks.find(alias, id, self._holder, at=self._board.now())

    async def _about_task(self, request: Request, scope: Scope) -> Reply:
        """Answer one of the methods of tasks."""
        if request.method == "tasks/list":
            return await self._list_tasks(request, scope)
        shown = _task_id(request)
        task = self._task(shown, request)
        if task is None:
            raise ProtocolFault(INVALID_PARAMS, f"{request.method}: unknown task {shown}")
        seat = await self._seat(task.upstream, request)
        params = request.params if task.id == shown else splice.with_fields(request.params, taskId=task.id)
        reply = await seat.request(request.method, params, self._way_back(seat, scope))
        if request.method == "tasks/result":
            return await self._came_of(task, reply)
        return reply if isinstance(reply, Failure) else await self._state_of(task, reply)

    def _task(self, shown: str, request: Request) -> Task | None:
        for alias in self._board.upstreams:
            if (task := self._find(alias, shown)) is not None:
                return task
        if self._only is None or not self._may_be_ours(self._only, shown):
            return None
        run = self._run(request).id
        return tasks.stranger(self._caller(request), self._only, shown, run=run, at=self._board.now())

    def _may_be_ours(self, alias: str, id: str) -> bool:
        """Whether an id that we did not see begin may be asked for all the same.

        It may stem from before a restart. Where principals are told apart nobody knows any more whose it was.
        """
        return self._origin.principal == _LOCAL and not self._board.exchange.tasks.is_anyones(alias, id)

    async def _came_of(self, task: Task, reply: Reply) -> Reply:
        """2025-11-25: ``tasks/result`` answers what the call would have answered, an error included."""
        if isinstance(reply, Failure) and _ERROR.decode(reply.raw).code == METHOD_NOT_FOUND:
            return reply  # no such method there, which says nothing of the task
        passed = await self._board.exchange.late(task, reply, modern=self.era is Era.STATELESS)
        if self._holder.prefixed and isinstance(passed, Result):
            return Result(tasks.related_as(task.upstream, passed.raw))
        return passed

    async def _state_of(self, task: Task, reply: Result) -> Reply:
        modern = self.era is Era.STATELESS
        state = await judged_state(self._board.exchange, task, reply.raw, modern=modern)
        return Result(tasks.state_as(task.upstream, state) if self._holder.prefixed else state)

    # The list of 2025-11-25.

    async def _list_tasks(self, request: Request, scope: Scope) -> Reply:
        if self._only is not None:
            seat = await self._seat(self._only, request)
            reply = await seat.request(request.method, request.params, self._way_back(seat, scope))
            return reply if isinstance(reply, Failure) else Result(self._own_only(self._only, reply.raw))
        seats = await self._seats(request)
        gathered = [_Gathered(seat, LIST_BYTES // len(seats)) for seat in seats]
        async with anyio.create_task_group() as gathering:
            for one in gathered:
                gathering.start_soon(self._gather_tasks, one, request, scope)
        if not any(one.answered for one in gathered):
            refusals = (one.refusal for one in gathered if one.refusal is not None)
            return next(refusals, frames.failure(METHOD_NOT_FOUND, f"Method not found: {request.method}"))
        items = [item for one in gathered for item in one.items]
        return Result(splice.join({"tasks": msgspec.Raw(splice.join(items))}))

    async def _gather_tasks(self, gathered: _Gathered, request: Request, scope: Scope) -> None:
        """Every page of one upstream's tasks, or as many as there are time and room for."""
        upstream = gathered.seat.upstream
        try:
            with anyio.fail_after(LIST_TIMEOUT_S):
                await self._follow_tasks(gathered, request, scope)
            return
        except TimeoutError:
            fault: UpstreamFault = upstream.timed_out(request.method, LIST_TIMEOUT_S)
        except msgspec.MsgspecError as junk:
            fault = UpstreamFault(upstream.alias, f"{upstream.alias} answered {request.method} with no list: {junk}")
        except UpstreamFault as lost:
            fault = lost
        _log.warning("the rest of %s of %s is left out: %s", request.method, upstream.alias, fault.message)
        gathered.refusal = frames.failure(fault.code, fault.message)

    async def _follow_tasks(self, gathered: _Gathered, request: Request, scope: Scope) -> None:
        seat, params = gathered.seat, own_params(request)
        alias = seat.upstream.alias
        for _ in range(PAGES):
            reply = await seat.request(request.method, params, self._way_back(seat, scope))
            if isinstance(reply, Failure):
                gathered.refusal = reply
                return
            listed = splice.items(splice.fields(self._own_only(alias, reply.raw)).get("tasks", _NONE))
            gathered.take([tasks.state_as(alias, bytes(one)) for one in listed])
            if (cursor := listings.next_cursor(reply.raw)) is None:
                return
            params = splice.with_fields(params, cursor=cursor)

    def _own_only(self, alias: str, listing: bytes) -> bytes:
        """A list of tasks without those of others; where there are none, the very same bytes."""
        fields = splice.fields(listing)
        if "tasks" not in fields:
            return listing
        kept, at = self._board.exchange.tasks, self._board.now()
        listed = splice.items(fields["tasks"])
        shown = []
        for one in listed:
            id = _LISTED.decode(one).id
            if id is None:
                continue
            if kept.find(alias, id, self._holder, at=at) or (self._only is not None and self._may_be_ours(alias, id)):
                shown.append(one)
        if len(shown) == len(listed):
            return listing
        fields["tasks"] = msgspec.Raw(splice.join(shown))
        return splice.join(fields)


def _task_id(request: Request) -> str:
    """The one task that the request means, read strictly: by two ids, one could be shown to us and the other meant."""
    params = strict.parse(request.params or b"{}", depth=frames.DEPTH)
    strict.refuse_near_misses(params, _FIELDS)
    id = params.get("taskId")
    if not isinstance(id, str):
        raise ProtocolFault(INVALID_PARAMS, f'{request.method}: "taskId" must be a string')
    return id

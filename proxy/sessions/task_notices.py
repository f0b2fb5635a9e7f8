"""What tells of a task outside the answer to a question about it: put right, judged, and given to nobody else."""

from __future__ import annotations

import logging
from typing import Any

import anyio.abc
import msgspec

from fuseboard import tasks
from fuseboard.exchange import Exchange
from fuseboard.ports import Failure, Reply, Result, Scope
from fuseboard.tasks import STATUS_NOTICES, Holder, Task
from fuseboard.upstreams.calls import ACKNOWLEDGED
from fuseboard.wire import splice

_log = logging.getLogger("fuseboard.session")


class TaskNotices:
    """The way back to a client that may hear of tasks: a scope around a scope.

    ``modern``: in the stateless era a notice may hold what came of a task, and a subscription may name any task.
    """

    __slots__ = ("_alias", "_clock", "_exchange", "_holder", "_modern", "_scope", "_tasks", "request_id")

    def __init__(
        self,
        scope: Scope,
        alias: str,
        holder: Holder,
        exchange: Exchange,
        tasks: anyio.abc.TaskGroup,
        *,
        modern: bool,
    ) -> None:
        self._scope = scope
        self._alias = alias
        self._holder = holder
        self._exchange = exchange
        self._tasks = tasks
        self._modern = modern
        self.request_id = scope.request_id

    def __getattr__(self, name: str) -> Any:
        """What some scopes know beside what all do, like the connection that a call came over."""
        return getattr(self._scope, name)

    def stream(self) -> None:
        self._scope.stream()

    def release(self) -> None:
        self._scope.release()

    def notify(self, method: str, params: bytes | None) -> None:
        if params is None or b"ask" not in params:  # neither a task id nor one that is related
            self._scope.notify(method, params)
        elif method in STATUS_NOTICES:
            self._notice(method, params)
        elif method == ACKNOWLEDGED and self._holder.prefixed:
            self._scope.notify(method, tasks.subscribed_as(self._alias, params))
        else:
            self._scope.notify(method, self._shown(params))

    async def request(self, method: str, params: bytes | None) -> Reply:
        # Tasks of the client's own have ids of its own making: what asks for those is none of ours.
        if params is not None and not method.startswith("tasks/"):
            params = self._shown(params)
        reply = await self._scope.request(method, params)
        if self._holder.prefixed and isinstance(reply, Result):
            return Result(tasks.related_own(self._alias, reply.raw))
        return reply

    def _shown(self, message: bytes) -> bytes:
        return tasks.related_as(self._alias, message) if self._holder.prefixed else message

    def _notice(self, method: str, params: bytes) -> None:
        if not self._modern:  # the link is this session's alone, and the notice holds no result
            self._scope.notify(method, self._named(params))
            return
        id = tasks.id_in(params)
        task = self._exchange.tasks.find(self._alias, id, self._holder, at=self._exchange.now()) if id else None
        if task is None:
            _log.debug("dropped %s of %s: the task is not this client's", method, self._alias)
        elif tasks.is_over(params):
            # To judge may mean to wait, and a scope never waits.
            self._tasks.start_soon(self._judge_and_tell, task, method, params)
        else:
            self._scope.notify(method, self._named(params))

    async def _judge_and_tell(self, task: Task, method: str, params: bytes) -> None:
        try:
            state = await judged_state(self._exchange, task, params, modern=self._modern)
        except Exception:  # a task's root: one odd notice must not end the board
            _log.exception("%s of %s is not passed on", method, self._alias)
            return
        self._scope.notify(method, self._named(state))

    def _named(self, state: bytes) -> bytes:
        return tasks.state_as(self._alias, state) if self._holder.prefixed else state


async def judged_state(exchange: Exchange, task: Task, state: bytes, *, modern: bool) -> bytes:
    """A task as it stands, with what came of it judged, if anything has."""
    try:
        fields = splice.fields(state)
        status = msgspec.json.decode(fields.get("status", b"null"))
    except msgspec.MsgspecError:
        return state
    if "result" in fields:
        result = Result(bytes(fields["result"]))
        passed = await exchange.late(task, result, modern=modern)
        if passed is result:
            return state
        if isinstance(passed, Result):
            return splice.join({**fields, "result": msgspec.Raw(passed.raw)})
        del fields["result"]
        return splice.join({**fields, "status": splice.raw("failed"), "error": msgspec.Raw(passed.raw)})
    if "error" in fields:
        failure = Failure(bytes(fields["error"]))
        told = await exchange.late(task, failure, modern=modern)
        if told is not failure and isinstance(told, Failure):
            return splice.join({**fields, "error": msgspec.Raw(told.raw)})
    elif status == "cancelled":
        await exchange.cancelled(task)
    return state

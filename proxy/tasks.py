"""Tasks: calls whose result comes later, and for whom each of them was begun.

Two forms are known. 2025-11-25, basic/utilities/tasks: the client asks for a task (``task`` among the params), the
result holds it under ``task``, and what came of the call is what ``tasks/result`` answers. The extension of 2026-07-28
(SEP-2663): the server decides, the result *is* the task (``resultType: "task"``), and what came of the call stands
inside the task that ``tasks/get`` answers.

A task id is a name that anybody could utter, so it is bound to who began the task. That is remembered by this process
alone: after a restart all ids are strangers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Final

import msgspec

from fuseboard.events import Caller, CallProposed, Tool
from fuseboard.ports import Reply, Result
from fuseboard.routing import SEPARATOR
from fuseboard.wire import splice

STATUS_NOTICES: Final = frozenset({"notifications/tasks/status", "notifications/tasks"})
"""In the handshake era and in the stateless one."""
RELATED: Final = "io.modelcontextprotocol/related-task"
"""The ``_meta`` key of a message that belongs to a task (2025-11-25)."""

MAX_TASKS: Final = 10_000
MAX_OF_ONE: Final = 1_000
"""Tasks of one holder. Who begins more loses sight of their own oldest, never of somebody else's."""
MAX_ID_CHARS: Final = 8_192
"""A longer id is none that we remember: it may be a sealed state, hardly a whole document."""
MAX_ARGUMENTS_BYTES: Final = 16 * 1024 * 1024
"""Arguments that all tasks keep together, as JSON. They tell what a call that worked makes familiar, and no more."""
MAX_ARGUMENTS_OF_ONE_BYTES: Final = 65_536
"""Arguments of one task. It is remembered without longer ones."""
GRACE_S: Final = 3600.0
"""How long a task is remembered past its time to live: an upstream may keep it for longer, and need not."""
LONGEST_S: Final = 7 * 86_400.0
"""How long one is remembered that never expires by its own account, or not soon."""


class Holder(msgspec.Struct, frozen=True):
    """On whose behalf tasks are begun: a session of the handshake era, or a principal.

    ``prefixed``: it sees several upstreams as one, whose task ids could collide, so it sees ``<alias>__<id>``.
    """

    key: str
    prefixed: bool = False


NOBODY: Final = Holder("")


@dataclass(slots=True, eq=False)
class Task:
    """A task as it was begun. ``id`` is the upstream's own, ``proposal`` the call that began it, perhaps without its
    arguments.
    """

    upstream: str
    id: str
    proposal: CallProposed
    expires_at: float
    concluded: bool = False
    """Whether what came of it is on record."""


class Tasks:
    """Every task that was begun through this process, by upstream, id and holder."""

    def __init__(
        self, *, limit: int = MAX_TASKS, limit_of_one: int = MAX_OF_ONE, limit_bytes: int = MAX_ARGUMENTS_BYTES
    ) -> None:
        self._sessions = count(1)
        self._limit = limit
        self._limit_of_one = limit_of_one
        self._arguments = _Arguments(limit_bytes)
        self._kept: dict[tuple[str, str, str], Task] = {}
        self._by_id: dict[tuple[str, str], dict[str, Task]] = {}
        self._by_holder: dict[str, dict[tuple[str, str, str], None]] = {}
        self._by_principal: dict[str, dict[tuple[str, str, str], None]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def session(self, principal: str, *, prefixed: bool) -> Holder:
        """A new session of the handshake era: no other one, not even of the same principal, is told of its tasks."""
        return Holder(f"{principal} #{next(self._sessions)}", prefixed)

    def begun(self, proposal: CallProposed, result: Result, holder: Holder, *, at: float) -> None:
        """Remember the task that a result holds, if it holds one."""
        seed = _seed(result.raw)
        if seed is None or len(seed.id) > MAX_ID_CHARS:
            return
        upstream = proposal.tool.upstream
        key = (holder.key, upstream, seed.id)
        self._forget(key)  # an id that its server gives out once more names another task
        self._make_room(holder.key, at)
        task = Task(upstream, seed.id, proposal, at + seed.keep_s)
        self._arguments.keep(task)
        self._kept[key] = task
        self._by_id.setdefault((upstream, seed.id), {})[holder.key] = task
        self._by_holder.setdefault(holder.key, {})[key] = None
        self._by_principal.setdefault(proposal.caller.principal, {})[key] = None

    def find(self, upstream: str, id: str, holder: Holder, *, at: float) -> Task | None:
        """The holder's own task of that id."""
        task = self._by_id.get((upstream, id), {}).get(holder.key)
        if task is not None and at >= task.expires_at:
            self._forget((holder.key, upstream, id))
            return None
        return task

    def is_anyones(self, upstream: str, id: str) -> bool:
        return (upstream, id) in self._by_id

    def _make_room(self, holder: str, at: float) -> None:
        own = self._by_holder.get(holder, {})
        if len(own) >= self._limit_of_one:
            self._forget(next(iter(own)))
        while self._kept and self._kept[oldest := next(iter(self._kept))].expires_at <= at:
            self._forget(oldest)
        while len(self._kept) >= self._limit:  # of whoever has the most: a session is opened as fast as a task is begun
            most = max(self._by_principal.values(), key=len)
            self._forget(next(iter(most)))

    def _forget(self, key: tuple[str, str, str]) -> None:
        if (task := self._kept.pop(key, None)) is None:
            return
        self._arguments.drop(task)
        principal = task.proposal.caller.principal
        of_principal = self._by_principal[principal]
        del of_principal[key]
        if not of_principal:
            del self._by_principal[principal]
        holder, upstream, id = key
        holders = self._by_id[upstream, id]
        del holders[holder]
        if not holders:
            del self._by_id[upstream, id]
        keys = self._by_holder[holder]
        del keys[key]
        if not keys:
            del self._by_holder[holder]


class _Arguments:
    """What tasks keep of their arguments. Where all keep too much, whoever keeps most lets go of their oldest."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._total_bytes = 0
        self._of: dict[str, dict[Task, int]] = {}
        self._bytes_of: dict[str, int] = {}

    def keep(self, task: Task) -> None:
        # What the client's side answered is on record, and nobody asks for it again.
        task.proposal = msgspec.structs.replace(task.proposal, answers=None)
        size_bytes = len(msgspec.json.encode(task.proposal.arguments))
        if size_bytes > min(MAX_ARGUMENTS_OF_ONE_BYTES, self._limit_bytes):
            _without_arguments(task)
            return
        while self._total_bytes + size_bytes > self._limit_bytes:
            most = max(self._bytes_of, key=self._bytes_of.__getitem__)
            oldest = next(iter(self._of[most]))
            self.drop(oldest)
            _without_arguments(oldest)
        whose = task.proposal.caller.principal
        self._of.setdefault(whose, {})[task] = size_bytes
        self._bytes_of[whose] = self._bytes_of.get(whose, 0) + size_bytes
        self._total_bytes += size_bytes

    def drop(self, task: Task) -> None:
        whose = task.proposal.caller.principal
        size_bytes = self._of.get(whose, {}).pop(task, 0)
        if not size_bytes:
            return
        self._total_bytes -= size_bytes
        self._bytes_of[whose] -= size_bytes
        if not self._of[whose]:
            del self._of[whose], self._bytes_of[whose]


def _without_arguments(task: Task) -> None:
    task.proposal = msgspec.structs.replace(task.proposal, arguments={})


def id_of(reply: Reply) -> str | None:
    """The upstream's id of the task that a result holds, if it holds one."""
    seed = _seed(reply.raw) if isinstance(reply, Result) else None
    return seed.id if seed is not None else None


class _Seed(msgspec.Struct):
    """A task as it was begun. ``ttl`` is the field of 2025-11-25, both in milliseconds."""

    id: str = msgspec.field(name="taskId")
    ttl: float | None = None
    ttl_ms: float | None = msgspec.field(name="ttlMs", default=None)

    @property
    def keep_s(self) -> float:
        ttl_ms = self.ttl_ms if self.ttl_ms is not None else self.ttl
        return LONGEST_S if ttl_ms is None else min(max(ttl_ms, 0) / 1000, LONGEST_S) + GRACE_S


class _Head(msgspec.Struct):
    resultType: str | None = None
    task: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _State(msgspec.Struct):
    id: str | None = msgspec.field(name="taskId", default=None)
    status: str | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_HEAD: Final = msgspec.json.Decoder(_Head)
_STATE: Final = msgspec.json.Decoder(_State)
_SEED: Final = msgspec.json.Decoder(_Seed)


def _seed(raw: bytes) -> _Seed | None:
    try:
        head = _HEAD.decode(raw)
        if head.resultType == "task":
            return _SEED.decode(raw)
        return _SEED.decode(head.task) if head.task is not msgspec.UNSET else None
    except (msgspec.MsgspecError, RecursionError):
        return None


def stranger(caller: Caller, upstream: str, id: str, *, run: str, at: float) -> Task:
    """A task that this process did not see begin. What comes of it is judged, and has no record to close."""
    proposal = CallProposed(at, id, run, "tools/call", caller, Tool(upstream, id, id, known=False))
    return Task(upstream, id, proposal, at, concluded=True)


# Names. The mapping is pure, so that messages about tasks need no memory to be put right.


def exposed(alias: str, id: str) -> str:
    return f"{alias}{SEPARATOR}{id}"


def own(alias: str, id: str) -> str:
    """The upstream's own id. What has no such prefix is nothing that we gave out, and stays."""
    return id.removeprefix(alias + SEPARATOR)


def begun_as(alias: str, result: Result) -> Result:
    """The result that begins a task, with the id as it is exposed."""
    try:
        fields = splice.fields(result.raw)
        if "task" in fields:
            fields["task"] = msgspec.Raw(_with_exposed(alias, fields["task"]))
            return Result(splice.join(fields))
        return Result(_with_exposed(alias, result.raw))
    except msgspec.MsgspecError:
        return result


def state_as(alias: str, state: bytes) -> bytes:
    """A task, or a notice of its status, with the id as it is exposed; what is none stays."""
    try:
        return _with_exposed(alias, state)
    except msgspec.MsgspecError:
        return state


def subscribed_as(alias: str, acknowledgement: bytes) -> bytes:
    """The acknowledgement of a subscription, with the ids of the tasks that it names as they are exposed."""
    return _with_subscribed(acknowledgement, lambda ids: [exposed(alias, id) for id in ids])


def subscribing(params: bytes, own_ids: Callable[[list[str]], list[str]]) -> bytes:
    """The params of ``subscriptions/listen`` with the task ids that it names replaced (2026-07-28, tasks extension)."""
    return _with_subscribed(params, own_ids)


def id_in(state: bytes) -> str | None:
    """The id in a task as it stands, or in a notice of it."""
    try:
        return _STATE.decode(state).id
    except (msgspec.MsgspecError, RecursionError):
        return None


def is_over(state: bytes) -> bool:
    """Whether a task as it stands holds what came of it, or nothing will come."""
    try:
        found = _STATE.decode(state)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return found.result is not msgspec.UNSET or found.error is not msgspec.UNSET or found.status == "cancelled"


def related_as(alias: str, message: bytes) -> bytes:
    """A message of the upstream's that belongs to a task, with the id as it is exposed."""
    return _with_related(message, lambda id: exposed(alias, id))


def related_own(alias: str, message: bytes) -> bytes:
    """The other way round: a message of the client's, with the upstream's own id."""
    return _with_related(message, lambda id: own(alias, id))


def _with_exposed(alias: str, task: bytes | msgspec.Raw) -> bytes:
    fields = splice.fields(task)
    if "taskId" not in fields:
        return bytes(task)
    fields["taskId"] = splice.raw(exposed(alias, msgspec.json.decode(fields["taskId"], type=str)))
    return splice.join(fields)


def _with_subscribed(message: bytes, renamed: Callable[[list[str]], list[str]]) -> bytes:
    """The message with the ``taskIds`` of its filter replaced; the very same bytes where it names none."""
    if b"ask" not in message:
        return message
    try:
        fields = splice.fields(message)
        filter_ = splice.fields(fields.get("notifications"))
        if "taskIds" not in filter_:
            return message
        ids = msgspec.json.decode(filter_["taskIds"], type=list[str])
    except msgspec.MsgspecError:
        return message
    if (wanted := renamed(ids)) == ids:
        return message
    filter_["taskIds"] = splice.raw(wanted)
    fields["notifications"] = msgspec.Raw(splice.join(filter_))
    return splice.join(fields)


def _with_related(message: bytes, renamed: Callable[[str], str]) -> bytes:
    if not splice.may_hold_meta(message):
        return message
    try:
        fields = splice.fields(message)
        meta = splice.fields(fields.get("_meta"))
        if RELATED not in meta:
            return message
        related = splice.fields(meta[RELATED])
        related["taskId"] = splice.raw(renamed(msgspec.json.decode(related["taskId"], type=str)))
    except (msgspec.MsgspecError, KeyError):
        return message
    meta[RELATED] = msgspec.Raw(splice.join(related))
    fields["_meta"] = msgspec.Raw(splice.join(meta))
    return splice.join(fields)

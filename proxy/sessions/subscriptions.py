"""``subscriptions/listen`` over several upstreams: one subscription for the client, one at each that has a share in it
(2026-07-28, basic/patterns/subscriptions).

The client is told of no upstream that comes or goes. A subscription that ended is opened anew, and what may have
happened meanwhile is said then: lists are compared, and each resource of that upstream is said to be updated.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import anyio
import msgspec

from fuseboard.era import SUBSCRIPTION_KEY
from fuseboard.errors import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
    ProtocolFault,
    UpstreamFault,
)
from fuseboard.listings import Kind
from fuseboard.ports import Failure, Reply, Request, Result, Scope
from fuseboard.scopes import Silent
from fuseboard.sessions.changes import NOTHING, NOTICES, Changes, Known
from fuseboard.sessions.rollcall import RollCall
from fuseboard.sessions.seated import own_params
from fuseboard.tasks import STATUS_NOTICES
from fuseboard.upstreams.calls import ACKNOWLEDGED, LISTEN
from fuseboard.upstreams.seats import Seat
from fuseboard.wire import splice

_log = logging.getLogger("fuseboard.session")

UPDATED: Final = "notifications/resources/updated"
RESOURCES_FIELD: Final = "resourceSubscriptions"
TASKS_FIELD: Final = "taskIds"
FLAGS: Final[Mapping[str, str]] = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
"""Between a subscription's end and the next try. One that held for longer starts again at the first pause."""

MAX_URIS: Final = 10_000
"""In one filter."""

_FOR_GOOD: Final = frozenset({METHOD_NOT_FOUND, INVALID_PARAMS, UNSUPPORTED_VERSION})
"""Refusals that another try would only get again."""


class Sources(NamedTuple):
    """What a subscription needs of its session.

    ``own_ids`` are an upstream's own ids of those tasks that are its, ``heard`` is the way back for what tells of them.
    ``retry_s`` is how long an upstream is not tried at all.
    """

    aliases: Sequence[str]
    seat: Callable[[str], Awaitable[Seat]]
    owners: Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]
    view: Callable[[str, Kind], Awaitable[bytes]]
    own_ids: Callable[[str, list[str]], list[str]]
    heard: Callable[[str, Scope], Scope]
    retry_s: Callable[[str], float]


class _Filter(msgspec.Struct, omit_defaults=True, rename="camel"):
    """What a client wants to hear, or an upstream says that it will say."""

    tools_list_changed: bool | None = None
    prompts_list_changed: bool | None = None
    resources_list_changed: bool | None = None
    resource_subscriptions: list[str] | None = None
    task_ids: list[str] | None = None

    @property
    def notices(self) -> list[str]:
        flags = (self.tools_list_changed, self.prompts_list_changed, self.resources_list_changed)
        return [notice for notice, wanted in zip(FLAGS.values(), flags, strict=True) if wanted]


class _Listening(msgspec.Struct):
    notifications: _Filter


class Subscription:
    """One ``subscriptions/listen`` of one client. Cancelling :meth:`run` ends it, here and at the upstreams."""

    def __init__(self, sources: Sources, request: Request, scope: Scope) -> None:
        self._sources = sources
        self._request = request
        self._scope = scope
        self._known = Known()
        self._wanted = _wanted(request)
        self._branches: dict[str, _Branch] = {}
        self._call = RollCall(())
        self._acknowledged = False
        self._early: dict[tuple[str, bytes | None], None] = {}
        """What upstreams said before the acknowledgement, which comes first; the same thing twice counts once."""

    async def run(self) -> Reply:
        """Listen until the client gives up, or no upstream is left that would say anything."""
        self._scope.stream()
        async with anyio.create_task_group() as tasks:
            self._changes = Changes(tasks, self._known, view=self._sources.view, say=self._changed)
            for alias, share in (await self._shares()).items():
                self._branches[alias] = _Branch(self, alias, share)
            self._call = RollCall(self._branches)
            followers = [branch.follow for branch in self._branches.values()]
            left = _Countdown(len(followers))
            for follow in followers:
                tasks.start_soon(left.after, follow)
            await self._call.wait()
            if (refusal := self._refusal()) is not None:
                tasks.cancel_scope.cancel()
                return refusal
            self._acknowledge()
            for branch in self._branches.values():
                tasks.start_soon(branch.get_to_know)
            await left.done.wait()
            self._changes.close()
            tasks.cancel_scope.cancel()
        return Result(splice.join({"resultType": splice.raw("complete"), "_meta": self._tag(None)}))

    async def _shares(self) -> Mapping[str, _Filter]:
        """Each upstream's part of the filter. A URI goes to its owner alone: it may say what others need not know."""
        uris: dict[str, list[str]] = {}
        for uri, alias in (await self._sources.owners(self._wanted.resource_subscriptions or ())).items():
            uris.setdefault(alias, []).append(uri)
        flags = {name: True for name, notice in FLAGS.items() if notice in self._wanted.notices}
        shares: dict[str, _Filter] = {}
        for alias in self._sources.aliases:
            own: dict[str, Any] = dict(flags)
            if alias in uris:
                own[RESOURCES_FIELD] = uris[alias]
            if ids := [id for id in self._wanted.task_ids or () if self._sources.own_ids(alias, [id])]:
                own[TASKS_FIELD] = ids
            if own:
                shares[alias] = msgspec.convert(own, _Filter)
        return shares

    def _refusal(self) -> Reply | None:
        """What all of them answered, where none will say anything."""
        refusals = [branch.refusal for branch in self._branches.values()]
        return refusals[0] if refusals and all(refusals) else None

    def _acknowledge(self) -> None:
        """Say once what will be heard: what was agreed to, and what those may say that are still to come."""
        notices = {notice for branch in self._branches.values() for notice in branch.promised.notices}
        uris = {uri for branch in self._branches.values() for uri in branch.promised.resource_subscriptions or ()}
        honoured: dict[str, Any] = {name: True for name, notice in FLAGS.items() if notice in notices}
        ids = {id for branch in self._branches.values() for id in branch.promised.task_ids or ()}
        if agreed := [uri for uri in self._wanted.resource_subscriptions or () if uri in uris]:
            honoured[RESOURCES_FIELD] = agreed
        if followed := [id for id in self._wanted.task_ids or () if id in ids]:
            honoured[TASKS_FIELD] = followed
        params = {"notifications": splice.raw(honoured), "_meta": self._tag(None)}
        self._acknowledged = True
        self._scope.notify(ACKNOWLEDGED, splice.join(params))
        for method, said in self._early:
            self._scope.notify(method, said)
        self._early.clear()

    def _tag(self, meta: msgspec.Raw | None) -> msgspec.Raw:
        """The subscription goes by the id of the client's own request, never by an upstream's."""
        fields = splice.fields(meta)
        fields[SUBSCRIPTION_KEY] = msgspec.Raw(self._request.id)
        return msgspec.Raw(splice.join(fields))

    def _changed(self, method: str) -> None:
        self.say(method, None)

    # For the branches.

    def params(self, alias: str, share: _Filter) -> bytes:
        if share.task_ids:
            ids = self._sources.own_ids(alias, share.task_ids)
            share = msgspec.structs.replace(share, task_ids=ids)
        return splice.with_fields(own_params(self._request), notifications=share)

    def say(self, method: str, params: bytes | None) -> None:
        fields = splice.fields(params)
        fields["_meta"] = self._tag(fields.get("_meta"))
        said = splice.join(fields)
        if self._acknowledged:
            self._scope.notify(method, said)
        elif len(self._early) < MAX_URIS:
            self._early[method, said] = None

    @property
    def acknowledged(self) -> bool:
        return self._acknowledged

    @property
    def request_id(self) -> bytes:
        return self._request.id

    @property
    def sources(self) -> Sources:
        return self._sources

    @property
    def call(self) -> RollCall:
        return self._call

    @property
    def known(self) -> Known:
        return self._known

    @property
    def changes(self) -> Changes:
        return self._changes


class _Branch:
    """The subscription at one upstream, opened anew whenever it ends."""

    def __init__(self, trunk: Subscription, alias: str, share: _Filter) -> None:
        self._trunk = trunk
        self._alias = alias
        self._share = share
        self._honoured: _Filter | None = None
        self._gap = False
        """Whether there was a time since the acknowledgement in which it was not listened to."""
        self.refusal: Failure | None = None

    @property
    def promised(self) -> _Filter:
        """What it agreed to say; all that it was asked for, where it has not answered yet and may still."""
        if self.refusal is not None:
            return _Filter()
        return self._honoured if self._honoured is not None else self._share

    async def follow(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            began = anyio.current_time()
            await self._listen()
            self._trunk.call.absent(self._alias)
            if self.refusal is not None:
                return
            self._gap = True
            if anyio.current_time() - began > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            await anyio.sleep(max(pause_s, self._trunk.sources.retry_s(self._alias)))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _listen(self) -> None:
        """Hold one subscription until it ends."""
        try:
            seat = await self._trunk.sources.seat(self._alias)
            ear = self._trunk.sources.heard(self._alias, _Ear(self, self._trunk.request_id))
            reply = await seat.request(LISTEN, self._trunk.params(self._alias, self._share), ear)
        except (UpstreamFault, ProtocolFault) as fault:
            _log.info("%s is not listened to: %s", self._alias, fault)
            return
        if isinstance(reply, Failure) and _code(reply) in _FOR_GOOD:
            _log.info("%s has nothing to listen to: %r", self._alias, reply.raw[:200])
            self.refusal = reply

    async def get_to_know(self) -> None:
        """Take what the client can see now as what it knows: it lists after it began to listen, or has listed."""
        for notice in self._share.notices:
            if self._honoured is None:  # when it comes up, all that it lists is new
                for kind in NOTICES[notice]:
                    self._trunk.known.put(kind, self._alias, NOTHING)
                self._gap = True
            elif notice in self._honoured.notices:
                await self._trunk.changes.learn(self._alias, notice)

    def heard(self, method: str, params: bytes | None) -> None:
        if method == ACKNOWLEDGED:
            self._agreed(params)
        elif method in self._share.notices:
            self._trunk.changes.take(self._alias, method)
        elif self._share.resource_subscriptions if method == UPDATED else method in STATUS_NOTICES:
            self._trunk.say(method, params)
        else:  # a server must say nothing that was not asked for, and nor do we
            _log.debug("dropped %s of %s: nobody asked for it", method, self._alias)

    def _agreed(self, params: bytes | None) -> None:
        try:
            self._honoured = msgspec.json.decode(params or b"{}", type=_Listening).notifications
        except msgspec.MsgspecError:
            self._honoured = self._share  # it listens, and says in no readable way to what
        self._trunk.call.present(self._alias)
        if self._gap and self._trunk.acknowledged:
            self._gap = False
            for notice in self._share.notices:
                self._trunk.changes.take(self._alias, notice)
            for uri in self._share.resource_subscriptions or ():
                self._trunk.say(UPDATED, msgspec.json.encode({"uri": uri}))


class _Ear(Silent):
    """The scope of the subscription at one upstream."""

    def __init__(self, branch: _Branch, request_id: bytes) -> None:
        super().__init__(request_id)
        self._branch = branch

    def notify(self, method: str, params: bytes | None) -> None:
        self._branch.heard(method, params)


class _Countdown:
    """``done`` once all have returned."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.done = anyio.Event()
        if not count:
            self.done.set()

    async def after(self, act: Callable[[], Awaitable[None]]) -> None:
        await act()
        self._left -= 1
        if not self._left:
            self.done.set()


def _wanted(request: Request) -> _Filter:
    """The filter. Kinds that the proxy does not know are not agreed to, so the client knows that it will not hear."""
    wanted = msgspec.json.decode(request.params or b"{}", type=_Listening).notifications
    many = len(wanted.resource_subscriptions or ()) + len(wanted.task_ids or ())
    if many > MAX_URIS:
        raise ProtocolFault(INVALID_PARAMS, f"{LISTEN}: {many} resources and tasks; at most {MAX_URIS} fit one")
    return wanted


class _Refusal(msgspec.Struct):
    code: int = 0


def _code(refusal: Failure) -> int:
    try:
        return msgspec.json.decode(refusal.raw, type=_Refusal).code
    except msgspec.MsgspecError:
        return 0

"""``subscriptions/listen`` in front of a handshake upstream, whose changes come as bare notifications."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import anyio
import anyio.abc
import msgspec

from fuseboard.bridges.losses import Losses
from fuseboard.era import SUBSCRIPTION_KEY
from fuseboard.errors import INVALID_PARAMS, ProtocolFault, UpstreamFault
from fuseboard.ports import Failure, Reply, Result, Scope
from fuseboard.upstreams.calls import ACKNOWLEDGED
from fuseboard.wire import splice

_log = logging.getLogger("fuseboard.bridge")

UPDATED: Final = "notifications/resources/updated"
_LISTS: Final = {
    "toolsListChanged": ("tools", "notifications/tools/list_changed"),
    "promptsListChanged": ("prompts", "notifications/prompts/list_changed"),
    "resourcesListChanged": ("resources", "notifications/resources/list_changed"),
}
CHANGES: Final = frozenset({UPDATED, *(method for _, method in _LISTS.values())})
"""The notifications that belong to no call."""

URIS: Final = 256
"""How many resources one listener may subscribe to: each costs a request upstream."""

EARLY: Final = 1024
"""How many notices wait for the acknowledgement; a client that opens a stream has yet to read what it is about."""

LISTENERS: Final = 64
"""How many listen at one upstream session at once."""


class _Filter(msgspec.Struct):
    toolsListChanged: bool = False
    promptsListChanged: bool = False
    resourcesListChanged: bool = False
    resourceSubscriptions: list[str] = []


class _Params(msgspec.Struct):
    notifications: _Filter


class _Updated(msgspec.Struct):
    uri: str


class _Listener:
    def __init__(self, scope: Scope, id: bytes) -> None:
        self._scope = scope
        self._id = id
        self._early: list[tuple[str, bytes | None]] | None = []
        self.methods: set[str] = set()
        self.uris: set[str] = set()
        self.ended = anyio.Event()

    def acknowledge(self, honoured: Mapping[str, Any]) -> None:
        """2026-07-28, subscriptions: the first message on the stream, so what came sooner waits for it."""
        self._scope.stream()
        self._tell(ACKNOWLEDGED, msgspec.json.encode({"notifications": honoured}))
        early, self._early = self._early or [], None
        for method, params in early:
            self._tell(method, params)

    def subscribed(self, uri: str | None) -> bool:
        """2026-07-28, subscriptions: a server may name a part of what was subscribed to."""
        return uri is not None and (uri in self.uris or any(uri.startswith(whole) for whole in self.uris))

    def told(self, method: str, params: bytes | None) -> None:
        if method not in self.methods:
            return
        if self._early is None:
            self._tell(method, params)
        elif len(self._early) < EARLY:
            self._early.append((method, params))

    def result(self) -> Result:
        """The end, said by us: the stream is over, and the client may open another."""
        return Result(splice.join({"resultType": splice.raw("complete"), "_meta": self._tag({})}))

    def _tell(self, method: str, params: bytes | None) -> None:
        fields = splice.fields(params)
        fields["_meta"] = self._tag(splice.fields(fields.get("_meta")))
        self._scope.notify(method, splice.join(fields))

    def _tag(self, meta: splice.Fields) -> msgspec.Raw:
        meta[SUBSCRIPTION_KEY] = msgspec.Raw(self._id)
        return msgspec.Raw(splice.join(meta))


class Listeners:
    """All who listen at one upstream session. ``ask`` makes a request of our own on it; ``alive`` says how its link is.

    Subscriptions upstream are counted: the last listener to a resource ends it.
    """

    def __init__(
        self,
        ask: Callable[[str, bytes], Awaitable[Reply]],
        alive: Callable[[], bool],
        tasks: anyio.abc.TaskGroup,
        losses: Losses,
    ) -> None:
        self._ask = ask
        self._alive = alive
        self._tasks = tasks
        self._losses = losses
        self._listeners: dict[_Listener, None] = {}
        self._uris: Counter[str] = Counter()
        self._subscribing = anyio.Lock()

    async def listen(self, params: bytes | None, scope: Scope, capabilities: Mapping[str, Any]) -> Reply:
        """Serve one stream to its end. ``capabilities`` are the upstream's."""
        try:
            wanted = msgspec.json.decode(params or b"{}", type=_Params).notifications
        except msgspec.MsgspecError as fault:
            raise ProtocolFault(INVALID_PARAMS, f"params of subscriptions/listen: {fault}") from None
        if len(self._listeners) >= LISTENERS:
            raise ProtocolFault(INVALID_PARAMS, f"{LISTENERS} subscriptions are open already; end one of them first")
        listener = _Listener(scope, scope.request_id or b"null")
        self._listeners[listener] = None
        try:
            listener.acknowledge(await self._honour(listener, wanted, capabilities))
            await listener.ended.wait()
            return listener.result()
        finally:
            del self._listeners[listener]
            if listener.uris:
                self._tasks.start_soon(self._leave, listener)

    def told(self, method: str, params: bytes | None) -> None:
        uri = _updated(params) if method == UPDATED else None
        for listener in self._listeners:
            if method != UPDATED or listener.subscribed(uri):
                listener.told(method, params)

    def end(self) -> None:
        """The link has died, or the session is closed: 2026-07-28, subscriptions, a result ends each stream."""
        for listener in self._listeners:
            listener.ended.set()

    async def _honour(self, listener: _Listener, wanted: _Filter, capabilities: Mapping[str, Any]) -> dict[str, Any]:
        honoured: dict[str, Any] = {}
        for field, (name, method) in _LISTS.items():
            if getattr(wanted, field):
                # Many a server announces changes that it never declared, and its handshake clients hear of them.
                if isinstance(capabilities.get(name), dict):
                    honoured[field] = True
                    listener.methods.add(method)
                else:
                    self._losses.count(f"{field}: the server has no such list")
        if wanted.resourceSubscriptions and _subscribes(capabilities.get("resources")):
            listener.methods.add(UPDATED)
            honoured["resourceSubscriptions"] = await self._subscribe(listener, wanted.resourceSubscriptions)
        elif wanted.resourceSubscriptions:
            self._losses.count("resourceSubscriptions: the server offers none")
        return honoured

    async def _subscribe(self, listener: _Listener, uris: list[str]) -> list[str]:
        for uri in dict.fromkeys(uris):
            if len(listener.uris) >= URIS:
                self._losses.count("resourceSubscriptions: too many at once")
                break
            async with self._subscribing:
                listener.uris.add(uri)  # the first update may come before the answer
                try:
                    refused = self._uris[uri] == 0 and isinstance(
                        await self._ask("resources/subscribe", _uri(uri)), Failure
                    )
                except BaseException:
                    listener.uris.discard(uri)
                    raise
                if refused:
                    listener.uris.discard(uri)
                    self._losses.count("resourceSubscriptions: refused by the server")
                else:
                    self._uris[uri] += 1
        return [uri for uri in dict.fromkeys(uris) if uri in listener.uris]

    async def _leave(self, listener: _Listener) -> None:
        for uri in listener.uris:
            async with self._subscribing:
                self._uris[uri] -= 1
                if self._uris[uri] > 0:
                    continue
                del self._uris[uri]
                try:
                    if self._alive():
                        await self._ask("resources/unsubscribe", _uri(uri))
                except UpstreamFault as fault:
                    _log.debug("a subscription was not taken back: %s", fault)


def _subscribes(resources: Any) -> bool:
    return isinstance(resources, dict) and resources.get("subscribe") is True


def _updated(params: bytes | None) -> str | None:
    try:
        return msgspec.json.decode(params or b"{}", type=_Updated).uri
    except msgspec.MsgspecError:
        return None


def _uri(uri: str) -> bytes:
    return msgspec.json.encode({"uri": uri})

"""The HTTP edge: every path, what it asks of a request before anybody looks at it, and the era of a message.

Raw ASGI: a framework's request and response objects cost more than all the rest of a call.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import anyio
import anyio.abc
import msgspec

from fuseboard.adapters.downstream.asgi import (
    STOPPING,
    Caller,
    Head,
    Incoming,
    Message,
    Receive,
    Refusal,
    Send,
    answer,
    refuse,
)
from fuseboard.adapters.downstream.beside import Reader, split
from fuseboard.adapters.downstream.guard import LOCAL, Auth, Guard
from fuseboard.adapters.downstream.ladder import VERSION
from fuseboard.adapters.downstream.limits import Limits
from fuseboard.adapters.downstream.sse import MESSAGES, Sse
from fuseboard.adapters.downstream.stateless import Stateless
from fuseboard.adapters.downstream.streamable import LAST_EVENT, SESSION, Streamable
from fuseboard.era import HANDSHAKE_VERSIONS, STATELESS_VERSIONS
from fuseboard.ports import Gateway
from fuseboard.tokens import Tokens

Handle: TypeAlias = Callable[[Incoming], Awaitable[None]]

Asgi: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

_SWEEP_S: Final = 15.0
_IN_A_RUN: Final = ("/mcp", "/sse")
"""The paths that a run token may stand before."""
_HANDSHAKE: Final = frozenset(version.encode() for version in HANDSHAKE_VERSIONS)
_STATELESS: Final = frozenset(version.encode() for version in STATELESS_VERSIONS)
_NOT_FOUND: Final = Refusal(404, "nothing is here; MCP is at /mcp (Streamable HTTP) and /sse (HTTP+SSE)")
_VERSIONS: Final = ", ".join(HANDSHAKE_VERSIONS + STATELESS_VERSIONS)
_BAD_VERSION: Final = Refusal(400, f"MCP-Protocol-Version must be one of {_VERSIONS}")
_ONLY_POST: Final = Refusal(405, "this revision has POST only", headers=((b"allow", b"POST"),))


@dataclass(frozen=True, slots=True)
class Route:
    """One path. ``auth`` is whether a request must say who it is, where the listener asks for that at all."""

    methods: Mapping[str, Handle]
    auth: bool

    def not_allowed(self, method: str) -> Refusal:
        allow = ", ".join(sorted(self.methods))
        return Refusal(405, f"{method} is not for this path; use {allow}", headers=((b"allow", allow.encode()),))


class HttpEdge:
    """The ASGI application.

    Args:
        auth: bearer token -> (principal, roles); ``None`` asks for no token and calls everybody ``local``.
        allowed_hosts: ``name``, ``name:port`` or ``name:*``, beside the names of loopback with the bound port.
        any_address: whether any IP address will do as Host, for a listener that is bound to all of them.
        status: what ``/readyz`` says, as a JSON object; its ``ready`` decides between 200 and 503. A bearer of a good
            token gets all of it, whoever bears none ``ready`` alone; where no token is asked for, ``ready`` and the
            ``state`` of each of ``upstreams``.
        tasks: where sessions are ended and idle ones looked for; it outlives the server.
        tokens: what reads run tokens; without it none is accepted. ``clock`` gives Unix seconds.
        pages: an application for people, and how the paths begin that go there. Host, Origin and the size of the head
            have been looked at by then, and nothing else.
        on_cut: is told before what is still being answered is cut off.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        auth: Auth | None,
        limits: Limits,
        allowed_hosts: Iterable[str],
        any_address: bool = False,
        status: Callable[[], Mapping[str, Any]],
        tasks: anyio.abc.TaskGroup,
        tokens: Tokens | None = None,
        clock: Callable[[], float] = time.time,
        pages: tuple[str, Asgi] | None = None,
        on_cut: Callable[[], None] | None = None,
    ) -> None:
        self.limits = limits
        self._on_cut = on_cut
        self._guard = Guard(limits, auth=auth, allowed_hosts=allowed_hosts, any_address=any_address)
        self._status = status
        self._pages = pages
        self._beside = Reader(tokens, clock)
        self._streamable = Streamable(gateway, limits, tasks)
        self._stateless = Stateless(gateway, limits)
        self._sse = Sse(gateway, limits)
        self._stopping = False
        mcp: dict[str, Handle] = {"POST": self._post, "GET": self._get, "DELETE": self._delete}
        self.routes: Mapping[str, Route] = MappingProxyType(
            {
                "/mcp": Route(mcp, auth=True),
                "/sse": Route({"GET": self._sse.get}, auth=True),
                MESSAGES: Route({"POST": self._sse.post}, auth=True),
                "/healthz": Route({"GET": _alive}, auth=False),
                "/readyz": Route({"GET": self._ready}, auth=False),
            }
        )
        tasks.start_soon(self._sweep)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return None
        refusal = self._guard.size(scope)
        if refusal is not None:
            return await refuse(send, refusal)
        head = Head(scope["headers"])
        refusal = self._guard.place(scope, head)
        if refusal is not None:
            return await refuse(send, refusal)
        path, token = scope["path"], None
        route = self.routes.get(path)
        if route is None and self._pages is not None and path.startswith(self._pages[0]):
            return await self._pages[1](scope, receive, send)
        if route is None:
            path, token = split(path)
            route = self.routes.get(path) if path in _IN_A_RUN else None
        if route is None:
            return await refuse(send, _NOT_FOUND)
        method: str = scope["method"]
        handle = route.methods.get(method)
        if handle is None:
            return await refuse(send, route.not_allowed(method))
        caller = self._guard.who(head) if route.auth else LOCAL
        if isinstance(caller, Refusal):
            return await refuse(send, caller)
        if method == "POST" and (refusal := self._guard.post(head)) is not None:
            return await refuse(send, refusal)
        beside = self._beside.read(head, caller, token) if route.auth else None
        if isinstance(beside, Refusal):
            return await refuse(send, beside)
        if self._stopping and not _goes_on(path, method, head):
            return await refuse(send, STOPPING)
        return await handle(Incoming(scope, receive, send, head, caller, beside))

    def sweep(self, now_s: float) -> None:
        """End the sessions that have been idle for too long at ``now_s`` on the clock of the event loop."""
        self._streamable.sweep(now_s)

    def quiet(self) -> None:
        """Take nothing new and end what would go on for ever; what is being answered goes on.

        So do the words of its clients: an upstream may wait for a client's answer in the middle of a call, and what
        is refused then costs the call its whole time.
        """
        self._stopping = True
        self._streamable.quiet()
        self._stateless.quiet()
        self._sse.quiet()

    async def drained(self) -> None:
        """Wait until nothing is being answered whose client could still have something to say to it."""
        await self._streamable.drained()
        await self._sse.drained()

    def close(self) -> None:
        """End everything now. Idempotent."""
        self.quiet()
        if self._on_cut is not None:
            self._on_cut()
        self._stateless.close()
        self._streamable.close()
        self._sse.close()

    async def _post(self, http: Incoming) -> None:
        # Whatever is no known handshake revision goes to the ladder, which knows how to say what is wrong with it.
        version = http.head.get(VERSION)
        if VERSION in http.head.repeated or (version is not None and version not in _HANDSHAKE):
            if self._stopping:
                return await refuse(http.send, STOPPING)
            return await self._stateless.post(http)
        return await self._streamable.post(http)

    async def _get(self, http: Incoming) -> None:
        if (refusal := _sessions_only(http.head)) is not None:
            return await refuse(http.send, refusal)
        return await self._streamable.get(http)

    async def _delete(self, http: Incoming) -> None:
        if (refusal := _sessions_only(http.head)) is not None:
            return await refuse(http.send, refusal)
        return await self._streamable.delete(http)

    async def _ready(self, http: Incoming) -> None:
        status = self._status()
        ready = bool(status.get("ready"))
        told = _told(status, self._guard.who(http.head))
        await answer(http.send, 200 if ready else 503, msgspec.json.encode({**told, "ready": ready}))

    async def _sweep(self) -> None:
        while True:
            await anyio.sleep(min(_SWEEP_S, self.limits.session_idle_s))
            self.sweep(anyio.current_time())


async def _alive(http: Incoming) -> None:
    await answer(http.send, 200, b'{"status":"ok"}')


def _told(status: Mapping[str, Any], caller: Caller | Refusal) -> Mapping[str, Any]:
    """What of the status is for this caller's eyes: an upstream's error may quote its address or its output."""
    if isinstance(caller, Refusal):
        return {}
    if caller is not LOCAL:
        return status
    upstreams: Mapping[str, Mapping[str, Any]] = status.get("upstreams", {})
    return {"upstreams": {alias: {"state": upstream.get("state")} for alias, upstream in upstreams.items()}}


def _goes_on(path: str, method: str, head: Head) -> bool:
    """Whether a request may belong to what is still being answered, so that its own endpoint must look at it."""
    if path == MESSAGES:
        return True
    # A GET without the id of an event opens a stream for what belongs to no call, and nothing will come of that.
    return path == "/mcp" and head.get(SESSION) is not None and (method != "GET" or head.get(LAST_EVENT) is not None)


def _sessions_only(head: Head) -> Refusal | None:
    version = head.get(VERSION)
    if version is None or version in _HANDSHAKE:
        return None
    return _ONLY_POST if version in _STATELESS else _BAD_VERSION

"""The little of ASGI that the HTTP edge needs: one incoming request, and the two ways to answer it whole."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NamedTuple, TypeAlias

from fuseboard.errors import INTERNAL_ERROR, INVALID_REQUEST
from fuseboard.ports import Beside
from fuseboard.wire import frames

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

ABORT: Final = "fuseboard.abort"
"""The ASGI extension by which our server lets a connection be cut, for a client that reads nothing any more."""

MEASURED: Final = "fuseboard.measured"
"""The ASGI extension by which our server says that it has looked at the size of the head already."""

_JSON: Final = (b"content-type", b"application/json")


class Caller(NamedTuple):
    """Who sent a request. ``credential`` tells apart two tokens of one principal."""

    principal: str
    roles: tuple[str, ...] = ()
    credential: int = 0


class Refusal(NamedTuple):
    """A request that is answered without anybody having looked at it. ``code`` is the JSON-RPC code."""

    status: int
    message: str
    code: int = INVALID_REQUEST
    headers: Headers = ()


STOPPING: Final = Refusal(503, "the proxy is stopping", INTERNAL_ERROR, ((b"connection", b"close"),))


class Head:
    """The headers of a request. Names are lower case, as ASGI has them; of a repeated one the last counts here."""

    __slots__ = ("_fields", "repeated")

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        self._fields = dict(headers)
        self.repeated: frozenset[bytes] = frozenset()
        if len(self._fields) != len(headers):
            counts = Counter(name for name, _ in headers)
            self.repeated = frozenset(name for name, count in counts.items() if count > 1)

    def get(self, name: bytes) -> bytes | None:
        """The value without the white space around it, some of which httptools leaves (RFC 9110, 5.5)."""
        value = self._fields.get(name)
        return None if value is None else value.strip(b" \t")

    def text(self, name: bytes) -> str | None:
        value = self._fields.get(name)
        return None if value is None else value.strip(b" \t").decode("latin-1")

    def has_any(self, names: frozenset[bytes]) -> bool:
        return not self._fields.keys().isdisjoint(names)

    def starting(self, prefix: bytes) -> dict[str, str]:
        """The headers whose names start so."""
        return {
            name.decode("latin-1"): value.strip(b" \t").decode("latin-1")
            for name, value in self._fields.items()
            if name.startswith(prefix)
        }


class Incoming:
    """One HTTP request that passed the guards."""

    __slots__ = ("beside", "caller", "head", "receive", "scope", "send")

    def __init__(
        self, scope: Message, receive: Receive, send: Send, head: Head, caller: Caller, beside: Beside | None = None
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.head = head
        self.caller = caller
        self.beside = beside

    async def body(self, limit_bytes: int) -> bytes | Refusal | None:
        """The whole body, or ``None`` when the client went away in the middle. The server bounds how long it takes."""
        message = await self.receive()
        if message["type"] != "http.request":
            return None
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            return body if len(body) <= limit_bytes else too_large(limit_bytes)
        parts = bytearray(body)
        while message.get("more_body", False):
            if len(parts) > limit_bytes:
                return too_large(limit_bytes)
            message = await self.receive()
            if message["type"] != "http.request":
                return None
            parts += message.get("body", b"")
        return bytes(parts) if len(parts) <= limit_bytes else too_large(limit_bytes)

    async def left(self) -> None:
        """Return when the client has gone (or has been answered in full)."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def abort(self) -> None:
        """Cut the connection, unsent bytes and all."""
        cut = self.scope.get("extensions", {}).get(ABORT)
        if cut is not None:
            cut()


def too_large(limit_bytes: int) -> Refusal:
    return Refusal(413, f"the body is over {limit_bytes} bytes; send less in one message")


async def answer(send: Send, status: int, body: bytes, headers: Headers = ()) -> None:
    """Send a whole JSON answer."""
    head = [_JSON, (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def empty(send: Send, status: int, headers: Headers = ()) -> None:
    """Send an answer without a body."""
    head = [(b"content-length", b"0"), *headers] if status != 204 else [*headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b""})


async def refuse(send: Send, refusal: Refusal, *, id: bytes | None = None, data: Any = None) -> None:
    """Say no, in words that stand in a JSON-RPC error, for clients show those and nothing else."""
    body = frames.response(id, frames.failure(refusal.code, refusal.message, data))
    await answer(send, refusal.status, body, refusal.headers)


@functools.lru_cache(maxsize=64)  # clients say the same few things over and over
def accepts(header: bytes | None) -> tuple[bool, bool]:
    """Whether an ``Accept`` header admits JSON, and an event stream. Quality values are not weighed."""
    kinds = {part.split(b";")[0].strip().lower() for part in (header or b"").split(b",")}
    if b"*/*" in kinds:
        return True, True
    json = bool(kinds & {b"application/json", b"application/*"})
    return json, bool(kinds & {b"text/event-stream", b"text/*"})


@functools.lru_cache(maxsize=64)
def prefers_streams(header: bytes | None) -> bool:
    """Whether an ``Accept`` header names event streams first; nearly all clients name JSON first."""
    return (header or b"").lstrip().lower().startswith(b"text/event-stream")

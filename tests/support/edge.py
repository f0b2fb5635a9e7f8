"""The HTTP edge on a real socket in the test's own loop, and a raw client that can also misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import TaskStatus

from fuseboard.adapters.downstream.edge import HttpEdge
from fuseboard.adapters.downstream.guard import Auth
from fuseboard.adapters.downstream.http import serve_http
from fuseboard.adapters.downstream.limits import Limits
from fuseboard.ports import Gateway
from fuseboard.tokens import Tokens

HANDSHAKE = "2025-11-25"
MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HELLO = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
BOTH = "application/json, text/event-stream"


@dataclass
class Answer:
    """``body`` is ``None`` while it is a stream that has not been read."""

    status: int
    headers: dict[str, str]
    body: bytes | None

    @property
    def json(self) -> Any:
        assert self.body is not None, "the answer is a stream"
        return json.loads(self.body)

    @property
    def streams(self) -> bool:
        return self.headers.get("content-type") == "text/event-stream"


@dataclass
class Event:
    id: str | None
    data: str
    retry: str | None
    name: str | None

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class Wire:
    """One HTTP/1.1 connection. Raises ``EOFError`` when the server hangs up in the middle of an answer."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.port = port
        self._reader = reader
        self.writer = writer
        self._events = b""
        self._ended = False

    async def ask(self, method: str, path: str, headers: Mapping[str, str | None], body: bytes = b"") -> Answer:
        await self.send(method, path, headers, body)
        return await self.answer()

    async def send(self, method: str, path: str, headers: Mapping[str, str | None], body: bytes = b"") -> None:
        """Headers with the value ``None`` are left out."""
        defaults = {"Host": f"127.0.0.1:{self.port}"}
        if method == "POST":
            defaults |= {"Content-Type": "application/json", "Accept": BOTH, "Content-Length": str(len(body))}
        elif body:
            defaults["Content-Length"] = str(len(body))
        merged = {name.lower(): (name, value) for name, value in {**defaults, **headers}.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in merged.values() if value is not None)
        self.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body)
        await self.writer.drain()

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> Answer:
        """An answer without its body, which may not come at all."""
        head = await self._until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._events, self._ended = b"", False
        return Answer(int(first.split()[1]), headers, None)

    async def answer(self) -> Answer:
        answer = await self.head()
        headers = answer.headers
        if "content-length" in headers:
            answer.body = await self._reader.readexactly(int(headers["content-length"]))
        elif answer.status in (202, 204):
            answer.body = b""
        return answer

    async def event(self) -> Event | None:
        """The next event of a stream, comments left out; ``None`` at its end."""
        while True:
            while b"\n\n" not in self._events:
                if self._ended:
                    assert not self._events, "the stream ended in the middle of an event"
                    return None
                chunk = await self._chunk()
                self._ended = not chunk
                self._events += chunk
            text, _, self._events = self._events.partition(b"\n\n")
            fields = dict(_field(line) for line in text.decode().split("\n") if not line.startswith(":"))
            if fields:
                return Event(fields.get("id"), fields.get("data", ""), fields.get("retry"), fields.get("event"))

    async def chunk(self) -> bytes:
        return await self._chunk()

    async def events(self) -> list[Event]:
        """The rest of a stream."""
        found = []
        while (event := await self.event()) is not None:
            found.append(event)
        return found

    async def hung_up(self) -> bool:
        """Read on until the server closes; ``True`` when it said nothing more."""
        with contextlib.suppress(ConnectionError):
            return await self._reader.read() == b""
        return True

    def cut(self) -> None:
        self.writer.transport.abort()

    async def _chunk(self) -> bytes:
        size = int(await self._until(b"\r\n"), 16)
        data = await self._reader.readexactly(size)
        await self._reader.readexactly(2)
        return data

    async def _until(self, end: bytes) -> bytes:
        try:
            return await self._reader.readuntil(end)
        except asyncio.IncompleteReadError as fault:
            raise EOFError(fault.partial) from None


@dataclass
class Served:
    edge: HttpEdge
    port: int
    host: str = "127.0.0.1"

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 26)
        try:
            yield Wire(self.port, reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def ask(self, method: str, path: str, headers: Mapping[str, str | None] = {}, body: bytes = b"") -> Answer:
        """One request on a connection of its own, answered whole."""
        async with self.wire() as wire:
            return await wire.ask(method, path, headers, body)

    async def open(self, **headers: str) -> Client:
        """A client with a session."""
        answer = await self.ask("POST", "/mcp", headers, frame(1, "initialize", HELLO))
        assert answer.status == 200, answer
        return Client(self, answer.headers["mcp-session-id"], headers)


@dataclass
class Client:
    """A session of the handshake revisions."""

    served: Served
    session: str
    extra: dict[str, str]

    @property
    def headers(self) -> dict[str, str]:
        return {"Mcp-Session-Id": self.session, "MCP-Protocol-Version": HANDSHAKE, **self.extra}

    async def ask(self, body: bytes, **headers: str) -> Answer:
        return await self.served.ask("POST", "/mcp", {**self.headers, **headers}, body)

    @asynccontextmanager
    async def asking(self, body: bytes) -> AsyncIterator[Wire]:
        """A request whose answer has yet to be read."""
        async with self.served.wire() as wire:
            await wire.send("POST", "/mcp", self.headers, body)
            yield wire

    @asynccontextmanager
    async def listening(self, last: str | None = None) -> AsyncIterator[tuple[Answer, Wire]]:
        """The session's stream, or the rest of another where ``last`` is an event's id."""
        async with self.served.wire() as wire:
            headers = {**self.headers, "Accept": "text/event-stream"}
            if last is not None:
                headers["Last-Event-ID"] = last
            yield await wire.ask("GET", "/mcp", headers), wire


def frame(id: Any, method: str, params: Any = None) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if id is not None:
        message["id"] = id
    if params is not None:
        message["params"] = params
    return json.dumps(message).encode()


def answer_to(id: Any, result: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": id, "result": result}).encode()


def modern(id: Any, method: str, params: Mapping[str, Any] | None = None) -> tuple[dict[str, str], bytes]:
    """Headers and body of a request of the stateless revision."""
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    params = dict(params or {})
    if name := params.get("name") or params.get("uri"):
        headers["Mcp-Name"] = name
    return headers, frame(id, method, {**params, "_meta": META})


@asynccontextmanager
async def serving(
    gateway: Gateway,
    *,
    auth: Auth | None = None,
    limits: Limits | None = None,
    allowed_hosts: tuple[str, ...] = (),
    status: Mapping[str, Any] | None = None,
    ended: anyio.Event | None = None,
    tokens: Tokens | None = None,
) -> AsyncIterator[Served]:
    async with anyio.create_task_group() as tasks:
        edge = HttpEdge(
            gateway,
            auth=auth,
            limits=limits or Limits(linger_s=0.01),
            allowed_hosts=allowed_hosts,
            status=lambda: status or {"ready": True},
            tasks=tasks,
            tokens=tokens,
            clock=lambda: 1.0,
        )

        async def serve(*, task_status: TaskStatus[int]) -> None:
            await serve_http(edge, "127.0.0.1", 0, ready=task_status.started, signals=False, ended=ended)

        with anyio.fail_after(20):
            port: int = await tasks.start(serve)
            yield Served(edge, port)
        tasks.cancel_scope.cancel()


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.removeprefix(" ")

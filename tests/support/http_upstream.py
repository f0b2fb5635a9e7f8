"""A real little HTTP server whose every answer is a script, down to the byte and to the moment the connection breaks.

A script takes one :class:`Call` and does with it what it likes: answer as JSON or as a stream of events, answer
nonsense, drop the connection, or wait until the client has gone.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc

Message = Mapping[str, Any]


class Call:
    """One HTTP request, and the pen for its answer. Header names are lower case."""

    def __init__(
        self, stream: anyio.abc.ByteStream, verb: str, path: str, headers: dict[str, str], body: bytes
    ) -> None:
        self._stream = stream
        self.verb = verb
        self.path = path
        self.headers = headers
        self.body = body
        self.answered = False
        self.dropped = False
        self.streaming = False

    @property
    def message(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body) if self.body else {}
        return value

    @property
    def method(self) -> str:
        """The JSON-RPC method, or ``""`` for an answer and for what is not a POST."""
        return str(self.message.get("method", ""))

    @property
    def id(self) -> Any:
        return self.message.get("id")

    async def reply(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """A whole response. Header names are given with ``_`` for ``-``."""
        lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        if "content_length" not in headers:
            lines.append(f"content-length: {len(body)}")
        self.answered = True
        await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def json(self, message: Message | bytes, status: int = 200, **headers: str) -> None:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        await self.reply(status, body, content_type="application/json", **headers)

    async def result(self, result: Message, **headers: str) -> None:
        await self.json({"jsonrpc": "2.0", "id": self.id, "result": result}, 200, **headers)

    async def error(self, code: int, message: str, *, status: int = 200, id: Any = None) -> None:
        await self.json({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}, status)

    async def stream(self, **headers: str) -> None:
        """Begin a stream of events."""
        lines = ["HTTP/1.1 200 OK", "content-type: text/event-stream", "transfer-encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.answered = self.streaming = True
        await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n")

    async def event(
        self,
        message: Message | None = None,
        *,
        id: str | None = None,
        retry_ms: int | None = None,
        type: str | None = None,
        data: str | None = None,
    ) -> None:
        fields = [("event", type), ("id", id), ("retry", retry_ms)]
        text = json.dumps(message) if message is not None else data
        fields.append(("data", text if text is not None or id is None else ""))
        await self.chunk("".join(f"{k}: {v}\n" for k, v in fields if v is not None).encode() + b"\n")

    async def answer(self, result: Message, **event: Any) -> None:
        """The event that holds the response to this call."""
        await self.event({"jsonrpc": "2.0", "id": self.id, "result": result}, **event)

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        """The orderly end of a stream."""
        self.streaming = False
        await self.raw(b"0\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        await self._stream.send(data)

    async def drop(self) -> None:
        """Break the connection off."""
        self.dropped = True
        await self._stream.aclose()

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        try:
            while True:
                await self._stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return


Script = Callable[[Call], Awaitable[None]]


class HttpUpstream:
    """``calls`` are the requests in the order of their arrival, ``connections`` how many carried them."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.calls: list[Call] = []
        self.connections = 0
        self.port = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/mcp"

    def seen(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    async def serve(self, stream: anyio.abc.SocketStream) -> None:
        self.connections += 1
        try:
            async with stream:
                buffer = b""
                while True:
                    while b"\r\n\r\n" not in buffer:
                        buffer += await stream.receive()
                    head, _, buffer = buffer.partition(b"\r\n\r\n")
                    lines = head.decode("latin-1").split("\r\n")
                    verb, path, _ = lines[0].split(" ")
                    pairs = (line.partition(": ") for line in lines[1:])
                    headers = {name.lower(): value for name, _, value in pairs}
                    length = int(headers.get("content-length", 0))
                    while len(buffer) < length:
                        buffer += await stream.receive()
                    call = Call(stream, verb, path, headers, buffer[:length])
                    buffer = buffer[length:]
                    self.calls.append(call)
                    await self._script(call)
                    if call.streaming:
                        await call.end()
                    if call.dropped or not call.answered:
                        return
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return


@asynccontextmanager
async def http_upstream(script: Script) -> AsyncIterator[HttpUpstream]:
    upstream = HttpUpstream(script)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    upstream.port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, upstream.serve)
        yield upstream
        tasks.cancel_scope.cancel()


def in_session(answer: Script, *, listen: Script | None = None, version: str = "2025-11-25") -> Script:
    """A server with sessions: the handshake is answered, calls go to ``answer``, GETs to ``listen`` (else 405)."""

    async def script(call: Call) -> None:
        if call.method == "initialize":
            result = {"protocolVersion": version, "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}
            await call.result(result, mcp_session_id="session-1")
        elif call.verb == "DELETE":
            await call.reply(200)
        elif call.verb == "GET":
            await (listen(call) if listen else call.reply(405))
        elif "id" not in call.message or not call.method:
            await call.reply(202)
        else:
            await answer(call)

    return script

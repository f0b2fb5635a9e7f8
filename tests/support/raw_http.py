"""The HTTP side of the raw upstream: Streamable HTTP on ``/mcp``, both eras; HTTP+SSE on ``/sse`` and ``/messages``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

Send = Callable[[bytes], None]
REASONS = {200: b"OK", 202: b"Accepted", 400: b"Bad Request", 404: b"Not Found", 405: b"Method Not Allowed"}


STATUS_OF_ERROR = {-32601: 404, -32602: 400, -32020: 400, -32021: 400, -32022: 400}
"""Only in the stateless revision (2026-07-28, transports)."""


class Log(Protocol):
    def write(self, frame: bytes, http: dict[str, str] | None = None) -> None: ...


class Handler(Protocol):
    log: Log
    unsolicited: list[Send]

    def receive(self, frame: bytes, send: Send, http: dict[str, str] | None = None) -> asyncio.Task[None] | None: ...


@dataclass(slots=True)
class Shared:
    """What all connections know: Streamable HTTP sessions, and HTTP+SSE streams by name."""

    sessions: set[str] = field(default_factory=set)
    streams: dict[str, Send] = field(default_factory=dict)


class Connection:
    """One HTTP/1.1 connection: requests one after the other, an event stream until it ends."""

    def __init__(
        self,
        server: Handler,
        answer: str,
        shared: Shared,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._server, self._answer, self._shared = server, answer, shared
        self._reader, self._writer = reader, writer
        self._read_ahead = b""

    async def run(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self._one():
                pass
        self._writer.close()

    async def _one(self) -> bool:
        line = self._read_ahead + await self._reader.readline()
        self._read_ahead = b""
        if not line:
            return False
        verb, path, _ = line.decode("latin-1").split(" ", 2)
        headers = await self._headers()
        body = await self._body(headers)
        http = {"verb": verb, "path": path, **headers}
        if path.startswith("/mcp"):
            return await self._streamable(verb, http, body)
        if path.startswith("/sse") and verb == "GET":
            return await self._old_stream()
        if path.startswith("/messages") and verb == "POST":
            return self._old_post(path, http, body)
        return self.reply(404)

    async def _headers(self) -> dict[str, str]:
        headers = {}
        while (line := (await self._reader.readline()).decode("latin-1").strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return headers

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await self._reader.readexactly(int(headers.get("content-length", 0)))
        parts = []
        while length := int((await self._reader.readline()).split(b";")[0], 16):
            parts.append(await self._reader.readexactly(length))
            await self._reader.readline()
        await self._reader.readline()
        return b"".join(parts)

    async def _streamable(self, verb: str, http: dict[str, str], body: bytes) -> bool:
        session = http.get("mcp-session-id")
        if session is not None and session not in self._shared.sessions:
            self._server.log.write(body, http)
            return self.reply(404)
        if verb == "GET":
            return await self._stream(self._server.unsolicited)
        if verb == "DELETE":
            self._server.log.write(body, http)
            self._shared.sessions.discard(session or "")
            return self.reply(200)
        opening = self._new_session() if json.loads(body).get("method") == "initialize" else b""
        answer = Answer(self, streamed=self._answer == "sse", modern="mcp-method" in http, extra=opening)
        task = self._server.receive(body, answer.send, http)
        if task is None:
            return self.reply(202)
        if not await self._watch(task, "mcp-method" in http):
            return False
        answer.end()
        return True

    async def _watch(self, task: asyncio.Task[None], modern: bool) -> bool:
        """Wait for the answer. A client of the stateless revision that hangs up first has cancelled its request."""
        gone = asyncio.ensure_future(self._reader.read(1))
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            self._read_ahead = gone.result()
            if not self._read_ahead and not task.done():
                self._server.log.write(b"", {"verb": "HANGUP", "path": "/mcp"})
                if modern:
                    task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
        return not task.cancelled()

    def _new_session(self) -> bytes:
        name = secrets.token_hex(16)
        self._shared.sessions.add(name)
        return b"mcp-session-id: %b\r\n" % name.encode()

    def open_stream(self, extra: bytes = b"") -> None:
        kind = b"content-type: text/event-stream\r\ncache-control: no-store\r\n"
        self._writer.write(b"HTTP/1.1 200 OK\r\n" + kind + extra + b"transfer-encoding: chunked\r\n\r\n")

    def event(self, data: bytes, name: bytes = b"message") -> None:
        event = b"event: %b\r\ndata: %b\r\n\r\n" % (name, data)
        if not self._writer.is_closing():
            self._writer.write(b"%x\r\n%b\r\n" % (len(event), event))

    def end_stream(self) -> None:
        self._writer.write(b"0\r\n\r\n")

    async def _stream(self, ways: list[Send]) -> bool:
        """A stream that lasts until the client goes."""
        self.open_stream()
        send: Send = self.event
        ways.append(send)
        try:
            await self._reader.read(1)
        finally:
            ways.remove(send)
        return False

    async def _old_stream(self) -> bool:
        name = secrets.token_hex(8)
        self.open_stream()
        self.event(b"/messages?session_id=%b" % name.encode(), b"endpoint")
        self._shared.streams[name] = self.event
        self._server.unsolicited.append(self.event)
        try:
            await self._reader.read(1)
        finally:
            self._server.unsolicited.remove(self.event)
            del self._shared.streams[name]
        return False

    def _old_post(self, path: str, http: dict[str, str], body: bytes) -> bool:
        send = self._shared.streams.get(path.partition("session_id=")[2])
        if send is None:
            return self.reply(404)
        self._server.receive(body, send, http)
        return self.reply(202)

    def reply(self, status: int, body: bytes = b"", extra: bytes = b"") -> bool:
        kind = b"content-type: application/json\r\n" if body else b""
        head = b"HTTP/1.1 %d %b\r\n%b%bcontent-length: %d\r\n\r\n" % (status, REASONS[status], kind, extra, len(body))
        self._writer.write(head + body)
        return True


class Answer:
    """What goes back for one POST: one JSON body, or a stream that opens with the first frame.

    In the stateless revision an error that comes first has an HTTP status of its own, and no stream.
    """

    def __init__(self, connection: Connection, *, streamed: bool, modern: bool, extra: bytes) -> None:
        self._connection, self._streamed, self._modern, self._extra = connection, streamed, modern, extra
        self._open = False
        self._body = b""

    def send(self, frame: bytes) -> None:
        self._body = frame
        if self._streamed and not self._open and self._status() == 200:
            self._connection.open_stream(self._extra)
            self._open = True
        if self._open:
            self._connection.event(frame)

    def end(self) -> None:
        if self._open:
            self._connection.end_stream()
        else:
            self._connection.reply(self._status(), self._body, self._extra)

    def _status(self) -> int:
        if not self._modern or b'"error"' not in self._body:
            return 200
        error = json.loads(self._body).get("error")
        return STATUS_OF_ERROR.get(error["code"], 200) if error else 200


async def serve_http(server: Handler, port: int, answer: str) -> None:
    shared = Shared()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Connection(server, answer, shared, reader, writer).run()

    listener = await asyncio.start_server(accept, "127.0.0.1", port, limit=1 << 27)
    await listener.serve_forever()

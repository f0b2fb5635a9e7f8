"""The client: raw JSON-RPC in both eras over HTTP and pipes, no MCP library, so that its own cost is small."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

HANDSHAKE = "2025-11-25"
MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
OPENING = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
LIMIT_S = 30

NUMBER = "00000000"
"""Stands in a question for a number that no other call of its target has: one question repeated is a loop."""

Got = Callable[[bytes | None], object]
"""Takes the body of the answer, ``None`` when there will be none."""


class WireError(Exception):
    """The other side did not answer as a server does."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request whose id is put in at the last moment: ``head + id + tail``, then ``id + rest`` if it has one."""

    tail: bytes
    rest: bytes | None
    headers: bytes

    @classmethod
    def of(cls, era: str, method: str, params: dict[str, Any]) -> Question:
        headers = b""
        if era == MODERN:
            params = {**params, "_meta": META}
            headers = b"mcp-method: %b\r\n" % method.encode()
            if "name" in params:
                headers += b"mcp-name: %b\r\n" % params["name"].encode()
        whole = json.dumps({"method": method, "params": params}, separators=(",", ":")).encode()
        tail, number, rest = whole[1:].partition(NUMBER.encode())
        return cls(b"," + tail, rest if number else None, headers)

    def frame(self, id: int) -> bytes:
        if self.rest is None:
            return b'{"jsonrpc":"2.0","id":%d%b' % (id, self.tail)
        return b'{"jsonrpc":"2.0","id":%d%b%08d%b' % (id, self.tail, id, self.rest)


class Connection(Protocol):
    def ask(self, id: int, question: Question, got: Got) -> None: ...
    def close(self) -> None: ...


class Http(asyncio.Protocol):
    """A kept HTTP/1.1 connection, one request in flight, with a session of its own in the handshake era."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._buffer = bytearray()
        self._head: bytes | None = None
        self._got: Got | None = None
        self._extra = b""
        self._lost = False
        self.status = 0

    @classmethod
    async def open(cls, port: int, era: str) -> Http:
        self = cls(port)
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)
        await self._open_session(era)
        return self

    def ask(self, id: int, question: Question, got: Got) -> None:
        self._post(question.frame(id), question.headers, got)

    def close(self) -> None:
        if not self._lost:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._deliver(None)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._head = bytes(self._buffer[:end]).lower()
            del self._buffer[: end + 4]
        body = self._chunked() if b"transfer-encoding: chunked" in self._head else self._sized(self._head)
        if body is not None:
            self.status = int(self._head[9:12])
            self.head, self._head = self._head, None
            self._deliver(body)

    def _sized(self, head: bytes) -> bytes | None:
        found = re.search(rb"\r\ncontent-length: *(\d+)", head)
        length = int(found[1]) if found else 0
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _chunked(self) -> bytes | None:
        if not self._buffer.endswith(b"0\r\n\r\n"):
            return None
        parts: list[bytes] = []
        at = 0
        while (line := self._buffer.find(b"\r\n", at)) >= 0:
            length = int(self._buffer[at:line].split(b";")[0], 16)
            if length == 0:
                self._buffer.clear()
                return b"".join(parts)
            parts.append(bytes(self._buffer[line + 2 : line + 2 + length]))
            at = line + 4 + length
        return None

    def _deliver(self, body: bytes | None) -> None:
        got, self._got = self._got, None
        if got:
            got(body)

    def _post(self, body: bytes, headers: bytes, got: Got) -> None:
        self._got = got
        if self._lost or self._transport.is_closing():
            return self._deliver(None)
        self._transport.write(
            b"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\n"
            b"accept: application/json, text/event-stream\r\n%b%bcontent-length: %d\r\n\r\n%b"
            % (self._port, self._extra, headers, len(body), body)
        )
        return None

    async def _open_session(self, era: str) -> None:
        if era == MODERN:
            self._extra = b"mcp-protocol-version: %b\r\n" % MODERN.encode()
            return
        await answer(self, 0, Question.of(era, "initialize", OPENING))
        session = re.search(rb"\r\nmcp-session-id: *([^\r]+)", self.head)
        self._extra = b"mcp-protocol-version: %b\r\n" % HANDSHAKE.encode()
        if session:
            self._extra += b"mcp-session-id: %b\r\n" % session[1]
        done = asyncio.get_running_loop().create_future()
        self._post(b'{"jsonrpc":"2.0","method":"notifications/initialized"}', b"", lambda body: done.set_result(body))
        await asyncio.wait_for(done, LIMIT_S)


class Pipe(asyncio.Protocol):
    """The standard streams of a process, any number of requests in flight."""

    _writer: asyncio.WriteTransport

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._waiting: dict[int, Got] = {}

    @classmethod
    async def open(cls, process: subprocess.Popen[bytes], era: str) -> Pipe:
        assert process.stdin
        assert process.stdout
        self = cls()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: self, os.fdopen(os.dup(process.stdout.fileno()), "rb", 0))
        stdin = os.fdopen(os.dup(process.stdin.fileno()), "wb", 0)
        self._writer, _ = await loop.connect_write_pipe(asyncio.Protocol, stdin)
        if era != MODERN:
            await answer(self, 0, Question.of(era, "initialize", OPENING))
            self._writer.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        return self

    def ask(self, id: int, question: Question, got: Got) -> None:
        self._waiting[id] = got
        self._writer.write(question.frame(id) + b"\n")

    def close(self) -> None:
        self._writer.close()

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        if b"\n" not in data:
            return
        *lines, rest = b"".join(self._pieces).split(b"\n")
        self._pieces = [rest]
        for line in lines:
            got = self._waiting.pop(frame_id(line), None)
            if got:
                got(line)

    def connection_lost(self, exc: Exception | None) -> None:
        waiting, self._waiting = self._waiting, {}
        for got in waiting.values():
            got(None)


def frame_id(line: bytes) -> int:
    """The id of a response, or -1. Looks at both ends first: parsing would cost more than all the rest."""
    found = re.search(rb'"id": ?(\d+)[,}]', line[:60]) or re.search(rb'"id": ?(\d+)[,}]', line[-40:])
    return int(found[1]) if found else -1


async def answer(connection: Connection, id: int, question: Question) -> dict[str, Any]:
    """Ask one question and wait for its result.

    Raises:
        WireError: no answer, an error, or no answer in time.
    """
    future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    connection.ask(id, question, lambda body: None if future.done() else future.set_result(body))
    try:
        body = await asyncio.wait_for(future, LIMIT_S)
    except TimeoutError:
        raise WireError("no answer") from None
    message = parse(body or b"")
    if "result" not in message:
        raise WireError(f"not a result: {body[:300] if body else body!r}")
    result: dict[str, Any] = message["result"]
    return result


def parse(body: bytes) -> dict[str, Any]:
    """The response in a JSON body, or in the last event of an event stream."""
    lines = [line[5:] for line in body.splitlines() if line.startswith(b"data:")] if body[:1] != b"{" else [body]
    messages = [json.loads(line) for line in lines if line.strip()]
    return next((message for message in reversed(messages) if "id" in message), {})

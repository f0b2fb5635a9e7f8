"""The floor: the cheapest checking JSON-RPC relay that raw asyncio can be. Not a product: no sessions, SSE or eras.

relay.py (--port PORT | --stdio) (--url URL | --command "COMMAND") --audit FILE
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import orjson
import uvloop
from checks import RESULT_MAX_BYTES, Checks, denial

FORWARDED = (b"mcp-session-id", b"mcp-protocol-version", b"mcp-method", b"mcp-name")
Got = Callable[[bytes, dict[str, Any] | None], None]
"""Takes the response's HTTP head (empty on a pipe) and its message (``None``: nothing to answer)."""


class Upstream(Protocol):
    def send(self, message: dict[str, Any], extra: bytes, got: Got) -> None: ...


class Head:
    """Splits one HTTP message at a time off a stream; only ``content-length`` bodies."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self._buffer[:end]).lower()
        length = int(header(head, b"content-length") or 0)
        if len(self._buffer) < end + 4 + length:
            return None
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        self._buffer.clear()
        return head, body


def header(head: bytes, name: bytes) -> bytes:
    at = head.find(b"\r\n" + name + b":")
    if at < 0:
        return b""
    end = head.find(b"\r\n", at + 2)
    return head[at + 3 + len(name) : end if end >= 0 else None].strip()


class Pooled(asyncio.Protocol):
    """One kept upstream connection, one request in flight."""

    def __init__(self, pool: collections.deque[Pooled]) -> None:
        self._pool, self._head = pool, Head()
        self.got: Got | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        message = self._head.feed(data)
        if message is None:
            return
        got, self.got = self.got, None
        self._pool.append(self)
        head, body = message
        if got:
            got(head, orjson.loads(body) if body else None)

    def connection_lost(self, exc: Exception | None) -> None:
        with contextlib.suppress(ValueError):
            self._pool.remove(self)


class HttpUpstream:
    def __init__(self, url: str) -> None:
        authority, _, self._path = url.removeprefix("http://").partition("/")
        self._host, _, port = authority.partition(":")
        self._port = int(port)
        self._pool: collections.deque[Pooled] = collections.deque()
        self._opening: set[asyncio.Task[None]] = set()

    def send(self, message: dict[str, Any], extra: bytes, got: Got) -> None:
        body = orjson.dumps(message)
        request = (
            b"POST /%b HTTP/1.1\r\nhost: u\r\ncontent-type: application/json\r\n"
            b"accept: application/json, text/event-stream\r\n%bcontent-length: %d\r\n\r\n%b"
        ) % (self._path.encode(), extra, len(body), body)
        if self._pool:
            connection = self._pool.pop()
            connection.got = got
            connection.transport.write(request)
        else:
            task = asyncio.ensure_future(self._open(request, got))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, request: bytes, got: Got) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Pooled(self._pool), self._host, self._port)
        connection.got = got
        connection.transport.write(request)


class PipeUpstream:
    """One child for everybody."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin
        assert process.stdout
        self._stdin, self._stdout = process.stdin, process.stdout
        self._waiting: dict[int, tuple[Got, Any]] = {}
        self._last = 0
        self._reader = asyncio.ensure_future(self._read())

    def send(self, message: dict[str, Any], extra: bytes, got: Got) -> None:
        if "id" not in message:
            self._stdin.write(orjson.dumps(message) + b"\n")
            return got(b"", None)
        self._last += 1
        self._waiting[self._last] = (got, message["id"])
        self._stdin.write(orjson.dumps({**message, "id": self._last}) + b"\n")
        return None

    async def _read(self) -> None:
        while line := await self._stdout.readline():
            message = orjson.loads(line)
            got, message["id"] = self._waiting.pop(message["id"])
            got(b"", message)


class Relay:
    """Check, send on, check, answer."""

    def __init__(self, upstream: Upstream, checks: Checks) -> None:
        self._upstream, self._checks = upstream, checks

    def take(self, body: bytes, session: str, extra: bytes, answer: Callable[[bytes, bytes | None], None]) -> None:
        started = time.perf_counter()
        request = orjson.loads(body)
        why = self._checks.refuse(session, request)
        if why:
            out = denial(request, why)
            self._checks.record(session, request, len(out), started, why)
            return answer(b"", out)

        def got(head: bytes, response: dict[str, Any] | None) -> None:
            if response is None:
                return answer(head, None)
            self._checks.learn(request, response)
            out = orjson.dumps(response)
            if len(out) > RESULT_MAX_BYTES:
                out = denial(request, "result too big")
            self._checks.record(session, request, len(out), started, "allow")
            return answer(head, out)

        return self._upstream.send(request, extra, got)


class HttpFront(asyncio.Protocol):
    def __init__(self, relay: Relay) -> None:
        self._relay, self._head = relay, Head()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        message = self._head.feed(data)
        if message is None:
            return
        head, body = message
        if not head.startswith(b"post"):
            self._transport.write(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n")
            return
        given = [(name, header(head, name)) for name in FORWARDED]
        extra = b"".join(b"%b: %b\r\n" % (name, value) for name, value in given if value)
        self._relay.take(body, given[0][1].decode(), extra, self._answer)

    def _answer(self, head: bytes, out: bytes | None) -> None:
        if out is None:
            self._transport.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
            return
        session = header(head, b"mcp-session-id")
        extra = b"mcp-session-id: %b\r\n" % session if session else b""
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b"
            % (extra, len(out), out)
        )


async def front_stdio(relay: Relay) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    writer, _ = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout.buffer)

    def answer(head: bytes, out: bytes | None) -> None:
        if out is not None:
            writer.write(out + b"\n")

    while line := await reader.readline():
        relay.take(line, "", b"", answer)


async def serve(options: argparse.Namespace) -> None:
    upstream: Upstream
    if options.url:
        upstream = HttpUpstream(options.url)
    else:
        command = shlex.split(options.command)
        upstream = PipeUpstream(await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1, limit=1 << 26))
    relay = Relay(upstream, Checks(options.audit))
    if options.stdio:
        return await front_stdio(relay)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HttpFront(relay), "127.0.0.1", options.port, backlog=4096)
    await server.serve_forever()
    return None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--stdio", action="store_true")
    parser.add_argument("--url")
    parser.add_argument("--command")
    parser.add_argument("--audit", type=Path, required=True)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()

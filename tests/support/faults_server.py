"""An MCP server that fails in each way in which servers do, by the name of the tool that is called.

    faults_server.py (--stdio | --port PORT) --effects FILE

With a port it speaks Streamable HTTP on /mcp and HTTP+SSE on /sse. It speaks both eras, and answers over HTTP by JSON
where the fault is not about streams. Without any library: what it sends is no valid HTTP, JSON or MCP where that is the
fault. ``--effects`` gets a line for each call that took effect.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

HUGE_BYTES = 3_000_000
RETRY_AFTER_S = 7
CONSTANT = "Our service desk will be happy to help you with any question that you may have about our products."
TRACEBACK = 'Traceback (most recent call last):\n  File "server.py", line 3, in look\n    row[7]\nKeyError: 7'
LOGIN = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><input type=password></body></html>"
PAGE = "<html><head><title>500 Internal Server Error</title></head><body>nginx</body></html>"
TEXTS = {
    "good": "the weather is fair",
    "empty": "",
    "constant": CONSTANT,
    "traceback": TRACEBACK,
    "login": LOGIN,
    "html_500": PAGE,
    "lone_error": '{"error": {"code": 500, "message": "boom"}}',
    "limit_as_success": "Rate limit exceeded, retry after 3 seconds",
}
FLAGGED = {
    "limit_as_error": "429 Too Many Requests",
    "bad_arguments": "Input validation error: 'city' is a required property",
    "business": "there is no such city",
}


class Way:
    """How one request is answered: a pipe's, or one HTTP connection's."""

    streams = False

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write

    def answer(self, frame: bytes) -> None:
        self.write(frame + b"\n")

    def event(self, frame: bytes) -> None:
        self.answer(frame)

    def status(self, status: int, headers: bytes, body: bytes, id: bytes) -> None:
        """A pipe has no status: what a server says instead."""
        said = {429: (-32000, "429 Too Many Requests"), 500: (-32603, "Internal error")}[status]
        wait = f", retry after {RETRY_AFTER_S} s" if b"retry-after" in headers else ""
        error = json.dumps({"code": said[0], "message": said[1] + wait}).encode()
        self.answer(b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (id, error))

    def begin(self) -> None:
        """The head of an answer that comes in pieces."""

    def piece(self, data: bytes) -> None:
        self.write(data)

    def cut(self) -> None:
        os._exit(3)


class HttpWay(Way):
    streams = True

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        super().__init__(writer.write)
        self._writer = writer
        self._streaming = False

    def answer(self, frame: bytes) -> None:
        if self._streaming:
            self.event(frame)
            self.piece(b"")
        else:
            self.whole(200, b"content-type: application/json\r\n", frame)

    def whole(self, status: int, headers: bytes, body: bytes) -> None:
        self.write(b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n%b" % (status, headers, len(body), body))

    def event(self, frame: bytes) -> None:
        if not self._streaming:
            self._streaming = True
            self.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        self.piece(b"data: %b\n\n" % frame)

    def status(self, status: int, headers: bytes, body: bytes, id: bytes) -> None:
        self.whole(status, headers, body)

    def begin(self) -> None:
        self.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")

    def piece(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self.write(b"%x\r\n%b\r\n" % (len(data), data))

    def cut(self) -> None:
        self._writer.transport.abort()


class SseWay(Way):
    """What is asked comes by a POST, ``asked``, and what is answered goes down the one stream of ``writer``."""

    def __init__(self, writer: asyncio.StreamWriter, asked: HttpWay) -> None:
        super().__init__(writer.write)
        self._stream = HttpWay(writer)
        self._asked = asked

    def answer(self, frame: bytes) -> None:
        self.piece(b"event: message\ndata: %b\n\n" % frame)

    def status(self, status: int, headers: bytes, body: bytes, id: bytes) -> None:
        self._asked.whole(status, headers, body)

    def begin(self) -> None:
        self.piece(b"data: ")

    def piece(self, data: bytes) -> None:
        self._stream.piece(data if data != b"\n" else b"\n\n")

    def cut(self) -> None:
        self._stream.cut()


class Call:
    def __init__(self, server: Server, message: dict[str, Any], way: Way) -> None:
        self.server, self.way = server, way
        self.id = json.dumps(message["id"]).encode()
        params = message.get("params") or {}
        self.meta = params.get("_meta") or {}
        self.modern = "io.modelcontextprotocol/protocolVersion" in self.meta

    def result(self, body: bytes) -> bytes:
        if self.modern:
            body = b'{"resultType":"complete",' + body[1:] if body != b"{}" else b'{"resultType":"complete"}'
        return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (self.id, body)

    def say(self, text: str, *, error: bool = False) -> None:
        body = {"content": [{"type": "text", "text": text}], "isError": error}
        self.way.answer(self.result(json.dumps(body).encode()))

    async def hang(self) -> None:
        await asyncio.Event().wait()

    async def drip(self) -> None:
        """A byte at a time, for longer than anybody waits."""
        self.way.begin()
        try:
            await self._drip()
        finally:
            self.way.piece(b"\n")  # or the next answer on a pipe would be a part of this one

    async def _drip(self) -> None:
        for byte in self.result(b'{"content":[{"type":"text","text":"%b"}]}' % (b"x" * 500)):
            self.way.piece(bytes([byte]))
            await asyncio.sleep(0.1)

    async def endless_progress(self) -> None:
        token = json.dumps(self.meta.get("progressToken", "t")).encode()
        for step in range(10_000):
            params = b'{"progressToken":%b,"progress":%d}' % (token, step)
            self.way.event(b'{"jsonrpc":"2.0","method":"notifications/progress","params":%b}' % params)
            await asyncio.sleep(0.05)

    async def limit(self) -> None:
        self.way.status(429, b"content-type: text/plain\r\nretry-after: %d\r\n" % RETRY_AFTER_S, b"slow down", self.id)

    async def limit_without_a_span(self) -> None:
        self.way.status(429, b"", b"", self.id)

    async def limit_in_json(self) -> None:
        error = b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32000,"message":"later, please"}}' % self.id
        headers = b"content-type: application/json\r\nretry-after: %d\r\n" % RETRY_AFTER_S
        self.way.status(429, headers, error, self.id)

    async def status_500(self) -> None:
        self.way.status(500, b"content-type: text/html\r\n", PAGE.encode(), self.id)

    async def huge(self) -> None:
        self.say("x" * HUGE_BYTES)

    async def no_json(self) -> None:
        self.way.answer(b'{"jsonrpc":"2.0","id":%b,"result":{"content":[}}' % self.id)

    async def no_result(self) -> None:
        self.way.answer(self.result(b'{"weather":"fair"}'))

    async def no_block(self) -> None:
        self.way.answer(self.result(b'{"content":[7]}'))

    async def bad_value(self) -> None:
        self.way.answer(self.result(b'{"content":[],"structuredContent":{"celsius":"warm"}}'))

    async def wrong_id(self) -> None:
        self.way.answer(b'{"jsonrpc":"2.0","id":"who?","result":{"content":[]}}')

    async def wrong_id_on_a_stream(self) -> None:
        """The same, and where an answer has a stream of its own that ends with it."""
        self.way.event(b'{"jsonrpc":"2.0","id":"who?","result":{"content":[]}}')
        if self.way.streams:
            self.way.piece(b"")

    async def lost_after_effect(self) -> None:
        with self.server.effects.open("a") as file:
            file.write("done\n")
        self.way.cut()

    async def crash(self) -> None:
        os._exit(3)


FAULTS: dict[str, Callable[[Call], Awaitable[None]]] = {
    "hang": Call.hang,
    "drip": Call.drip,
    "endless_progress": Call.endless_progress,
    "limit": Call.limit,
    "limit_without_a_span": Call.limit_without_a_span,
    "limit_in_json": Call.limit_in_json,
    "status_500": Call.status_500,
    "huge": Call.huge,
    "no_json": Call.no_json,
    "no_result": Call.no_result,
    "no_block": Call.no_block,
    "bad_value": Call.bad_value,
    "wrong_id": Call.wrong_id,
    "wrong_id_on_a_stream": Call.wrong_id_on_a_stream,
    "lost_after_effect": Call.lost_after_effect,
    "crash": Call.crash,
}
BY_STATUS = (b'"limit"', b'"limit_without_a_span"', b'"limit_in_json"', b'"status_500"')
"""Faults that are the status of the very message: over HTTP+SSE it is not accepted."""

CELSIUS = {"type": "object", "properties": {"celsius": {"type": "number"}}, "required": ["celsius"]}


class Server:
    def __init__(self, effects: Path) -> None:
        self.effects = effects
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.streams: dict[bytes, asyncio.StreamWriter] = {}
        """Of HTTP+SSE, by the name that its messages come to."""

    def take(self, frame: bytes, way: Way) -> asyncio.Task[None] | None:
        message = json.loads(frame)
        if "method" not in message or "id" not in message:
            if message.get("method") == "notifications/cancelled":
                self.cancel(message["params"]["requestId"])
            return None
        task = asyncio.ensure_future(self.answer(message, way))
        key = json.dumps(message["id"])
        self.tasks[key] = task
        task.add_done_callback(lambda done: self.tasks.get(key) is done and self.tasks.pop(key))
        return task

    def cancel(self, id: Any) -> None:
        if (task := self.tasks.get(json.dumps(id))) is not None:
            task.cancel()

    async def answer(self, message: dict[str, Any], way: Way) -> None:
        call, method = Call(self, message, way), message["method"]
        if method == "tools/call":
            name = message["params"]["name"]
            if name in FAULTS:
                await FAULTS[name](call)
            else:
                call.say(TEXTS.get(name) or FLAGGED.get(name, ""), error=name in FLAGGED)
        elif (result := _result(message)) is not None:
            way.answer(call.result(json.dumps(result).encode()))
        else:
            error = b'{"code":-32601,"message":"Method not found"}'
            way.answer(b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (call.id, error))


def _result(message: dict[str, Any]) -> dict[str, Any] | None:
    info = {"name": "faults", "version": "1"}
    match message["method"]:
        case "initialize":
            version = message["params"]["protocolVersion"]
            version = version if version.startswith("20") and version < "2026" else "2025-11-25"
            return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
        case "server/discover":
            versions = ["2026-07-28", "2025-11-25"]
            beside = {"ttlMs": 0, "cacheScope": "private", "_meta": {"io.modelcontextprotocol/serverInfo": info}}
            return {"supportedVersions": versions, "capabilities": {"tools": {}}, **beside}
        case "tools/list":
            return {"tools": [_tool(name) for name in (*FAULTS, *TEXTS, *FLAGGED)], "ttlMs": 0, "cacheScope": "private"}
        case "ping":
            return {}
    return None


def _tool(name: str) -> dict[str, Any]:
    tool: dict[str, Any] = {"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
    return tool | ({"outputSchema": CELSIUS} if name == "bad_value" else {})


async def serve_stdio(server: Server) -> None:
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    def write(data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    while line := await reader.readline():
        server.take(line, Way(write))


async def serve_http(server: Server, port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            while await _one(server, reader, writer):
                pass
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", port) as listener:
        await listener.serve_forever()


async def _one(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    line = await reader.readline()
    if not line:
        return False
    headers: dict[bytes, bytes] = {}
    while (field := (await reader.readline()).strip()) != b"":
        name, _, value = field.partition(b":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get(b"content-length", 0)))
    way = HttpWay(writer)
    if line.startswith(b"GET /sse"):
        return await _stream(server, reader, writer)
    if line.startswith(b"POST /messages/"):
        return await _post(server, line.split()[1].rpartition(b"/")[2], body, way)
    if not line.startswith(b"POST"):
        way.whole(405, b"", b"")
        return True
    task = server.take(body, way)
    if task is None:
        way.whole(202, b"", b"")
        return True
    gone = asyncio.ensure_future(_gone(reader))
    await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
    for one in (task, gone):
        one.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await one
    return not gone.done() or gone.cancelled()


async def _stream(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """HTTP+SSE: the one stream of a client, until it goes."""
    name = b"%d" % len(server.streams)
    server.streams[name] = writer
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    HttpWay(writer).piece(b"event: endpoint\ndata: /messages/%b\n\n" % name)
    await _gone(reader)
    return False


async def _post(server: Server, name: bytes, body: bytes, way: HttpWay) -> bool:
    refused = any(fault in body for fault in BY_STATUS)
    if not refused:
        way.whole(202, b"", b"")
    task = server.take(body, SseWay(server.streams[name], way))
    if task is not None and refused:
        await task
    return True


async def _gone(reader: asyncio.StreamReader) -> None:
    """Return when the client has hung up. It sends nothing before it has its answer."""
    await reader.read(1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stdio", action="store_true")
    parser.add_argument("--port", type=int)
    parser.add_argument("--effects", type=Path, required=True)
    options = parser.parse_args()
    server = Server(options.effects)
    asyncio.run(serve_stdio(server) if options.stdio else serve_http(server, options.port))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        main()

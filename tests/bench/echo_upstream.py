"""The upstream of every measurement: a small fast MCP server on raw asyncio, so that its cost stays low and constant.

It speaks the handshake revisions and 2026-07-28, over stdio or over Streamable HTTP with JSON answers.

    python echo_upstream.py --stdio | --port PORT  [--tools 10] [--counters DIR] [--cpu N]

``--counters`` keeps the number of received messages by method in a memory-mapped file of this process, which the
harness reads (``counters.py``); ``--cpu`` pins the process, for a child would else inherit the core of the proxy.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import counters
import orjson

HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
INFO = {"name": "bench-echo", "version": "1.0"}
CACHE = {"ttlMs": 0, "cacheScope": "private"}

ECHO = {
    "name": "echo",
    "description": "Return the given text.",
    "inputSchema": {
        "type": "object",
        "properties": {"text": {"type": "string", "maxLength": 10000}},
        "required": ["text"],
        "additionalProperties": False,
    },
}
BLOB = {
    "name": "blob",
    "description": "Return size bytes of text, below a title.",
    "inputSchema": {
        "type": "object",
        "properties": {"size": {"type": "integer", "minimum": 0}, "title": {"type": "string"}},
        "required": ["size"],
    },
}


def filler(i: int) -> dict[str, Any]:
    """A tool with a schema of realistic size, about 900 bytes."""
    properties = {
        "query": {"type": "string", "description": "Free text query", "minLength": 1},
        "state": {"type": "string", "enum": ["open", "closed", "all"], "default": "open"},
        "labels": {"type": "array", "items": {"type": "string"}, "maxItems": 20},
        "page": {"type": "integer", "minimum": 1, "default": 1},
        "per_page": {"type": "integer", "minimum": 1, "maximum": 100},
        "sort": {
            "type": "object",
            "properties": {"by": {"enum": ["created", "updated", "comments"]}, "desc": {"type": "boolean"}},
            "additionalProperties": False,
        },
    }
    return {
        "name": f"filler_{i}",
        "title": f"Filler tool {i}",
        "description": "Search the tracker for items matching the filter and return one page "
        f"of results sorted by the requested key. Variant {i}.",
        "inputSchema": {
            "type": "object",
            "properties": properties,
            "required": ["query"],
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": True, "openWorldHint": True},
    }


class Core:
    """One answer for each message, whatever carried it."""

    def __init__(self, tools: int, count: Callable[[str], None]) -> None:
        self._tools = [ECHO, BLOB, *(filler(i) for i in range(tools - 2))]
        self._count = count
        legacy = {"tools": self._tools}
        self._lists = {False: orjson.dumps(legacy), True: orjson.dumps({**legacy, "resultType": "complete", **CACHE})}

    def answer(self, message: dict[str, Any]) -> bytes | None:
        """The response, or ``None`` where none is due."""
        method = message.get("method", "")
        self._count(method)
        if "id" not in message:
            return None
        params = message.get("params") or {}
        modern = "io.modelcontextprotocol/protocolVersion" in (params.get("_meta") or {})
        if method == "tools/list":
            return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (orjson.dumps(message["id"]), self._lists[modern])
        result = self._result(method, params)
        if result is None:
            error = {"code": -32601, "message": "Method not found"}
            return orjson.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error})
        if modern:
            result["resultType"] = "complete"
        return orjson.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if method == "tools/call":
            return {"content": [{"type": "text", "text": self._text(params)}], "isError": False}
        if method == "initialize":
            asked = params.get("protocolVersion")
            version = asked if asked in HANDSHAKE else HANDSHAKE[-1]
            return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": INFO}
        if method == "server/discover":
            versions = [MODERN, *reversed(HANDSHAKE)]
            meta = {"io.modelcontextprotocol/serverInfo": INFO}
            return {"supportedVersions": versions, "capabilities": {"tools": {}}, "_meta": meta, **CACHE}
        return {} if method == "ping" else None

    @staticmethod
    def _text(params: dict[str, Any]) -> str:
        arguments = params.get("arguments") or {}
        if params["name"] == "blob":
            size = int(arguments.get("size", 0))
            text = ("lorem ipsum dolor sit amet 0123456789 " * (size // 38 + 1))[:size]
            return f"{arguments['title']}\n{text}" if "title" in arguments else text
        return str(arguments.get("text", "ok"))


class Http(asyncio.Protocol):
    """Just enough of HTTP/1.1, keep-alive included."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end]).lower()
            length = content_length(head)
            if len(self._buffer) < end + 4 + length:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            del self._buffer[: end + 4 + length]
            self._transport.write(self._respond(head, body))

    def _respond(self, head: bytes, body: bytes) -> bytes:
        if not head.startswith(b"post"):
            status = b"200 OK" if head.startswith(b"delete") else b"405 Method Not Allowed"
            return b"HTTP/1.1 %b\r\ncontent-length: 0\r\n\r\n" % status
        message = orjson.loads(body)
        out = self._core.answer(message)
        if out is None:
            return b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
        opening = message["method"] == "initialize"
        session = b"mcp-session-id: %b\r\n" % os.urandom(16).hex().encode() if opening else b""
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b" % (
            session,
            len(out),
            out,
        )


def content_length(head: bytes) -> int:
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    end = head.find(b"\r\n", at + 2)
    return int(head[at + 17 : end if end >= 0 else None])


def serve_stdio(core: Core) -> None:
    """A blocking loop: for one pipe nothing is faster."""
    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        answer = core.answer(orjson.loads(line))
        if answer is not None:
            out.write(answer + b"\n")
            out.flush()


async def serve_http(core: Core, port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Http(core), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stdio", action="store_true")
    parser.add_argument("--port", type=int)
    parser.add_argument("--tools", type=int, default=10)
    parser.add_argument("--counters", type=Path)
    parser.add_argument("--cpu", type=int)
    options = parser.parse_args()
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    core = Core(options.tools, counters.writer(options.counters))
    if options.stdio:
        return serve_stdio(core)
    import uvloop

    uvloop.run(serve_http(core, options.port))
    return None


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        main()

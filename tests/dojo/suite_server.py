"""An MCP server with the tools of one AgentDojo suite: ``suite_server.py SUITE BENCHMARK PORT``.

It serves Streamable HTTP on ``/mcp``. Whoever started it speaks to it over its pipes too, one JSON object a line:
``["open", {…}]`` calls that method of :class:`suites.Stage`. That is the stage manager, and no agent hears it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

import raw_http
from suites import Stage, load

MODERN = "2026-07-28"
HANDSHAKE = ["2025-11-25", "2025-06-18"]
INFO = {"name": "agentdojo", "version": "1"}
CAPABILITIES: dict[str, Any] = {"tools": {}}
Send = Callable[[bytes], None]


class Silent:
    def write(self, frame: bytes, http: dict[str, str] | None = None) -> None:
        """What came is on the stage already (:attr:`suites.Stage.executed`)."""


class Server:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.log: raw_http.Log = Silent()
        self.unsolicited: list[Send] = []

    def receive(self, frame: bytes, send: Send, http: dict[str, str] | None = None) -> asyncio.Task[None] | None:
        message = json.loads(frame)
        if "method" not in message or "id" not in message:
            return None
        return asyncio.ensure_future(self._answer(message, send))

    async def _answer(self, message: dict[str, Any], send: Send) -> None:
        method, params = message["method"], message.get("params") or {}
        if method == "subscriptions/listen":
            await asyncio.Event().wait()  # nothing here ever changes
        stateless = "io.modelcontextprotocol/protocolVersion" in (params.get("_meta") or {})
        result = self._result(method, params)
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if result is None:
            answer["error"] = {"code": -32601, "message": f"Method not found: {method}"}
        else:
            answer["result"] = {"resultType": "complete", **result} if stateless else result
        send(json.dumps(answer, default=str).encode())

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        match method:
            case "initialize":
                asked = params.get("protocolVersion")
                version = asked if asked in HANDSHAKE else HANDSHAKE[0]
                return {"protocolVersion": version, "capabilities": CAPABILITIES, "serverInfo": INFO}
            case "server/discover":
                found = {"supportedVersions": [MODERN, *HANDSHAKE], "capabilities": CAPABILITIES}
                return {
                    **found,
                    "ttlMs": 0,
                    "cacheScope": "private",
                    "_meta": {"io.modelcontextprotocol/serverInfo": INFO},
                }
            case "ping":
                return {}
            case "tools/list":
                return {"tools": self.stage.tools(), "ttlMs": 60_000, "cacheScope": "public"}
            case "tools/call":
                text, failed = self.stage.call(params["name"], params.get("arguments") or {})
                return {"content": [{"type": "text", "text": text}], "isError": failed}
        return None


async def manage(stage: Stage, orders: asyncio.StreamReader, out: TextIO) -> None:
    """Follow the stage manager until the pipe ends."""
    while line := await orders.readline():
        name, arguments = json.loads(line)
        found = getattr(stage, name)
        out.write(json.dumps(found(**arguments) if callable(found) else found, default=str) + "\n")
        out.flush()


async def serve(suite: str, benchmark: str, port: int) -> None:
    out, sys.stdout = sys.stdout, sys.stderr  # a stray print must not stand among the answers
    stage = Stage(load(benchmark, suite))
    orders = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    listening = asyncio.ensure_future(raw_http.serve_http(Server(stage), port, "json"))
    await manage(stage, orders, out)
    listening.cancel()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))

"""A server of 2026-07-28 with the tasks extension (SEP-2663): a program over stdio, a script over HTTP.

Its tool ``brew`` begins a task. The task wants a name first (``tasks/update``) and is done when it is next asked for.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from support.http_upstream import Call

EXTENSION = "io.modelcontextprotocol/tasks"
_ASKS = {"name": {"method": "elicitation/create", "params": {"message": "Who drinks it?"}}}


class TaskServer:
    """Task ids count from one, so those of two servers collide."""

    def __init__(self) -> None:
        self.names: dict[str, str | None] = {}
        self.headers: list[str | None] = []

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The ``result`` or the ``error`` of a request, under that key."""
        match method:
            case "server/discover":
                info = {"io.modelcontextprotocol/serverInfo": {"name": "tea", "version": "1"}}
                capabilities = {"tools": {}, "extensions": {EXTENSION: {}}}
                supported = ["2026-07-28"]
                return _result({"supportedVersions": supported, "capabilities": capabilities, "_meta": info})
            case "tools/list":
                schema = {"type": "object"}
                output = {"type": "object", "properties": {"for": {"type": "string"}}, "required": ["for"]}
                tool = {"name": "brew", "inputSchema": schema, "outputSchema": output}
                return _result({"tools": [tool], "ttlMs": 0, "cacheScope": "private"})
            case "tools/call":
                id = f"t-{len(self.names) + 1}"
                self.names[id] = None
                return {"result": {**_task(id, "working"), "resultType": "task"}}
        id = params.get("taskId", "")
        if method not in ("tasks/get", "tasks/update", "tasks/cancel"):
            return {"error": {"code": -32601, "message": f"Method not found: {method}"}}
        if id not in self.names:
            return {"error": {"code": -32602, "message": "Task not found"}}
        if method == "tasks/update":
            self.names[id] = params["inputResponses"]["name"]["content"]["name"]
        if method != "tasks/get":
            return _result({})
        name = self.names[id]
        if name is None:
            return _result({**_task(id, "input_required"), "inputRequests": _ASKS})
        cup = {"content": [{"type": "text", "text": f"tea for {name}"}], "structuredContent": {"for": name}}
        return _result({**_task(id, "completed"), "result": cup})

    async def over_http(self, call: Call) -> None:
        if call.method.startswith("tasks/"):
            self.headers.append(call.headers.get("mcp-name"))
        said = self.answer(call.method, call.message.get("params", {}))
        await call.json({"jsonrpc": "2.0", "id": call.id, **said})


def _task(id: str, status: str) -> dict[str, Any]:
    stamp = "2026-07-28T10:30:00Z"
    return {"taskId": id, "status": status, "createdAt": stamp, "lastUpdatedAt": stamp, "ttlMs": 60_000}


def _result(value: dict[str, Any]) -> dict[str, Any]:
    return {"result": {"resultType": "complete", **value}}


def main() -> None:
    server = TaskServer()
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            said = server.answer(message["method"], message.get("params", {}))
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

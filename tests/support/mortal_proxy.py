"""A proxy that is killed under load and started again, and what its clients and its upstream wrote down meanwhile."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any, Final

import aiohttp
import anyio
import anyio.abc

from support.http_upstream import Call, http_upstream
from support.processes import child, free_port
from support.proxy import serve_command
from support.raw_client import MODERN, stateless_meta

READ: Final = "look"
EFFECT: Final = "change"
_SCHEMA: Final = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
_TOOLS: Final = [
    {"name": READ, "inputSchema": _SCHEMA, "annotations": {"readOnlyHint": True}},
    {"name": EFFECT, "inputSchema": _SCHEMA},
]
_SLOW_S: Final = 0.03


@dataclass(slots=True)
class Asked:
    """One call as its client knows it: ``sent`` and ``heard`` are moments, counted by the clients all together."""

    n: int
    life: int
    run: str
    tool: str
    sent: int
    heard: int | None = None
    refused: bool = False


@dataclass(slots=True)
class Journal:
    """The upstream's own: what it executed and when, on the disk before the call is answered."""

    path: Path
    executed: dict[int, tuple[str, float]] = field(default_factory=dict)
    twice: list[int] = field(default_factory=list)

    def note(self, n: int, tool: str) -> None:
        if n in self.executed:
            self.twice.append(n)
        at = time()
        with self.path.open("a") as file:
            file.write(f"{n} {tool} {at}\n")
            file.flush()
            os.fsync(file.fileno())
        self.executed[n] = tool, at


@asynccontextmanager
async def journalling(path: Path) -> AsyncIterator[tuple[Journal, dict[str, Any]]]:
    """A server that outlives its proxies, and its section of a configuration."""
    journal = Journal(path)

    async def script(call: Call) -> None:
        match call.method:
            case "server/discover":
                about = {"supportedVersions": [MODERN], "capabilities": {"tools": {}}, "ttlMs": 0}
                await call.result({"resultType": "complete", **about, "cacheScope": "public"})
            case "tools/list":
                await call.result({"resultType": "complete", "tools": _TOOLS, "ttlMs": 0, "cacheScope": "public"})
            case "tools/call":
                params = call.message["params"]
                journal.note(n := params["arguments"]["n"], params["name"])
                if n % 3 == 0:
                    await anyio.sleep(_SLOW_S)
                await call.result({"resultType": "complete", "content": [{"type": "text", "text": str(n)}]})
            case _:
                await call.reply(202)

    async with http_upstream(script) as upstream:
        yield journal, {"url": upstream.url, "tools": {READ: {"effect": "read"}}}


class Campaign:
    """Lives one after the other on one state folder; all is drawn from ``seed`` but the machine's own pace."""

    def __init__(self, folder: Path, config: dict[str, Any], seed: int) -> None:
        self.asked: list[Asked] = []
        self.deaths = 0
        self._folder = folder
        self._port = free_port()
        self._command = serve_command(config, folder, port=self._port)
        self._dice = random.Random(seed)
        self._moment = 0
        self._answers = 0
        self._loading = 0

    async def life(self, doors: Sequence[tuple[str, str]], answers: tuple[int, int]) -> None:
        """Start it, load it through ``doors`` (run and path), kill it after so many answers, at any point of others.

        A client that is refused has spent its budget: it tries once more and goes. When all have gone it is killed too.
        """
        last = self._answers + self._dice.randint(*answers)
        url = f"http://127.0.0.1:{self._port}"
        enough = anyio.Event()
        async with (
            child(self._command, self._folder / "proxy.log", port=self._port) as proxy,
            aiohttp.ClientSession() as http,
            anyio.create_task_group() as tasks,
        ):
            self._loading = len(doors)
            for run, path in doors:
                tasks.start_soon(self._client, http, url + path, run, last, enough)
            await enough.wait()
            await anyio.sleep(self._dice.uniform(0, 0.01))
            os.kill(proxy.pid, signal.SIGKILL)
            await proxy.process.wait()
            tasks.cancel_scope.cancel()
        self.deaths += 1

    async def _client(self, http: aiohttp.ClientSession, url: str, run: str, last: int, enough: anyio.Event) -> None:
        with suppress(aiohttp.ClientError):
            refusals = 0
            while refusals < 2:
                tool = READ if self._dice.random() < 0.7 else EFFECT
                asked = Asked(len(self.asked), self.deaths, run, tool, self._tick())
                self.asked.append(asked)
                result = await _call(http, url, asked)
                asked.heard, asked.refused = self._tick(), bool(result.get("isError"))
                refusals += asked.refused
                self._answers += 1
                if self._answers >= last:
                    enough.set()
        self._loading -= 1
        if not self._loading:
            enough.set()

    def _tick(self) -> int:
        self._moment += 1
        return self._moment


async def _call(http: aiohttp.ClientSession, url: str, asked: Asked) -> dict[str, Any]:
    params = {"name": asked.tool, "arguments": {"n": asked.n}, "_meta": stateless_meta()}
    body = json.dumps({"jsonrpc": "2.0", "id": asked.n, "method": "tools/call", "params": params})
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": MODERN,
        "mcp-method": "tools/call",
        "mcp-name": asked.tool,
    }
    async with http.post(url, data=body, headers=headers) as response:
        assert response.content_type == "application/json", (response.status, await response.text())
        said = json.loads(await response.read())
    assert "result" in said, said
    result: dict[str, Any] = said["result"]
    return result

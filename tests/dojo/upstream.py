"""The process that serves a suite's tools, and the words that its stage manager says to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from dojo import place
from support.processes import Child, child, free_port

SERVER = Path(__file__).with_name("suite_server.py")
ANSWER_BYTES = 1 << 24
LIMIT_S = 60


class Upstream:
    """One suite's server. The proxy reaches it at ``url``; the methods are those of :class:`suites.Stage`."""

    def __init__(self, started: Child, url: str) -> None:
        assert started.process.stdout is not None
        self.url = url
        self._process = started.process
        self._answers = BufferedByteReceiveStream(started.process.stdout)

    async def about(self) -> dict[str, Any]:
        return dict(await self._ask("about"))

    async def open(self, user: str, planted: dict[str, str]) -> dict[str, Any]:
        return dict(await self._ask("open", user=user, planted=planted))

    async def goal(self, id: str) -> dict[str, Any]:
        return dict(await self._ask("goal", id=id))

    async def call(self, call: dict[str, Any]) -> tuple[str, bool]:
        """Call a tool past the proxy: the text of its result, and whether that is an error."""
        text, failed = await self._ask("call", **call)
        return text, failed

    async def executed(self) -> list[dict[str, Any]]:
        return list(await self._ask("executed"))

    async def achieved(self, **task: str) -> bool:
        return bool(await self._ask("achieved", **task))

    async def _ask(self, method: str, /, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        await self._process.stdin.send(json.dumps([method, arguments]).encode() + b"\n")
        with anyio.fail_after(LIMIT_S):
            return json.loads(await self._answers.receive_until(b"\n", ANSWER_BYTES))


@asynccontextmanager
async def upstream(suite: str, folder: Path) -> AsyncIterator[Upstream]:
    port = free_port()
    command = [place.python(), str(SERVER), suite, place.BENCHMARK, str(port)]
    async with child(command, folder / "upstream.log", piped=True, port=port) as started:
        yield Upstream(started, f"http://127.0.0.1:{port}/mcp")

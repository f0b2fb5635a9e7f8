"""A hundred real clients over real connections, at one proxy and one server: each gets its own, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import mcp.types as types
import pytest
from mcp.client.client import Client
from mcp.client.sse import sse_client

from support.cells import Steps
from support.matrix import sdk_server
from support.proxy import Proxy, served
from support.sdk_client import Ears, words

CLIENTS = 96
KINDS = ("legacy", "2026-07-28", "sse")
TOGETHER = 24
"""How many open their connection at the same time."""

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")


class OwnEars(Ears):
    """Answers with its own name."""

    def __init__(self, who: str) -> None:
        super().__init__()
        self.who = who

    @property
    def callbacks(self) -> dict[str, Any]:
        async def elicit(context: Any, params: Any) -> types.ElicitResult:
            return types.ElicitResult(action="accept", content={"name": self.who})

        return {**super().callbacks, "elicitation_callback": elicit}

    @property
    def lines(self) -> list[Any]:
        return [heard.params.data for heard in self.heard if isinstance(heard, types.LoggingMessageNotification)]


async def lives(proxy: Proxy, number: int, opening: anyio.CapacityLimiter, everybody: Crowd) -> None:
    who = f"client{number}"
    ears = OwnEars(who)
    kind = KINDS[number % len(KINDS)]
    server: Any = sse_client(proxy.sse_url) if kind == "sse" else proxy.url
    client = Client(server, mode="legacy" if kind == "sse" else kind, **ears.callbacks)
    async with opening:
        await client.__aenter__()
    try:
        await everybody.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(greets, client, who)
            tasks.start_soon(counts, client, number)
            tasks.start_soon(gives_up, client, who)
            tasks.start_soon(echoes, client, who)
        await client.call_tool("log", {"words": who})
        await ears.kind(types.LoggingMessageNotification)
        assert ears.lines == [who]
    finally:
        await client.__aexit__(None, None, None)


class Crowd:
    """Begins when all are there."""

    def __init__(self, size: int) -> None:
        self._missing = size
        self._complete = anyio.Event()

    async def wait(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._complete.set()
        await self._complete.wait()


async def greets(client: Client, who: str) -> None:
    assert words(await client.call_tool("greet")) == f"Hello {who}"


async def counts(client: Client, number: int) -> None:
    steps, to = Steps(), number % 7 + 1
    assert words(await client.call_tool("count", {"to": to}, progress_callback=steps)) == "counted"
    assert [step[:2] for step in await steps.all(to)] == [(n + 1, to) for n in range(to)]


async def gives_up(client: Client, who: str) -> None:
    begun = anyio.Event()

    async def step(progress: float, total: float | None, message: str | None) -> None:
        begun.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: client.call_tool("hang", {"label": who}, progress_callback=step))
        await begun.wait()
        tasks.cancel_scope.cancel()


async def echoes(client: Client, who: str) -> None:
    for number in range(4):
        assert words(await client.call_tool("echo", {"text": f"{who}/{number}"})) == f"{who}/{number}"


def all_at_once(server: Mapping[str, Any]) -> dict[str, Any]:
    """More calls under way than a server gets by default."""
    return {"servers": {"sdk": {**server, "parallel": None}}}


async def test_a_hundred_clients_over_real_connections(tmp_path: Path) -> None:
    opening, everybody = anyio.CapacityLimiter(TOGETHER), Crowd(CLIENTS)
    async with sdk_server("http", tmp_path) as server, served(all_at_once(server), tmp_path) as proxy:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for number in range(CLIENTS):
                    tasks.start_soon(lives, proxy, number, opening, everybody)
            async with Client(proxy.url, mode="legacy") as last:
                everyone = sorted(f"client{number}" for number in range(CLIENTS))
                while sorted((await last.call_tool("cancelled")).structured_content["result"]) != everyone:  # type: ignore[index]  # noqa: ASYNC110
                    await anyio.sleep(0.05)

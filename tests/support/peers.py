"""Two JSON-RPC peers in memory: every frame is delivered, in order, on the next turn of the loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio

from fuseboard.errors import UpstreamLost, UpstreamUnreachable
from fuseboard.peer import Peer
from fuseboard.ports import Reply, Request, Result, Scope

Act: TypeAlias = Callable[[Request, Scope], Awaitable[Reply]]


async def echo(request: Request, scope: Scope) -> Reply:
    return Result(request.params or b"null")


async def hang(request: Request, scope: Scope) -> Reply:
    await anyio.sleep_forever()
    raise AssertionError("unreachable")


async def wait(request: Request, scope: Scope) -> Reply:
    """Answers after as many seconds as it is told."""
    await anyio.sleep(json.loads(request.params or b"{}")["s"])
    return Result(request.params or b"")


class Side:
    """One peer, what it hears, and how it answers."""

    def __init__(self, name: str) -> None:
        self.acts: dict[str, Act] = {"echo": echo, "hang": hang, "wait": wait}
        self.sent: list[bytes] = []
        self.heard: list[str] = []
        self.gave_up: list[bytes] = []
        self.other: Side | None = None
        self.peer = Peer(self._send, self, name=name)

    def _send(self, frame: bytes) -> None:
        self.sent.append(frame)
        if self.other is not None:
            asyncio.get_running_loop().call_soon(self.other.peer.receive, frame)

    async def request(self, request: Request, scope: Scope) -> Reply:
        self.heard.append(request.method)
        try:
            return await self.acts[request.method](request, scope)
        except asyncio.CancelledError:
            self.gave_up.append(request.id)
            raise

    def notified(self, method: str, params: bytes | None) -> None:
        self.heard.append(method)

    def receive(self, **frame: Any) -> None:
        self.peer.receive(json.dumps({"jsonrpc": "2.0", **frame}).encode())

    @property
    def answers(self) -> list[Any]:
        """What went out, without the version."""
        return [{key: value for key, value in json.loads(frame).items() if key != "jsonrpc"} for frame in self.sent]


def alone() -> Side:
    """A side whose other end is the test."""
    return Side("other")


def wired() -> tuple[Side, Side]:
    asker, answerer = Side("server"), Side("client")
    asker.other, answerer.other = answerer, asker
    return asker, answerer


@asynccontextmanager
async def asking(side: Side, *methods: str) -> AsyncIterator[dict[str, Any]]:
    """Requests under way, by method; each ends as a reply or as the exception that it raised."""
    ended: dict[str, Any] = {}

    async def ask(method: str) -> None:
        try:
            ended[method] = await side.peer.request(method, None)
        except (UpstreamLost, UpstreamUnreachable) as fault:
            ended[method] = fault

    async with anyio.create_task_group() as tasks:
        for method in methods:
            tasks.start_soon(ask, method)
        await settle()
        yield ended
        await settle()
        tasks.cancel_scope.cancel()


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(20):
        await asyncio.sleep(0)

"""Seats at a scripted server, without a board around them: one upstream, one client's way back, no sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import anyio.abc

from fuseboard.upstreams.handshake import HandshakeSeat
from fuseboard.upstreams.shared import SharedSeats
from fuseboard.upstreams.upstream import Connect, Upstream
from support.fake_server import FakeServer
from support.links import CallScope

PATIENCE_S: Final = 3600
"""Longer than any wait of a seat's own, so that only a hang runs into it."""

INITIALIZE: Final = json.dumps(
    {
        "protocolVersion": "2025-06-18",
        "capabilities": {"roots": {}, "x-vendor": {"a": 1}},
        "clientInfo": {"name": "c", "version": "1"},
    }
).encode()


class Seating:
    """``back`` is the client's way back outside any request."""

    def __init__(self, server: FakeServer, connect: Connect, tasks: anyio.abc.TaskGroup) -> None:
        self.server = server
        self.tasks = tasks
        self.back = CallScope()
        self.everyone = CallScope()
        self.upstream = Upstream(
            server.alias, server.facts, connect, prefixed=True, scoped=server.scoped, clock=anyio.current_time
        )
        self.shared = SharedSeats(tasks, self.everyone)

    def handshake(self, back: CallScope | None = None) -> HandshakeSeat:
        return HandshakeSeat(self.upstream, self.tasks, back or self.back, initialize=INITIALIZE)


@asynccontextmanager
async def seating(server: FakeServer, connect: Connect | None = None) -> AsyncIterator[Seating]:
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(PATIENCE_S):
            yield Seating(server, connect or server.connect, tasks)
        tasks.cancel_scope.cancel()


def asks(name: str = "work", *, token: Any = None, **arguments: Any) -> bytes:
    """The params of a tool call."""
    params: dict[str, Any] = {"name": name, "arguments": arguments}
    if token is not None:
        params["_meta"] = {"progressToken": token}
    return json.dumps(params).encode()

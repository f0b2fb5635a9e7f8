"""Clients of the handshake at a server that shakes no hands: one of them finds that out, at the cost of one child."""

from __future__ import annotations

from pathlib import Path

import anyio

from support.frame_log import FrameLog
from support.matrix import program
from support.proxy import served
from support.raw_client import HANDSHAKE
from support.raw_transports import streamable
from support.servers import raw_command

CLIENTS = 12


async def test_many_clients_at_once_and_later_cost_two_children(tmp_path: Path) -> None:
    log = FrameLog(tmp_path / "frames.jsonl")
    server = program(raw_command(log, "--eras", "stateless"))
    async with served({"servers": {"raw": server}}, tmp_path) as proxy:

        async def visit() -> None:
            async with streamable(proxy.url, era=HANDSHAKE) as client:
                assert b'"result"' in await client.call("echo")

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for _ in range(CLIENTS):
                    tasks.start_soon(visit)
            await visit()
    # One for the handshake that is refused, one for all that follows.
    assert len({received.pid for received in log.all()}) == 2
    assert len(log.frames("initialize")) == 1

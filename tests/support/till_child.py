"""A proxy with a file that dies while a call with effects is under way: ``till_child.py LEDGER``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, cast

import anyio

sys.path.insert(0, str(Path(__file__).parent.parent))

from fuseboard import pipeline
from fuseboard.adapters.stores.memory import MemoryStore
from fuseboard.adapters.stores.sqlite import SqliteStore
from fuseboard.config.guards import PrincipalLimits, Retries, RunLimits
from support.fake_server import Act, FakeServer, FakeTool, hangs
from support.playbook import playing


def till(ledger: Path, act: Act) -> tuple[FakeServer, Any]:
    """The server, and a proxy before it whose name is that of this process."""
    server = FakeServer("till", FakeTool("pay", act), tools={"pay": {"effect": "write"}})
    fuses = pipeline.Fuses(RunLimits(), PrincipalLimits(), retries=Retries(), process=str(os.getpid()))
    return server, playing(server, fuses=fuses, store=cast(MemoryStore, SqliteStore.open(ledger)))


async def main() -> None:
    server, proxy = till(Path(sys.argv[1]), hangs)
    async with proxy as play, anyio.create_task_group() as tasks:
        client = await play.connect()
        tasks.start_soon(lambda: client.call("pay", amount=5))
        await server.reached("tools/call")
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    anyio.run(main)

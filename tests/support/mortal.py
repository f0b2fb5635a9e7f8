"""A real server that tests kill and start again under live sessions, and what it wrote down meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio

from support.matrix import address, program
from support.processes import Child, child, free_port
from support.system import eventually

SERVER = str(Path(__file__).with_name("mortal_server.py"))


class Mortal:
    """``section`` is the server's section of a configuration. Over HTTP it is for the test to ``start``."""

    def __init__(self, transport: Literal["http", "sse", "stdio"], folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._lives = AsyncExitStack()
        self._child: Child | None = None
        self.journal = folder / "journal"
        self.journal.touch()
        command = [sys.executable, SERVER, transport, str(self.journal)]
        self.command = command if transport == "stdio" else [*command, str(self._port)]
        base = f"http://127.0.0.1:{self._port}"
        self.section: dict[str, Any] = program(command) if transport == "stdio" else address(transport, base)

    async def start(self) -> None:
        log = self._folder / "server.log"
        self._child = await self._lives.enter_async_context(child(self.command, log, port=self._port))

    async def kill(self) -> None:
        assert self._child is not None
        with contextlib.suppress(ProcessLookupError):  # a test may have done it already
            os.kill(self._child.pid, signal.SIGKILL)
        await self._child.process.wait()

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    def offer_more(self) -> None:
        """From its next start on it has a tool more."""
        Path(f"{self.journal}.extra").write_text("1")

    @property
    def lines(self) -> list[tuple[int, str]]:
        """Whose process, and what happened."""
        pairs = (line.partition(" ") for line in self.journal.read_text().splitlines())
        return [(int(pid), what) for pid, _, what in pairs]

    @property
    def events(self) -> list[str]:
        return [what for _, what in self.lines]

    @property
    def pid(self) -> int:
        """The process that wrote last."""
        return self.lines[-1][0]

    async def wrote(self, what: str, times: int = 1) -> None:
        await eventually(lambda: self.events.count(what) >= times)

    async def close(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._lives.aclose()


@asynccontextmanager
async def mortal(transport: Literal["http", "sse", "stdio"], folder: Path) -> AsyncIterator[Mortal]:
    server = Mortal(transport, folder)
    try:
        if transport != "stdio":
            await server.start()
        yield server
    finally:
        await server.close()

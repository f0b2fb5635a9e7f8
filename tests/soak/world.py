"""What is soaked, and what stands behind it: three proxies as processes, four upstreams, each with its own faults."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.abc

from support.processes import Child, child, free_port
from support.proxy import Proxy, serve_command, served

SUPPORT: Final = Path(__file__).parents[1] / "support"
SDK_SERVER: Final = [sys.executable, str(SUPPORT / "sdk_server.py"), "http"]
RAW: Final = [sys.executable, str(SUPPORT / "raw_upstream.py"), "--log", "/dev/null"]

SESSION_IDLE_S: Final = 4
"""Longer than a client here may come to wait for its turn on a busy machine, between two calls of one session."""

SESSIONS: Final = 400
"""Few, so that sessions which are never freed soon show as refusals."""

LIMITS: Final = {"sessions": SESSIONS, "session_idle": f"{SESSION_IDLE_S}s"}


class Restartable:
    """A server over HTTP that can be stopped and started anew on its port."""

    def __init__(self, command: list[str], log: Path, *, flag: str | None = None) -> None:
        self.port = free_port()
        self._command = [*command, *([flag] if flag else []), str(self.port)]
        self._log = log
        self._restart = anyio.Event()
        self._ready = anyio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        first = True
        while True:
            self._restart = anyio.Event()
            async with child(self._command, self._log, port=self.port):
                self._ready.set()
                if first:
                    task_status.started()
                    first = False
                await self._restart.wait()

    async def restart(self) -> None:
        self._ready = anyio.Event()
        self._restart.set()
        await self._ready.wait()


@dataclass(frozen=True, slots=True)
class World:
    """``wide`` stands before three upstreams, ``narrow`` before the stateless one alone, ``pipe`` serves stdio."""

    wide: Proxy
    narrow: Proxy
    pipe: list[str]
    """The command of the third proxy, which its client starts itself."""
    sdk: Restartable
    modern: Restartable
    folder: Path

    @property
    def proxies(self) -> dict[str, Child]:
        return {"wide": self.wide.child, "narrow": self.narrow.child}


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    folders = {name: folder / name for name in ("wide", "narrow", "pipe")}
    for one in folders.values():
        one.mkdir(parents=True, exist_ok=True)
    sdk = Restartable(SDK_SERVER, folder / "sdk.log")
    modern = Restartable([*RAW, "--eras", "stateless"], folder / "modern.log", flag="--port")
    everything: dict[str, Any] = {
        "sdk": {"url": sdk.url, "type": "http"},
        "child": {"command": RAW[0], "args": [*RAW[1:], "--stdio"], "share": "all"},
        "modern": {"url": modern.url, "type": "http"},
    }
    only = {"modern": everything["modern"]}
    private = {"child": {"command": RAW[0], "args": [*RAW[1:], "--stdio"]}}
    async with anyio.create_task_group() as tasks, AsyncExitStack() as stack:
        await tasks.start(sdk.run)
        await tasks.start(modern.run)
        wide = await stack.enter_async_context(served({"servers": everything, "limits": LIMITS}, folders["wide"]))
        narrow = await stack.enter_async_context(served({"servers": only, "limits": LIMITS}, folders["narrow"]))
        yield World(wide, narrow, serve_command({"servers": private}, folders["pipe"]), sdk, modern, folder)
        tasks.cancel_scope.cancel()

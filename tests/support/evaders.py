"""A client that tries everything to get more than its budget, in front of the real proxy.

The upstream behind it counts what reaches it: its own log of frames, which no process of ours writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

from support.frame_log import FrameLog
from support.matrix import address
from support.processes import child, free_port
from support.proxy import UNLIMITED, Proxy, serve_command
from support.raw_client import HANDSHAKE, MODERN, RawClient
from support.raw_transports import http_sse, pipe, streamable
from support.servers import raw_http
from support.system import eventually

OF_A_RUN: Final = 3
"""Calls that one run may make."""

OF_A_PRINCIPAL: Final = 5
"""Calls that all unsigned runs of a principal may make together."""

TRIES: Final = 9
"""More than either."""

INFO: Final = "io.modelcontextprotocol/clientInfo"

LIMITS: Final = {
    **UNLIMITED,
    "run": {**UNLIMITED["run"], "calls": OF_A_RUN},
    "principal": {"calls": OF_A_PRINCIPAL},
    "limits": {"drain": "500ms"},  # calls that never end would keep each proxy up
}


_ANOTHER: Final = count()


def another(**arguments: Any) -> dict[str, Any]:
    """Arguments that no call had before: the same call once more is a matter of its own, and made once."""
    return {**arguments, "n": next(_ANOTHER)}


class Field:
    """A proxy over HTTP that can be ended and started again, pipes on the same state folder, and what they are before.

    ``env`` is that of every process that is started from now on.
    """

    def __init__(self, folder: Path, log: FrameLog, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self.log = log
        self.config = config
        self.env = _own_clock(folder)
        self._port = free_port()
        self._life = AsyncExitStack()
        self._proxy: Proxy | None = None

    @property
    def proxy(self) -> Proxy:
        assert self._proxy is not None
        return self._proxy

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def executed(self) -> int:
        """How many calls the upstream got."""
        return len(self.log.frames("tools/call"))

    async def reached(self, count: int) -> None:
        """Wait until the upstream has got so many calls."""
        await eventually(lambda: self.executed >= count)

    def shift(self, seconds: float) -> None:
        """Set the clock of every proxy so far off, for those that run and those to come."""
        (self.folder / "clock" / "shift").write_text(f"{seconds}")

    async def start(self) -> None:
        command = serve_command(self.config, self.folder, port=self._port)
        log = self.folder / "proxy.log"
        started = await self._life.enter_async_context(
            child(command, log, port=self._port, env=self.env, cwd=self.folder)
        )
        self._proxy = Proxy(started, self.state, self._port)

    async def stop(self) -> None:
        await self._life.aclose()

    async def restart(self, *, kill: bool = False) -> None:
        if kill:
            self.proxy.child.process.kill()
            await self.proxy.child.process.wait()
        await self.stop()
        await self.start()

    @asynccontextmanager
    async def client(
        self,
        front: str = "http",
        era: str = HANDSHAKE,
        *,
        path: str = "",
        headers: Mapping[str, str] | None = None,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> AsyncIterator[RawClient]:
        """A new connection. ``path`` stands before the endpoint's own, ``name`` is what the client calls itself."""
        base = f"{self.proxy.base}{path}"
        async with AsyncExitStack() as opened:
            one: RawClient
            match front:
                case "stdio":
                    command = serve_command(self.config, self.folder)
                    variables = {**self.env, **(env or {})}
                    log = self.folder / "pipe.log"
                    piped = pipe(command, log, era=era, open_session=False, env=variables, cwd=self.folder)
                    one = await opened.enter_async_context(piped)
                case "sse":
                    one = await opened.enter_async_context(http_sse(f"{base}/sse", open_session=False))
                case _:
                    web = streamable(f"{base}/mcp", era=era, open_session=False, headers=headers)
                    one = await opened.enter_async_context(web)
            if one.era != MODERN:
                info = {"name": name or "evader", "version": "1"}
                with suppress(EOFError, AssertionError):  # refused: what is called all the same is the matter
                    await one.result("initialize", {**one.opening(), "clientInfo": info})
                    await one.notify("notifications/initialized")
            yield one

    async def once(self, front: str = "http", era: str = HANDSHAKE, *, meta: Any = None, **how: Any) -> str:
        """One call over a connection of its own."""
        async with self.client(front, era, **how) as client:
            return await call(client, meta)


_CLOCK: Final = """
import pathlib, time

_true = time.time
_shift = pathlib.Path(__file__).with_name("shift")


def _shifted():
    return _true() + float(_shift.read_text() or 0)


time.time = _shifted
"""


def _own_clock(folder: Path) -> dict[str, str]:
    """The environment in which a Python program tells the time that a file says. No program of ours knows of it."""
    place = folder / "clock"
    place.mkdir()
    (place / "shift").write_text("0")
    (place / "sitecustomize.py").write_text(_CLOCK)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(place), os.environ.get("PYTHONPATH"))))}


async def call(client: RawClient, meta: Any = None, *, tool: str = "echo", **params: Any) -> str:
    """What became of a call: ``ok``, the rule that it was denied by, or ``refused``."""
    asked = {"name": tool, "arguments": another(), **params, **({"_meta": meta} if meta is not None else {})}
    try:
        answer = json.loads(await client.ask("tools/call", asked))
    except EOFError:  # refused before it was read
        return "refused"
    return verdict(answer)


def verdict(answer: Mapping[str, Any]) -> str:
    result = answer.get("result")
    if result is None:
        return "refused"
    decision = (result.get("_meta") or {}).get("fuseboard/decision")
    return "ok" if decision is None else str(decision["rule"])


@asynccontextmanager
async def field(folder: Path, *options: str, **config: Any) -> AsyncIterator[Field]:
    """``options`` are the upstream's, ``config`` the rest of the proxy's."""
    log = FrameLog(folder / "frames.jsonl")
    async with raw_http(log, *options) as base:
        ground = Field(folder, log, {"servers": {"raw": address("http", base)}, **LIMITS, **config})
        try:
            await ground.start()
            yield ground
        finally:
            await ground.stop()

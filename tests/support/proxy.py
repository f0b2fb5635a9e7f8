"""The real ``fuseboard``, as a process: in front of one server (``wrap``) or of many (``serve``), over stdio or HTTP.

async with wrapped(["python", "server.py"], tmp_path, front="http") as proxy:
    client = Client(proxy.url)

async with served({"servers": {...}}, tmp_path, front="stdio") as proxy:
    client = PipeClient(proxy.child.process)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import anyio

from support.processes import Child, child, free_port

Front: TypeAlias = Literal["stdio", "http"]
Upstream: TypeAlias = Sequence[str] | str
"""A command, or an address."""

UNLIMITED: Mapping[str, Any] = {
    "run": dict.fromkeys(("calls", "time", "output", "tokens", "money", "depth", "parallel", "rate", "pause_at")),
    "principal": {"calls": None},
    "approvals": {"ask_above": None},
    "loops": None,
    "breaker": {"strikes": None, "health": None},
    "retries": {"per_call": 1_000_000, "budget": "100%", "floor": "1000000/s"},
    "output": {"max": "200MB"},
}
"""For tests that are about something else and call more than an agent may. A configuration's own sections win."""

PROGRAM = str(Path(sys.executable).parent / "fuseboard")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that runs. ``state`` is its state folder; the other verbs can be asked about it meanwhile."""

    child: Child
    state: Path
    port: int | None

    @property
    def base(self) -> str:
        assert self.port is not None, "this proxy serves stdio"
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Streamable HTTP."""
        return f"{self.base}/mcp"

    @property
    def sse_url(self) -> str:
        """HTTP+SSE."""
        return f"{self.base}/sse"

    @property
    def stderr(self) -> str:
        return self.child.stderr

    async def cli(self, *arguments: str, ok: bool = True) -> str:
        """Stdout of another ``fuseboard`` command on the same state folder."""
        return (await fuseboard(*arguments, state=self.state, ok=ok)).stdout.decode()

    async def knows_its_servers(self) -> None:
        """Until it has asked each of them whether it is there. That starts children, beside those of its clients."""
        while not await anyio.to_thread.run_sync(_answers, f"{self.base}/readyz"):  # noqa: ASYNC110  it sends no event
            await anyio.sleep(0.02)

    async def trace(self) -> list[dict[str, Any]]:
        """Every ledger record, oldest first."""
        lines = (await self.cli("trace", "export")).splitlines()
        return [json.loads(line) for line in lines if line.strip()]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10):
            return True
    except urllib.error.HTTPError as refused:
        refused.close()
        return False


async def fuseboard(
    *arguments: str, state: Path, ok: bool = True, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run one command to its end. With ``ok``, an exit code other than 0 fails the test."""
    variables = {**os.environ, "FUSEBOARD_STATE_DIR": str(state), "NO_COLOR": "1", "COLUMNS": "120", **(env or {})}
    with anyio.fail_after(60):
        done = await anyio.run_process([PROGRAM, *arguments], check=False, env=variables)
    if ok:
        assert done.returncode == 0, (arguments, done.returncode, done.stdout.decode(), done.stderr.decode())
    return done


def wrap_command(upstream: Upstream, state: Path, *, port: int | None = None, options: Sequence[str] = ()) -> list[str]:
    """The command line of ``fuseboard wrap``, for a client that starts its server itself."""
    front = [] if port is None else ["--http", f"127.0.0.1:{port}"]
    back = [upstream] if isinstance(upstream, str) else ["--", *upstream]
    return [PROGRAM, "wrap", "--state", str(state), *options, *front, *back]


def serve_command(config: Mapping[str, Any] | str, folder: Path, *, port: int | None = None) -> list[str]:
    """The command line of ``fuseboard serve``. ``config``: the text of a file, or what it holds but for the limits."""
    path = folder / "fuseboard.yaml"
    path.write_text(config if isinstance(config, str) else json.dumps({**UNLIMITED, **config}, indent=1))
    front = ["--stdio"] if port is None else ["--http", f"127.0.0.1:{port}"]
    return [PROGRAM, "serve", "--config", str(path), "--state", str(folder / "state"), *front]


@asynccontextmanager
async def wrapped(
    upstream: Upstream,
    folder: Path,
    *,
    front: Front = "http",
    config: Mapping[str, Any] | str | None = None,
    name: str | None = None,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Proxy]:
    """One server behind the proxy, policies from ``config`` where given."""
    options = ["--name", name] if name else []
    if config is not None:
        path = folder / "policies.yaml"
        path.write_text(config if isinstance(config, str) else json.dumps(config, indent=1))
        options += ["--config", str(path)]
    port = free_port() if front == "http" else None
    command = wrap_command(upstream, folder / "state", port=port, options=options)
    async with _running(command, folder, port, env) as proxy:
        yield proxy


@asynccontextmanager
async def served(
    config: Mapping[str, Any] | str,
    folder: Path,
    *,
    front: Front = "http",
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Proxy]:
    """What the configuration says, behind one door."""
    port = free_port() if front == "http" else None
    async with _running(serve_command(config, folder, port=port), folder, port, env) as proxy:
        yield proxy


@asynccontextmanager
async def _running(
    command: list[str], folder: Path, port: int | None, env: Mapping[str, str] | None
) -> AsyncIterator[Proxy]:
    log = folder / "proxy.log"
    async with child(command, log, piped=port is None, port=port, env=env, cwd=folder) as started:
        yield Proxy(started, folder / "state", port)

"""Child processes of tests: started in groups of their own, their stderr kept, ended without leftovers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc

START_LIMIT_S = 30
STOP_LIMIT_S = 10


@dataclass(frozen=True, slots=True)
class Child:
    """``log`` is the file that takes its stderr, and its stdout too unless that is a pipe."""

    process: anyio.abc.Process
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        return self.log.read_text(errors="replace")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@asynccontextmanager
async def child(
    command: Sequence[str],
    log: Path,
    *,
    piped: bool = False,
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> AsyncIterator[Child]:
    """Run ``command``; with a ``port``, enter once that accepts connections. ``piped`` keeps stdin and stdout.

    Raises:
        AssertionError: it ended, or did not listen in time; the message holds its stderr.
    """
    with log.open("ab") as err:
        process = await anyio.open_process(
            list(command),
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else err,
            stderr=err,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
    started = Child(process, log)
    try:
        if port is not None:
            await _listening(started, port)
        yield started
    finally:
        with anyio.CancelScope(shield=True):
            await stop(process)


async def _listening(child: Child, port: int) -> None:
    with anyio.move_on_after(START_LIMIT_S):
        while child.process.returncode is None:
            try:
                async with await anyio.connect_tcp("127.0.0.1", port):
                    return
            except OSError:
                await anyio.sleep(0.02)
    raise AssertionError(f"nothing listens on {port}, exit code {child.process.returncode}:\n{child.stderr[-3000:]}")


async def stop(process: anyio.abc.Process) -> None:
    """SIGTERM, then SIGKILL, to the group; returns when the process is gone and its pipes are closed."""
    for signal_ in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal_)
        with anyio.move_on_after(STOP_LIMIT_S):
            await process.wait()
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                await stream.aclose()
    await process.aclose()

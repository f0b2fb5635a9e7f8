"""What runs on this machine: each proxy keeps one small file in the state folder, which ``fuseboard status`` reads.

A proxy over stdio has no port to ask, and one that was killed cannot say goodbye, so a file counts only as long as its
process lives.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import anyio

FOLDER: Final = "proxies"
LOOK_S: Final = 1.0
"""How often a proxy looks whether what it said of itself still holds."""

FIRST_LOOK_S: Final = 0.05
"""After its start more often: how its upstreams are is known within moments, and that is when somebody looks."""


@asynccontextmanager
async def announced(state: Path, describe: Callable[[], Mapping[str, Any]]) -> AsyncIterator[None]:
    """Keep this process's file up to date while the context lasts. Where it cannot be written, the proxy goes on."""
    path = state / FOLDER / f"{os.getpid()}.json"

    async def keep() -> None:
        written: Mapping[str, Any] | None = None
        pause_s = FIRST_LOOK_S
        while True:
            if (now := describe()) != written and _write(path, {"pid": os.getpid(), **now}):
                written = now
            await anyio.sleep(pause_s)
            pause_s = min(LOOK_S, 2 * pause_s)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()
            _remove(path)


def running(state: Path) -> list[dict[str, Any]]:
    """The files of the processes that live, oldest first. Files of the dead are removed."""
    found = []
    for path in sorted((state / FOLDER).glob("*.json"), key=lambda path: path.stat().st_mtime):
        if not _alive(path.stem):
            _remove(path)
            continue
        try:
            found.append(json.loads(path.read_text()))
        except (OSError, ValueError):
            continue
    return found


def _write(path: Path, content: Mapping[str, Any]) -> bool:
    """Whole or not at all: a reader never sees half a file."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        with os.fdopen(handle, "w") as file:
            json.dump(content, file)
        os.replace(name, path)
    except OSError:
        return False
    return True


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True

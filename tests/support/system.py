"""What the operating system knows of processes: who lives, whose children they are, what they hold open."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

LIMIT_S = 15


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    """The living children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and alive(int(entry.name)):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found.append(int(entry.name))
    return found


def open_files(pid: int) -> list[str]:
    """What the process's file descriptors point at, sorted."""
    folder = f"/proc/{pid}/fd"
    return sorted(os.readlink(f"{folder}/{fd}").partition(":")[0] for fd in os.listdir(folder))


def descriptors(pid: int) -> int:
    """How many file descriptors the process holds."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def rss_kb(pid: int) -> int:
    """The resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


async def eventually(true: Callable[[], Any], *, timeout_s: float = LIMIT_S) -> None:
    """Wait until it is so.

    Raises:
        TimeoutError: it did not become so in time.
    """
    with anyio.fail_after(timeout_s):
        while not true():  # noqa: ASYNC110  the operating system sends no event
            await anyio.sleep(0.01)

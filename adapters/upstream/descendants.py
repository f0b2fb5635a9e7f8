"""What a child has started in sessions of its own, as browsers and shells are: its group's end is not theirs.

Linux only, and only as long as the line of parents holds: who forks twice and lets the parent in between end has no
parent but init any more, and nobody can tell whose it was. Where the kernel names no children (``PROC_CHILDREN``), or
there is no ``/proc``, nobody is found.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Stray(NamedTuple):
    """A process outside the group that it came from. ``started`` tells it from a later one with its number."""

    pid: int
    started: str


def strays(leader: int) -> set[Stray]:
    """The living descendants of the leader of a group that have left the group."""
    found: set[Stray] = set()
    seen = {leader}
    unseen = [leader]
    while unseen:
        for pid in _children(unseen.pop()):
            if pid not in seen:
                seen.add(pid)
                unseen.append(pid)
                if (fields := _fields(pid)) is not None and int(fields[2]) != leader:
                    found.add(Stray(pid, fields[19]))
    return found


def kill(gone_astray: Iterable[Stray]) -> None:
    """SIGKILL to each that is still the same process."""
    for stray in gone_astray:
        fields = _fields(stray.pid)
        if fields is not None and fields[19] == stray.started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(stray.pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    found: list[int] = []
    for thread in threads:
        with contextlib.suppress(OSError):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def _fields(pid: int) -> list[str] | None:
    """The fields of ``/proc/<pid>/stat`` from the third on (proc(5)): state, ppid, pgrp, …, the 22nd is the start."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None

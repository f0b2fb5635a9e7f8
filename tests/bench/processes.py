"""Processes: where they run, what they cost, how they end. Linux only, for it reads ``/proc``."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ECHO = Path(__file__).parent / "echo_upstream.py"


@dataclass(frozen=True, slots=True)
class Cores:
    """The proxy has one core to itself; client and upstream share another. ``None``: one core only, nothing pinned."""

    client: int | None
    proxy: int | None

    @classmethod
    def split(cls) -> Cores:
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[0], cores[1]) if len(cores) >= 2 else cls(None, None)


def pin(core: int | None) -> Callable[[], None]:
    def apply() -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})

    return apply


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], limit_s: float = 30) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return True
        time.sleep(0.005)
    return False


def tree(root: int) -> list[int]:
    """The process and its descendants, echo upstreams left out: their cost is not the proxy's."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        if pid == root or not _is_echo(pid):
            found.append(pid)
            todo += children.get(pid, [])
    return found


def _is_echo(pid: int) -> bool:
    try:
        return ECHO.name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def cpu_ns(pids: Iterable[int]) -> int:
    """User and system time of the processes so far, in nanoseconds."""
    sum_ns = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            # The clock id of another process's CPU time, as clock_getcpuclockid(3) makes it.
            sum_ns += time.clock_gettime_ns((~pid << 3) | 2)
    return sum_ns


def rss_mb(pids: Iterable[int]) -> float:
    sum_kb = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            found = re.search(r"^Rss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
            sum_kb += int(found[1]) if found else 0
    return sum_kb / 1024


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group; it leads one."""
    for signal_ in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal_)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(4)
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()

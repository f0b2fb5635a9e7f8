"""What a process holds, read from ``/proc`` (Linux), and how it grows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """``at_s`` on the clock of the event loop."""

    at_s: float
    rss_kb: int
    descriptors: int
    threads: int


def sample(pid: int, *, at_s: float) -> Sample:
    """Raises ``OSError`` where the process is gone."""
    proc = Path(f"/proc/{pid}")
    rss_kb = int((proc / "statm").read_text().split()[1]) * _PAGE_KB
    return Sample(at_s, rss_kb, len(os.listdir(proc / "fd")), len(os.listdir(proc / "task")))


def slope_kb_per_min(samples: Sequence[Sample]) -> float:
    """The growth of the resident memory over the second half, by least squares: the first half is for warming up."""
    half = samples[len(samples) // 2 :]
    if len(half) < 2:
        return 0.0
    at = sum(one.at_s for one in half) / len(half)
    rss = sum(one.rss_kb for one in half) / len(half)
    spread = sum((one.at_s - at) ** 2 for one in half)
    if not spread:
        return 0.0
    return 60 * sum((one.at_s - at) * (one.rss_kb - rss) for one in half) / spread

"""How many messages the upstreams received, by method: one memory-mapped file for each echo process.

A tool that reports counts would count itself, and it reaches one upstream only; a file can be read from outside, for
all of them, in the middle of a run.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

METHODS = ("tools/call", "tools/list", "initialize", "server/discover", "ping", "other")
_SLOT = struct.Struct("<Q")
_SIZE = _SLOT.size * len(METHODS)


def writer(folder: Path | None) -> Callable[[str], None]:
    """A function that counts one message of this process."""
    if folder is None:
        return lambda method: None
    path = folder / str(os.getpid())
    path.write_bytes(bytes(_SIZE))
    with path.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), _SIZE)
    offsets = {method: i * _SLOT.size for i, method in enumerate(METHODS)}
    other = offsets["other"]

    def count(method: str) -> None:
        at = offsets.get(method, other)
        _SLOT.pack_into(memory, at, _SLOT.unpack_from(memory, at)[0] + 1)

    return count


def total(folder: Path) -> Counter[str]:
    """The sum over every process that counts into ``folder``, ended ones included."""
    sum_: Counter[str] = Counter()
    for path in folder.iterdir():
        data = path.read_bytes()
        if len(data) == _SIZE:
            sum_.update({method: _SLOT.unpack_from(data, i * _SLOT.size)[0] for i, method in enumerate(METHODS)})
    return sum_

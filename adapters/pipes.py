"""Lines over pipes, for both sides of stdio: frames in by callback, frames out without waiting.

The SDK's stdio makes three thread hops a message and re-splits its whole buffer for every chunk, which is quadratic in
the size of a message. Here a chunk is searched once, and a complete line is handed on in the same turn of the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

UNSENT_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""How much may wait for a reader who does not read, before the connection counts as dead.

One frame that is larger than that by itself may wait besides, up to ``limits.frame``: it is let through, or nobody
could get it. So a dead reader costs these 32 MiB and one frame. A burst of some dozen images to a reader who reads
stays below.
"""


_HEAD_BYTES: Final = 1024


class Lines:
    """Cuts a stream of bytes into lines.

    ``on_line`` gets each line without its end. A line longer than ``limit_bytes`` is dropped up to its end, and
    ``on_overlong`` is told once, with how the line began.
    """

    def __init__(
        self, on_line: Callable[[bytes], None], on_overlong: Callable[[bytes], None], *, limit_bytes: int
    ) -> None:
        self._on_line = on_line
        self._on_overlong = on_overlong
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> None:
        if self._buffer or self._skipping:
            self._continue(data)
        else:
            self._cut(data)

    def _continue(self, data: bytes) -> None:
        end = data.find(b"\n")
        if end < 0:
            self._keep(data)
            return
        if self._skipping:
            self._skipping = False
        else:
            self._buffer += data[:end]
            line = bytes(self._buffer)
            self._buffer.clear()
            self._line(line)
        self._cut(data[end + 1 :])

    def _cut(self, data: bytes) -> None:
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._line(data[start:end])
            start = end + 1
        if start < len(data):
            self._keep(data[start:])

    def _keep(self, rest: bytes) -> None:
        if self._skipping:
            return
        self._buffer += rest
        if len(self._buffer) > self._limit_bytes:
            head = bytes(self._buffer[:_HEAD_BYTES])
            self._buffer.clear()
            self._skipping = True
            self._on_overlong(head)

    def _line(self, line: bytes) -> None:
        if len(line) > self._limit_bytes:
            self._on_overlong(line[:_HEAD_BYTES])
        elif line := line.strip():
            self._on_line(line)

"""Frames on their way into a pipe: those of one turn of the loop leave in one write.

Each write wakes the reader, which costs as much as a fifth of a call. Whoever is alone on the pipe writes at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Outbox:
    """``alone`` is whether nothing else is under way on the pipe; ``on_full`` is told when its reader does not read."""

    def __init__(
        self,
        pipe: asyncio.WriteTransport,
        *,
        alone: Callable[[], bool],
        limit_bytes: int,
        on_full: Callable[[], None],
    ) -> None:
        self._pipe = pipe
        self._alone = alone
        self._limit_bytes = limit_bytes
        self._on_full = on_full
        self._frames: list[bytes] = []

    def put(self, frame: bytes) -> None:
        """Send a frame, which has no line end yet. What the pipe is closed for is dropped."""
        if self._pipe.is_closing():
            return
        if self._frames:
            self._frames.append(frame)
        elif self._alone():
            self._write(frame)
        else:
            self._frames.append(frame)
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write what waits. To be called before the pipe is closed."""
        if self._frames:
            frames = b"\n".join(self._frames)
            self._frames.clear()
            if not self._pipe.is_closing():
                self._write(frames)

    def _write(self, frames: bytes) -> None:
        self._pipe.write(frames + b"\n")
        if self._pipe.get_write_buffer_size() > self._limit_bytes:
            self._on_full()

"""Frames on their way into a pipe: those of one turn of the loop leave in one write.

Each write wakes the reader, which costs as much as a fifth of a call. Whoever is alone on the pipe writes at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Outbox:
    """``alone`` is whether nothing else is under way on the pipe; ``on_full`` is told when its reader does not read.

    That is when over ``limit_bytes`` wait for it, not counting one frame that is larger than the limit by itself.
    """

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
        self._written_bytes = 0
        self._large_bytes = 0
        """The size of the last frame that was let through for all its size,"""
        self._large_end = 0
        """and how much had been written with its last byte."""

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
            frames, self._frames = self._frames, []
            if not self._pipe.is_closing():
                self._write(*frames)

    def close(self) -> None:
        """The pipe is closed. Whom to ask is forgotten, or the link and this would keep each other alive."""
        self.flush()
        self._alone = lambda: True
        self._on_full = lambda: None

    def _write(self, *frames: bytes) -> None:
        data = b"\n".join(frames) + b"\n"
        if len(data) > self._limit_bytes:
            self._let_through(frames)
        self._pipe.write(data)
        self._written_bytes += len(data)
        waiting_bytes = self._pipe.get_write_buffer_size()
        if waiting_bytes > self._limit_bytes:
            large_bytes = min(self._large_bytes, self._large_end - (self._written_bytes - waiting_bytes))
            if waiting_bytes - max(0, large_bytes) > self._limit_bytes:
                self._on_full()

    def _let_through(self, frames: tuple[bytes, ...]) -> None:
        """Find the frame that is too large by itself, unless an earlier one is still on its way."""
        end = self._written_bytes
        if self._large_end > end - self._pipe.get_write_buffer_size():
            return
        for frame in frames:
            end += len(frame) + 1
            if len(frame) >= self._limit_bytes:
                self._large_bytes, self._large_end = len(frame) + 1, end
                return

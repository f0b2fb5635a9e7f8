"""Writes down what was accepted at first use: soon, in one go, and beside the event loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from fuseboard.adapters.pins import PinFile, opened
from fuseboard.pins.book import Book, PinsLike, put
from fuseboard.pins.lock import NAME, Lock, Unreadable

_log = logging.getLogger("fuseboard.pins")

GATHER_S: Final = 0.05
"""How long what is listed together is gathered, so that a thousand tools are one write."""

AGAIN_S: Final = 30.0
"""After how long a file that could not be written is tried again."""


class Keeper:
    """Where the file cannot be written the pins hold as long as this process, and its log says so."""

    def __init__(self, settings: PinsLike, path: Path | None, state: Path) -> None:
        self._file = PinFile(path or state / NAME)
        self._new = anyio.Event()
        self._told: str | None = None
        self.book: Book = opened(settings, path, state, self._wake)

    def _wake(self) -> None:
        self._new.set()

    async def run(self) -> None:
        while True:
            await self._new.wait()
            await anyio.sleep(GATHER_S)
            self._new = anyio.Event()
            if not await self.flush():
                with anyio.move_on_after(AGAIN_S):
                    await self._new.wait()
                self._new.set()

    async def flush(self) -> bool:
        """Write what waits, and know what others wrote meanwhile."""
        taken, identities = list(self.book.pending), dict(self.book.identities)
        if not taken:
            return True

        def act(lock: Lock) -> None:
            for one in taken:
                put(lock, one, identities.get(one.key))

        try:
            lock, stamp = await anyio.to_thread.run_sync(self._change, act, self.book.restored())
        except (OSError, Unreadable) as fault:
            if str(fault) != self._told:
                self._told = str(fault)
                _log.error("what was accepted is kept in memory alone, the lock file cannot be written: %s", fault)
            return False
        self._told = None
        del self.book.pending[: len(taken)]
        self.book.adopt(lock, stamp)
        return True

    def _change(self, act: Callable[[Lock], None], lost: Callable[[Lock], None]) -> tuple[Lock, Hashable]:
        return self._file.change(act, lost=lost)

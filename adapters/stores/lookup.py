"""Reading the store's own file for the event loop, in a thread of its own: a page may have to come from the disk.

With the write-ahead log readers wait for no writer, and see each transaction whole or not at all.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from fuseboard.adapters.stores import reaping
from fuseboard.adapters.stores.database import admitted, cells_of
from fuseboard.adapters.stores.reaping import REAPED_AT_ONCE, Overdue
from fuseboard.adapters.stores.sole import Sole
from fuseboard.adapters.stores.table import Cell
from fuseboard.errors import StoreUnavailable

T = TypeVar("T")

_OVERDUE = """
SELECT id, at, held_until, held FROM calls
WHERE held_until <= ? AND held_until IS NOT NULL AND truth IS NULL AND NOT final ORDER BY held_until LIMIT ?
"""


class Lookup:
    """Opens the file when it is first asked something. ``sole`` says when the file holds all that is known."""

    def __init__(self, path: Path, sole: Sole, *, lock_timeout_s: float) -> None:
        self._path = path
        self._sole = sole
        self._timeout_s = lock_timeout_s
        self._connection: sqlite3.Connection | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def cells(self, keys: Sequence[str]) -> dict[str, Cell]:
        """The cells of the keys, those past their time too, in one state of the file."""
        return await self._ask(lambda connection: _at_once(connection, keys))

    async def admitted(self, call: str) -> bool:
        return await self._ask(lambda connection: admitted(connection, call))

    async def last_seq(self, run: str) -> int:
        sql = "SELECT coalesce(max(seq), 0) FROM calls WHERE run = ?"
        return int(await self._ask(lambda connection: connection.execute(sql, (run,)).fetchone()[0]))

    async def overdue(self, *, at: float) -> list[Overdue]:
        """Calls without an end whose holds are past their time at ``at``; no more than a round may reap."""
        return await self._ask(
            lambda connection: [reaping.parsed(*row) for row in connection.execute(_OVERDUE, (at, REAPED_AT_ONCE))]
        )

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._sole.on_file.set()  # nobody shall go on waiting for it
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(thread, self._shut)
            thread.shutdown(wait=False)

    async def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """
        Raises:
            StoreUnavailable: the file cannot be read.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "fuseboard-lookup")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._answer, question)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the ledger cannot be read: {error}") from error

    def _answer(self, question: Callable[[sqlite3.Connection], T]) -> T:
        if not self._sole.on_file.wait(self._timeout_s):
            raise sqlite3.OperationalError("what is in memory cannot be written to it")
        if self._connection is None:
            self._connection = sqlite3.connect(
                f"file:{quote(str(self._path))}?mode=ro", uri=True, isolation_level=None, timeout=self._timeout_s
            )
        return question(self._connection)

    def _shut(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _at_once(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Cell]:
    if len(keys) == 1:
        return cells_of(connection, keys)
    connection.execute("BEGIN")
    try:
        return cells_of(connection, keys)
    finally:
        connection.execute("COMMIT")

"""The default store: run state served from memory, state and ledger kept in one SQLite file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from fuseboard.adapters.stores.database import load_state, open_database
from fuseboard.adapters.stores.table import Table
from fuseboard.adapters.stores.writer import Job, Writer, unavailable
from fuseboard.errors import StoreUnavailable
from fuseboard.ports import Entry
from fuseboard.state import Snapshot, Write

_LOCK_TIMEOUT_S = 5.0
_QUEUE_LIMIT = 8192
_PRUNE_EVERY_S = 3600.0


class SqliteStore:
    """State and ledger in ``path``, readable by anyone who may read the file.

    Several processes may write one ledger. Each serves its run state from its own memory, though, and sees what
    others wrote to it only at its next start.

    A commit changes the memory at once; the file follows in the order of the commits. After a durable commit that
    raised, the memory keeps what it was charged: refusing later is safe, forgetting is not.
    """

    def __init__(self, table: Table, writer: Writer) -> None:
        self._table = table
        self._writer = writer
        self._keep_s: float | None = None
        self._prune_at = 0.0

    @classmethod
    def open(
        cls, path: Path, *, lock_timeout_s: float = _LOCK_TIMEOUT_S, queue_limit: int = _QUEUE_LIMIT
    ) -> SqliteStore:
        """Open the ledger, or make it, and load the run state that survived.

        ``lock_timeout_s`` is how long a write waits for another process. Past ``queue_limit`` commits on their way
        all callers wait, durable or not: nothing is dropped.

        Raises:
            ConfigError: the place cannot be used, or the file is not a ledger that this version can write.
        """
        connection = open_database(path, lock_timeout_s=lock_timeout_s)
        return cls(Table(load_state(connection)), Writer(connection, limit=queue_limit))

    async def read(self, keys: Sequence[str], *, at: float) -> Snapshot:
        if self._writer.closed:
            raise StoreUnavailable("the store is closed")
        return self._table.read(keys, at=at)

    async def commit(
        self, writes: Sequence[Write], read: Snapshot, entry: Entry | None, *, at: float, durable: bool = False
    ) -> bool:
        writer = self._writer
        if writer.crowded:
            await writer.room()
        if writer.fault or writer.closed:
            self._refuse()
        if self._keep_s is not None and at >= self._prune_at:
            self.retain(self._keep_s, at=at)
        cells = None
        if writes:
            cells = self._table.apply(writes, read, at=at)
            if cells is None:
                return False
        if not durable:
            writer.put(Job(entry, cells, None))
            return True
        done = asyncio.get_running_loop().create_future()
        writer.put(Job(entry, cells, done))
        await done
        return True

    def retain(self, keep_s: float, *, at: float) -> None:
        """Keep no call for longer than ``keep_s`` seconds: now, at ``at`` (Unix seconds), and from now on.

        What is older is deleted in the background, at once and then each hour in which there are commits, by whose
        time: a store that gets nothing to write has nothing new to forget, and is pruned at its next start.
        """
        self._keep_s = keep_s
        self._prune_at = at + _PRUNE_EVERY_S
        self._writer.prune(at - keep_s, at=at)

    async def close(self) -> None:
        await self._writer.close()

    def _refuse(self) -> None:
        if self._writer.closed:
            raise StoreUnavailable("the store is closed")
        # Whoever asks again also makes the writer try again.
        self._writer.hurry()
        raise unavailable(self._writer.fault or "no reason given")

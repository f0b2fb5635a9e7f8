"""The store of tests and of ``store: memory``: nothing outlives the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from fuseboard.adapters.stores.table import Table
from fuseboard.errors import StoreUnavailable
from fuseboard.ports import Entry
from fuseboard.state import Snapshot, Write

_KEEP = 1000


class MemoryStore:
    """State and ledger in memory. ``entries`` holds the newest ``keep`` ledger entries in the order of their commits.

    ``durable`` promises nothing here: there is no disk to wait for.
    """

    def __init__(self, *, keep: int = _KEEP) -> None:
        self.entries: deque[Entry] = deque(maxlen=keep)
        self._table = Table()
        self._closed = False

    async def read(self, keys: Sequence[str], *, at: float) -> Snapshot:
        self._must_be_open()
        return self._table.read(keys, at=at)

    async def commit(
        self, writes: Sequence[Write], read: Snapshot, entry: Entry | None, *, at: float, durable: bool = False
    ) -> bool:
        self._must_be_open()
        if writes and self._table.apply(writes, read, at=at) is None:
            return False
        if entry is not None:
            self.entries.append(entry)
        return True

    async def close(self) -> None:
        self._closed = True

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")
